"""What can be wrong with runs, each check by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import PROBABILITIES, FakeResults, predictions_of

from sleepbench.core.files import read_json
from sleepbench.evaluation.scores import confusions
from sleepbench.runs import checks

MODELS = ("ULW-SleepNet", "TinySleepNet")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> FakeResults:
    return FakeResults(tmp_path_factory.mktemp("runs"), models=MODELS, nights_per_fold=4)


@pytest.fixture(scope="module")
def epochs(results: FakeResults) -> checks.Epochs:
    """What both trimmings keep of the nights: all that is scored."""
    kept = {recording.id: np.flatnonzero(recording.stages < 5) for recording in results.recordings}
    return {
        (recording.id, trimming): (kept[recording.id], recording.stages[kept[recording.id]])
        for recording in results.recordings
        for trimming in ("standard", "authors")
    }


def one_run(results: FakeResults, position: int = -1) -> tuple[Any, np.ndarray, list[str], pd.DataFrame]:
    """A row of the runs table, its confusion matrix there, the recordings that its fold tests, its predictions."""
    runs = results.read_runs()
    run = next(runs.iloc[[position]].itertuples())
    tested = [recording.id for recording in results.tests(run.protocol, run.fold)]
    return run, confusions(runs)[position], tested, predictions_of(run)


def test_runs_as_they_were_written_have_no_problems(results, epochs) -> None:
    runs = results.read_runs()
    for position in range(len(runs)):
        run, matrix, tested, table = one_run(results, position)
        assert checks.prediction_problems(table, run, matrix, tested, epochs) == []
        assert checks.faulty_predictions([(checks.run_name(run), table)]) == []
    assert checks.different_epochs(checks.scored_by_fold(runs)) == []


# --------------------------------------------------------------------------------------------------------- predictions


def shorten(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:-3]


def without_a_night(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.recording != table.recording.max()]


def of_another_night(table: pd.DataFrame) -> pd.DataFrame:
    return table.replace({"recording": {table.recording.max(): "other"}})


def otherwise_predicted(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(predicted=(table.predicted + 1) % 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten, " epochs, expected "),
        (without_a_night, "do not cover the fold: they lack n003b"),
        (of_another_night, "do not cover the fold: they lack n003b and hold also other"),
        (otherwise_predicted, "give another confusion matrix than the runs table (accuracy 0."),
    ],
)
def test_predictions_that_are_not_those_of_the_run_are_said(results, change: Callable, message: str) -> None:
    run, matrix, tested, table = one_run(results)
    problems = checks.prediction_problems(change(table), run, matrix, tested, {})
    assert any(problem.startswith("the predictions ") and message in problem for problem in problems)


def test_recordings_that_are_not_known_are_not_asked_for(results) -> None:
    run, matrix, _, table = one_run(results)
    renamed = of_another_night(table)
    assert checks.prediction_problems(renamed, run, matrix, None, {}) == []


@pytest.mark.parametrize(
    ("column", "changed", "message"),
    [
        (
            "epoch",
            lambda table: table.epoch + 1000,
            r"are of \d+ epochs \(1\d+ to 1\d+\) of n003a, but as prepared the ",
        ),
        ("epoch", lambda table: table.epoch.replace(200, 2000), "as prepared the trimming standard keeps "),
        ("stage", lambda table: (table.stage + (table.epoch == 200)) % 5, r"score 1 of \d+ epochs of n003a otherwise"),
    ],
)
def test_predictions_must_be_of_the_epochs_that_are_prepared(results, epochs, column, changed, message) -> None:
    _, _, _, table = one_run(results)
    one = table.recording == "n003a"
    wrong = table.assign(**{column: table[column].mask(one, changed(table))})
    (problem,) = checks.wrong_epochs(wrong, "standard", epochs)
    assert pd.Series([problem]).str.contains(message).all() and "n003b" not in problem


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.iloc[:-1], table.iloc[:1]], ignore_index=True)


def undefined(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(p_N2=table.p_N2.mask(table.index == 5))


def undefined_stage(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(predicted=table.predicted.astype(float).mask(table.index == 5))


def not_the_likeliest(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**dict(zip(PROBABILITIES, np.roll(table[PROBABILITIES].to_numpy(), 1, axis=1).T, strict=True)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (doubled, "there more than once"),
        (undefined, "a probability is NaN"),
        (undefined_stage, "predicted is not one of 0..4"),
        (not_the_likeliest, "predicted is not the stage of the largest probability"),
    ],
)
def test_predictions_that_cannot_be_used_are_named_by_run(results, change: Callable, message: str) -> None:
    (one, _, _, table), (other, _, _, wrong) = (one_run(results, position) for position in (-2, -1))
    (problem,) = checks.faulty_predictions([(checks.run_name(one), table), (checks.run_name(other), change(wrong))])
    assert problem.startswith(checks.run_name(other)) and message in problem


def test_an_epoch_that_two_folds_test_is_found(results) -> None:
    (one, _, _, table), (_, _, _, other) = (one_run(results, position) for position in (-2, -1))
    both = [(checks.run_name(one), table), ("fold 1", pd.concat([other, table.iloc[:1]], ignore_index=True))]
    (problem,) = checks.faulty_predictions(both)
    assert problem.startswith(f"{checks.run_name(one)} and the other folds: ") and "more than once" in problem


# ------------------------------------------------------------------------------------------------- settings and code


def record(results: FakeResults, position: int, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A row of the runs table and its training.json, `changes` in its settings or else in itself."""
    run = next(results.read_runs().iloc[[position]].itertuples())
    found = read_json(Path(run.directory) / "training.json")
    settings = {name: value for name, value in changes.items() if name in found["settings"]}
    rest = {name: value for name, value in changes.items() if name not in settings}
    return run, {**found, **rest, "settings": {**found["settings"], **settings}}


