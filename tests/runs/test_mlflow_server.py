"""Runs in MLflow's server on PostgreSQL: the same table as from a file, whatever happens to the server meanwhile."""

import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.cli import server as server_command
from mlflow_server import ADMIN, PACKAGES, PASSWORD, running, what_is_missing
from planned_results import DATASET, REPOSITORY, PlannedResults

from sleepbench.core.errors import BenchmarkError
from sleepbench.runs import mlflow
from sleepbench.runs.mlflow import collect_runs, log_runs, lost
from sleepbench.runs.store import is_server, require_store, shown, store_state
from sleepbench.runs.verify import Expected

LISTED = Path("logged.json")


def test_a_password_in_a_uri_is_not_shown():
    assert shown("http://me:secret@host:5000") == "http://me:***@host:5000"
    for plain in ("sqlite:///results/a:b@c.db", "http://host:5000/a", "postgresql://me@host/db"):
        assert shown(plain) == plain
    with pytest.raises(BenchmarkError) as raised:
        require_store("postgresql://me:secret@127.0.0.1:9/db")
    assert "secret" not in str(raised.value) and "me:***@127.0.0.1:9" in str(raised.value)


def test_only_a_server_has_a_place_of_its_own_for_artefacts():
    assert is_server("http://host") and is_server("https://host") and is_server("databricks://profile")
    assert not any(
        map(is_server, ("sqlite:///a.db", "postgresql://host/db", "mysql+pymysql://host/db", "file:///a", "a"))
    )


