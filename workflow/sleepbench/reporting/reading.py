"""What artefacts read, and the names in these files.

Runs are verified where they are collected, and trusted here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sleepbench.config.made import require_as_made
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Recording
from sleepbench.preparation.index import read_index
from sleepbench.reporting.artefacts import Inputs
from sleepbench.runs import runs_table

CONTENDER = ("title", "input", "recipe")
"""What tells contenders apart: a model's title, its input and its recipe."""
KEY = ("protocol", *CONTENDER)

OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa")
"""Metrics of each subject and each group of subjects."""
COMPARED = ("accuracy", "macro_f1", "cohen_kappa")
"""Metrics in which models, inputs, and plain and smoothed predictions are compared."""
CALIBRATION = "expected_calibration_error"
MEAN_OF_FOLDS = "accuracy_mean_of_folds"

FINAL = "clean"
TEXTS = (
    *("run_key", "run_keys", "git_commit", "directory", "only_folds", "folds_sha256", "dropped"),
    *("recording", "subject", "protocol", "title", "model", "input", "from_input", "recipe"),
)
"""Columns that are text even where all of their characters are digits."""
PREDICTIONS = ("recording", "subject", "night", "epoch", "stage", "predicted", *(f"p_{stage}" for stage in STAGES))
"""What is read of predictions.parquet."""


def read_csv(path: str | Path) -> pd.DataFrame:
    """A CSV of the benchmark: names stay text, only an empty cell is none."""
    return pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])


def read_runs(inputs: Inputs) -> pd.DataFrame:
    """The table of runs; BenchmarkError when it is none, or lacks a column."""
    return runs_table.read_runs(inputs.path("runs"))


def read_statistics(inputs: Inputs, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """A file of statistics; BenchmarkError when it lacks a column."""
    path = inputs.statistics(name)
    table = read_csv(path)
    missing = [column for column in (*columns, "run_keys") if column not in table]
    if missing:
        raise BenchmarkError(f"{path}: the statistics lack the column {', '.join(missing)}; make them again")
    return table


def read_recordings(inputs: Inputs) -> tuple[Recording, ...]:
    """The recordings of the dataset, with whatever is known of the people."""
    return read_index(inputs.path("recordings")).recordings


def read_predictions(runs: pd.DataFrame, columns: Sequence[str] = PREDICTIONS) -> dict[int, pd.DataFrame]:
    """The predictions of runs by seed, in ascending order of seeds.

    The rows of a seed are those of its folds one after the other, with the column `run_key`: the key of each row's run.
    """
    by_seed: dict[int, list[pd.DataFrame]] = {}
    for run in runs.sort_values(["seed", "fold"]).itertuples():
        table = pd.read_parquet(predictions_path(run), columns=list(columns))
        by_seed.setdefault(run.seed, []).append(table.assign(run_key=run.run_key))
    # A number for each name: comparing texts, epoch by epoch, takes longer than the statistics.
    names = dict.fromkeys([*({"recording", "subject"} & {*columns}), "run_key"], "category")
    return {seed: pd.concat(tables, ignore_index=True).astype(names) for seed, tables in by_seed.items()}


def predictions_path(run: Any) -> Path:
    """The predictions of a row of the runs table; BenchmarkError when they are not there."""
    return run_file(run, f"{run.selection}/predictions.parquet")


def run_file(run: Any, name: str) -> Path:
    """A file of a row of the runs table; BenchmarkError when it is not there, or not as it was made."""
    path = Path(run.directory) / name
    if not path.is_file():
        raise BenchmarkError(f"{path}: is missing, but run {run.run_key} is of it; run again")
    require_as_made([path])
    return path


def final_protocol(protocols: Sequence[str]) -> str:
    """The protocol whose numbers count: the clean one where it was run, else the last."""
    return FINAL if FINAL in protocols else protocols[-1]
