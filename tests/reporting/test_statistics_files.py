"""Statistics as files, from made-up runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import PROBABILITIES, FakeResults, predictions_of
from sklearn import metrics as sk

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation import metrics
from sleepbench.evaluation.sleep_measures import measures_per_night
from sleepbench.reporting.artefacts import make_statistics
from sleepbench.reporting.reading import KEY, OVERALL
from sleepbench.reporting.statistics import changes, comparisons
from sleepbench.reporting.statistics.comparisons import compared_together
from sleepbench.reporting.statistics.contender import ContenderStatistics
from sleepbench.reporting.statistics.subjects import ARTEFACT
from sleepbench.reporting.tables.main_results import main_results

LADDER = ("released", "subject_blocks", "not_run", "clean")
MODELS = ("ULW-SleepNet", "TinySleepNet")
KEYS = list(KEY)


def make(folder: Path, **kwargs: Any) -> FakeResults:
    """Two models, two seeds, eight nights a fold."""
    return FakeResults(folder, **({"models": MODELS, "seeds": (1, 2), "nights_per_fold": 8} | kwargs))


def compute(results: FakeResults, folder: Path | None = None, **settings: Any) -> FakeResults:
    """Write the statistics, to where the results have them or to another folder."""
    inputs = results.inputs(ARTEFACT, **settings)
    files = {name: folder / f"{name}.csv" if folder else results.statistics(name) for name in ARTEFACT.names}
    make_statistics(ARTEFACT, inputs, files)
    return results


def read(results: FakeResults | Path, name: str) -> pd.DataFrame:
    path = results / f"{name}.csv" if isinstance(results, Path) else results.statistics(name)
    return pd.read_csv(path, dtype={"subject": str, "run_keys": str})


def chosen(results: FakeResults, **values: object) -> pd.DataFrame:
    """Rows of the runs table."""
    table = results.read_runs()
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def all_predictions(results: FakeResults, **values: object) -> pd.DataFrame:
    return pd.concat(map(predictions_of, chosen(results, **values).itertuples()), ignore_index=True)


def keys_of(results: FakeResults, **values: object) -> set[str]:
    return set(chosen(results, **values).run_key)


def relabelled(results: FakeResults, names: dict[str, dict[str, object]]) -> FakeResults:
    """Give the runs of each title other names, such as another input."""
    table = results.read_runs()
    for title, values in names.items():
        table.loc[table.title == title, list(values)] = list(values.values())
    results.change_runs(table)
    return results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FakeResults:
    return compute(make(tmp_path_factory.mktemp("statistics")))


# ------------------------------------------------------------------------------------------------------------ numbers


def test_every_file_is_there_and_names_its_contenders(made) -> None:
    found = sorted(path.stem for path in made.statistics("intervals").parent.iterdir())
    assert found == sorted(ARTEFACT.names)
    for name in ARTEFACT.names:
        if name != "comparisons":
            # Those of one protocol, or of both; the one that is claimed; why two networks are not ranked.
            n = {"inputs": 2, "non_inferiority": 1, "ranks": 1}.get(name, 4)
            assert len(read(made, name)[KEYS].drop_duplicates()) == n, name


def test_intervals_are_the_mean_over_seeds_of_pooled_metrics(made) -> None:
    table = read(made, "intervals").set_index([*KEYS, "metric"]).sort_index()
    mine = table.loc[("clean", "TinySleepNet", "four", "ulw")]
    assert set(mine.index) == {*metrics.METRICS, "expected_calibration_error"}
    by_seed = [all_predictions(made, protocol="clean", title="TinySleepNet", seed=seed) for seed in (1, 2)]
    expected = [sk.f1_score(p.stage, p.predicted, average="macro") for p in by_seed]
    row = mine.loc["macro_f1"]
    assert row.estimate == pytest.approx(np.mean(expected))
    assert row.seed_sd == pytest.approx(np.std(expected, ddof=1))
    assert [row.seed_min, row.seed_max] == pytest.approx(sorted(expected))
    assert row.low < row.estimate < row.high and (row.n_subjects, row.seeds) == (8, 2)
    calibration = mine.loc["expected_calibration_error"]
    assert 0 < calibration.seed_min <= calibration.estimate <= calibration.seed_max < 1 and np.isnan(calibration.low)


def test_subjects_have_their_own_metrics_age_and_sex(made) -> None:
    table = read(made, "subjects")
    row = table[(table.protocol == "clean") & (table.title == "TinySleepNet") & (table.subject == "p03")].iloc[0]
    both = all_predictions(made, protocol="clean", title="TinySleepNet")
    mine = both[both.subject == "p03"]
    assert row.accuracy == pytest.approx((mine.stage == mine.predicted).mean())
    assert (row.n_epochs, row.n_recordings) == (len(mine) / 2, 2)
    person = next(recording for recording in made.recordings if recording.subject == "p03")
    assert (row.age, row.sex) == (person.age, person.sex)


def test_every_row_names_its_runs(made) -> None:
    contender = ["protocol", "title"]
    for name in ARTEFACT.names:
        table = read(made, name)
        assert list(table)[-1] == "run_keys", name
        for row in table.to_dict("records"):
            keys = row["run_keys"].split()
            assert len(keys) == len(set(keys)), name
            if name in ("comparisons", "non_inferiority", "ranks"):
                expected = keys_of(made, protocol=row["protocol"])  # of both models
            elif name == "ladder" and row["rung"]:
                expected = keys_of(made, title=row["title"])  # of both protocols
            elif name in ("nights", "sleep_measures"):
                expected = keys_of(made, seed=1, **{key: row[key] for key in contender})
            else:
                expected = keys_of(made, **{key: row[key] for key in contender})
            assert set(keys) <= expected, name
            assert set(keys) == expected or name in ("nights", "subjects"), name


def test_subjects_and_nights_name_the_runs_that_test_them(made) -> None:
    table = made.read_runs().set_index("run_key", drop=False)
    for row in read(made, "nights").itertuples():
        assert row.recording in set(predictions_of(table.loc[row.run_keys]).recording)
    for row in read(made, "subjects").itertuples():
        mine = [table.loc[key] for key in row.run_keys.split()]
        assert sum((predictions_of(run).subject == row.subject).sum() for run in mine) == 2 * row.n_epochs
        assert sorted({run.seed for run in mine}) == [1, 2]
        assert all((predictions_of(run).subject == row.subject).any() for run in mine)


def test_a_change_names_the_runs_of_the_shared_seeds_only(tmp_path: Path) -> None:
    results = FakeResults(tmp_path, seeds=(1, 2))
    table = results.read_runs()
    results.change_runs(table[(table.protocol == "released") | (table.seed == 1)])
    change = read(compute(results), "ladder").query("rung == 1").iloc[0]
    expected = keys_of(results, protocol="clean") | keys_of(results, protocol="released", seed=1)
    assert set(change.run_keys.split()) == expected


def test_groups_part_the_subjects(made) -> None:
    table = read(made, "groups")
    assert set(table.grouping) == {"age", "sex"} and {*OVERALL} == {*table.metric}
    sizes = table[table.metric == "accuracy"].groupby([*KEYS, "grouping"]).n_subjects.sum()
    assert (sizes == 8).all()


def test_people_of_whom_nothing_is_known_have_no_groups(tmp_path: Path) -> None:
    results = FakeResults(tmp_path)
    results.write_recordings(age=None, sex=None)
    compute(results)
    assert read(results, "groups").empty and list(read(results, "groups"))[-1] == "run_keys"
    assert read(results, "subjects")[["age", "sex"]].isna().all(axis=None)


def test_people_are_told_apart_whatever_their_recordings_are_called(tmp_path: Path) -> None:
    """Ids whose digits, cut as those of Sleep-EDF, would make one person of two."""
    results = FakeResults(tmp_path, nights_per_fold=4)
    ids = {one.id: f"{one.night}0011{one.subject}" for one in results.recordings}
    for position, run in enumerate(results.read_runs().itertuples()):
        results.rewrite(position, predictions_of(run).replace({"recording": ids}))
    compute(results)
    assert read(results, "subjects").query("protocol == 'clean'").subject.tolist() == ["p00", "p01", "p02", "p03"]
    assert set(read(results, "nights").recording) == set(ids.values())


def test_comparisons_are_within_a_protocol(made) -> None:
    table, subjects = read(made, "comparisons"), read(made, "subjects")
    assert list(table) == list(comparisons.COLUMNS)
    assert list(zip(table["first"], table.second, strict=True)) == [MODELS] * 6
    row = table[(table.protocol == "clean") & (table.metric == "accuracy")].iloc[0]
    wide = subjects[subjects.protocol == "clean"].pivot(index="subject", columns="title", values="accuracy")
    assert row.median_difference == pytest.approx((wide[MODELS[1]] - wide[MODELS[0]]).median())
    assert row.p >= row.smallest_p and row.p_holm >= row.p


def test_one_contender_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    results = compute(FakeResults(tmp_path))
    assert results.statistics("comparisons").read_text() == ",".join(comparisons.COLUMNS) + "\n"


OWN = {"ULW-SleepNet": "ulw", "TinySleepNet": "tiny", "U-Sleep": "u"}


@pytest.mark.parametrize(
    ("recipes", "families"),
    [
        (["ulw", "tiny", "u"], {"own": 3}),
        (["ulw", "ulw", "ulw"], {"ulw": 3}),
        (["ulw", "tiny", "common"], {"own": 1}),
        (["common", "common", "u"], {"common": 1}),
        (["ulw", "ulw", "u"], {"ulw": 1, "own": 1}),
    ],
)
def test_models_by_the_recipes_of_their_papers_are_compared_too(tmp_path: Path, recipes, families) -> None:
    results = FakeResults(tmp_path, models=tuple(OWN), nights_per_fold=4, protocols=("released",))
    relabelled(results, {title: {"recipe": recipe} for title, recipe in zip(OWN, recipes, strict=True)})
    compute(results, own_recipes=OWN)
    table = read(results, "comparisons").query("metric == 'accuracy'")
    assert table.groupby("recipe").size().to_dict() == families
    recipe_of = dict(zip(OWN, recipes, strict=True))
    assert table.first_recipe.tolist() == [recipe_of[title] for title in table["first"]]
    assert table.second_recipe.tolist() == [recipe_of[title] for title in table.second]


def test_models_of_one_recipe_are_not_compared_again_by_their_own() -> None:
    """A variant of a model has the recipe of the same paper."""

    def contender(title: str, recipe: str) -> ContenderStatistics:
        return ContenderStatistics(("clean", title, "four", recipe), 4, *[None] * 11)

    own = {"A": "ulw", "A without": "ulw", "B": "b"}
    results = [contender(title, recipe) for title, recipe in own.items()]
    families = compared_together(results, own)
    assert {key[2]: list(models) for key, models in families.items()} == {"own": ["A", "A without", "B"]}
    results.append(contender("C", "ulw"))
    families = compared_together(results, own)
    assert {key[2]: list(models) for key, models in families.items()} == {
        "ulw": ["A", "A without", "C"],
        "own": ["A", "A without", "B"],
    }


UNDEFINED = {"title": "ULW-SleepNet", "input": "five", "n_channels": 5, "reason": "not defined for 5 channel(s)"}


@pytest.fixture(scope="module")
def several_inputs(tmp_path_factory: pytest.TempPathFactory) -> FakeResults:
    """One model on four channels, on one and on another one, under two protocols and by two seeds."""
    results = make(tmp_path_factory.mktemp("inputs"), models=("A", "B", "C"))
    inputs = {"A": ("four", 4), "B": ("eye", 1), "C": ("one", 1)}
    named = {t: {"input": name, "n_channels": n, "title": "ULW-SleepNet"} for t, (name, n) in inputs.items()}
    return relabelled(results, named)


@pytest.mark.parametrize(("alone", "reference"), [("one", "one"), (None, "eye"), ("not_run", "eye")])
def test_inputs_are_compared_with_one_eeg_alone_or_the_smallest(several_inputs, alone, reference) -> None:
    results = compute(several_inputs, alone=alone, undefined=[UNDEFINED])
    table, intervals = read(results, "inputs"), read(results, "intervals")
    assert list(table) == list(changes.INPUTS_COLUMNS) and set(table.protocol) == {"clean"}
    assert list(table.input.unique()) == ["eye", "one", "four", "five"]
    others = table[table.metric.notna() & (table.input != reference)]
    assert set(others.from_input) == {reference} and set(others.seeds_shared) == {2}
    assert table[table.input == reference][["from_input", "change"]].isna().all(axis=None)
    pooled = intervals[intervals.protocol == "clean"].set_index(["input", "metric"])
    for row in others.itertuples():
        mine, theirs = (pooled.loc[(name, row.metric)] for name in (row.input, reference))
        assert [row.value, row.value_low, row.value_high] == pytest.approx([mine.estimate, mine.low, mine.high])
        assert row.change == pytest.approx(mine.estimate - theirs.estimate)
        assert row.change_low <= row.change <= row.change_high
        expected = {key for name in (row.input, reference) for key in keys_of(results, protocol="clean", input=name)}
        assert set(row.run_keys.split()) == expected


def test_one_input_changes_nothing(made) -> None:
    table = read(made, "inputs")
    assert len(table) == 2 * 3 and table[["change", "from_input", "n_shared"]].isna().all(axis=None)


def test_ladder_is_of_the_rungs_that_were_run(made) -> None:
    table, intervals = read(made, "ladder"), read(made, "intervals")
    assert list(table) == list(changes.LADDER_COLUMNS)
    assert table.groupby("rung").protocol.unique().map(list).to_dict() == {0: ["released"], 1: ["clean"]}
    first, last = table[table.rung == 0], table[table.rung == 1]
    assert first.from_protocol.isna().all() and first.change.isna().all()
    assert set(last.from_protocol) == {"released"} and set(last.n_shared) == {8}
    assert last.change.to_numpy() == pytest.approx(last.value.to_numpy() - first.value.to_numpy())
    mine = last[(last.metric == "accuracy") & (last.title == MODELS[0])].iloc[0]
    pooled = intervals[
        (intervals.protocol == "clean") & (intervals.title == MODELS[0]) & (intervals.metric == "accuracy")
    ]
    assert [mine.value, mine.value_low, mine.value_high] == pytest.approx(
        pooled[["estimate", "low", "high"]].iloc[0].to_list()
    )
    assert mine.change_low < mine.change < mine.change_high
    assert table[table.metric == "accuracy_mean_of_folds"][["value_low", "change_low"]].isna().all(axis=None)


def main(results: FakeResults) -> pd.DataFrame:
    """The measured rows of the main table."""
    published = pd.DataFrame({"model": [], "dataset": []}, dtype=str)
    return main_results(results.read_runs(), published, results.label).query("mark == 'measured'")


def test_mean_of_folds_is_that_of_the_main_table(made) -> None:
    expected = main(made).set_index(["protocol", "model"]).accuracy_mean_of_folds
    for row in read(made, "ladder").query("metric == 'accuracy_mean_of_folds'").itertuples():
        assert 100 * row.value == pytest.approx(expected[row.protocol, row.title])


def test_a_change_is_taken_on_the_seeds_that_both_rungs_have(tmp_path: Path) -> None:
    results = FakeResults(tmp_path, seeds=(1, 2))
    table = results.read_runs()
    table = table[(table.protocol == "clean") | (table.seed == 1)]
    results.change_runs(table)
    both = read(compute(results), "ladder").query("rung == 1").set_index("metric")
    results.change_runs(table[table.seed == 1])
    one = read(compute(results), "ladder").query("rung == 1").set_index("metric")
    for column in ("change", "change_low", "change_high"):
        pd.testing.assert_series_equal(both[column], one[column])
    assert set(both.seeds) == {2} and set(both.seeds_shared) == {1}
    assert both.value["accuracy"] != one.value["accuracy"]


def test_pooled_numbers_are_those_of_the_main_table_with_several_seeds_too(tmp_path: Path) -> None:
    results = compute(FakeResults(tmp_path, seeds=(1, 2, 3)))
    intervals = read(results, "intervals").set_index(["protocol", "metric"]).estimate
    for row in main(results).itertuples():
        assert row.seeds == 3
        for metric, unit in (("accuracy", 100), ("macro_f1", 100), ("cohen_kappa", 1), ("f1_N1", 100)):
            assert getattr(row, metric) == pytest.approx(unit * intervals[row.protocol, metric], abs=1e-9)


def test_a_ladder_that_was_not_run_has_no_rungs(tmp_path: Path) -> None:
    results = compute(FakeResults(tmp_path), ladder=[])
    assert results.statistics("ladder").read_text() == ",".join(changes.LADDER_COLUMNS) + "\n"


def test_nights_are_those_of_the_first_seed(made) -> None:
    table = read(made, "nights")
    assert set(table.seed) == {1} and set(table.groupby(KEYS).size()) == {15, 16}
    first = all_predictions(made, protocol="clean", title="TinySleepNet", seed=1)
    expected = measures_per_night(first).predicted_minutes_N1
    mine = table[(table.protocol == "clean") & (table.title == "TinySleepNet")]
    assert list(mine.predicted_minutes_N1) == list(expected)
    agreement = read(made, "sleep_measures")
    row = agreement[(agreement.protocol == "clean") & (agreement.measure == "total_sleep_time")].iloc[0]
    mine = table[(table.protocol == row.protocol) & (table.title == row.title)]
    assert row.bias == pytest.approx((mine.predicted_total_sleep_time - mine.scored_total_sleep_time).mean())


def test_reliability_is_of_all_seeds(made) -> None:
    table = read(made, "reliability").query("protocol == 'clean' and title == 'TinySleepNet'")
    both = all_predictions(made, protocol="clean", title="TinySleepNet")
    assert table.n_epochs.sum() == len(both)
    top = both[both[PROBABILITIES].max(axis=1) > table.low.iloc[-1]]
    assert table.n_epochs.iloc[-1] == len(top)
    assert table.accuracy.iloc[-1] == pytest.approx((top.stage == top.predicted).mean())
    assert table.confidence.iloc[-1] == pytest.approx(top[PROBABILITIES].max(axis=1).mean(), rel=1e-5)


def test_the_same_runs_give_the_same_files(tmp_path: Path, made) -> None:
    compute(made, tmp_path)
    for name in ARTEFACT.names:
        assert (tmp_path / f"{name}.csv").read_bytes() == made.statistics(name).read_bytes()


# ------------------------------------------------------------------------------------------------- few and undefined


def test_one_subject_without_a_stage_is_defined(tmp_path: Path) -> None:
    results = FakeResults(tmp_path, models=MODELS, n_folds=1)
    for position, run in enumerate(results.read_runs().itertuples()):
        table = predictions_of(run)
        results.rewrite(position, table[table.stage != 4])
    compute(results)
    intervals = read(results, "intervals").set_index([*KEYS, "metric"]).sort_index()
    assert intervals.low.isna().all() and (intervals.n_subjects == 1).all()
    assert intervals.xs("recall_REM", level="metric").estimate.isna().all()
    assert intervals.xs("macro_f1", level="metric").estimate.notna().all()
    pairs = read(results, "comparisons")
    assert (pairs.n_subjects == 1).all() and (pairs.p == 1).all()


def test_macro_f1_says_of_how_many_stages_it_is(tmp_path: Path) -> None:
    results = without_rem_in_the_first_subject(tmp_path)
    subjects = read(results, "subjects")
    for protocol in ("released", "clean"):
        every = all_predictions(results, protocol=protocol)
        for row in subjects[subjects.protocol == protocol].itertuples():
            mine = every[every.subject == row.subject]
            assert row.macro_f1 == pytest.approx(sk.f1_score(mine.stage, mine.predicted, average="macro"))
            assert row.macro_f1_stages == (4 if row.subject == "p00" else 5)
    assert set(read(results, "intervals").macro_f1_stages) == {5}


def without_rem_in_the_first_subject(folder: Path) -> FakeResults:
    """Statistics of runs in which one subject shows no REM and is predicted none."""
    results = FakeResults(folder, nights_per_fold=4)
    for position, run in enumerate(results.read_runs().itertuples()):
        table = predictions_of(run)
        results.rewrite(position, table[(table.subject != "p00") | ((table.stage != 4) & (table.predicted != 4))])
    return compute(results)


# ----------------------------------------------------------------------------------------------------------- bad input


def test_predictions_that_are_gone_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    results = FakeResults(tmp_path)
    run = next(results.read_runs().itertuples())
    (Path(run.directory) / run.selection / "predictions.parquet").unlink()
    with pytest.raises(BenchmarkError, match=rf"predictions.parquet: is missing, but run {run.run_key} is of it"):
        compute(results)
    assert not results.statistics("intervals").exists()


def test_a_subject_that_the_recordings_do_not_name_is_refused(tmp_path: Path) -> None:
    results = FakeResults(tmp_path, nights_per_fold=4)
    results.write_recordings(subject="p00")
    with pytest.raises(BenchmarkError, match="do not name subject p01, p02, p03 of the predictions"):
        compute(results)
