"""The main table, from made-up runs and the published results."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, RESOURCES, FakeResults, predictions_of
from sklearn import metrics as sk

from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.published import read_published_results
from sleepbench.evaluation.scores import CONFUSION, F1
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables import main_results

PUBLISHED = read_published_results(RESOURCES / "published_results.csv")
NOTHING = PUBLISHED[:0]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> FakeResults:
    return FakeResults(tmp_path_factory.mktemp("simulated"), seeds=(1, 2))


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> FakeResults:
    return FakeResults(tmp_path_factory.mktemp("real"), dataset="sleep-edf-20")


def predictions(runs: pd.DataFrame) -> pd.DataFrame:
    """All predictions behind some rows of a runs table."""
    return pd.concat(map(predictions_of, runs.itertuples()), ignore_index=True)


def table_of(runs: pd.DataFrame, dataset: str = "simulated") -> pd.DataFrame:
    return main_results.main_results(runs, PUBLISHED, LABELS[dataset])


def main(results: FakeResults) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs table and the main table."""
    return results.read_runs(), main_results.build(results.inputs(main_results.ARTEFACT))


def row_of(table: pd.DataFrame, protocol: str, mark: str = "measured") -> pd.Series:
    return table[(table.protocol == protocol) & (table.mark == mark)].iloc[0]


def write(results: FakeResults, folder: Path) -> tuple[Path, str, str]:
    """The table's CSV, and what Markdown and LaTeX hold."""
    paths = [folder / f"main.{form}" for form in ("csv", "md", "tex")]
    make_table(main_results.ARTEFACT, results.inputs(main_results.ARTEFACT), *paths)
    return paths[0], paths[1].read_text(encoding="utf-8"), paths[2].read_text(encoding="utf-8")


def test_pooled_metrics_are_the_mean_over_seeds_of_scikit_learns_on_all_predictions(simulated):
    runs, table = main(simulated)
    for protocol in ("released", "clean"):
        row = row_of(table, protocol)
        by_seed = [predictions(group) for _, group in runs[runs.protocol == protocol].groupby("seed")]
        assert len(by_seed) == 2
        pairs = [(one.stage, one.predicted) for one in by_seed]
        assert row.accuracy == pytest.approx(100 * np.mean([sk.accuracy_score(*pair) for pair in pairs]))
        assert row.macro_f1 == pytest.approx(100 * np.mean([sk.f1_score(*pair, average="macro") for pair in pairs]))
        assert row.cohen_kappa == pytest.approx(np.mean([sk.cohen_kappa_score(*pair) for pair in pairs]))
        expected = 100 * np.mean([sk.f1_score(*pair, average=None) for pair in pairs], axis=0)
        assert [row[f"f1_{stage}"] for stage in STAGES] == pytest.approx(list(expected))
        assert row.n_epochs == len(by_seed[0])


def test_mean_and_spread_are_over_folds_and_seeds(simulated):
    runs, table = main(simulated)
    accuracy = 100 * runs[runs.protocol == "clean"].pivot(index="fold", columns="seed", values="accuracy").to_numpy()
    row = row_of(table, "clean")
    assert row.accuracy_mean_of_folds == pytest.approx(accuracy.mean())
    assert row.accuracy_sd_of_folds == pytest.approx(accuracy.mean(axis=1).std(ddof=1))
    assert row.accuracy_sd_of_seeds == pytest.approx(accuracy.mean(axis=0).std(ddof=1))
    assert (row.folds, row.seeds) == ("2 of 2", 2)


def test_macro_f1_is_of_the_stages_that_occur_and_the_note_says_how_many(simulated):
    runs = simulated.read_runs()
    runs.loc[runs.protocol == "clean", [name for name in CONFUSION if "REM" in name]] = 0
    measured = main_results.main_results(runs, NOTHING, LABELS["simulated"]).query("mark == 'measured'")
    measured = measured.set_index("protocol")
    assert measured.macro_f1_stages.to_dict() == {"released": 5, "clean": 4}
    f1 = measured.loc["clean", list(F1)].astype(float)
    assert np.isnan(f1["f1_REM"]) and measured.macro_f1["clean"] == pytest.approx(f1.mean())
    notes = {protocol: main_results.note(row) for protocol, row in measured.iterrows()}
    assert notes["clean"].endswith(" test epochs; macro-F1 of 4 of 5 stages") and "macro-F1" not in notes["released"]


