import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from fake_results import sign_again
from mlflow import MlflowClient
from planned_results import CLEAN, DATASET, PlannedResults

from sleepbench.config.load import validate
from sleepbench.config.plan import plan
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document, write_json
from sleepbench.evaluation.metrics import METRICS
from sleepbench.runs.mlflow import collect_runs, log_runs, pages
from sleepbench.runs.run import read_run
from sleepbench.runs.store import require_store, store_state
from sleepbench.runs.verify import Expected
from sleepbench.training.keys import RECORD

LISTED = Path("logged.json")


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A store without runs: to make its tables takes MLflow seconds, to copy it none."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(whole, empty):
    """Whole results, and functions that log and collect two of their folds, by the name of a store."""

    class Store:
        results: PlannedResults = whole
        planned = [run for run in whole.planned if run.training.fold < 2]  # noqa: RUF012

        @staticmethod
        def log(name="store"):
            path = whole.root / name / "mlflow.db"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                shutil.copyfile(empty, path)
            uri = f"sqlite:///{path}"
            log_runs(Store.planned, uri, store_state(uri), "experiment", LISTED)

        @staticmethod
        def collect(name="store", config=None):
            expected = Expected(config or whole.config, DATASET, asked=True)
            uri = f"sqlite:///{whole.root / name / 'mlflow.db'}"
            collect_runs(Store.planned, expected, uri, "experiment", Path("runs.csv"))
            return pd.read_csv("runs.csv", dtype={"run_key": str, "only_folds": str}, keep_default_na=False)

    return Store()


def test_runs_are_logged_once_and_come_back_by_key(store, capsys):
    store.log()
    assert "4 runs in experiment 'experiment': 4 logged now, 0 were there" in capsys.readouterr().out
    store.log()
    assert "0 logged now, 4 were there" in capsys.readouterr().out
    runs = store.collect()
    planned = [read_run(one) for one in store.planned]
    assert runs.run_key.tolist() == [run.key for run in planned]
    assert runs.protocol.tolist() == ["released"] * 2 + ["clean"] * 2
    assert runs.fold.tolist() == [0, 1] * 2
    assert runs.accuracy.tolist() == [run.metrics()["accuracy"] for run in planned]
    assert {*METRICS, "n_epochs", "selected_epoch", "duration_s"} <= {*runs}
    assert set(runs.selected_epoch) == {2} and set(runs.n_channels) == {4} and set(runs.only_folds) == {""}
    # The name and all settings of the recipe: claims are about runs of the published settings only.
    assert set(runs.recipe) == {"ulw"}
    (settings,) = map(json.loads, set(runs.recipe_settings))
    assert settings["training_epochs"] == 3 and settings["amsgrad"] is True and "optimizer" not in settings
    logged = list((store.results.root / "results/mlflow-artifacts/simulated").rglob("predictions.parquet"))
    assert len(logged) == 4
    assert [one["directory"] for one in read_json(LISTED)] == [str(run.directory) for run in planned]


def test_what_is_undefined_comes_back_empty(store):
    path = store.results.directory(CLEAN, 0) / "best_validation" / "metrics.json"
    write_json(path, read_json(path) | {"f1_N1": None})
    sign_again(store.results.directory(CLEAN, 0))
    store.log()
    assert store.collect().f1_N1.tolist()[2] == ""


def test_contenders_come_back_in_the_order_of_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = PlannedResults(tmp_path, models=["eegnet", "chambon2018"])
    results.train_all([results.row(run) for run in results.planned])
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    planned = [run for run in results.planned if run.training.fold == 0]
    log_runs(planned, uri, store_state(uri), "experiment", LISTED)
    collect_runs(planned, Expected(results.config, DATASET), uri, "experiment", Path("runs.csv"))
    runs = pd.read_csv("runs.csv")[["protocol", "model"]].to_numpy().tolist()
    assert runs == [[protocol, model] for protocol in ("released", "clean") for model in ("eegnet", "chambon2018")]


def test_lost_store_is_rebuilt_to_the_same_table(store):
    store.log()
    store.collect()
    before = Path("runs.csv").read_bytes()
    # an empty store under another name: MLflow keeps the deleted file open as long as this process lives
    with pytest.raises(BenchmarkError, match=r"seed 32, fold 0 \(run \w+\): 0 in MLflow, expected 1(.|\n)*Delete res"):
        store.collect("new")
    store.log("new")
    store.collect("new")
    assert Path("runs.csv").read_bytes() == before


