"""The whole benchmark on a tiny simulated cohort, and what a second call does."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import documented
import pandas as pd
import pytest
from conftest import ENVIRONMENT

from sleepbench.cli import app
from sleepbench.config.load import load
from sleepbench.evaluation.metrics import accuracy, confusion_matrix
from sleepbench.reporting.artefacts import tables as known_tables
from sleepbench.runs.trace import trace

SUMMARY = "results/simulated/summary.md"
CLEAN_TRAINING = "results/simulated/trainings/subject-2-kept-validation0/standard/ulw_sleepnet/four/ulw/seed-32"
NOTHING = "Nothing to be done"


def predictions_of(project, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Predictions of every run of the runs table, by protocol."""
    frames = {protocol: [] for protocol in runs["protocol"]}
    for run in runs.itertuples():
        path = project.directory / run.directory / run.selection / "predictions.parquet"
        frames[run.protocol].append(pd.read_parquet(path))
    return {protocol: pd.concat(parts) for protocol, parts in frames.items()}


def test_tables_come_from_the_predictions(finished):
    runs = pd.read_csv(finished.directory / "results/simulated/runs.csv")
    table = pd.read_csv(finished.directory / "results/simulated/tables/main_results.csv")
    measured = table[table["model"] == "ULW-SleepNet"].dropna(subset=["run_keys"]).set_index("protocol")
    assert set(runs["protocol"]) == {"released", "clean"}
    assert (
        runs.groupby("protocol")["fold"].apply(sorted).apply(list) == pd.Series({"clean": [0, 1], "released": [0, 1]})
    ).all()
    for protocol, predictions in predictions_of(finished, runs).items():
        confusion = confusion_matrix(predictions["stage"].to_numpy(), predictions["predicted"].to_numpy())
        assert measured.loc[protocol, "accuracy"] == pytest.approx(100 * accuracy(confusion))
        assert measured.loc[protocol, "n_epochs"] == len(predictions)


def test_clean_tests_every_recording_once_and_released_drops_the_remainder(finished):
    runs = pd.read_csv(finished.directory / "results/simulated/runs.csv")
    predictions = predictions_of(finished, runs)
    nights = ["SC4001", "SC4002", "SC4011", "SC4012", "SC4021", "SC4022", "SC4031"]
    assert sorted(predictions["clean"]["recording"].unique()) == nights
    assert not predictions["clean"].duplicated(["recording", "epoch"]).any()
    assert sorted(predictions["released"]["recording"].unique()) == nights[:6]


def test_everything_printed_says_simulated(finished):
    results = finished.directory / "results" / "simulated"
    for path in [*results.glob("tables/*.md"), *results.glob("tables/*.tex"), results / "summary.md"]:
        text = path.read_text(encoding="utf-8")
        titles = re.findall(r"^#+ .*|\\caption\{.*", text, flags=re.MULTILINE)
        assert titles and all("SIMULATED" in title for title in titles), path
    claims = pd.read_csv(results / "tables" / "claims.csv")
    about_accuracy = claims[claims["claim"].str.contains("accuracy")]
    assert len(about_accuracy) == 2
    assert (about_accuracy["verdict"] == "not testable here").all()
    for path in results.glob("figures/*.csv"):
        assert pd.read_csv(path)["simulated"].all(), path
    for path in results.glob("trainings/**/predictions.parquet"):
        assert pd.read_parquet(path).attrs == {"simulated": True}, path
    pictures = {form: {path.stem for path in results.glob(f"figures/*.{form}")} for form in ("png", "pdf", "csv")}
    assert pictures["png"] == pictures["pdf"] == pictures["csv"] >= {"confusion", "night", "hypnograms"}


def test_the_ladder_and_the_audit_are_those_of_the_protocols(finished):
    tables = finished.directory / "results" / "simulated" / "tables"
    ladder = pd.read_csv(tables / "ladder.csv")
    assert ladder["protocol"].tolist() == ["released", "clean"]
    audit = pd.read_csv(tables / "audit.csv").set_index("protocol")
    assert audit.loc["released", "recordings_dropped"] == 1 and audit.loc["clean", "recordings_dropped"] == 0
    machine_readable = json.loads((tables / "audit.json").read_text(encoding="utf-8"))
    assert "released" in json.dumps(machine_readable)


def test_the_audit_counts_what_the_trainings_saw(finished):
    audit = json.loads((finished.directory / "results/simulated/tables/audit.json").read_text(encoding="utf-8"))
    runs = pd.read_csv(finished.directory / "results/simulated/runs.csv").set_index(["protocol", "fold"])
    for protocol in audit["protocols"]:
        for fold in protocol["by_fold"]:
            run = runs.loc[protocol["protocol"], fold["fold"]]
            assert [run.n_train, run.n_validation, run.n_test] == [
                fold[f"{part}_epochs"] for part in ("train", "validation", "test")
            ]
            assert sum(fold["test_epochs_by_stage"].values()) == run.n_test


