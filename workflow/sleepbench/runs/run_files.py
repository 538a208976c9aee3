"""The files of a finished run, which count only as they were written: its training.json lists their SHA-256."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, read_unchanged
from sleepbench.runs.checks import Epochs, uncovered, wrong_epochs  # noqa: F401 (for what imports them from here)

RECORD_KEYS = ("settings", "code_sha256", "provenance", "runs", "n_epochs", "environment", "files")
RUN_AGAIN = (
    "delete the runs table (runs.csv) and the receipts (group-*.json) beside the folds named here and run again: folds "
    "that are as they were written are kept, the others are trained again; a fold that is wrong as it was written must "
    "be deleted as well"
)
"""What to do about runs that cannot be used."""


def read_document(path: Path, remedy: str) -> dict:
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


def read_record(directory: Path) -> dict:
    """training.json of a training; BenchmarkError when it is missing, half-written or no such record."""
    path = directory / "training.json"
    record = read_document(path, "train this fold again")
    if missing := [key for key in RECORD_KEYS if key not in record]:
        raise BenchmarkError(f"{path}: lacks {', '.join(missing)}; delete {directory} and train this fold again")
    return record


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


def predictions_name(selection: str) -> str:
    """The predictions of a selection, as training.json lists them."""
    return f"{selection}/predictions.parquet"