def test_retrained_fold_replaces_its_runs(store, capsys):
    store.log()
    before = store.collect()
    store.results.write_training(CLEAN, 0, errors=0.4)
    store.log()
    assert "1 logged now, 3 were there" in capsys.readouterr().out
    after = store.collect()
    assert (after.accuracy != before.accuracy).tolist() == [False, False, True, False]


@pytest.mark.parametrize(("damage", "name"), [("delete", "weights.pt"), ("change", "weights.pt"), ("record", RECORD)])
def test_missing_or_changed_run_files_are_named_and_not_logged(store, damage, name):
    path = store.results.directory(CLEAN, 1) / name
    path.write_bytes(b"y") if damage == "change" else path.unlink()
    with pytest.raises(BenchmarkError, match=rf"fold-1/{name}"):
        store.log()
    assert not LISTED.exists()


def test_files_that_change_after_they_were_logged_are_no_results(store, capsys):
    store.log()
    (store.results.directory(CLEAN, 1) / "weights.pt").write_bytes(b"y")
    with pytest.raises(BenchmarkError, match=r"fold 1 \(run \w+\): .*fold-1/weights\.pt is CHANGED"):
        store.collect()
    assert not Path("runs.csv").exists()


def test_runs_of_other_settings_than_are_asked_for_are_not_collected(store):
    store.log()
    other = store.results.content["datasets"][DATASET] | {"training_epochs": 5}
    config = validate(store.results.content | {"datasets": {DATASET: other}})
    with pytest.raises(BenchmarkError, match=r"stale: recipe\.training_epochs 3 instead of 5"):
        store.collect(config=config)


def test_the_folds_that_are_asked_for_are_in_every_row(store):
    some = store.results.content["datasets"][DATASET] | {"only_folds": [0, 2]}
    config = validate(store.results.content | {"datasets": {DATASET: some}})
    planned = plan(config).datasets[DATASET].runs
    uri = f"sqlite:///{store.results.root / 'mlflow.db'}"
    log_runs(planned, uri, store_state(uri), "experiment", LISTED)
    collect_runs(planned, Expected(config, DATASET), uri, "experiment", Path("runs.csv"))
    runs = pd.read_csv("runs.csv")
    assert set(runs.only_folds) == {"0 2"} and runs.fold.tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_results_in_another_place_log_into_that_place(store, tmp_path_factory, monkeypatch, capsys, how):
    store.log()
    here = store.results.root
    other = tmp_path_factory.mktemp("other") / "results {of} 100% ü 'q' \"d\""
    shutil.copytree(here, other)
    if how == "moved":
        shutil.rmtree(here / "results/mlflow-artifacts")
    before = {path: path.stat().st_mtime_ns for path in here.rglob("mlflow-artifacts/**/*")}
    monkeypatch.chdir(other)
    shutil.rmtree(other / "results/mlflow-artifacts")
    uri = f"sqlite:///{other / 'store' / 'mlflow.db'}"
    for logged in (4, 0):
        capsys.readouterr()
        log_runs(store.planned, uri, store_state(uri), "experiment", LISTED)
        assert f"{logged} logged now" in capsys.readouterr().out
    assert len([*(other / "results/mlflow-artifacts/simulated").rglob("predictions.parquet")]) == 4
    assert {path: path.stat().st_mtime_ns for path in here.rglob("mlflow-artifacts/**/*")} == before
    client = MlflowClient(uri)
    names = {one.name: one.artifact_location for one in client.search_experiments()}
    assert names["experiment"] == (other / "results/mlflow-artifacts/simulated").as_uri()
    kept = next(name for name in names if name.startswith("experiment, in file:"))
    assert str(here / "results") in kept
    collect_runs(store.planned, Expected(store.results.config, DATASET), uri, "experiment", Path("runs.csv"))


def test_a_server_that_is_not_there_is_said_at_once(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        BenchmarkError, match=r"tracking\.uri 'http://127\.0\.0\.1:9': .* cannot be opened .*; start the s"
    ):
        require_store("http://127.0.0.1:9")


