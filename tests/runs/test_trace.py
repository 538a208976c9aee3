import json
import re

import pandas as pd
import pytest
from result_tree import CLEAN, DATASET, FOLDS, RELEASED, ResultTree, recordings, sign_again, write_selection

from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.protocols.folds import folds_of
from sleepbench.runs import trace


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


@pytest.fixture
def tables(tree):
    """Rows of other tables over the runs of `tree`, and the audit, as CSVs beside the main table."""
    keys = {protocol: " ".join(runs.run_key) for protocol, runs in tree.runs.groupby("protocol")}
    network = {"title": "ULW-SleepNet", "channels": "four", "recipe": "released"}
    rungs = [
        {**network, "protocol": "released", "accuracy": 80.0, "from_protocol": None, "run_keys": keys["released"]},
        {
            **network,
            **{"protocol": "clean", "accuracy": 75.5, "from_protocol": "released"},
            "run_keys": f"{keys['clean']} {keys['released']}",
        },
    ]
    groups = [
        {**network, "protocol": protocol, "group": group, "run_keys": keys[protocol]}
        for protocol in keys
        for group in ("35 to 54", "F")
    ]
    claims = [{"id": "parameters", "ours": 13_337, "run_keys": None}]
    documents = {key.protocol: read_json(tree.folds_file(key)) for key in (RELEASED, CLEAN)}
    audits = [
        {"protocol": protocol, "folds_name": document["name"], "folds_sha256": document["folds_sha256"]}
        | {"recordings_used": 8, "train_epochs_per_fold_min": 1}
        for protocol, document in documents.items()
    ]
    for name, rows in {"ladder": rungs, "groups": groups, "claims": claims, "audit": audits}.items():
        pd.DataFrame(rows).to_csv(f"results/simulated/tables/{name}.csv", index=False)
    pd.DataFrame(columns=["protocol", "run_keys"]).to_csv("results/simulated/tables/comparisons.csv", index=False)
    return keys


def test_a_row_of_another_table_is_traced_to_all_runs_it_names(tables, traced):
    for terms in (["protocol=clean"], ["row=2"], ["protocol=clean", "model=ULW-SleepNet"]):
        document = traced("table=ladder", *terms, "--json")
        assert (document["row"]["row"], document["row"]["protocol"], document["table"]) == (2, "clean", "ladder")
        assert [run["run_key"] for run in document["runs"]] == f"{tables['clean']} {tables['released']}".split()
        assert document["numbers"]["accuracy"] == 75.5 and len(document["folds"]) == 2
        assert document["recordings_give_data_sha256"] is True
    output = traced("table=ladder", "row=2", "fold=1")
    assert "row 2, protocol clean, model ULW-SleepNet" in output and "accuracy 75.5" in output
    assert "2 of 8 runs shown" in output and "released, ulw_sleepnet, fold 1, seed 32" in output
    assert traced("table=groups", "protocol=clean", "group=35_to_54", "--json")["row"]["group"] == "35 to 54"


def test_a_row_of_the_audit_is_traced_to_its_folds_before_any_training(tree, tables, traced):
    (tree.root / "results/simulated/runs.csv").unlink()
    document = traced("table=audit", "protocol=clean", "--json")
    assert document["runs"] == [] and document["n_runs_of_row"] == 0
    assert document["folds"][0]["sha256"] == sha256_of_file(tree.folds_file(CLEAN))
    assert document["numbers"]["table_state"] == "of the folds below"
    output = traced("table=audit", "protocol=clean")
    assert "made before any training" in output and "per_fold" not in output and "All files" not in output
    assert all(recording.psg_sha256 in output for recording in recordings())
    table = pd.read_csv("results/simulated/tables/audit.csv").assign(folds_sha256="f" * 64)
    table.to_csv("results/simulated/tables/audit.csv", index=False)
    assert "OF OTHER FOLDS: make the tables again" in traced("table=audit", "protocol=clean")


def test_a_row_of_the_main_table_may_be_named_by_its_number(tree, traced):
    table = pd.read_csv("results/simulated/tables/main_results.csv", dtype={"run_keys": str})
    numbers = {mark: int(rows.index[-1]) + 1 for mark, rows in table.groupby("mark")}
    measured = traced("table=main_results", f"row={numbers['measured']}", "fold=2", "--json")
    assert measured["row"] == CLEAN._asdict() and len(measured["runs"]) == 1
    assert measured["numbers"]["table_state"] == "the same numbers"
    reference = traced("table=main_results", f"row={numbers['reference']}", "--json")
    assert reference["row"]["model"] == "commonest stage, always"
    assert [run["run_key"] for run in reference["runs"]] == table.run_keys.iloc[numbers["reference"] - 1].split()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (["table=lader"], "no table 'lader' of runs or folds; the nearest known name is 'ladder'"),
        (["table=ladder", "table=audit"], "2 tables are named (ladder, audit)"),
        (["table=ladder"], "2 rows match; name one, by its number or the rest:\n  row=1 protocol=released model=ULW-"),
        (["table=ladder", "protocl=clean"], "no key 'protocl' in the table ladder; the nearest known name is 'protoc"),
        (["table=ladder", "protocol=clear"], "no row has protocol=clear; the nearest known name is 'clean'"),
        (["table=ladder", "row=3"], "no row has row=3"),
        (["table=ladder", "row=1", "fold=9"], "no run has fold=9"),
        (["table=intervals", "row=1"], "intervals.csv: not there; `make demo` makes it"),
        (["table=comparisons"], "comparisons.csv: has no rows"),
        (["table=claims", "row=1"], "row=1 id=parameters: was computed from no runs on simulated"),
    ],
)
def test_rows_of_other_tables_that_are_not_there_or_not_one_are_errors(tables, traced, terms, said):
    assert said in traced(*terms, status=1)


def test_a_row_of_runs_that_are_not_there_is_an_error(tables, traced):
    table = pd.read_csv("results/simulated/tables/ladder.csv", dtype={"run_keys": str})
    table.assign(run_keys=table.run_keys.str.replace(tables["clean"][:16], "0" * 16)).to_csv(
        "results/simulated/tables/ladder.csv", index=False
    )
    assert f"is of runs that runs.csv does not hold ({'0' * 16})" in traced("table=ladder", "row=2", status=1)


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


def test_predictions_of_other_epochs_than_are_prepared_are_marked(tree, traced):
    tree.write_qualities()
    assert [run["problems"] for run in traced("protocol=clean", "--json")["runs"]] == [[]] * FOLDS
    directory = tree.directory(CLEAN, 1)
    table = pd.read_parquet(directory / "best_validation" / "predictions.parquet")
    write_selection(directory / "best_validation", table.assign(epoch=table.epoch + 1000))
    sign_again(directory)
    (problem, _) = traced("protocol=clean", "--json")["runs"][1]["problems"]
    assert "are of 60 epochs (1000 to 1059) of SC4011, but its standard window as prepared is 60 epochs" in problem


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
