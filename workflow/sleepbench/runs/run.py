"""A run: a finished training as a protocol reads it.

Its files count only as training.json lists them.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sleepbench.config import paths
from sleepbench.config.keys import PlannedRun, TrainingKey
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, read_unchanged, sha256_of_file
from sleepbench.training import keys
from sleepbench.training.keys import RECORD, run_of

RECORD_KEYS = ("settings", "code_sha256", "provenance", "runs", "n_epochs", "environment", "files")
WEIGHTS = ".pt"
"""Suffix of weights, from which no number of a table is computed."""


class RowKey(NamedTuple):
    """A measured row of the main table."""

    protocol: str
    model: str
    input: str
    recipe: str

    def __str__(self) -> str:
        return ", ".join(self)


@dataclass(frozen=True)
class Run:
    """A finished training read through a protocol's selection rule.

    key : 16 hexadecimal digits, of the settings and the selection; protocols may share a run
    directory : that of the training
    record : the content of its training.json
    """

    key: str
    training: TrainingKey
    protocol: str
    selection: str
    directory: Path
    record: dict[str, Any] = field(repr=False, compare=False)

    @property
    def row(self) -> RowKey:
        """The row of the main table that it belongs to."""
        return RowKey(self.protocol, *self.training.contender)

    @property
    def settings(self) -> dict[str, Any]:
        """What its training depends on besides the code."""
        return self.record["settings"]

    @property
    def title(self) -> str:
        """Its model as printed."""
        return self.record["provenance"]["title"]

    def is_of_selection(self, name: str) -> bool:
        """Whether a file of the training is of this run, not of another selection rule's."""
        return "/" not in name or name.partition("/")[0] == self.selection

    @property
    def n_folds(self) -> int:
        """How many folds its fold is one of."""
        return self.record["provenance"]["n_folds"]

    @property
    def selected_epoch(self) -> int:
        """The training epoch that the selection rule chose, from 1."""
        return self.record["runs"][self.selection]["training_epoch"]

    @property
    def predictions_name(self) -> str:
        """Its predictions, as training.json lists them."""
        return f"{self.selection}/predictions.parquet"

    @property
    def predictions_sha256(self) -> str:
        """The hash of its predictions as they were written."""
        return self.record["files"][self.predictions_name]

    @property
    def started_and_ended(self) -> tuple[float, float]:
        """When its training did, in seconds since 1970: it ended when its record says, or was written if it does not.

        It started so long before as it took: what lay between a training that was stopped and its resumption is none.
        """
        said = self.record.get("ended")
        ended = datetime.fromisoformat(said).timestamp() if said else (self.directory / RECORD).stat().st_mtime
        return ended - self.record["duration_s"], ended

    @cached_property
    def content_sha256(self) -> str:
        """Changes when any file of the training does: training.json holds the hashes of the others."""
        return sha256_of_file(self.directory / RECORD)

    def predictions(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Its predictions, one row per test epoch; BenchmarkError when they are not as they were written."""
        return read_listed(self.directory, self.record, self.predictions_name, columns)

    def metrics(self) -> dict[str, float | None]:
        """Its metrics and the cells of its confusion matrix, from metrics.json."""
        return read_document(self.directory / self.selection / "metrics.json", "train this fold again")

    def history(self) -> list[dict[str, float | None]]:
        """The rows of its training's history.csv by training epoch; None where a column is empty."""
        with (self.directory / "history.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{name: float(text) if text else None for name, text in row.items()} for row in rows]

    def __str__(self) -> str:
        seed_and_fold = f"seed {self.training.seed}, fold {self.training.fold}"
        return f"{self.row}, {seed_and_fold} (run {self.key})"


def read_run(planned: PlannedRun, root: Path = Path()) -> Run:
    """Read a planned run below `root`.

    BenchmarkError when its training.json is missing, damaged or has no such run.
    """
    return run_in(root / paths.training(planned.training), planned.protocol, planned.selection, planned.training)


def run_in(
    directory: Path, protocol: str, selection: str, training: TrainingKey | None = None, archived: bool = False
) -> Run:
    """The run of a selection in a training's directory; BenchmarkError as `read_run`.

    `training` is the one that should be there; None: the one that its record says. Files of an archive are `archived`.
    """
    record = read_record(directory, archived)
    key = run_of(record, selection, directory)["run_key"]
    return Run(key, training or training_in(record), protocol, selection, directory, record)


def read_runs_of(planned: Iterable[PlannedRun], root: Path = Path()) -> list[Run]:
    """Planned runs below `root`, in order; BenchmarkError lists all that cannot be read."""
    runs, wrong = [], {}
    for one in planned:
        try:
            runs.append(read_run(one, root))
        except BenchmarkError as error:
            wrong[str(error)] = None  # protocols may share a training
    if wrong:
        raise BenchmarkError("finished trainings cannot be read:\n  " + "\n  ".join(wrong))
    return runs


def training_in(record: dict[str, Any]) -> TrainingKey:
    """The training that a training.json is of."""
    settings = record["settings"]
    names = ("dataset", "folds", "trimming", "model", "input")
    return TrainingKey(*(settings[n] for n in names), settings["recipe"]["name"], settings["seed"], settings["fold"])


def read_record(directory: Path, archived: bool = False) -> dict[str, Any]:
    """training.json of a training; BenchmarkError when it is missing, changed since it was written or no such record.

    One that is `archived` was held against its archive's manifest; it may be of a time when records had no hash.
    """
    path = directory / RECORD
    record = read_document(path, "train this fold again") if archived else keys.read_record(directory)
    if missing := [key for key in RECORD_KEYS if key not in record]:
        raise BenchmarkError(f"{path}: lacks {', '.join(missing)}: {keys.train_again(directory)}")
    return record


def read_document(path: Path, remedy: str) -> dict[str, Any]:
    """A JSON mapping; BenchmarkError with the remedy when the file is missing or half-written."""
    if not path.exists():
        raise BenchmarkError(f"{path}: is missing; {remedy}")
    try:
        document = read_json(path)
    except ValueError as error:
        raise BenchmarkError(f"{path}: is not whole ({error}); delete it and {remedy}") from error
    if not isinstance(document, dict):
        raise BenchmarkError(f"{path}: holds no mapping; delete it and {remedy}")
    return document


def read_listed(directory: Path, record: dict, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A CSV or Parquet file of a training, read once; `record` is the content of its training.json.

    `columns` are those that are read of a Parquet file, None for all. BenchmarkError when the file is not listed there,
    is missing, was changed since it was written, or cannot be read.
    """
    path = directory / name
    if name not in record["files"]:
        raise BenchmarkError(f"{path}: is not among the files that training.json beside it lists")
    content = io.BytesIO(read_unchanged(path, record["files"][name]))
    try:
        return pd.read_parquet(content, columns=columns) if path.suffix == ".parquet" else pd.read_csv(content)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchmarkError(f"{path}: cannot be read ({reason})") from error