def test_every_row_of_every_table_is_traced_to_the_runs_that_the_table_names(finished, monkeypatch):
    monkeypatch.chdir(finished.directory)
    config, row_keys = load(), {name: one.row_keys for name, one in known_tables().items() if one.row_keys}
    assert set(row_keys) >= {"main_results", "ladder", "audit", "claims"}
    for table in row_keys:
        rows = pd.read_csv(f"results/simulated/tables/{table}.csv", dtype={"run_keys": str})
        # One network alone is compared with none.
        assert len(rows) or table in ("comparisons", "non_inferiority", "marginal_loss", "ranks")
        for number, row in enumerate(rows.itertuples(), start=1):
            if table != "audit" and pd.isna(row.run_keys):
                continue
            document = trace(config, "simulated", [f"table={table}", f"row={number}"], row_keys)
            if table == "audit":
                assert [folds["folds_sha256"] for folds in document["folds"]] == [row.folds_sha256]
            else:
                assert {run["run_key"] for run in document["runs"]} == set(row.run_keys.split())
            assert not any(run["problems"] for run in document["runs"])
            assert document["recordings_give_data_sha256"]


def test_smoothed_predictions_are_in_their_own_table_alone(finished):
    home = finished.directory / "results/simulated"
    runs = pd.read_csv(home / "runs.csv", dtype={"run_key": str}).query("protocol == 'clean'")
    (row,) = pd.read_csv(home / "tables/postprocessing.csv", dtype={"run_keys": str}).itertuples()
    assert (row.protocol, row.folds, row.run_keys.split()) == ("clean", "2 of 2", runs["run_key"].tolist())
    main = pd.read_csv(home / "tables/main_results.csv").query("protocol == 'clean' and mark == 'measured'")
    assert row.accuracy == pytest.approx(main["accuracy"].item())
    parameters = sorted(home.glob("postprocessed/**/hmm.json"))
    assert [json.loads(path.read_text())["run_key"] for path in parameters] == runs["run_key"].tolist()
    smoothed = pd.concat(pd.read_parquet(path.with_name("predictions.parquet")) for path in parameters)
    confusion = confusion_matrix(smoothed["stage"].to_numpy(), smoothed["predicted"].to_numpy())
    assert row.accuracy_smoothed == pytest.approx(100 * accuracy(confusion))


def test_profile_has_the_published_counts(finished):
    operations = json.loads((finished.directory / "results/profile/ulw_sleepnet-4.json").read_text())["operations"]
    assert (operations["parameters"], operations["macs"], operations["flops_2x"]) == (13_337, 3_498_352, 6_996_704)
    assert operations["flops_tensorflow_graph"] == 7_885_771


def test_second_call_has_nothing_to_do(finished):
    assert NOTHING in finished.run().stdout


def test_any_target_can_be_asked_for_by_path(finished):
    for target in (
        "results/simulated/runs.csv",
        "results/simulated/tables/claims.tex",
        "results/data/simulated/prepared/SC4011.npy",
    ):
        assert NOTHING in finished.run(target).stdout
    training = next((finished.directory / "results/simulated/trainings").glob("**/fold-0"))
    fold = str(training.relative_to(finished.directory))
    assert NOTHING in finished.run(fold).stdout
    assert "has no fold 7 among those, 0 to 1" in finished.run(fold.replace("fold-0", "fold-7")).stdout


def test_commands_of_the_pages_run_after_the_demo(finished, monkeypatch, capfd):
    """Those that no other test runs and no page says are not run, in the order of the pages."""
    commands = [one for one in documented.commands() if one.is_run_here]
    assert len(commands) >= 9
    monkeypatch.chdir(finished.directory)
    for command in commands:
        program, *arguments = command.words
        if program == "sleepbench" and "-n" not in arguments:
            with pytest.raises(SystemExit) as ended:
                app.main(arguments)
            assert ended.value.code == 0, f"{command}: {capfd.readouterr()}"
            assert capfd.readouterr().out, command
        else:  # Snakemake needs a process of its own
            name = {"sleepbench": "sleepbench.cli.app"}.get(program, program)
            line = [sys.executable, "-m", name, *arguments]
            done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    (finished.directory / "results/simulated-results.zip").unlink()