def change(database: Path, *statements: str) -> None:
    """Change a store by hand; `run(N)` in a statement stands for one of its runs, from 0."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(re.sub(r"run\((\d)\)", r"(SELECT run_uuid FROM runs LIMIT 1 OFFSET \1)", statement))


def test_no_table_comes_from_a_store_that_was_changed_and_the_remedy_heals_it(store, capsys):
    store.log()
    store.collect()
    before, database = Path("runs.csv").read_bytes(), store.results.root / "store" / "mlflow.db"
    Path("runs.csv").unlink()
    change(database, "UPDATE latest_metrics SET value = 0.99 WHERE key = 'accuracy' AND run_uuid = run(0)")
    with pytest.raises(BenchmarkError, match=r"its accuracy is another(.|\n)*run again: the runs are logged"):
        store.collect()
    assert not Path("runs.csv").exists()
    change(
        database,
        "UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = run(1)",
        "UPDATE params SET value = '33' WHERE key = 'seed' AND run_uuid = run(2)",
        "UPDATE tags SET value = 'other' WHERE key = 'code_sha256' AND run_uuid = run(3)",
    )
    capsys.readouterr()
    store.log()
    assert "4 logged now, 0 were there; 3 were not as their files say" in capsys.readouterr().out
    store.collect()
    assert Path("runs.csv").read_bytes() == before


def test_times_are_those_of_the_trainings(store):
    directory = store.results.root / store.results.directory(CLEAN, 1)
    record = read_json(directory / RECORD) | {"ended": "2026-01-02T03:04:05+00:00", "duration_s": 90.5}
    write_document(directory / RECORD, record)
    os.utime(store.results.directory(CLEAN, 0) / RECORD, (1e9, 1e9))  # a record of a time when none was said
    store.log()
    client = MlflowClient(f"sqlite:///{store.results.root / 'store' / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "experiment"]
    runs = client.search_runs([experiment.experiment_id], "tags.protocol = 'clean'")
    times = {run.data.tags["fold"]: (run.info.start_time, run.info.end_time) for run in runs}
    ended = round(1000 * datetime.fromisoformat(record["ended"]).timestamp())
    assert times == {"0": (10**12 - 1500, 10**12), "1": (ended - 90_500, ended)}
    (history,) = {one.timestamp for one in client.get_metric_history(runs[0].info.run_id, "accuracy")}
    assert history in (10**12, ended)


def test_runs_with_other_times_than_their_trainings_are_logged_again(store, capsys):
    for directory in (store.results.directory(run.row, 0) for run in map(read_run, store.planned)):
        write_document(directory / RECORD, read_json(directory / RECORD) | {"ended": "2026-01-02T03:04:05+00:00"})
    store.log()
    with closing(sqlite3.connect(store.results.root / "store" / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE runs SET start_time = start_time + 1 WHERE name LIKE 'clean%fold 0%'")
    store.log()
    assert "1 logged now, 3 were there; 1 were not as their files say" in capsys.readouterr().out


def test_a_page_opens_on_the_metrics_that_matter(store):
    uri = f"sqlite:///{store.results.root / 'store' / 'mlflow.db'}"
    assert pages(uri) == {} and not (store.results.root / "store").exists()
    store.log()
    MlflowClient(uri).create_experiment("of somebody else")
    for _ in range(2):
        ((name, place),) = pages(uri).items()
    experiment = MlflowClient(uri).get_experiment_by_name(name)
    assert name == "experiment" and place.startswith(f"#/experiments/{experiment.experiment_id}/runs?")
    key = re.search("viewStateShareKey=([a-z]+)", place)[1]
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
    run = MlflowClient(uri).search_runs([experiment.experiment_id], max_results=1)[0].data
    logged = {f"metrics.`{name}`" for name in run.metrics} | {f"tags.`{name}`" for name in run.tags}
    assert {"metrics.`accuracy`", "metrics.`macro_f1`", "metrics.`cohen_kappa`"} < {*view["selectedColumns"]} <= logged


def test_a_damaged_store_is_set_aside_and_filled_again(store, capsys, empty):
    directory, content = store.results.root / "store", empty.read_bytes()
    directory.mkdir()
    (directory / "mlflow.db").write_bytes(content[: len(content) // 2])
    store.planned[1:] = []
    store.log()
    assert "mlflow.db is damaged (" in capsys.readouterr().out
    assert (directory / "mlflow.db.damaged").read_bytes() == content[: len(content) // 2]
    assert len(store.collect()) == 1


def test_a_full_disk_is_no_damage_of_the_store(store, monkeypatch):
    def full(*_arguments, **_options):
        raise sqlite3.OperationalError("database or disk is full")

    store.log()
    monkeypatch.setattr("sleepbench.runs.mlflow._bring_up_to_date", full)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        store.log()
    assert list(store.results.root.rglob("mlflow.db")) and not list(store.results.root.rglob("*.damaged"))


def test_store_that_cannot_be_opened_is_named(store):
    (store.results.root / "store" / "mlflow.db").mkdir(parents=True)
    with pytest.raises(BenchmarkError, match=r"mlflow\.db: the MLflow store cannot be used .*run again"):
        store.log()