def test_each_measured_row_names_exactly_its_runs(simulated):
    runs, table = main(simulated)
    for protocol, keys in runs.groupby("protocol").run_key:
        row = row_of(table, protocol)
        assert sorted(row.run_keys.split()) == sorted(keys)
        assert row.source.startswith("measured here (4 runs: ") and keys.iloc[0][:8] in row.source


def test_reference_row_is_the_share_of_the_commonest_stage(simulated):
    runs, table = main(simulated)
    for protocol in ("released", "clean"):
        row = row_of(table, protocol, "reference")
        stage = predictions(runs[(runs.protocol == protocol) & (runs.seed == 1)]).stage
        assert row.accuracy == pytest.approx(100 * stage.value_counts(normalize=True).iloc[0])
        assert row.cohen_kappa == pytest.approx(0)
        assert STAGES[stage.mode()[0]] in row.source


def test_real_data_stands_beside_every_published_row_of_its_dataset(real):
    _, table = main(real)
    expected = PUBLISHED.query("dataset == 'sleep-edf-20'")
    published = table[table.mark.isin(["published", "secondary"])]
    assert list(published.model) == list(expected.model)
    assert published.accuracy.to_numpy() == pytest.approx(expected.accuracy.to_numpy(), nan_ok=True)
    assert set(table.data[table.mark != "people"]) == {"Sleep-EDF-20"}


@pytest.mark.parametrize("name", ["simulated", "real"])
def test_people_stand_last_as_themselves_and_the_note_says_by_which_convention(name, request, tmp_path):
    results = request.getfixturevalue(name)
    _, table = main(results)
    last = table[-2:]
    assert list(last.data) == ["DOD-H", "DOD-O"] and (table.mark == "people").sum() == 2
    assert list(last.accuracy.round(1)) == [83.4, 80.7] and list(last.n_epochs) == [24_665, 53_236]
    assert last[["accuracy_mean_of_folds", "folds", "input", "recipe", "run_keys"]].isna().all(axis=None)
    _, markdown, _ = write(results, tmp_path)
    rows = [line for line in markdown.splitlines() if re.search(r"^\| DOD-[HO] +\| people, another database +\|", line)]
    assert len(rows) == 2 and all("| people [" in row for row in rows)
    said = " ".join(markdown.split())
    assert said.count("to be compared with no other row: five scorers of ") == 2
    assert said.count("majority, pooled: each scorer against the majority of the other four, pooled over epochs") == 2
    assert "they are no bar for the rows above." in said


def test_simulated_data_stands_beside_published_rows_of_its_models_only(simulated):
    _, table = main(simulated)
    published = table[table.mark.isin(["published", "secondary"])]
    assert set(published.model) == {"ULW-SleepNet", "ULW-SleepNet (re-run of released code)"}
    assert set(published.data) == {"Sleep-EDF-20", "Sleep-EDF-78"}
    assert set(table.data[table.mark.isin(["measured", "reference"])]) == {"simulated"}


def test_published_rows_say_on_how_many_epochs_and_under_which_protocol(tmp_path, real):
    _, table = main(real)
    epochs = table[table.mark.isin(["published", "secondary"])].set_index("model").n_epochs
    assert (epochs["TinySleepNet"], epochs["DeepSleepNet"], epochs["SleepEEGNet"]) == (44_220, 41_950, 42_308)
    assert pd.isna(epochs["LightSleepNet"])
    _, markdown, latex = write(real, tmp_path)
    for text in (" ".join(markdown.split()), latex):
        tiny = re.search(r"TinySleepNet, published: .*?validation subjects", text)[0]
        assert "on Sleep-EDF-20, 44,220 test epochs; input: Fpz-Cz; 20 epochs; protocol: 20-fold by subject" in tiny
        assert "number of test epochs not known; input: Fpz-Cz; protocol: not known" in text


def test_only_the_datasets_that_are_simulated_stand_beside_simulated_data(simulated):
    runs = simulated.read_runs().assign(title="U-Sleep")
    published = main_results.main_results(runs, PUBLISHED, LABELS["simulated"]).mark.isin(["published", "secondary"])
    assert PUBLISHED.model.str.startswith("U-Sleep (").any() and not published.any()