def test_runs_of_one_row_may_differ_in_fold_and_seed_alone(results) -> None:
    (_, first), (_, second) = record(results, 0), record(results, 1)
    assert checks.mixed(second, first) == []
    (_, wrong) = record(results, 1, code_sha256="1" * 64, recipe={"name": "ulw", "training_epochs": 9})
    recipe, code = checks.mixed(wrong, first)
    assert recipe.startswith("recipe is {'name': 'ulw', 'training_epochs': 9}, but ") and "in the first run" in recipe
    assert code.startswith("code_sha256 is 1111")


@pytest.mark.parametrize("changes", [{"code_sha256": "1" * 64}, {"recipe": {"learning_rate": 9}}])
def test_a_rung_of_other_code_or_another_recipe_is_said(results, changes: dict) -> None:
    runs = results.read_runs()
    first = [runs.index[(runs.protocol == protocol) & (runs.title == MODELS[0])][0] for protocol in results.protocols]
    assert checks.mixed_protocols([record(results, position) for position in first]) == []
    (problem,) = checks.mixed_protocols([record(results, first[0]), record(results, first[1], **changes)])
    assert problem.startswith("clean, ULW-SleepNet, four, ulw, seed 1, fold 0 (run ")
    assert problem.endswith("under protocol released")


# -------------------------------------------------------------------------------------------------- between contenders


def test_contenders_tested_on_other_epochs_are_said(results) -> None:
    runs = results.read_runs()
    runs.loc[(runs.title == MODELS[1]) & (runs.protocol == "clean") & (runs.fold == 1), "confusion_W_W"] += 1
    (problem,) = checks.different_epochs(checks.scored_by_fold(runs))
    assert problem == (
        "clean: TinySleepNet, four, ulw, seed 1 was tested on other epochs than ULW-SleepNet, four, ulw, seed 1, of "
        "fold 1"
    )


def test_other_epochs_are_found_by_subject(results) -> None:
    tables = [predictions_of(run) for run in results.read_runs().query("protocol == 'clean'").itertuples()]
    one, other = (pd.concat(tables[first : first + 2]) for first in (0, 2))
    other = other.assign(stage=other.stage.mask((other.subject == "p01") & (other.epoch == 10), 3))
    scored = {("clean", title): checks.scored_by_subject(t) for title, t in zip("ab", (one, other), strict=True)}
    assert checks.different_epochs(scored) == ["clean: b was tested on other epochs than a, of subject p01"]
    assert checks.different_epochs({**scored, ("clean", "b"): scored["clean", "a"]}) == []
