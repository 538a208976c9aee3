"""What a study of thousands of recordings takes: to be planned, to be read back from MLflow, to be resampled.

Nothing is trained: the plan is a dry run on a simulated cohort that need not exist, the runs in MLflow are copies of
one, and the confusion matrices are drawn.
"""

import multiprocessing
import resource
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from sleepbench.evaluation.bootstrap import bootstrap_intervals
from sleepbench.evaluation.metrics import METRICS

FOLDS, TRAINING_EPOCHS = 10, 50
TABLES = ("runs", "tags", "params", "latest_metrics")
"""Tables of MLflow that hold what is read back of a run, by `run_uuid`."""


def measure_scale(recordings: int, trainings: int, runs: int, subjects: int) -> None:
    """Print CPU seconds and peak memory of a dry run, of reading runs back, and of a bootstrap."""
    for what, job in (
        (f"plan of {recordings:,} recordings and {trainings:,} trainings", partial(plan, recordings, trainings)),
        (f"{runs:,} runs read back from MLflow", partial(read_back, runs)),
        (f"intervals of {subjects:,} subjects, three seeds", partial(intervals, subjects)),
    ):
        # In a process of its own, which starts anew: its memory is that of the job.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            seconds, megabytes = pool.submit(job).result()
        print(f"{what}: {seconds:.1f} s on the CPU, {megabytes:,.0f} MB", flush=True)


def plan(recordings: int, trainings: int) -> tuple[float, float]:
    """A dry run of the workflow in the current directory."""
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    seeds = list(range(-(-trainings // FOLDS)))
    cohort = {"subjects": -(-recordings // 2), "single_night_subjects": [], "n_folds": FOLDS}
    config["run"] = {"experiment": "demo", "protocols": ["clean"], "models": ["ulw_sleepnet"], "seeds": seeds}
    config["datasets"] = {"simulated": cohort}
    config["postprocessing"]["hmm"] = []
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as directory:
        for name in ("Snakefile", "workflow", "envs"):
            Path(directory, name).symlink_to(Path(name).resolve())
        Path(directory, "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [sys.executable, "-m", "sleepbench.cli.app", "run", "--dry-run"]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return _used(resource.RUSAGE_CHILDREN)


def read_back(n_runs: int) -> tuple[float, float]:
    """Read runs with metrics and histories from a local store."""
    from mlflow.entities import Metric, Param, RunTag

    from sleepbench.runs.mlflow import _client, _runs_by_key

    with tempfile.TemporaryDirectory(prefix="sleepbench-") as directory:
        database = Path(directory, "mlflow.db")
        client = _client(f"sqlite:///{database}")
        experiment = client.create_experiment("scale")
        run = client.create_run(experiment).info.run_id
        names = [*METRICS, *(f"confusion_{i}" for i in range(25)), *(f"history.{i}" for i in range(8))]
        client.log_batch(
            run,
            [Metric(name, 0.5, 0, TRAINING_EPOCHS) for name in names],
            [Param(f"setting_{i}", "value") for i in range(60)],
            [RunTag(name, "0") for name in ("run_key", "protocol", *(f"tag_{i}" for i in range(15)))],
        )
        with closing(sqlite3.connect(database)) as store, store:
            for table in TABLES:
                _copy(store, table, run, n_runs - 1)
        before = _used(resource.RUSAGE_SELF)[0]
        found = _runs_by_key(client, experiment)
        assert sum(map(len, found.values())) == n_runs
        seconds, megabytes = _used(resource.RUSAGE_SELF)
        return seconds - before, megabytes


def _copy(store: sqlite3.Connection, table: str, run: str, n_copies: int) -> None:
    """Copy a run's rows of a table under new ids, which follow from the number of the copy."""
    columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
    rows = store.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE run_uuid = ?", [run]).fetchall()
    place, marks = columns.index("run_uuid"), ", ".join("?" * len(columns))
    copies = (
        (*row[:place], uuid.UUID(int=number).hex, *row[place + 1 :]) for number in range(n_copies) for row in rows
    )
    store.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", copies)


def intervals(n_subjects: int) -> tuple[float, float]:
    """Bootstrap intervals over subjects, of three seeds."""
    before = _used(resource.RUSAGE_SELF)[0]
    bootstrap_intervals(np.random.default_rng(0).integers(0, 400, (3, n_subjects, 5, 5)))
    seconds, megabytes = _used(resource.RUSAGE_SELF)
    return seconds - before, megabytes


def _used(who: int) -> tuple[float, float]:
    """CPU seconds and peak memory in megabytes."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
