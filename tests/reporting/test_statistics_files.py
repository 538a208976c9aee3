"""Statistics as files, from made-up runs, and the tables made of them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from synthetic import PROBABILITIES, make_runs, sign_again, write_quality

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_json, write_json
from sleepbench.core.stages import UNKNOWN
from sleepbench.evaluation import metrics
from sleepbench.evaluation.sleep_measures import measures_per_night
from sleepbench.reporting.statistics import compute as statistics
from sleepbench.reporting.tables import main as tables
from sleepbench.reporting.tables import of_statistics as rendered
from sleepbench.signals.hypnogram import select_window
from sleepbench.signals.totals import RECORDINGS

LADDER = ("released", "subject_blocks", "not_run", "clean")
MODELS = ("ULW-SleepNet", "TinySleepNet")
FILES = (
    *("intervals", "subjects", "groups", "comparisons", "ladder", "channels", "nights", "sleep_measures"),
    "reliability",
)
KEY = ["protocol", "title", "channels", "recipe"]


def make_folds(folder: Path, runs: pd.DataFrame) -> dict[str, str]:
    """A fold file of each protocol that tests what the runs test."""
    paths = {}
    for protocol, of_protocol in runs.groupby("protocol"):
        first = of_protocol[
            (of_protocol.title == of_protocol.title.iloc[0]) & (of_protocol.seed == of_protocol.seed.min())
        ]
        tests = [sorted(set(predictions_of(run).recording)) for run in first.sort_values("fold").itertuples()]
        assignment = [{"train": [], "validation": [], "test": test} for test in tests]
        document = {"name": protocol, "dataset": "simulated", "folds_sha256": sha256_of_json(assignment)}
        write_json(folder / f"{protocol}.json", {**document, "folds": assignment})
        paths[protocol] = str(folder / f"{protocol}.json")
    return paths


def predictions_path(run: tuple) -> Path:
    return Path(run.directory) / run.selection / "predictions.parquet"


def predictions_of(run: tuple) -> pd.DataFrame:
    return pd.read_parquet(predictions_path(run))


def make(folder: Path, **kwargs: object) -> tuple[Path, dict[str, str], Path]:
    """Runs, their fold files and where their statistics go."""
    arguments = {"models": MODELS, "seeds": (1, 2), "nights_per_fold": 8, "protocols": ("released", "clean")}
    runs = make_runs(folder / "runs", **(arguments | kwargs))
    return runs, make_folds(folder, pd.read_csv(runs)), folder / "statistics"


def compute(runs: Path, folds: dict[str, str] | None, directory: Path, ladder: tuple[str, ...] = LADDER) -> None:
    statistics.compute_statistics(str(runs), str(RECORDINGS), "simulated", True, ladder, str(directory), folds)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Path]:
    runs, folds, directory = make(tmp_path_factory.mktemp("statistics"))
    compute(runs, folds, directory)
    return runs, folds, directory


def read(directory: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(directory / f"{name}.csv", dtype={"subject": str, "run_keys": str})


def all_predictions(runs: Path, **chosen: object) -> pd.DataFrame:
    table = pd.read_csv(runs)
    for column, value in chosen.items():
        table = table[table[column] == value]
    return pd.concat([predictions_of(run) for run in table.itertuples()], ignore_index=True)


# ------------------------------------------------------------------------------------------------------------ numbers


def test_every_file_is_there_and_names_its_networks(made) -> None:
    _, _, directory = made
    assert sorted(path.name for path in directory.iterdir()) == sorted(f"{name}.csv" for name in FILES)
    for name in FILES:
        if name != "comparisons":
            networks = 2 if name == "channels" else 4  # those of one protocol, or of both
            assert len(read(directory, name)[KEY].drop_duplicates()) == networks, name


def test_intervals_are_the_mean_over_seeds_of_pooled_metrics(made) -> None:
    runs, _, directory = made
    table = read(directory, "intervals").set_index([*KEY, "metric"]).sort_index()
    mine = table.loc[("clean", "TinySleepNet", "four", "released")]
    assert set(mine.index) == {*metrics.METRICS, "expected_calibration_error"}
    by_seed = [all_predictions(runs, protocol="clean", title="TinySleepNet", seed=seed) for seed in (1, 2)]
    expected = [sk.f1_score(p.stage, p.predicted, average="macro") for p in by_seed]
    row = mine.loc["macro_f1"]
    assert row.estimate == pytest.approx(np.mean(expected))
    assert row.seed_sd == pytest.approx(np.std(expected, ddof=1))
    assert [row.seed_min, row.seed_max] == pytest.approx(sorted(expected))
    assert row.low < row.estimate < row.high and (row.n_subjects, row.seeds) == (8, 2)
    calibration = mine.loc["expected_calibration_error"]
    assert 0 < calibration.seed_min <= calibration.estimate <= calibration.seed_max < 1 and np.isnan(calibration.low)


def test_subjects_have_their_own_metrics_age_and_sex(made) -> None:
    runs, _, directory = made
    table = read(directory, "subjects")
    row = table[(table.protocol == "clean") & (table.title == "TinySleepNet") & (table.subject == "03")].iloc[0]
    both = all_predictions(runs, protocol="clean", title="TinySleepNet")
    mine = both[both.subject == "03"]
    assert row.accuracy == pytest.approx((mine.stage == mine.predicted).mean())
    assert (row.n_epochs, row.n_recordings) == (len(mine) / 2, 2)
    described = pd.read_csv(RECORDINGS, dtype={"subject": str}).query("subject == '03'").iloc[0]
    assert (row.age, row.sex) == (described.age, described.sex)


def keys_of(runs: Path, **chosen: object) -> set[str]:
    table = pd.read_csv(runs, dtype={"run_key": str})
    for column, value in chosen.items():
        table = table[table[column] == value]
    return set(table.run_key)


def test_every_row_names_its_runs(made) -> None:
    runs, _, directory = made
    network = ["protocol", "title"]
    for name in FILES:
        table = read(directory, name)
        assert list(table)[-1] == "run_keys", name
        for row in table.to_dict("records"):
            keys = row["run_keys"].split()
            assert len(keys) == len(set(keys)), name
            if name == "comparisons":
                expected = keys_of(runs, protocol=row["protocol"])  # of both models
            elif name == "ladder" and row["rung"]:
                expected = keys_of(runs, title=row["title"])  # of both protocols
            elif name in ("nights", "sleep_measures"):
                expected = keys_of(runs, seed=1, **{key: row[key] for key in network})
            else:
                expected = keys_of(runs, **{key: row[key] for key in network})
            assert set(keys) <= expected, name
            assert set(keys) == expected or name in ("nights", "subjects"), name


def test_subjects_and_nights_name_the_runs_that_test_them(made) -> None:
    runs, _, directory = made
    table = pd.read_csv(runs, dtype={"run_key": str}).set_index("run_key", drop=False)
    for row in read(directory, "nights").itertuples():
        assert row.recording in set(predictions_of(table.loc[row.run_keys]).recording)
    for row in read(directory, "subjects").itertuples():
        mine = [table.loc[key] for key in row.run_keys.split()]
        assert sum((predictions_of(run).subject == row.subject).sum() for run in mine) == 2 * row.n_epochs
        assert sorted({run.seed for run in mine}) == [1, 2]
        assert all((predictions_of(run).subject == row.subject).any() for run in mine)


def test_a_change_names_the_runs_of_the_shared_seeds_only(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, protocols=("released", "clean"), seeds=(1, 2))
    table = pd.read_csv(runs, dtype={"run_key": str})
    table[(table.protocol == "released") | (table.seed == 1)].to_csv(runs, index=False)
    compute(runs, None, tmp_path / "statistics")
    change = read(tmp_path / "statistics", "ladder").query("rung == 1").iloc[0]
    assert set(change.run_keys.split()) == keys_of(runs, protocol="clean") | keys_of(runs, protocol="released", seed=1)


def test_age_is_that_of_the_first_night(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,))
    recordings = pd.read_csv(RECORDINGS, dtype=str).assign(age=lambda table: 30 + table.night.astype(int))
    recordings.to_csv(tmp_path / "recordings.csv", index=False)
    table = str(tmp_path / "recordings.csv")
    statistics.compute_statistics(str(runs), table, "simulated", True, LADDER, str(directory), folds)
    assert set(read(directory, "subjects").age) == {31}


def test_groups_part_the_subjects(made) -> None:
    _, _, directory = made
    table = read(directory, "groups")
    assert set(table.grouping) == {"age", "sex"} and {*statistics.OVERALL} == {*table.metric}
    sizes = table[table.metric == "accuracy"].groupby([*KEY, "grouping"]).n_subjects.sum()
    assert (sizes == 8).all()


def test_comparisons_are_within_a_protocol(made) -> None:
    _, _, directory = made
    table, subjects = read(directory, "comparisons"), read(directory, "subjects")
    assert list(table) == list(statistics.COMPARISON_COLUMNS)
    assert list(zip(table["first"], table.second, strict=True)) == [MODELS] * 6
    row = table[(table.protocol == "clean") & (table.metric == "accuracy")].iloc[0]
    wide = subjects[subjects.protocol == "clean"].pivot(index="subject", columns="title", values="accuracy")
    assert row.median_difference == pytest.approx((wide[MODELS[1]] - wide[MODELS[0]]).median())
    assert row.p >= row.smallest_p and row.p_holm >= row.p


def test_one_network_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,))
    compute(runs, folds, directory)
    assert (directory / "comparisons.csv").read_text() == ",".join(statistics.COMPARISON_COLUMNS) + "\n"
    outputs = [str(tmp_path / f"comparisons.{form}") for form in ("csv", "md", "tex")]
    rendered.write_comparisons(str(directory / "comparisons.csv"), "simulated", True, *outputs)
    assert rendered.NO_PAIR in (tmp_path / "comparisons.md").read_text()


def relabelled(runs: Path, names: dict[str, dict]) -> None:
    """Give the runs of each title other names, such as another set of channels."""
    table = pd.read_csv(runs, dtype={"run_key": str, "only_folds": str})
    for title, values in names.items():
        table.loc[table.title == title, list(values)] = list(values.values())
    table.to_csv(runs, index=False)


OWN = {"ULW-SleepNet": "released", "TinySleepNet": "tiny", "U-Sleep": "u"}


@pytest.mark.parametrize(
    ("recipes", "families"),
    [
        (["released", "tiny", "u"], {"published": 3}),
        (["released", "released", "released"], {"released": 3}),
        (["released", "tiny", "common"], {"published": 1}),
        (["common", "common", "u"], {"common": 1}),
        (["released", "released", "u"], {"released": 1, "published": 1}),
    ],
)
def test_models_by_the_recipes_of_their_papers_are_compared_as_published(tmp_path: Path, recipes, families) -> None:
    runs, folds, directory = make(tmp_path, models=tuple(OWN), seeds=(1,), nights_per_fold=4, protocols=("released",))
    relabelled(runs, {title: {"recipe": recipe} for title, recipe in zip(OWN, recipes, strict=True)})
    asked = statistics.Asked(own_recipes=OWN)
    arguments = (str(runs), str(RECORDINGS), "simulated", True, LADDER, str(directory), folds)
    statistics.compute_statistics(*arguments, asked=asked)
    table = read(directory, "comparisons").query("metric == 'accuracy'")
    assert table.groupby("recipe").size().to_dict() == families
    recipe_of = dict(zip(OWN, recipes, strict=True))
    assert table.first_recipe.tolist() == [recipe_of[title] for title in table["first"]]
    assert table.second_recipe.tolist() == [recipe_of[title] for title in table.second]
    text = render(tmp_path, directory)["comparisons"]
    assert ("recipes released and " in text) == ("published" in families)


def test_models_of_one_recipe_are_not_compared_again_as_published() -> None:
    """A variant of a model has the recipe of the same paper."""

    def network(title: str, recipe: str) -> statistics.NetworkStatistics:
        return statistics.NetworkStatistics("clean", (title, "four", recipe), 4, *[None] * 11)

    own = {"A": "released", "A without": "released", "B": "b"}
    results = [network(title, recipe) for title, recipe in own.items()]
    families = statistics._compared_together(results, own)
    assert {key[2]: list(models) for key, models in families.items()} == {"published": ["A", "A without", "B"]}
    results.append(network("C", "released"))
    families = statistics._compared_together(results, own)
    assert {key[2]: list(models) for key, models in families.items()} == {
        "released": ["A", "A without", "C"],
        "published": ["A", "A without", "B"],
    }


UNDEFINED = {"title": "ULW-SleepNet", "channels": "five", "n_channels": 5, "reason": "not defined for 5 channel(s)"}


@pytest.fixture(scope="module")
def sets_of_channels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Path]:
    """One model on four channels, on one and on another one, under two protocols and by two seeds."""
    runs, folds, directory = make(tmp_path_factory.mktemp("channels"), models=("A", "B", "C"))
    of_set = {"A": ("four", 4), "B": ("eog", 1), "C": ("fpz", 1)}
    relabelled(
        runs, {t: {"channels": name, "n_channels": n, "title": "ULW-SleepNet"} for t, (name, n) in of_set.items()}
    )
    return runs, folds, directory


@pytest.mark.parametrize(("alone", "reference"), [("fpz", "fpz"), (None, "eog"), ("not_run", "eog")])
def test_channels_are_compared_with_one_eeg_alone_or_the_smallest_set(
    tmp_path: Path, sets_of_channels, alone, reference
) -> None:
    runs, folds, directory = sets_of_channels
    asked = statistics.Asked(alone=alone, undefined=[UNDEFINED])
    arguments = (str(runs), str(RECORDINGS), "simulated", True, LADDER, str(directory), folds)
    statistics.compute_statistics(*arguments, asked=asked)
    table, intervals = read(directory, "channels"), read(directory, "intervals")
    assert list(table) == list(statistics.CHANNELS_COLUMNS) and set(table.protocol) == {"clean"}
    assert list(table.channels.unique()) == ["eog", "fpz", "four", "five"]
    others = table[table.metric.notna() & (table.channels != reference)]
    assert set(others.from_channels) == {reference} and set(others.seeds_shared) == {2}
    assert table[table.channels == reference][["from_channels", "change"]].isna().all(axis=None)
    pooled = intervals[intervals.protocol == "clean"].set_index(["channels", "metric"])
    for row in others.itertuples():
        mine, theirs = (pooled.loc[(channels, row.metric)] for channels in (row.channels, reference))
        assert [row.value, row.value_low, row.value_high] == pytest.approx([mine.estimate, mine.low, mine.high])
        assert row.change == pytest.approx(mine.estimate - theirs.estimate)
        assert row.change_low <= row.change <= row.change_high
        assert set(row.run_keys.split()) == {
            key for name in (row.channels, reference) for key in keys_of(runs, protocol="clean", channels=name)
        }
    text = render(tmp_path, directory)["channels"]
    lines = [line for line in text.splitlines() if line.startswith("| ULW")]
    cells = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]
    assert [row[:3] for row in cells] == [
        *(["released", name, n] for name, n in (("eog", "1"), ("fpz", "1"), ("four", "4"))),
        ["–", "five", "5"],
    ]
    assert [row[4] == "–" for row in cells] == [name in (reference, "five") for name in ("eog", "fpz", "four", "five")]
    assert set(cells[-1][3:8]) == {"–"} and UNDEFINED["reason"] in text and f"change from {reference}" in text
    assert max(map(len, text.splitlines()[1:])) <= 150


def test_one_set_of_channels_changes_nothing(made) -> None:
    table = read(made[2], "channels")
    assert len(table) == 2 * 3 and table[["change", "from_channels", "n_shared"]].isna().all(axis=None)


def test_ladder_is_of_the_rungs_that_were_run(made) -> None:
    _, _, directory = made
    table, intervals = read(directory, "ladder"), read(directory, "intervals")
    assert list(table) == list(statistics.LADDER_COLUMNS)
    assert table.groupby("rung").protocol.unique().map(list).to_dict() == {0: ["released"], 1: ["clean"]}
    first, last = table[table.rung == 0], table[table.rung == 1]
    assert first.from_protocol.isna().all() and first.change.isna().all()
    assert set(last.from_protocol) == {"released"} and set(last.n_shared) == {8}
    assert last.change.to_numpy() == pytest.approx(last.value.to_numpy() - first.value.to_numpy())
    of_metric = last[(last.metric == "accuracy") & (last.title == MODELS[0])].iloc[0]
    pooled = intervals[
        (intervals.protocol == "clean") & (intervals.title == MODELS[0]) & (intervals.metric == "accuracy")
    ]
    assert [of_metric.value, of_metric.value_low, of_metric.value_high] == pytest.approx(
        pooled[["estimate", "low", "high"]].iloc[0].to_list()
    )
    assert of_metric.change_low < of_metric.change < of_metric.change_high
    assert table[table.metric == "accuracy_mean_of_folds"][["value_low", "change_low"]].isna().all(axis=None)


def test_mean_of_folds_is_that_of_the_main_table(made) -> None:
    runs, _, directory = made
    published = pd.DataFrame({"model": [], "dataset": []}, dtype=str)
    main = tables.main_results(tables.read_runs(runs), published, "simulated", True)
    main = main[main.mark == "measured"].set_index(["protocol", "model"])
    table = read(directory, "ladder").query("metric == 'accuracy_mean_of_folds'")
    for row in table.itertuples():
        assert 100 * row.value == pytest.approx(main.accuracy_mean_of_folds[row.protocol, row.title])


def test_a_change_is_taken_on_the_seeds_that_both_rungs_have(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, protocols=("released", "clean"), seeds=(1, 2))
    table = pd.read_csv(runs, dtype={"run_key": str})
    table = table[(table.protocol == "clean") | (table.seed == 1)]
    table.to_csv(runs, index=False)
    compute(runs, None, tmp_path / "unequal")
    both = read(tmp_path / "unequal", "ladder").query("rung == 1").set_index("metric")
    table[table.seed == 1].to_csv(runs, index=False)
    compute(runs, None, tmp_path / "one")
    one = read(tmp_path / "one", "ladder").query("rung == 1").set_index("metric")
    for column in ("change", "change_low", "change_high"):
        pd.testing.assert_series_equal(both[column], one[column])
    assert set(both.seeds) == {2} and set(both.seeds_shared) == {1}
    assert both.value["accuracy"] != one.value["accuracy"]


def test_pooled_numbers_are_those_of_the_main_table_with_several_seeds_too(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, seeds=(1, 2, 3))
    compute(runs, None, tmp_path / "statistics")
    intervals = read(tmp_path / "statistics", "intervals").set_index(["protocol", "metric"]).estimate
    table = tables.main_results(tables.read_runs(runs), pd.DataFrame({"model": []}, dtype=str), "simulated", True)
    for row in table[table.mark == "measured"].itertuples():
        assert row.seeds == 3
        for metric, unit in (("accuracy", 100), ("macro_f1", 100), ("cohen_kappa", 1), ("f1_N1", 100)):
            assert getattr(row, metric) == pytest.approx(unit * intervals[row.protocol, metric], abs=1e-9)


def test_a_ladder_that_was_not_run_has_no_rungs(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,))
    compute(runs, folds, directory, ladder=())
    outputs = [str(tmp_path / f"ladder.{form}") for form in ("csv", "md", "tex")]
    rendered.write_ladder(str(directory / "ladder.csv"), "simulated", True, *outputs)
    assert rendered.NO_RUNG in (tmp_path / "ladder.md").read_text()


def test_nights_are_those_of_the_first_seed(made) -> None:
    _, _, directory = made
    table = read(directory, "nights")
    assert set(table.seed) == {1} and set(table.groupby(KEY).size()) == {15, 16}
    first = all_predictions(made[0], protocol="clean", title="TinySleepNet", seed=1)
    expected = measures_per_night(first).predicted_minutes_N1
    mine = table[(table.protocol == "clean") & (table.title == "TinySleepNet")]
    assert list(mine.predicted_minutes_N1) == list(expected)
    agreement = read(directory, "sleep_measures")
    row = agreement[(agreement.protocol == "clean") & (agreement.measure == "total_sleep_time")].iloc[0]
    mine = table[(table.protocol == row.protocol) & (table.title == row.title)]
    assert row.bias == pytest.approx((mine.predicted_total_sleep_time - mine.scored_total_sleep_time).mean())


def test_reliability_is_of_all_seeds(made) -> None:
    runs, _, directory = made
    table = read(directory, "reliability").query("protocol == 'clean' and title == 'TinySleepNet'")
    both = all_predictions(runs, protocol="clean", title="TinySleepNet")
    assert table.n_epochs.sum() == len(both)
    top = both[both[PROBABILITIES].max(axis=1) > table.low.iloc[-1]]
    assert table.n_epochs.iloc[-1] == len(top)
    assert table.accuracy.iloc[-1] == pytest.approx((top.stage == top.predicted).mean())
    assert table.confidence.iloc[-1] == pytest.approx(top[PROBABILITIES].max(axis=1).mean(), rel=1e-5)


def test_the_same_runs_give_the_same_files(tmp_path: Path, made) -> None:
    runs, folds, directory = made
    compute(runs, folds, tmp_path)
    for name in FILES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (directory / f"{name}.csv").read_bytes()


# ------------------------------------------------------------------------------------------------- few and undefined


def test_one_subject_without_a_stage_is_defined(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS, seeds=(1,), folds=1, nights_per_fold=2)
    table = pd.read_csv(runs)
    for position, run in enumerate(table.itertuples()):
        predictions = predictions_of(run)
        rewrite(runs, position, predictions[predictions.stage != 4])
    compute(runs, folds, directory)
    intervals = read(directory, "intervals").set_index([*KEY, "metric"]).sort_index()
    assert intervals.low.isna().all() and (intervals.n_subjects == 1).all()
    assert intervals.xs("recall_REM", level="metric").estimate.isna().all()
    assert intervals.xs("macro_f1", level="metric").estimate.notna().all()
    comparisons = read(directory, "comparisons")
    assert (comparisons.n_subjects == 1).all() and (comparisons.p == 1).all()
    for name, markdown in render(tmp_path, directory).items():
        assert not re.search(r"\bnan\b", markdown.lower()), name


def test_macro_f1_says_of_how_many_stages_it_is(tmp_path: Path) -> None:
    """Subject 00 shows no REM and is predicted none."""
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,), nights_per_fold=4)
    for position, run in enumerate(pd.read_csv(runs).itertuples()):
        table = predictions_of(run)
        rewrite(runs, position, table[(table.subject != "00") | ((table.stage != 4) & (table.predicted != 4))])
    compute(runs, folds, directory)
    subjects = read(directory, "subjects")
    for protocol in ("released", "clean"):
        every = all_predictions(runs, protocol=protocol)
        for row in subjects[subjects.protocol == protocol].itertuples():
            mine = every[every.subject == row.subject]
            assert row.macro_f1 == pytest.approx(sk.f1_score(mine.stage, mine.predicted, average="macro"))
            assert row.macro_f1_stages == (4 if row.subject == "00" else 5)
    groups, people = read(directory, "groups"), subjects.groupby("sex").subject.agg(set)
    for sex, members in people.items():
        row = groups[(groups.protocol == "clean") & (groups.group == sex) & (groups.metric == "macro_f1")].iloc[0]
        mine = every[every.subject.isin(members)]
        assert row.estimate == pytest.approx(sk.f1_score(mine.stage, mine.predicted, average="macro"))
        assert row.macro_f1_stages == len({*mine.stage, *mine.predicted})
    assert set(read(directory, "intervals").macro_f1_stages) == {5}
    # A group of subject 00 alone, as if there were no others.
    alone = groups.assign(macro_f1_stages=4)
    assert rendered.GROUPS.note(alone.iloc[0]).endswith("; macro-F1 of 4 of 5 stages")
    texts = render(tmp_path, directory)
    assert "macro-F1 of fewer than five stages in 1 subject" in " ".join(texts["intervals"].split())
    for name in ("intervals", "groups"):
        assert tables.MACRO_F1_IS in " ".join(texts[name].split())


def rewrite(runs: Path, position: int, predictions: pd.DataFrame) -> None:
    """Replace the predictions of a run, and its numbers in the runs table."""
    table = pd.read_csv(runs, dtype={"run_key": str, "only_folds": str})
    run = next(table.iloc[[position]].itertuples())
    predictions.to_parquet(predictions_path(run), index=False)
    sign_again(Path(run.directory))
    confusion = metrics.confusion_matrix(predictions.stage.to_numpy(), predictions.predicted.to_numpy())
    table.loc[position, list(metrics.confusion_items(confusion))] = list(metrics.confusion_items(confusion).values())
    table.loc[position, "n_test"] = len(predictions)
    table.to_csv(runs, index=False)


# ---------------------------------------------------------------------------------------------------------- bad input


def shorten(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.iloc[:-3]


def without_a_night(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions.recording != predictions.recording.max()]


def of_another_night(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.replace({"recording": {predictions.recording.max(): "SC4771"}})


def doubled(predictions: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([predictions.iloc[:-1], predictions.iloc[:1]], ignore_index=True)


def undefined(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.assign(p_N2=predictions.p_N2.mask(predictions.index == 5))


def undefined_stage(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.assign(predicted=predictions.predicted.astype(float).mask(predictions.index == 5))


def otherwise_predicted(predictions: pd.DataFrame) -> pd.DataFrame:
    rolled = np.roll(predictions[PROBABILITIES].to_numpy(), 1, axis=1)
    return predictions.assign(
        predicted=(predictions.predicted + 1) % 5, **dict(zip(PROBABILITIES, rolled.T, strict=True))
    )


def without_a_column(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.drop(columns="p_N3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten, r"epochs, expected [\d,]+ \(n_test\)"),
        (without_a_night, r"do not cover the fold: they lack SC4\d\d\d"),
        (of_another_night, r"do not cover the fold: they lack SC4\d\d\d and hold also SC4771"),
        (doubled, "there more than once"),
        (undefined, "a probability is NaN"),
        (undefined_stage, "predicted is not one of 0..4"),
        (otherwise_predicted, "another confusion matrix than the runs table"),
        (without_a_column, "cannot be read"),
    ],
)
def test_predictions_that_are_not_those_of_the_run_are_listed(tmp_path: Path, change, message: str) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    table = pd.read_csv(runs)
    wrong = list(table.iloc[[1, 6]].itertuples())
    for run in wrong:
        change(predictions_of(run)).to_parquet(predictions_path(run), index=False)
        sign_again(Path(run.directory))
    with pytest.raises(BenchmarkError, match=message) as error:
        compute(runs, folds, directory)
    for run in table.itertuples():
        named = f"{run.protocol}, {run.title}, four, released, seed 1, fold {run.fold} " in str(error.value)
        assert named == (run.Index in (1, 6))
    assert not directory.exists()


def test_predictions_that_were_changed_since_they_were_written_are_refused(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    run = next(tables.read_runs(runs).iloc[[5]].itertuples())
    path = predictions_path(run)
    predictions_of(run).assign(epoch=lambda table: table.epoch + 1000).to_parquet(path, index=False)
    with pytest.raises(BenchmarkError, match="was changed since it was written") as error:
        compute(runs, folds, directory)
    head, problem = str(error.value).splitlines()
    assert "delete the runs table (runs.csv) and the receipts" in head
    assert problem.startswith(f"  clean, ULW-SleepNet, four, released, seed 1, fold 1 (run {run.run_key}): {path}: ")
    recorded = read_json(Path(run.directory) / "training.json")["files"]["best_validation/predictions.parquet"]
    assert f"expected {recorded[:12]}… as recorded" in problem
    assert not directory.exists()


def test_a_training_that_lists_no_predictions_is_refused(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    one, two = tables.read_runs(runs).iloc[[1, 6]].itertuples()
    for run in (one, two):
        path = Path(run.directory) / "training.json"
        record = read_json(path)
        files = record.pop("files")
        write_json(path, record if run is one else {**record, "files": {"history.csv": files["history.csv"]}})
    with pytest.raises(BenchmarkError) as error:
        compute(runs, folds, directory)
    _, first, second = str(error.value).splitlines()
    assert f"(run {one.run_key}): " in first and "training.json: lacks files" in first
    assert f"(run {two.run_key}): " in second and "is not among the files that training.json beside it lists" in second


def prepare(folder: Path, runs: Path) -> list[str]:
    """Quality files of days that are scored where the runs tested them; the runs are cut to the windows of these."""
    days: dict[str, np.ndarray] = {}
    for run in pd.read_csv(runs).itertuples():
        for recording, night in predictions_of(run).groupby("recording"):
            day = days.setdefault(recording, np.full(1200, UNKNOWN, dtype=np.int8))
            day[night.epoch] = night.stage
    for position, run in enumerate(pd.read_csv(runs).itertuples()):
        kept = {recording: select_window(day, run.window) for recording, day in days.items()}
        table = predictions_of(run)
        in_window = [epoch in kept[id] for id, epoch in zip(table.recording, table.epoch, strict=True)]
        rewrite(runs, position, table[in_window])
    for recording, day in days.items():
        write_quality(folder / f"{recording}.quality.json", recording, day)
    return sorted(map(str, folder.glob("*.quality.json")))


@pytest.mark.parametrize(
    ("column", "changed", "message"),
    [
        (
            "epoch",
            lambda table: table.epoch + 1000,
            r"of \d+ epochs \(1\d+ to 1\d+\) of SC4021, but its standard ",
        ),
        ("epoch", lambda table: table.epoch.replace(200, 2000), "window as prepared is "),
        ("stage", lambda table: (table.stage + (table.epoch == 200)) % 5, r"score 1 of \d+ epochs of SC4021 otherwise"),
    ],
)
def test_predictions_must_be_of_the_epochs_that_are_prepared(tmp_path: Path, column, changed, message) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,), nights_per_fold=4)
    qualities = prepare(tmp_path, runs)
    on = (str(runs), str(RECORDINGS), "simulated", True, LADDER, str(directory), folds)
    statistics.compute_statistics(*on, qualities)
    assert (directory / "intervals.csv").exists()
    run = next(tables.read_runs(runs).iloc[[3]].itertuples())
    assert run.window == "standard"
    table = predictions_of(run)
    one = table.recording == "SC4021"
    rewrite(runs, 3, table.assign(**{column: table[column].mask(one, changed(table))}))
    with pytest.raises(BenchmarkError, match=message) as error:
        statistics.compute_statistics(*on, qualities)
    assert f"fold 1 (run {run.run_key}): {predictions_path(run)}: the predictions " in str(error.value)
    assert "SC4022" not in str(error.value)


@pytest.mark.parametrize("change", [{"code_sha256": "1" * 64}, {"settings": {"recipe": {"learning_rate": 9}}}])
def test_a_rung_of_other_code_or_another_recipe_is_refused(tmp_path: Path, change: dict) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    of_clean = [run for run in pd.read_csv(runs).itertuples() if run.protocol == "clean"]
    for run in of_clean:
        path = Path(run.directory) / "training.json"
        record = read_json(path)
        settings = {**record["settings"], **change.get("settings", {})}
        write_json(path, {**record, **change, "settings": settings})
    with pytest.raises(BenchmarkError, match="under protocol released") as error:
        compute(runs, folds, directory)
    assert "clean, ULW-SleepNet" in str(error.value)
    assert not directory.exists()


def test_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    one, two, three = pd.read_csv(runs).iloc[[0, 3, 7]].itertuples()
    predictions_path(one).unlink()
    (Path(two.directory) / "training.json").unlink()
    record = read_json(Path(three.directory) / "training.json")
    write_json(Path(three.directory) / "training.json", {**record, "code_sha256": "1" * 64})
    with pytest.raises(BenchmarkError) as error:
        compute(runs, folds, directory)
    lines = str(error.value).splitlines()
    assert len(lines) == 4 and "run again" in lines[0]
    assert "predictions.parquet: is missing" in lines[1] and "training.json: is missing" in lines[2]
    assert "code_sha256 is 1111" in lines[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[table.index != 3], "fold 1 of 2 missing"),
        (lambda table: pd.concat([table, table.iloc[[2]]]), "there 2 times"),
        (lambda table: table.drop(columns="n_test"), "lacks n_test"),
    ],
)
def test_runs_that_are_not_complete_are_refused(tmp_path: Path, change, message: str) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    change(pd.read_csv(runs, dtype={"run_key": str})).to_csv(runs, index=False)
    with pytest.raises(BenchmarkError, match=message):
        compute(runs, folds, directory)
    assert not directory.exists()


def test_networks_tested_on_other_epochs_are_refused(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, seeds=(1,))
    position = next(run.Index for run in pd.read_csv(runs).itertuples() if run.title == MODELS[1])
    run = next(pd.read_csv(runs).iloc[[position]].itertuples())
    rewrite(runs, position, predictions_of(run).iloc[:-3])
    with pytest.raises(
        BenchmarkError, match="TinySleepNet, four, released was tested on other epochs than ULW-SleepNet"
    ):
        compute(runs, folds, directory)


def test_a_protocol_without_fold_file_and_a_fold_too_many_are_refused(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,))
    with pytest.raises(BenchmarkError, match="runs of protocol clean, but fold files were given of released only"):
        compute(runs, {"released": folds["released"]}, directory)
    document = read_json(folds["clean"])
    kept = document["folds"][:1]
    write_json(folds["clean"], {**document, "folds": kept, "folds_sha256": sha256_of_json(kept)})
    with pytest.raises(BenchmarkError, match="there is no fold 1 in the fold file, which has 1 folds"):
        compute(runs, folds, directory)


def test_a_subject_that_the_recordings_do_not_describe_is_refused(tmp_path: Path) -> None:
    runs, folds, directory = make(tmp_path, models=MODELS[:1], seeds=(1,))
    described = pd.read_csv(RECORDINGS, dtype=str)
    described[described.subject != "02"].to_csv(tmp_path / "recordings.csv", index=False)
    with pytest.raises(BenchmarkError, match="for subject 02 of the predictions"):
        statistics.compute_statistics(
            str(runs), str(tmp_path / "recordings.csv"), "simulated", True, LADDER, str(directory), folds
        )


# ------------------------------------------------------------------------------------------------------------- tables


def render(folder: Path, directory: Path) -> dict[str, str]:
    """Every table in Markdown, by name; the other forms lie beside."""
    texts = {}
    for name in rendered.TABLES:
        outputs = [str(folder / f"{name}.{form}") for form in ("csv", "md", "tex")]
        rendered.write_statistics_table(name, str(directory), "simulated", True, *outputs)
        texts[name] = Path(outputs[1]).read_text(encoding="utf-8")
    return texts


def test_tables_say_simulated_and_fit(tmp_path: Path, made) -> None:
    for name, markdown in render(tmp_path, made[2]).items():
        lines = markdown.splitlines()
        assert tables.SIMULATED in lines[0], name
        assert max(map(len, lines[1:])) <= 150, name
        latex = (tmp_path / f"{name}.tex").read_text(encoding="utf-8")
        assert latex.isascii(), name
        columns = len(re.search(r"\\begin\{(?:tabular|longtable)\}\{([lr]+)\}", latex).group(1))
        rows = [line for line in latex.splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in rows} == {columns}, name


def test_tables_name_the_runs_in_their_last_column_and_do_not_print_them(tmp_path: Path, made) -> None:
    runs, _, directory = made
    for name, markdown in render(tmp_path, directory).items():
        table = pd.read_csv(tmp_path / f"{name}.csv", dtype={"run_keys": str})
        assert list(table)[-1] == "run_keys" and table.run_keys.notna().all(), name
        for key in keys_of(runs):
            assert key not in markdown and key not in (tmp_path / f"{name}.tex").read_text(encoding="utf-8")


def test_tables_with_long_names_fit_a_terminal(tmp_path: Path, made) -> None:
    for path in made[2].iterdir():
        text = (
            path.read_text().replace("clean", "validation_held_out").replace("TinySleepNet", "SleepStagerChambon2018")
        )
        (tmp_path / path.name).write_text(text)
    for name, markdown in render(tmp_path / "tables", tmp_path).items():
        assert max(map(len, markdown.splitlines()[1:])) <= 152, name


def test_tables_show_what_the_statistics_hold(tmp_path: Path, made) -> None:
    texts, directory = render(tmp_path, made[2]), made[2]
    intervals, ladder, subjects = (read(directory, name) for name in ("intervals", "ladder", "subjects"))
    for row in intervals[intervals.metric.isin(["accuracy", "macro_f1"])].itertuples():
        assert f"{100 * row.estimate:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]" in texts["intervals"]
    for row in intervals[intervals.metric == "precision_N1"].itertuples():
        assert f"{100 * row.estimate:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]" in texts["classes"]
    for values in subjects.groupby(KEY).accuracy:
        assert f"{100 * values[1].mean():.1f} ± {100 * values[1].std():.1f}" in texts["intervals"]
    for row in ladder[(ladder.metric == "macro_f1") & (ladder.rung == 1)].itertuples():
        assert f"{100 * row.change:+.1f} [{100 * row.change_low:+.1f}, {100 * row.change_high:+.1f}]" in texts["ladder"]


def test_kappa_and_p_have_no_leading_zero_and_zero_no_sign() -> None:
    row = pd.Series({"cohen_kappa": 0.7, "cohen_kappa_low": -0.05, "cohen_kappa_high": 1.0, "p": 0.04})
    assert rendered.interval("cohen_kappa")(row) == ".700 [-.050, 1.000]"
    assert rendered.p_value("p")(row) == ".040" and rendered.p_value("p")(pd.Series({"p": 0.0001})) == "<.001"
    assert rendered.limits(pd.Series({"low": -0.01, "high": 2.0})) == "+0.0 to +2.0"
    assert (
        rendered.interval("accuracy")(
            pd.Series(dict.fromkeys(("accuracy", "accuracy_low"), np.nan) | {"accuracy_high": 1})
        )
        == "–"
    )


def test_statistics_without_a_column_are_refused(tmp_path: Path, made) -> None:
    read(made[2], "groups").drop(columns="high").to_csv(tmp_path / "groups.csv", index=False)
    outputs = [str(tmp_path / f"out.{form}") for form in ("csv", "md", "tex")]
    with pytest.raises(BenchmarkError, match="lack the column high"):
        rendered.write_groups(str(tmp_path / "groups.csv"), "simulated", True, *outputs)
