import json
import re
from pathlib import Path

import pandas as pd
import pytest
from fake_results import sign_again
from planned_results import CLEAN, DATASET, FOLDS, RELEASED, write_selection

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file
from sleepbench.preparation.index import read_index
from sleepbench.protocols.folds import folds_of
from sleepbench.reporting.artefacts import tables as declared_tables
from sleepbench.runs.runs_table import read_runs
from sleepbench.runs.trace import report, trace

ROW_KEYS = {name: table.row_keys for name, table in declared_tables().items() if table.row_keys}
TABLES = Path(paths.table(DATASET, "any")).parent
RUNS = Path(paths.runs(DATASET))


def traced(*terms, everything=False):
    """A row as a document, and as text."""
    document = trace(load(), DATASET, terms, ROW_KEYS)
    return json.loads(json.dumps(document)), report(document, everything)


def error_of(*terms):
    """The message of a trace that must fail."""
    with pytest.raises(BenchmarkError) as error:
        traced(*terms)
    return str(error.value)


def recordings():
    """The recordings of the index, by id."""
    return {recording.id: recording for recording in read_index(paths.recordings(DATASET)).recordings}


def test_a_row_is_traced_to_the_bytes_of_the_files_of_its_recordings(whole):
    document = traced("protocol=clean", "model=ulw_sleepnet")[0]
    row = pd.read_csv(TABLES / "main_results.csv").query("protocol == 'clean' and mark == 'measured'")
    assert document["row"] == CLEAN._asdict()
    assert document["numbers"]["accuracy_mean_of_folds"] == row.accuracy_mean_of_folds.item()
    assert document["numbers"]["table_state"] == "the same numbers"
    assert [run["run_key"] for run in document["runs"]] == row.run_keys.item().split()
    folds = folds_of(read_json(whole.folds_file(CLEAN)))
    by_id = recordings()
    for number, run in enumerate(document["runs"]):
        directory = whole.directory(CLEAN, number)
        assert (run["fold"], run["seed"], run["directory"]) == (number, 32, directory.as_posix())
        assert run["problems"] == []
        for name, file in run["files"].items():
            assert file == {"sha256": sha256_of_file(directory / name), "state": "as written"}
        assert run["training_json_sha256"] == sha256_of_file(directory / "training.json")
        assert (tuple(run["train"]), tuple(run["test"])) == (folds[number].train, folds[number].test)
        for id in (*run["train"], *run["test"]):
            files = document["recordings"][id]["files"]
            assert files == {f.role: {"name": f.name, "sha256": f.sha256} for f in by_id[id].files}
    assert document["folds"][0]["sha256"] == sha256_of_file(whole.folds_file(CLEAN))
    assert document["recordings_give_data_sha256"] is True


def test_printed_trace_lists_tests_and_counts_trainings_until_asked(whole):
    _, output = traced("protocol=clean")
    tested = recordings()["SC4001"].file("psg").sha256
    assert output.count(tested) == 1
    assert output.count(sha256_of_file(whole.directory(CLEAN, 0) / "weights.pt")) >= 1
    assert "SIMULATED" in output
    assert "4 of 4 runs shown" in output
    assert "commit 0123456789abcdef" in output
    assert "as here" in output
    assert "All files are as they were written." in output
    _, one = traced("protocol=clean", "fold=1")
    assert "1 of 4 runs shown" in one
    assert tested not in one
    assert tested in traced("protocol=clean", "fold=1", everything=True)[1]


def test_a_run_key_or_its_first_digits_name_its_row(whole):
    key = read_runs(RUNS).query("protocol == 'released'").run_key.iloc[2]
    for digits in (key, key[:8], key[:8].upper()):
        document = traced(digits)[0]
        assert document["row"] == RELEASED._asdict()
        assert [run["run_key"] for run in document["runs"]] == [key]


@pytest.fixture
def tables(whole):
    """Rows of other tables over whole results, and the audit, as CSVs beside the main table."""
    keys = {protocol: " ".join(runs.run_key) for protocol, runs in read_runs(RUNS).groupby("protocol")}
    contender = {"title": "ULW-SleepNet", "input": "four", "recipe": "ulw"}
    rungs = [
        {**contender, "protocol": "released", "accuracy": 80.0, "from_protocol": None, "run_keys": keys["released"]},
        {
            **contender,
            **{"protocol": "clean", "accuracy": 75.5, "from_protocol": "released"},
            "run_keys": f"{keys['clean']} {keys['released']}",
        },
    ]
    groups = [
        {**contender, "protocol": protocol, "group": group, "run_keys": keys[protocol]}
        for protocol in keys
        for group in ("35 to 54", "F")
    ]
    claims = [{"id": "parameters", "ours": 13_337, "run_keys": None}]
    documents = {key.protocol: read_json(whole.folds_file(key)) for key in (RELEASED, CLEAN)}
    audits = [
        {"protocol": protocol, "folds": document["name"], "folds_sha256": document["folds_sha256"]}
        | {"recordings_used": 8, "train_epochs_per_fold_min": 1}
        for protocol, document in documents.items()
    ]
    for name, rows in {"ladder": rungs, "groups": groups, "claims": claims, "audit": audits}.items():
        pd.DataFrame(rows).to_csv(TABLES / f"{name}.csv", index=False)
    pd.DataFrame(columns=["protocol", "run_keys"]).to_csv(TABLES / "comparisons.csv", index=False)
    return keys


