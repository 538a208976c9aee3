import json
import re

import pandas as pd
import pytest
from result_tree import CLEAN, DATASET, FOLDS, RELEASED, ResultTree, recordings

from sleepbench import trace
from sleepbench.files import read_json, sha256_of_file, write_json
from sleepbench.protocols.folds import folds_of


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Whole results, and the current directory there."""
    monkeypatch.chdir(tmp_path)
    tree = ResultTree(tmp_path)
    tree.train_all()
    tree.runs = tree.write_tables()
    return tree


@pytest.fixture
def traced(capsys):
    """Call the command; its JSON, its text, or the one message it must fail with."""

    def call(*arguments, status=0):
        assert trace.main([DATASET, *arguments]) == status
        captured = capsys.readouterr()
        if status:
            assert captured.err.startswith("Error: ")
            return captured.err
        return json.loads(captured.out) if "--json" in arguments else captured.out

    return call


def test_a_row_is_traced_to_the_bytes_of_its_edf_files(tree, traced):
    document = traced("protocol=clean", "model=ulw_sleepnet", "--json")
    row = pd.read_csv("results/simulated/tables/main_results.csv").query("protocol == 'clean' and mark == 'measured'")
    assert document["row"] == CLEAN._asdict()
    assert document["numbers"]["accuracy_mean_of_folds"] == row.accuracy_mean_of_folds.item()
    assert document["numbers"]["table_state"] == "the same numbers"
    assert [run["run_key"] for run in document["runs"]] == row.run_keys.item().split()
    folds = folds_of(read_json(tree.folds_file(CLEAN)))
    by_id = {recording.id: recording for recording in recordings()}
    for number, run in enumerate(document["runs"]):
        directory = tree.directory(CLEAN, number)
        assert (run["fold"], run["seed"], run["directory"]) == (number, 32, directory.as_posix())
        assert run["problems"] == []
        for name, file in run["files"].items():
            assert file == {"sha256": sha256_of_file(directory / name), "state": "as written"}
        assert run["training_json_sha256"] == sha256_of_file(directory / "training.json")
        assert (tuple(run["train"]), tuple(run["test"])) == (folds[number].train, folds[number].test)
        for id in (*run["train"], *run["test"]):
            assert document["recordings"][id]["psg"] == {"file": by_id[id].psg, "sha256": by_id[id].psg_sha256}
            assert document["recordings"][id]["hypnogram"]["sha256"] == by_id[id].hypnogram_sha256
    assert document["folds"][0]["sha256"] == sha256_of_file(tree.folds_file(CLEAN))
    assert document["recordings_give_data_sha256"] is True


def test_printed_trace_lists_tests_and_counts_trainings_until_asked(tree, traced):
    output = traced("protocol=clean")
    tested = recordings()[0]
    assert output.count(tested.psg_sha256) == 1
    assert output.count(sha256_of_file(tree.directory(CLEAN, 0) / "weights.pt")) >= 1
    assert "SIMULATED" in output
    assert "4 of 4 runs shown" in output
    assert "commit 0123456789abcdef" in output
    assert "as here" in output
    assert "All files are as they were written." in output
    one = traced("protocol=clean", "fold=1")
    assert "1 of 4 runs shown" in one
    assert tested.psg_sha256 not in one
    assert tested.psg_sha256 in traced("protocol=clean", "fold=1", "--all")


def test_a_run_key_or_its_first_digits_name_its_row(tree, traced):
    key = tree.runs[tree.runs.protocol == "released"].run_key.iloc[2]
    for digits in (key, key[:8], key[:8].upper()):
        document = traced(digits, "--json")
        assert document["row"] == RELEASED._asdict()
        assert [run["run_key"] for run in document["runs"]] == [key]


def test_a_title_is_taken_as_the_model(tree, traced):
    assert traced("model=ULW-SleepNet", "protocol=clean", "--json")["row"] == CLEAN._asdict()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ([], "2 rows match.*protocol=released model=ulw_sleepnet.*protocol=clean model=ulw_sleepnet"),
        (["model=ulw_sleepnet"], "2 rows match; model=ulw_sleepnet is not enough"),
        (["protocol=clear"], "no run has protocol=clear; the nearest known name is 'clean'"),
        (["protocl=clean"], "no key 'protocl'; the nearest known name is 'protocol'"),
        (["protocol=clean", "fold=9"], "no run has fold=9"),
        (["zzz"], "'zzz' is neither key=value nor the beginning of a run key; run keys are [0-9a-f]{8}, "),
        ([""], "is neither key=value"),
    ],
)
def test_rows_that_are_not_there_or_not_one_are_errors(tree, traced, terms, said):
    assert re.search(said, traced(*terms, status=1), re.DOTALL)


def test_changed_and_missing_files_are_marked(tree, traced):
    directory = tree.directory(CLEAN, 1)
    (directory / "weights.pt").write_bytes(b"other")
    (tree.directory(CLEAN, 2) / "training.json").write_text('{"settings": ')
    (tree.directory(CLEAN, 3) / "last" / "predictions.parquet").unlink()
    states = {run["fold"]: run for run in traced("protocol=clean", "--json")["runs"]}
    assert states[0]["problems"] == []
    assert states[1]["files"]["weights.pt"]["state"] == "CHANGED"
    assert states[1]["files"]["history.csv"]["state"] == "as written"
    assert "is not whole" in states[2]["problems"][0]
    assert states[3]["files"]["last/predictions.parquet"]["state"] == "MISSING"
    output = traced("protocol=clean")
    assert "Runs with problems, marked above: 3." in output
    assert "PROBLEM: " in output


def test_retrained_runs_other_code_and_an_old_table_are_said(tree, traced):
    tree.write_training(CLEAN, 0, recipe={"name": "released", "training_epochs": 3})
    tree.write_training(CLEAN, 1, code_sha256="f" * 64)
    table = pd.read_csv("results/simulated/tables/main_results.csv")
    table.loc[table.protocol == "clean", "accuracy"] += 0.1
    table.to_csv("results/simulated/tables/main_results.csv", index=False)
    output = traced("protocol=clean")
    assert "runs.csv is of another training" in output
    assert "code ffffffff, ANOTHER VERSION than here" in output
    assert "OTHER NUMBERS: make the tables again" in output


def test_without_prepared_records_the_table_of_recordings_says_the_files(tree, traced):
    prepared = tree.root / "results/data/simulated/prepared/SC4001.json"
    prepared.unlink()
    document = traced("protocol=clean", "--json")
    assert document["recordings"]["SC4001"]["psg"]["sha256"] == recordings()[0].psg_sha256
    assert document["recordings"]["SC4001"]["from"] == "results/data/simulated/recordings.csv"
    (tree.root / "results/data/simulated/recordings.csv").unlink()
    assert "recording SC4001: neither" in traced("protocol=clean", status=1)
    prepared.write_text("{")
    assert "SC4001.json: is not whole" in traced("protocol=clean", status=1)
    prepared.write_text("{}")
    assert "SC4001.json: does not say which EDF files" in traced("protocol=clean", status=1)


def test_recordings_of_other_files_than_the_runs_were_trained_on_are_said(tree, traced):
    prepared = tree.root / "results/data/simulated/prepared/SC4011.json"
    content = read_json(prepared)
    content["psg"]["sha256"] = "f" * 64
    write_json(prepared, content)
    assert "is NOT the one (recordings were prepared from other files since)" in traced("protocol=clean")


def test_results_that_are_not_there_or_miss_a_run_are_errors(tree, traced):
    tree.runs[tree.runs.fold != 1].to_csv("results/simulated/runs.csv", index=False)
    assert f"fold 1 of {FOLDS} missing" in traced("protocol=clean", status=1)
    (tree.root / "results/simulated/runs.csv").write_text("")
    assert "runs.csv: is no table of runs" in traced("protocol=clean", status=1)
    (tree.root / "results/simulated/runs.csv").unlink()
    assert "runs.csv: not there" in traced("protocol=clean", status=1)
