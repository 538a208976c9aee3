"""Whether runs are whole: each thing that can be wrong, by itself."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from fake_results import sign_again
from planned_results import CLEAN, DATASET, FOLDS, RELEASED, PlannedResults, write_selection

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document
from sleepbench.evaluation.scores import CONFUSION
from sleepbench.runs.run import read_run, read_runs_of
from sleepbench.runs.runs_table import read_runs
from sleepbench.runs.verify import Expected, check, stale, verify

SELECTION = "best_validation"


def verified(results: PlannedResults, **options) -> None:
    """Verify all runs of the plan with their rows of the table of runs."""
    rows = read_runs("results/simulated/runs.csv").to_dict("records")
    verify(read_runs_of(results.planned), Expected(results.config, DATASET, **options), rows)


def problems(results: PlannedResults, fold: int = 2, **options) -> list[str]:
    """What is wrong with one run of the clean protocol."""
    return check(read_run(results.run(CLEAN, fold)), Expected(results.config, DATASET, **options)).problems


def test_whole_runs_have_no_problem_and_give_their_confusion_matrix(whole):
    verified(whole, asked=True)
    run = read_run(whole.run(CLEAN, 2))
    checked = check(run, Expected(whole.config, DATASET, asked=True))
    table = run.predictions()
    assert checked.problems == [] and checked.confusion.sum() == len(table)
    assert np.trace(checked.confusion) == (table.stage == table.predicted).sum()
    assert {id: sum(scored) for id, scored in checked.scored.items()} == table.recording.value_counts().to_dict()


# -------------------------------------------------------------------------------------------------------- predictions


def rewrite(results: PlannedResults, change, fold: int = 2) -> None:
    """Change the predictions of a run, and sign everything as if that were right."""
    directory = results.directory(CLEAN, fold)
    table = change(pd.read_parquet(directory / SELECTION / "predictions.parquet"))
    write_selection(directory / SELECTION, table)
    sign_again(directory)


def last_night(table: pd.DataFrame) -> pd.Series:
    return table.recording == table.recording.iloc[-1]


def undefined(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(p_N2=table.p_N2.mask(table.index == 5))


def undefined_stage(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(predicted=table.predicted.astype(float).mask(table.index == 5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table[~last_night(table)], "do not cover the fold: they lack SC4061"),
        (
            lambda table: table.replace({"recording": {"SC4061": "SC4071"}}),
            "do not cover the fold: they lack SC4061 and hold also SC4071",
        ),
        (lambda table: table.iloc[:-3], r"do not cover the fold: \d+ epochs of \d+"),
        (lambda table: table.assign(epoch=table.epoch.where(table.index > 0, table.epoch[1])), "more than once"),
        (undefined, "a probability is NaN or outside 0..1: 1 of"),
        (undefined_stage, "predicted is not one of 0..4: 1 of"),
        (lambda table: table.assign(predicted=(table.predicted + 1) % 5), "not the stage of the largest probability"),
        (lambda table: table.drop(columns="night"), "cannot be read"),
        (
            lambda table: table.assign(epoch=table.epoch + 1000),
            r"are of \d+ epochs \(1000 to 1\d+\) of SC4021, but as prepared the trimming standard keeps \d+ epochs",
        ),
        (
            lambda table: table.assign(epoch=table.epoch.where(table.epoch != 200, 2000)),
            r"epochs \(0 to 2000\) of SC4021, but",
        ),
        (
            lambda table: table.assign(stage=table.stage.where(table.epoch != 200, (table.stage + 1) % 5)),
            r"score 1 of \d+ epochs of SC4021 otherwise than it is prepared",
        ),
        (
            lambda table: table.assign(subject=table.subject.where(~last_night(table), "99")),
            "say that SC4061 is night 1 of subject 99, but the fold file says night 1 of subject 06",
        ),
        (
            lambda table: table.assign(night=table.night.where(~last_night(table), 2)),
            "say that SC4061 is night 2 of subject 06, but the fold file says night 1",
        ),
    ],
)
def test_predictions_that_are_wrong_as_they_were_written_are_said(whole, change, said):
    rewrite(whole, change)
    (problem,) = problems(whole)[:1]
    assert re.search(said, problem) and "fold-2" in problem


def test_epochs_of_recordings_that_are_not_prepared_are_passed_over(whole):
    rewrite(whole, lambda table: table.assign(epoch=table.epoch + 1000))
    shutil.rmtree("results/data/simulated/prepared")
    assert problems(whole) == []


def test_predictions_must_give_their_metrics(whole):
    path = whole.directory(CLEAN, 2) / SELECTION / "metrics.json"
    write_document(path, read_json(path) | {"confusion_W_W": 0})
    sign_again(whole.directory(CLEAN, 2))
    assert "do not give the metrics.json beside them" in problems(whole)[0]
    write_document(path, {"accuracy": 1})
    sign_again(whole.directory(CLEAN, 2))
    assert "metrics.json: lacks 'confusion_W_W'; train this fold again" in problems(whole)[0]


def test_the_table_of_runs_must_have_the_metrics_of_the_files(whole):
    rows = read_runs("results/simulated/runs.csv")
    rows.loc[6, ["confusion_W_W", "confusion_N2_N2"]] += [1, -1]
    runs = read_runs_of(whole.planned)
    with pytest.raises(BenchmarkError, match=r"its metrics in runs\.csv are not those of") as error:
        verify(runs, Expected(whole.config, DATASET), rows.to_dict("records"))
    assert str(runs[6]) in str(error.value) and str(runs[5]) not in str(error.value)


# ------------------------------------------------------------------------------------------------- files and settings


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("history.csv", b"changed", "fold-2/history.csv is CHANGED"),
        ("weights.pt", b"changed", "fold-2/weights.pt is CHANGED"),
        ("last/predictions.parquet", None, "fold-2/last/predictions.parquet is MISSING"),
        ("best_validation/metrics.json", None, "fold-2/best_validation/metrics.json is MISSING"),
    ],
)
def test_files_count_as_they_were_written(whole, name, content, said):
    path = whole.directory(CLEAN, 2) / name
    path.unlink() if content is None else path.write_bytes(content)
    assert said in problems(whole)[0]
    # An archive has no weights, and no predictions by a selection rule that no run has.
    assert (problems(whole, archived=True) == []) == name.startswith(("weights", "last/"))


def test_a_file_that_changes_after_the_check_is_not_read(whole):
    run = read_run(whole.run(CLEAN, 2))
    assert check(run, Expected(whole.config, DATASET)).problems == []
    path = run.directory / run.predictions_name
    pd.read_parquet(path).iloc[:-1].to_parquet(path, index=False)
    with pytest.raises(BenchmarkError, match=r"predictions\.parquet: was changed since it was written: SHA-256"):
        run.predictions()


def test_other_folds_data_and_edited_records_are_said(whole):
    document = read_json(whole.folds_file(CLEAN))
    write_document(whole.folds_file(CLEAN), document | {"data_sha256": "0" * 64})
    assert "was trained on other files than the fold file subject-4-kept-validation0.json" in problems(whole)[0]
    folds = document["folds"][::-1]
    write_document(whole.folds_file(CLEAN), document | {"folds": folds})
    assert "do not match their own hash" in problems(whole)[0]
    whole.folds_file(CLEAN).unlink()
    assert "is missing; run again: the folds are made again" in problems(whole)[0]


def test_a_record_of_another_training_is_said(whole):
    record = read_json(whole.directory(CLEAN, 1) / "training.json")
    write_document(whole.directory(CLEAN, 2) / "training.json", record)
    assert "fold-2 holds TrainingKey(dataset='simulated'" in problems(whole)[0] and "fold=1)" in problems(whole)[0]
    record["settings"] |= {"fold": 2}
    write_document(whole.directory(CLEAN, 2) / "training.json", record)
    assert "its run key is not that of its settings: it was edited" in problems(whole)[0]


def test_simulated_is_what_the_dataset_is(whole):
    path = whole.directory(CLEAN, 2) / "training.json"
    record = read_json(path)
    record["provenance"]["simulated"] = False
    write_document(path, record)
    assert "says simulated: False of simulated" in problems(whole)[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code_sha256": "f" * 64}, "stale: code ffffffff instead of "),
        (
            {"recipe": {"name": "ulw", "learning_rate": 0.1}},
            "stale: recipe.learning_rate 0.1 instead of 0.001, recipe.schedule not set instead of cosine_restarts",
        ),
        ({"channels": ["eeg1"]}, r"stale: channels ['eeg1'] instead of ['eeg1', 'eeg2', 'eog', 'emg']"),
    ],
)
def test_trainings_by_other_settings_or_code_than_asked_for_are_stale(whole, changes, reason):
    whole.write_training(CLEAN, 2, **changes)
    assert problems(whole) == []
    assert problems(whole, asked=True)[0].startswith(reason)


def test_what_is_not_defined_any_more_is_stale(whole):
    run = read_run(whole.run(CLEAN, 2))
    config = whole.config.model_copy(update={"recipes": {}})
    assert stale(run, Expected(config, DATASET)) == "recipe ulw, which is not defined now"


# ------------------------------------------------------------------------------------------------- runs with each other


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"code_sha256": "f" * 64},
            r"ulw_sleepnet, four, ulw: code_sha256 differs between its runs: \w+ in released seed 32 fold 0, .* and 4 "
            r"more; f+ in clean seed 32 fold 2$",
        ),
        (
            {"channels": ["eeg1"]},
            r"ulw_sleepnet, four, ulw: channels differs between its runs: .*in clean seed 32 fold 2",
        ),
    ],
)
def test_runs_of_a_contender_are_of_the_same_settings_and_code(whole, changes, said):
    whole.write_training(CLEAN, 2, **changes)
    with pytest.raises(BenchmarkError) as error:
        verify(read_runs_of(whole.planned), Expected(whole.config, DATASET))
    assert re.search(said, str(error.value), re.MULTILINE)


def test_a_ladder_of_other_code_on_each_rung_is_refused(whole):
    for fold in range(FOLDS):
        whole.write_training(CLEAN, fold, code_sha256="f" * 64)
    with pytest.raises(BenchmarkError, match=r"code_sha256 differs between its runs: .* in released"):
        verify(read_runs_of(whole.planned), Expected(whole.config, DATASET))


def test_contenders_of_a_protocol_are_tested_on_the_same_epochs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = PlannedResults(tmp_path, protocols=["clean"], models=["ulw_sleepnet", "eegnet"])
    other = CLEAN._replace(model="eegnet")
    results.train_all((CLEAN, other))
    verify(read_runs_of(results.planned), Expected(results.config, DATASET))
    shutil.rmtree("results/data/simulated/prepared")
    directory = results.directory(other, 1)
    table = pd.read_parquet(directory / SELECTION / "predictions.parquet")
    first = table.index == table.index[table.recording == "SC4051"][0]
    moved = table.assign(stage=table.stage.mask(first, (table.stage + 1) % 5))
    write_selection(directory / SELECTION, moved)
    sign_again(directory)
    with pytest.raises(BenchmarkError) as error:
        verify(read_runs_of(results.planned), Expected(results.config, DATASET))
    said = (
        "clean: eegnet, four, ulw, seed 32 was tested on other epochs than ulw_sleepnet, four, ulw, seed 32, of SC4051"
    )
    assert str(error.value).splitlines()[1:-1] == [f"  {said}"]


def test_all_that_is_wrong_is_listed_with_what_to_do(whole):
    (whole.directory(CLEAN, 2) / "history.csv").write_text("changed")
    (whole.directory(RELEASED, 1) / "history.csv").unlink()
    with pytest.raises(BenchmarkError) as error:
        verified(whole)
    head, *listed, remedy = str(error.value).splitlines()
    assert head == "the results on simulated are not whole:"
    assert len(listed) == 2 and "released, ulw_sleepnet, four, ulw, seed 32, fold 1 (run " in listed[0]
    assert remedy.startswith("What to do: delete the table of runs (runs.csv) if there is one")
    assert remedy.endswith("To run again: `sleepbench run --experiment demo --datasets simulated`.")
    with pytest.raises(BenchmarkError, match=r"\nHave it exported again\.$"):
        verified(whole, archived=True)


def test_cells_of_a_table_are_those_of_the_confusion_matrix(whole):
    row = read_runs("results/simulated/runs.csv").iloc[6]
    run = read_run(whole.run(CLEAN, 2))
    matrix = check(run, Expected(whole.config, DATASET)).confusion
    assert row.run_key == run.key and [row[name] for name in CONFUSION] == matrix.ravel().tolist()