def test_a_row_of_another_table_is_traced_to_all_runs_it_names(tables):
    for terms in (["protocol=clean"], ["row=2"], ["protocol=clean", "model=ULW-SleepNet"]):
        document = traced("table=ladder", *terms)[0]
        assert (document["row"]["row"], document["row"]["protocol"], document["table"]) == (2, "clean", "ladder")
        assert [run["run_key"] for run in document["runs"]] == f"{tables['clean']} {tables['released']}".split()
        assert document["numbers"]["accuracy"] == 75.5 and len(document["folds"]) == 2
        assert document["recordings_give_data_sha256"] is True
    _, output = traced("table=ladder", "row=2", "fold=1")
    assert "row 2, protocol clean, model ULW-SleepNet" in output and "accuracy 75.5" in output
    assert "2 of 8 runs shown" in output and "released, ulw_sleepnet, fold 1, seed 32" in output
    assert traced("table=groups", "protocol=clean", "group=35_to_54")[0]["row"]["group"] == "35 to 54"


def test_a_row_of_the_audit_is_traced_to_its_folds_before_any_training(whole, tables):
    (whole.root / RUNS).unlink()
    document = traced("table=audit", "protocol=clean")[0]
    assert document["runs"] == [] and document["n_runs_of_row"] == 0
    assert document["folds"][0]["sha256"] == sha256_of_file(whole.folds_file(CLEAN))
    assert document["numbers"]["table_state"] == "of the folds below"
    _, output = traced("table=audit", "protocol=clean")
    assert "made before any training" in output and "per_fold" not in output and "All files" not in output
    assert all(file.sha256 in output for recording in recordings().values() for file in recording.files)
    table = pd.read_csv(TABLES / "audit.csv").assign(folds_sha256="f" * 64)
    table.to_csv(TABLES / "audit.csv", index=False)
    assert "OF OTHER FOLDS: make the tables again" in traced("table=audit", "protocol=clean")[1]


def test_a_row_of_the_main_table_may_be_named_by_its_number(whole):
    table = pd.read_csv(TABLES / "main_results.csv", dtype={"run_keys": str})
    numbers = {mark: int(rows.index[-1]) + 1 for mark, rows in table.groupby("mark")}
    measured = traced("table=main_results", f"row={numbers['measured']}", "fold=2")[0]
    assert measured["row"] == CLEAN._asdict() and len(measured["runs"]) == 1
    assert measured["numbers"]["table_state"] == "the same numbers"
    listed = dict(re.findall(r"row=(\d+) protocol=(\w+)", error_of()))
    for number, protocol in listed.items():
        assert traced(f"row={number}")[0]["row"]["protocol"] == protocol
    assert len(listed) == 2
    reference = traced("table=main_results", f"row={numbers['reference']}")[0]
    assert reference["row"]["model"] == "commonest stage, always"
    assert [run["run_key"] for run in reference["runs"]] == table.run_keys.iloc[numbers["reference"] - 1].split()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (["table=lader"], "no table 'lader' of runs or folds; the nearest known name is 'ladder'"),
        (["table=ladder", "table=audit"], "2 tables are named (ladder, audit)"),
        (["table=ladder"], "2 rows match; name one, by its number or the rest:\n  row=1 protocol=released model=ULW-"),
        (
            ["table=ladder", "protocl=clean"],
            "no key 'protocl' in results/simulated/tables/ladder.csv; the nearest known name is 'protoc",
        ),
        (
            ["table=ladder", "protocol=clear"],
            "no row in results/simulated/tables/ladder.csv has protocol=clear; the nearest known name is 'clean'",
        ),
        (["table=ladder", "row=3"], "has row=3"),
        (["table=ladder", "row=1", "fold=9"], "no row of runs.csv has fold=9"),
        (
            ["table=intervals", "row=1"],
            "intervals.csv: not there; `sleepbench run --experiment demo --datasets simulated` makes it",
        ),
        (["table=comparisons"], "comparisons.csv: has no rows"),
        (["table=claims", "row=1"], "row=1 id=parameters: was computed from no runs on simulated"),
    ],
)
def test_rows_of_other_tables_that_are_not_there_or_not_one_are_errors(tables, terms, said):
    assert said in error_of(*terms)


