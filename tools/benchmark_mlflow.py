"""Time and size of many runs in MLflow, logged in batches.

python tools/benchmark_mlflow.py --runs 10000 makes up the files of finished runs, of two protocols with four folds and
as many seeds as it takes, and logs them into a local store; with --server into MLflow's server on PostgreSQL, both
started on loopback as the tests do. It prints seconds by batch, and the size of the database and of the artefacts.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.runs.mlflow import _client, _runs_by_key, log_runs
from sleepbench.runs.store import store_state

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "runs"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import mlflow_server
from planned_results import DATASET, FOLDS, PlannedResults

PROTOCOLS, EXPERIMENT = 2, "made up"


@contextlib.contextmanager
def store(server: bool) -> Iterator[tuple[str, Path, mlflow_server.Database | None]]:
    """A tracking URI, where the artefacts go, and the database behind it, where it is no file."""
    if not server:
        yield "sqlite:///mlflow.db", Path("results/mlflow-artifacts"), None
        return
    if missing := mlflow_server.what_is_missing():
        raise BenchmarkError(missing)
    os.environ |= {"MLFLOW_TRACKING_USERNAME": mlflow_server.ADMIN}
    os.environ |= {"MLFLOW_TRACKING_PASSWORD": mlflow_server.PASSWORD}
    with mlflow_server.running() as (database, one):
        yield one.uri, one.home / "artefacts", database


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def measure(n_runs: int, batch: int, server: bool) -> None:
    """Make up runs, log them, and print."""
    seeds = range(-(-n_runs // (FOLDS * PROTOCOLS)))
    with (
        tempfile.TemporaryDirectory(prefix="sleepbench-") as directory,
        contextlib.chdir(directory),
        store(server) as (uri, artefacts, database),
        Path(os.devnull).open("w") as nowhere,
    ):
        results = PlannedResults(Path(directory), seeds=seeds)
        with contextlib.redirect_stdout(nowhere):
            results.train_all()
        planned = results.planned[:n_runs]
        started = time.monotonic()
        for first in range(0, n_runs, batch):
            began, some = time.monotonic(), planned[first : first + batch]
            with contextlib.redirect_stdout(nowhere):
                log_runs(some, uri, store_state(uri), EXPERIMENT, Path("logged.json"))
            taken = time.monotonic() - began
            print(f"{first + len(some):>6,} runs: {taken:.0f} s, {1000 * taken / len(some):.0f} ms a run", flush=True)
        logged = time.monotonic() - started
        client = _client(uri)
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        began = time.monotonic()
        assert sum(map(len, _runs_by_key(client, experiment).values())) == n_runs
        read = time.monotonic() - began
        size = database.size("mlflow") if database else size_of(Path("mlflow.db"))
        print(
            f"{n_runs:,} runs on {DATASET}: logged in {logged:.0f} s, read back in {read:.0f} s; "
            f"database {size / 1e6:.0f} MB, artefacts {size_of(artefacts) / 1e6:.0f} MB"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--server", action="store_true", help="MLflow's server on PostgreSQL, in place of a file")
    asked = parser.parse_args(arguments)
    measure(asked.runs, asked.batch, asked.server)


if __name__ == "__main__":
    main()