@pytest.mark.slow
def test_deleted_store_is_rebuilt_and_the_tables_are_the_same(finished):
    tables = finished.read_bytes("results/simulated/tables/*")
    trainings = finished.read_bytes("results/simulated/trainings/**/training.json")
    (finished.directory / "results" / "mlflow.db").unlink()
    result = finished.run("results/simulated/tables/main_results.csv", "results/simulated/tables/claims.csv")
    assert result.returncode == 0, result.stdout
    assert (finished.directory / "results" / "mlflow.db").exists()
    assert finished.read_bytes("results/simulated/tables/*") == tables
    assert finished.read_bytes("results/simulated/trainings/**/training.json") == trainings
    assert NOTHING in finished.run().stdout


def test_a_job_of_several_folds_takes_finished_folds_as_they_are(finished):
    before = finished.read_bytes("results/simulated/trainings/**/fold-*/**/*")
    finished.configure(training={"folds_per_job": 2})
    receipt = f"{CLEAN_TRAINING}/stack-0-1.json"
    result = finished.run(receipt)
    assert result.returncode == 0, result.stdout
    assert (finished.directory / receipt).exists()
    assert finished.read_bytes("results/simulated/trainings/**/fold-*/**/*") == before
    finished.configure(training={"folds_per_job": "auto"})
    assert NOTHING in finished.run().stdout


@pytest.mark.slow
def test_new_protocol_that_shares_trainings_trains_nothing(finished):
    before = finished.read_bytes("results/simulated/trainings/**/training.json")
    last = {"from": "clean", "selection": "last"}
    finished.configure(run={"protocols": ["released", "clean", "clean_last"]}, protocols={"clean_last": last})
    result = finished.run("results/simulated/runs.csv")
    assert result.returncode == 0, result.stdout
    assert "nothing to train" in result.stdout
    runs = pd.read_csv(finished.directory / "results/simulated/runs.csv")
    assert set(runs["protocol"]) == {"released", "clean", "clean_last"}
    assert finished.read_bytes("results/simulated/trainings/**/training.json") == before
    finished.configure(run={"protocols": ["released", "clean"]})
    assert finished.run("results/simulated/runs.csv").returncode == 0


def test_what_is_damaged_is_made_again_alone_and_the_tables_are_the_same(finished):
    home, training = finished.directory / "results/simulated", finished.directory / CLEAN_TRAINING
    kinds = ("results/simulated/tables/*", "results/simulated/**/predictions.parquet")
    before = [*map(finished.read_bytes, kinds)]
    kept = (training / "fold-0" / "training.json").stat().st_mtime_ns
    (finished.directory / "results/data/simulated/prepared/SC4012.npy").unlink()
    result = finished.run("results/simulated/recordings.json")
    assert result.returncode == 0, result.stdout
    assert re.search(r"Made again, as missing: \S*SC4012\.npy\.", result.stdout)
    (training / "fold-1" / "best_validation" / "predictions.parquet").unlink()
    for name in ("runs.csv", "statistics/intervals.csv", "tables/main_results.csv"):
        text = (home / name).read_text(encoding="utf-8")
        (home / name).write_text(text.replace("0.", "0.9", 1), encoding="utf-8")
    with closing(sqlite3.connect(finished.directory / "results/mlflow.db")) as store, store:
        store.execute("UPDATE latest_metrics SET value = 0.99 WHERE key = 'accuracy'")
    result = finished.run()
    assert result.returncode == 0, result.stdout
    assert re.search(r"Made again, as not as it was made: \S*/fold-1, \S*mlflow\.db, \S*runs\.csv", result.stdout)
    assert "prepared" not in result.stdout  # the file that was made again has the same bytes
    assert [*map(finished.read_bytes, kinds)] == before
    assert (training / "fold-0" / "training.json").stat().st_mtime_ns == kept
    assert NOTHING in finished.run().stdout


def test_other_settings_are_noticed_without_snakemake_s_memory(finished, tmp_path):
    memory, config = finished.directory / ".snakemake", (finished.directory / "config.yaml").read_bytes()
    memory.rename(tmp_path / "memory")
    finished.configure(recipes={"ulw": {"learning_rate": 0.0123}})
    planned = finished.run("-n").stdout
    shutil.rmtree(memory)
    (tmp_path / "memory").rename(memory)
    (finished.directory / "config.yaml").write_bytes(config)
    assert re.search(r"^train +4$", planned, re.MULTILINE) and "Finished trainings of the same settings" in planned
    assert NOTHING in finished.run().stdout


def test_report_is_one_page_that_says_simulated_and_names_the_runs(finished):
    page = (finished.directory / "results/simulated/report.html").read_text(encoding="utf-8")
    runs = pd.read_csv(finished.directory / "results/simulated/runs.csv", dtype={"run_key": str})
    assert "<title>" in page and "SIMULATED" in page.partition("<title>")[2].partition("</title>")[0]
    assert all(key in page for key in runs["run_key"])
    assert set(re.findall(r'(?:src|href)="([a-z]*:|#)?', page)) <= {"data:", "#"}
