import os
import re
from pathlib import Path

import numpy as np
import pytest
from fake_results import sign_again
from planned_results import CLEAN, DATASET, FOLDS, LABEL, NOTHING_PUBLISHED, RELEASED, PlannedResults

from sleepbench.config import paths
from sleepbench.core.files import read_json, sha256_of_file, write_document
from sleepbench.reporting.tables.main_results import main_results
from sleepbench.runs.progress import report


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Folds and prepared recordings, but no training."""
    monkeypatch.chdir(tmp_path)
    return PlannedResults(tmp_path)


def printed(results: PlannedResults) -> str:
    return report(results.config, results.plan, DATASET)


def row_of(output: str, protocol: str, seed: str = "32") -> list[str]:
    """Cells of a printed row after its seed."""
    line = next(line for line in output.splitlines() if re.match(rf"{protocol} .*ulw +{seed} ", line))
    return re.split(r"\s{2,}", line)[4:]


def test_rows_of_a_finished_experiment_are_those_of_the_main_table(whole):
    Path(paths.runs(DATASET)).unlink()
    output = printed(whole)
    table = main_results(whole.write_tables(), NOTHING_PUBLISHED, LABEL)
    for key in (RELEASED, CLEAN):
        row = table[(table.protocol == key.protocol) & (table.mark == "measured")].iloc[0]
        assert row_of(output, key.protocol) == [
            f"{FOLDS} of {FOLDS} folds",
            f"{row.accuracy_mean_of_folds:.1f} ± {row.accuracy_sd_of_folds:.1f}",
            f"{row.accuracy:.1f}",
            f"{row.macro_f1:.1f}",
            f"{row.cohen_kappa:.3f}",
        ]
    assert "SIMULATED" in output
    command = "sleepbench run --experiment demo --datasets simulated"
    assert f"All 2 rows are complete; the tables are made by `{command}`" in output
    assert "UNFINISHED" not in output
    assert "the tables are in results/simulated/tables." in printed(whole)


def test_unfinished_rows_are_marked_and_computed_from_what_is_there(empty):
    for fold in (0, 2):
        empty.write_training(CLEAN, fold, errors=0.1 + fold / 10)
    accuracies = [
        100 * read_json(empty.directory(CLEAN, fold) / "best_validation" / "metrics.json")["accuracy"]
        for fold in (0, 2)
    ]
    before = {path: sha256_of_file(path) for path in empty.root.rglob("*") if path.is_file()}
    output = printed(empty)
    mark, by_fold, *_ = row_of(output, "clean")
    assert (mark, by_fold) == ("2 of 4 folds", f"{np.mean(accuracies):.1f} ± {np.std(accuracies, ddof=1):.1f}")
    assert row_of(output, "released") == ["0 of 4 folds", "–", "–", "–", "–"]
    assert "fold 0-3: absent" in output
    assert "fold 1, 3: absent" in output
    assert "UNFINISHED: 0 of 2 rows are complete" in output
    assert before == {path: sha256_of_file(path) for path in empty.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code_sha256": "f" * 64}, "stale: code ffffffff instead of"),
        ({"recipe": {"name": "ulw", "training_epochs": 4}}, r"recipe.training_epochs 4 instead of \d"),
        ({"data_sha256": "e" * 64}, "was trained on other files than the fold file"),
    ],
)
def test_stale_trainings_are_listed_and_not_counted(whole, changes, reason):
    whole.write_training(CLEAN, 3, **changes)
    output = printed(whole)
    assert row_of(output, "clean")[0] == "3 of 4 folds"
    assert row_of(output, "released")[0] == "4 of 4 folds"
    assert re.search(rf"fold 3: not counted \(.*{reason}", output)


def damage(directory: Path, kind: str) -> None:
    record = directory / "training.json"
    if kind == "half-written record":
        record.write_text(record.read_text()[:200])
    elif kind == "no record":
        record.unlink()
    elif kind == "other JSON":
        record.write_text("{}")
    elif kind == "missing predictions":
        (directory / "best_validation" / "predictions.parquet").unlink()
    elif kind == "changed metrics":
        (directory / "best_validation" / "metrics.json").write_text("{}")
    elif kind == "too few epochs":
        content = read_json(record)
        content["n_epochs"]["test"] += 1
        write_document(record, content)
    elif kind == "no parquet":
        (directory / "best_validation" / "predictions.parquet").write_bytes(b"PAR1")
        sign_again(directory)
    elif kind == "no such selection":
        content = read_json(record)
        del content["runs"]["best_validation"]
        write_document(record, content)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("half-written record", "is not whole"),
        ("no record", "is missing; delete .*fold-1 and run again: this fold is trained again"),
        ("other JSON", "is no document that holds its own hash"),
        ("missing predictions", "predictions.parquet is MISSING"),
        ("changed metrics", "metrics.json is CHANGED"),
        ("too few epochs", r"do not cover the fold: \d+ epochs of \d+"),
        ("no parquet", "cannot be read"),
        ("no such selection", "has no run of the selection 'best_validation': only best_test, last"),
    ],
)
def test_damaged_trainings_are_listed_and_not_counted(whole, kind, reason):
    damage(whole.directory(CLEAN, 1), kind)
    output = printed(whole)
    assert row_of(output, "clean")[0] == "3 of 4 folds"
    assert re.search(rf"fold 1: not counted \(.*{reason}", output)


@pytest.mark.parametrize("name", ["stack-1-2", "fold-1"])
def test_a_fold_being_written_and_a_running_job_are_not_counted(whole, name):
    directory = whole.directory(CLEAN, 1)
    directory.rename(directory.with_name(".fold-1.partial"))
    other = whole.directory(CLEAN, 2)
    other.rename(other.with_name("elsewhere"))
    log = Path(paths.log(paths.training(whole.run(CLEAN, 1).training))).with_name(f"{name}.log")
    log.parent.mkdir(parents=True)
    log.write_text("fold 1: train 10 epochs, on cpu\ntraining epoch  3/7  loss 0.5\n")
    minutes_ago = log.stat().st_mtime - 300
    os.utime(log, (minutes_ago, minutes_ago))
    output = printed(whole)
    assert row_of(output, "clean")[0] == "2 of 4 folds"
    said = "fold 1: running or interrupted (last line of its log, 5 min ago: training epoch 3/7 loss 0.5)"
    assert said in output
    assert "fold 2: absent" in output


def test_with_several_seeds_a_fold_counts_when_every_seed_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = PlannedResults(tmp_path, seeds=(1, 2))
    results.train_all()
    assert row_of(printed(results), "clean", "all 2")[0] == "4 of 4 folds"
    table = main_results(results.write_tables(), NOTHING_PUBLISHED, LABEL)
    row = table.query("protocol == 'clean' and mark == 'measured'").iloc[0]
    by_fold = f"{row.accuracy_mean_of_folds:.1f} ± {row.accuracy_sd_of_folds:.1f}"
    assert row_of(printed(results), "clean", "all 2")[1:3] == [by_fold, f"{row.accuracy:.1f}"]
    for fold in (0, 3):
        damage(results.directory(CLEAN, fold, seed=2), "no record")
    output = printed(results)
    assert row_of(output, "clean", "all 2")[0] == "2 of 4 folds"
    assert row_of(output, "clean", "1")[0] == "4 of 4 folds"
    assert row_of(output, "clean", "2")[0] == "2 of 4 folds"
    assert "seed 2, in results" in output
    assert "seed 1, in results" not in output


def test_a_missing_fold_file_counts_nothing(whole):
    whole.folds_file(CLEAN).unlink()
    output = printed(whole)
    assert row_of(output, "clean")[0] == "0 of 4 folds"
    assert "the folds are made again" in output


def test_only_some_folds_are_asked_for_and_all_of_them_are_the_row(whole):
    whole.content["datasets"][DATASET]["only_folds"] = [0, 2]
    whole.write_config()
    output = printed(whole)
    assert row_of(output, "clean")[0] == "2 of 4 folds"
    assert "All 2 rows are complete" in output


def test_what_is_asked_for_and_not_there_is_no_row_and_is_named(whole):
    whole.content["run"] |= {"models": ["ulw_sleepnet", "chambon2018"], "recipes": ["own"]}
    whole.content["run"] |= {"protocols": ["released", "subject_folds", "twenty_folds", "clean"]}
    whole.write_config()
    output = printed(whole)
    assert "Not trained: chambon2018, recipe own: no recipe of the paper is known; there are common and tuned" in output
    assert (
        "Not trained: simulated, protocol twenty_folds: with the 4 folds of this dataset it is the protocol" in output
    )
    assert row_of(output, "clean")[0] == "4 of 4 folds"
    assert "twenty_folds " not in output.split("Not trained")[0]