def test_only_beside_simulated_data_published_rows_cannot_be_compared(tmp_path, simulated, real):
    (tmp_path / "real").mkdir()
    _, markdown, latex = write(simulated, tmp_path)
    for text in (" ".join(markdown.split()), latex):
        assert "Published rows are on Sleep-EDF and cannot be compared with simulated data. Input:" in text
    assert "cannot be compared" not in write(real, tmp_path / "real")[1]


def test_a_trial_of_some_folds_says_how_many(simulated):
    runs = simulated.read_runs()
    assert table_of(runs[runs.fold == 0]).folds.dropna().eq("1 of 2").all()


def test_missing_numbers_are_empty_in_the_csv_and_a_dash_when_rendered(tmp_path, simulated):
    csv, markdown, latex = write(simulated, tmp_path)
    published = next(line for line in csv.read_text().splitlines() if ",published," in line)
    assert ",86.9,,,,,,,,,,published," in published
    assert "nan" not in (csv.read_text() + markdown + latex).lower().replace("nano", "")
    row = next(line for line in markdown.splitlines() if "published [" in line)
    assert [cell.strip() for cell in row.split("|")][5:9] == ["–", "86.9", "–", "–"]


def test_csv_keeps_full_precision(tmp_path, simulated):
    csv, _, _ = write(simulated, tmp_path)
    _, table = main(simulated)
    assert (pd.read_csv(csv).accuracy.dropna().to_numpy() == table.accuracy.dropna().to_numpy()).all()


def test_trainings_that_ended_early_are_counted_in_the_note(simulated):
    runs = simulated.read_runs()
    cases = {", 8 training": [8] * 4, ", 3 to 8 of at most 8": [3, 8, 8, 7], ", 5 of at most 8": [5] * 4}
    for said, trained in cases.items():
        runs.loc[runs.protocol == "clean", "trained_epochs"] = trained
        row = row_of(table_of(runs), "clean")
        assert said in main_results.note(row) and row.training_epochs == 8


def test_a_model_that_is_fitted_in_one_go_has_no_training_epochs(simulated):
    runs = simulated.read_runs()
    for column, value in (("model", "band_power"), ("title", "Band power"), ("trained_epochs", 1)):
        runs.loc[runs.protocol == "clean", column] = value
    row = row_of(table_of(runs), "clean")
    assert ", fitted in one go, nothing of the recipe applies, " in main_results.note(row)
    assert row[list(main_results.TRAINED)].isna().all()


@pytest.mark.parametrize(
    ("value", "mark", "shown"),
    [
        (0.8204, "measured", ".820"),
        (-0.0123, "measured", "-.012"),
        (1.0, "measured", "1.000"),
        (0.8, "secondary", ".80"),
        (0.8233, "secondary", ".823"),
        (np.nan, "published", "–"),
    ],
)
def test_kappa_is_shown_as_papers_print_it(value, mark, shown):
    assert main_results.kappa(pd.Series({"cohen_kappa": value, "mark": mark})) == shown


def test_markdown_fits_a_terminal(tmp_path, simulated):
    _, markdown, _ = write(simulated, tmp_path)
    assert max(len(line) for line in markdown.splitlines()) <= 160
    assert re.search(r"^\| simulated +\| ULW-SleepNet +\| released +\| four, ulw +\|", markdown, re.MULTILINE)


def test_the_learning_rates_of_a_tuned_recipe_are_in_the_note(simulated):
    runs = simulated.read_runs()
    clean = runs.protocol == "clean"
    rates = [3e-4, *[1e-3] * (clean.sum() - 1)]
    table = table_of(runs.assign(tuned_learning_rate=pd.Series(rates, index=runs.index[clean])))
    said = f"learning rates chosen on validation subjects, by training: 0.001 in {clean.sum() - 1}, 0.0003 in 1, "
    assert said in main_results.note(row_of(table, "clean"))
    assert "chosen" not in main_results.note(row_of(table, "released"))


@pytest.mark.parametrize("name, same", [("DOD-H", ["DOD-H"]), ("DOD-O, scorer 2", ["DOD-O"]), ("simulated DOD-H", [])])
def test_people_may_have_scored_the_same_nights(name: str, same: list[str]) -> None:
    rows = main_results.people(RESOURCES / "human_scorings" / "scorings.csv", DataLabel("d", name))
    assert list(rows.data[rows.model == main_results.THESE_NIGHTS]) == same
    notes = [main_results.note(row) for _, row in rows.iterrows()]
    assert sum("of the same nights, whole and not trimmed" in one for one in notes) == len(same)