def test_a_row_of_runs_that_are_not_there_is_an_error(tables):
    table = pd.read_csv(TABLES / "ladder.csv", dtype={"run_keys": str})
    table.assign(run_keys=table.run_keys.str.replace(tables["clean"][:16], "0" * 16)).to_csv(
        TABLES / "ladder.csv", index=False
    )
    assert f"is of runs that runs.csv does not hold ({'0' * 16})" in error_of("table=ladder", "row=2")


def test_a_title_is_taken_as_the_model(whole):
    assert traced("model=ULW-SleepNet", "protocol=clean")[0]["row"] == CLEAN._asdict()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ([], r"2 rows match.*row=\d+ protocol=released model=ulw_sleepnet.*row=\d+ protocol=clean model=ulw_sleepnet"),
        (["model=ulw_sleepnet"], "2 rows match; model=ulw_sleepnet is not enough"),
        (["protocol=clear"], "no row has protocol=clear; the nearest known name is 'clean'"),
        (["protocl=clean"], "no key 'protocl'; the nearest known name is 'protocol'"),
        (["protocol=clean", "fold=9"], "no row has fold=9"),
        (["zzz"], "'zzz' is neither key=value nor the beginning of a run key; run keys are [0-9a-f]{8}, "),
        ([""], "is neither key=value"),
    ],
)
def test_rows_that_are_not_there_or_not_one_are_errors(whole, terms, said):
    assert re.search(said, error_of(*terms), re.DOTALL)


def test_predictions_of_other_epochs_than_are_prepared_are_marked(whole):
    assert [run["problems"] for run in traced("protocol=clean")[0]["runs"]] == [[]] * FOLDS
    directory = whole.directory(CLEAN, 1)
    table = pd.read_parquet(directory / "best_validation" / "predictions.parquet")
    write_selection(directory / "best_validation", table.assign(epoch=table.epoch + 1000))
    sign_again(directory)
    (problem, _) = traced("protocol=clean")[0]["runs"][1]["problems"]
    assert "(1000 to 1346) of SC4011, but as prepared the trimming standard keeps 336 epochs (0 to 346)" in problem


def test_changed_and_missing_files_are_marked(whole):
    directory = whole.directory(CLEAN, 1)
    (directory / "weights.pt").write_bytes(b"other")
    (whole.directory(CLEAN, 2) / "training.json").write_text('{"settings": ')
    (whole.directory(CLEAN, 3) / "last" / "predictions.parquet").unlink()
    states = {run["fold"]: run for run in traced("protocol=clean")[0]["runs"]}
    assert states[0]["problems"] == []
    assert states[1]["files"]["weights.pt"]["state"] == "CHANGED"
    assert states[1]["files"]["history.csv"]["state"] == "as written"
    assert "is not whole" in states[2]["problems"][0]
    assert states[3]["files"]["last/predictions.parquet"]["state"] == "MISSING"
    _, output = traced("protocol=clean")
    assert "Runs with problems, marked above: 3." in output
    assert "PROBLEM: " in output


def test_retrained_runs_other_code_and_an_old_table_are_said(whole):
    whole.write_training(CLEAN, 0, recipe={"name": "ulw", "training_epochs": 2})
    whole.write_training(CLEAN, 1, code_sha256="f" * 64)
    table = pd.read_csv(TABLES / "main_results.csv")
    table.loc[table.protocol == "clean", "accuracy"] += 0.1
    table.to_csv(TABLES / "main_results.csv", index=False)
    _, output = traced("protocol=clean")
    assert "runs.csv is of another training" in output
    assert "code ffffffff, ANOTHER VERSION than here" in output
    assert "OTHER NUMBERS: make the tables again" in output


def test_without_an_index_the_dataset_says_the_files_as_far_as_it_knows_them(whole):
    index = Path(paths.recordings(DATASET))
    assert traced("protocol=clean")[0]["recordings"]["SC4001"]["from"] == str(index)
    index.unlink()
    message = error_of("protocol=clean")
    assert "recording SC4001: the dataset simulated, without results/simulated/recordings.json, does not say" in message
    index.write_text("{")
    assert "recordings.json: is not whole" in error_of("protocol=clean")


def test_recordings_of_other_files_than_the_runs_were_trained_on_are_said(whole):
    whole.write_index(SC4011="f" * 64)
    assert "is NOT the one (recordings were prepared from other files since)" in traced("protocol=clean")[1]


def test_results_that_are_not_there_or_miss_a_run_are_errors(whole):
    read_runs(RUNS).query("fold != 1").to_csv(RUNS, index=False)
    assert f"fold 1 of {FOLDS} missing" in error_of("protocol=clean")
    (whole.root / RUNS).write_text("")
    assert "runs.csv: is no table of runs" in error_of("protocol=clean")
    (whole.root / RUNS).unlink()
    assert "runs.csv: not there" in error_of("protocol=clean")