def test_the_compose_file_has_no_password_and_options_that_the_server_knows():
    text = (REPOSITORY / "envs/mlflow/compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    said = services["server"]["command"]
    assert said[:2] == ["mlflow", "server"]
    assert {word for word in said if word.startswith("--")} <= {o for p in server_command.params for o in p.opts}
    secrets = {
        value
        for one in services.values()
        for name, value in one["environment"].items()
        if name.endswith(("PASSWORD", "_KEY"))
    }
    assert len(secrets) == 3 and all(re.fullmatch(r"\$\{\w+:\?\}", value) for value in secrets)
    pinned = re.search(r"mlflow==(\S+)", text)[1]
    assert f"mlflow=={pinned}" in (REPOSITORY / "envs/requirements.lock").read_text(encoding="utf-8")
    page = (REPOSITORY / "docs/mlflow-server.md").read_text(encoding="utf-8")
    for package in ("psycopg2-binary", "flask-wtf"):
        assert len({*re.findall(rf"{package}==[\d.]+", text + page + PACKAGES)}) == 1


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Invalid Host header - possible DNS rebinding attack detected", "start it with --allowed-hosts localhost"),
        ("Permission denied", "give this user the permission EDIT"),
    ],
)
def test_a_refusal_is_told_with_what_its_reason_asks_for(said, remedy, monkeypatch):
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(403)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_):
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with ThreadingHTTPServer(("localhost", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        with pytest.raises(BenchmarkError, match=remedy):
            mlflow.require_store(f"http://localhost:{refusing.server_port}")
        refusing.shutdown()


needs_server = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def both():
    with running() as database_and_server:
        yield database_and_server


@pytest.fixture
def server(both, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return both[1]


@dataclass
class Table:
    """Two folds of made-up results, logged into a store and collected from it."""

    results: PlannedResults
    experiment: str

    @property
    def planned(self) -> list:
        return [run for run in self.results.planned if run.training.fold < 2]

    def log(self, uri: str, planned: list | None = None) -> None:
        log_runs(planned or self.planned, uri, store_state(uri), self.experiment, LISTED)

    def collect(self, uri: str) -> bytes:
        expected = Expected(self.results.config, DATASET, asked=True)
        collect_runs(self.planned, expected, uri, self.experiment, Path("runs.csv"))
        return Path("runs.csv").read_bytes()

    def through(self, uri: str) -> bytes:
        self.log(uri)
        return self.collect(uri)

    def local(self) -> bytes:
        return self.through(f"sqlite:///{self.results.root / 'local.db'}")


@pytest.fixture
def table(whole, request):
    return Table(whole, request.node.name)


@slow
@needs_server
def test_the_table_is_that_of_a_local_store_and_artefacts_go_through_the_server(table, server, capsys):
    found = table.through(server.uri)
    assert "4 logged now, 0 were there" in capsys.readouterr().out
    assert found == table.through(server.uri) == table.local()
    assert "0 logged now, 4 were there" in capsys.readouterr().out
    assert len(list((server.home / "artefacts").rglob("predictions.parquet"))) >= 4
    assert not list(table.results.root.rglob("mlruns")) and not list(server.home.rglob("mlruns"))


@slow
@needs_server
def test_a_database_without_a_server_has_its_artefacts_with_the_results(table, both):
    database, _ = both
    uri = database.create("direct")
    assert table.through(uri) == table.local()
    artefacts = table.results.root / "results/mlflow-artifacts/simulated"
    assert len(list(artefacts.rglob("predictions.parquet"))) == 2 * 4  # and those of the local store
    assert not list(table.results.root.rglob("mlruns")) and not Path("/mlruns").exists()


@slow
@needs_server
@pytest.mark.parametrize("password", [None, "password1234"])
def test_a_user_whom_the_server_does_not_know_is_told_what_to_set(table, server, monkeypatch, password):
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    if password:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with pytest.raises(
        BenchmarkError, match=r"cannot be opened .*; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASS"
    ):
        require_store(server.uri)


@slow
@needs_server
def test_logging_that_was_interrupted_goes_on(table, server, monkeypatch, capsys):
    """After the second run's artefacts, before it is said to be finished."""
    expected, finished, ended = table.local(), [], MlflowClient.set_terminated

    def interrupted(self, *arguments):
        finished.append(arguments)
        if len(finished) == 2:
            raise KeyboardInterrupt
        return ended(self, *arguments)

    monkeypatch.setattr(MlflowClient, "set_terminated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table.log(server.uri)
    capsys.readouterr()
    assert table.through(server.uri) == expected
    assert "3 logged now, 1 were there; 1 were not as their files say" in capsys.readouterr().out


@slow
@needs_server
def test_a_server_that_is_lost_in_the_middle_is_said_and_logging_goes_on_when_it_is_back(
    table, both, server, monkeypatch, capsys
):
    expected, logged, log_run = table.local(), [], mlflow._log_run

    def lost_after_one(*arguments):
        if len(logged) == 1:
            server.kill()
        logged.append(log_run(*arguments))

    monkeypatch.setattr(mlflow, "_log_run", lost_after_one)
    try:
        with pytest.raises(
            BenchmarkError, match=r"cannot be used .*see that it can be reached and written, and run again"
        ):
            table.log(server.uri)
    finally:
        server.start()
    monkeypatch.undo()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.chdir(table.results.root)
    capsys.readouterr()
    assert table.through(server.uri) == expected
    assert "3 logged now, 1 were there" in capsys.readouterr().out


@slow
@needs_server
def test_two_writers_of_one_experiment_leave_every_run_once(table, server):
    """They begin at once, each with a protocol of its own, before there is an experiment."""
    script = (
        "import sys; from pathlib import Path; import test_mlflow_server as own; from planned_results import *\n"
        "from sleepbench.config.plan import plan; from sleepbench.config.load import load\n"
        "runs = plan(load()).datasets[DATASET].runs\n"
        "mine = [run for run in runs if run.training.fold < 2 and run.protocol == sys.argv[1]]\n"
        "own.log_runs(mine, sys.argv[2], 'elsewhere', sys.argv[3], Path(sys.argv[1] + '.json'))\n"
    )
    tests = Path(__file__).resolve().parents[1]
    places = [str(tests.parent / "workflow"), str(tests), str(tests / "runs")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")])}
    writers = [
        subprocess.Popen([sys.executable, "-c", script, protocol, server.uri, table.experiment], env=environment)
        for protocol in ("released", "clean")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert table.collect(server.uri) == table.local()


@slow
@needs_server
def test_a_store_that_was_lost_behind_its_server_is_noticed_and_filled_again(table, both, server):
    expected = table.through(server.uri)
    logged = {table.experiment: LISTED}
    assert lost(server.uri, logged) == []
    server.kill()
    database, _ = both
    database.drop("mlflow")
    database.create("mlflow")
    server.start()
    assert lost(server.uri, logged) == [LISTED]
    with pytest.raises(BenchmarkError, match="0 in MLflow, expected 1"):
        table.collect(server.uri)
    assert table.through(server.uri) == expected and lost(server.uri, logged) == []
