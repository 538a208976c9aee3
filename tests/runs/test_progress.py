import os
import re

import numpy as np
import pandas as pd
import pytest
from result_tree import CLEAN, DATASET, FOLDS, RELEASED, ResultTree, sign_again

from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.reporting.tables.main import main_results
from sleepbench.runs import progress as unfinished


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ResultTree(tmp_path)


@pytest.fixture
def printed(capsys):
    """Run the command; its output by line."""

    def run(dataset=DATASET, status=0):
        assert unfinished.main([dataset]) == status
        captured = capsys.readouterr()
        return captured.err if status else captured.out

    return run


def row_of(output, protocol, seed="32"):
    """Cells of a printed row after its seed."""
    line = next(line for line in output.splitlines() if re.match(rf"{protocol} .*released +{seed} ", line))
    return re.split(r"\s{2,}", line)[4:]


def nothing_published():
    return pd.DataFrame({"model": [], "dataset": []}, dtype=str)


def test_rows_of_a_finished_experiment_are_those_of_the_main_table(tree, printed):
    tree.train_all()
    output = printed()
    runs = tree.write_tables()
    table = main_results(runs, nothing_published(), DATASET, True)
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
    assert "All 2 rows are complete; the tables are made by `make demo`" in output
    assert "UNFINISHED" not in output


def test_unfinished_rows_are_marked_and_computed_from_what_is_there(tree, printed):
    for fold in (0, 2):
        tree.write_training(CLEAN, fold, errors=0.1 + fold / 10)
    accuracies = [
        100 * read_json(tree.directory(CLEAN, fold) / "best_validation" / "metrics.json")["accuracy"] for fold in (0, 2)
    ]
    before = {path: sha256_of_file(path) for path in tree.root.rglob("*") if path.is_file()}
    output = printed()
    mark, by_fold, *_ = row_of(output, "clean")
    assert (mark, by_fold) == ("2 of 4 folds", f"{np.mean(accuracies):.1f} ± {np.std(accuracies, ddof=1):.1f}")
    assert row_of(output, "released") == ["0 of 4 folds", "–", "–", "–", "–"]
    assert "fold 0-3: absent" in output
    assert "fold 1, 3: absent" in output
    assert "UNFINISHED: 0 of 2 rows are complete" in output
    assert before == {path: sha256_of_file(path) for path in tree.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code_sha256": "f" * 64}, "stale: code ffffffff instead of"),
        ({"recipe": {"name": "released", "training_epochs": 4}}, r"recipe.training_epochs 4 instead of \d"),
        ({"data_sha256": "e" * 64}, "stale: data_sha256 eeeeeeee instead of"),
    ],
)
def test_stale_trainings_are_listed_and_not_counted(tree, printed, changes, reason):
    tree.train_all()
    tree.write_training(CLEAN, 3, **changes)
    output = printed()
    assert row_of(output, "clean")[0] == "3 of 4 folds"
    assert row_of(output, "released")[0] == "4 of 4 folds"
    assert re.search(rf"fold 3: not counted \(.*{reason}", output)


def damage(directory, kind):
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
        write_json(record, content)
    elif kind == "no parquet":
        (directory / "best_validation" / "predictions.parquet").write_bytes(b"PAR1")
        sign_again(directory)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("half-written record", "is not whole"),
        ("no record", "is missing; train this fold again"),
        ("other JSON", "lacks settings"),
        ("missing predictions", "predictions.parquet is MISSING"),
        ("changed metrics", "metrics.json is CHANGED"),
        ("too few epochs", "do not cover the fold: 120 epochs of 121"),
        ("no parquet", "cannot be read"),
    ],
)
def test_damaged_trainings_are_listed_and_not_counted(tree, printed, kind, reason):
    tree.train_all()
    damage(tree.directory(CLEAN, 1), kind)
    output = printed()
    assert row_of(output, "clean")[0] == "3 of 4 folds"
    assert re.search(rf"fold 1: not counted \(.*{reason}", output)


def test_a_fold_being_written_and_a_running_job_are_not_counted(tree, printed):
    tree.train_all()
    directory = tree.directory(CLEAN, 1)
    directory.rename(directory.with_name(".fold-1.partial"))
    other = tree.directory(CLEAN, 2)
    other.rename(other.with_name("elsewhere"))
    log = tree.root / "results/logs" / directory.parent.relative_to("results") / "group-1-2.log"
    log.parent.mkdir(parents=True)
    log.write_text("fold 1: train 10 epochs, on cpu\ntraining epoch  3/7  loss 0.5\n")
    minutes_ago = log.stat().st_mtime - 300
    os.utime(log, (minutes_ago, minutes_ago))
    output = printed()
    assert row_of(output, "clean")[0] == "2 of 4 folds"
    said = "fold 1: running or interrupted (last line of its log, 5 min ago: training epoch 3/7 loss 0.5)"
    assert said in output
    assert "fold 2: absent" in output


def test_with_several_seeds_a_fold_counts_when_every_seed_has_it(tmp_path, monkeypatch, printed):
    monkeypatch.chdir(tmp_path)
    tree = ResultTree(tmp_path, seeds=(1, 2))
    tree.train_all()
    assert row_of(printed(), "clean", "all 2")[0] == "4 of 4 folds"
    runs = tree.write_tables()
    row = (
        main_results(runs, nothing_published(), DATASET, True)
        .query("protocol == 'clean' and mark == 'measured'")
        .iloc[0]
    )
    by_fold = f"{row.accuracy_mean_of_folds:.1f} ± {row.accuracy_sd_of_folds:.1f}"
    assert row_of(printed(), "clean", "all 2")[1:3] == [by_fold, f"{row.accuracy:.1f}"]
    for fold in (0, 3):
        damage(tree.directory(CLEAN, fold, seed=2), "no record")
    output = printed()
    assert row_of(output, "clean", "all 2")[0] == "2 of 4 folds"
    assert row_of(output, "clean", "1")[0] == "4 of 4 folds"
    assert row_of(output, "clean", "2")[0] == "2 of 4 folds"
    assert "seed 2, in results" in output
    assert "seed 1, in results" not in output


def test_a_missing_fold_file_counts_nothing(tree, printed):
    tree.train_all()
    tree.folds_file(CLEAN).unlink()
    output = printed()
    assert row_of(output, "clean")[0] == "0 of 4 folds"
    assert "make the folds again" in output


def test_unknown_dataset_missing_and_broken_config_are_errors(tree, printed):
    assert "unknown dataset 'simulate'" in printed("simulate", status=1)
    (tree.root / "config.yaml").write_text("run: [")
    assert "config.yaml: cannot be read as YAML" in printed(status=1)
    (tree.root / "config.yaml").unlink()
    assert "config.yaml: not found" in printed(status=1)


def test_protocols_without_folds_for_the_dataset_are_said(tree, printed):
    del tree.config["protocols"]["released"]["folds"][DATASET]
    tree.config["run"]["datasets"] = ["sleep-edf-20"]
    tree.write_config()
    output = printed()
    assert "Not on simulated (no number of folds in config.yaml): released" in output
    assert row_of(output, "clean")[0] == "0 of 4 folds"


def test_what_a_model_does_not_have_is_no_row_and_is_named(tree, printed):
    tree.config["run"] |= {"models": ["ulw_sleepnet", "chambon2018"], "recipes": ["published"]}
    tree.write_config()
    tree.train_all()
    output = printed()
    assert "All 2 rows are complete" in output
    assert "Not trained: chambon2018, published: no recipe of the paper is known; only common is offered" in output
