"""Prepared recordings: the files of one, and how they are read. Four files lie beside each other:

X.npy, the kept epochs in microvolts; X.epochs.csv, one row an epoch; X.json, what the recording is and how it came to
be; X.quality.json, what the whole night is like.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import check_unchanged, read_unchanged
from sleepbench.signals.trimming import AROUND_SLEEP, WHOLE, check_trimming

EPOCH_COLUMNS = ("epoch", "onset_s", "stage", *AROUND_SLEEP)
"""Index in the night, seconds from the signals' beginning, stage, and whether each trimming around sleep keeps it.

Where nights are kept whole, every epoch of the table is.
"""
SIGNALS, EPOCHS, DESCRIPTION, QUALITY = ".npy", ".epochs.csv", ".json", ".quality.json"
"""Suffixes of the files."""


@dataclass(frozen=True)
class PreparedFiles:
    """The files of a prepared recording, as the index of its dataset lists them.

    index : the path of the index
    signals : the path of X.npy
    sha256 : the SHA-256 of each file by name
    """

    index: Path
    signals: Path
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class PreparedRecording:
    """One night as training reads it: the epochs that any trimming keeps, in order.

    signals (n_epochs, n_roles, n_samples): float32 in microvolts at 100 Hz, memory-mapped; n_samples is 3000 of whole
    epochs. All others (n_epochs,): index in the night; seconds from the signals' beginning; stage, 0 to 4; whether each
    trimming keeps the epoch (whole: None where nights are not kept whole).
    """

    id: str
    subject: str
    night: int
    roles: tuple[str, ...]
    signals: np.ndarray
    epoch: np.ndarray
    onset_s: np.ndarray
    stage: np.ndarray
    standard: np.ndarray
    authors: np.ndarray
    whole: np.ndarray | None = None

    def trimmed(self, trimming: str) -> np.ndarray:
        """Indices into `signals` of the epochs that a trimming keeps, ascending."""
        check_trimming(trimming)
        kept = getattr(self, trimming)
        return np.empty(0, np.int64) if kept is None else np.flatnonzero(kept)


def load_prepared(files: PreparedFiles) -> PreparedRecording:
    """Open a prepared recording, its signals memory-mapped.

    Each of its three files (.npy, epochs, description) is read once and held against its hash, the signals to their
    end: 48 MB a night. BenchmarkError, with what to delete, when one is missing or was changed since it was prepared.
    """
    path = files.signals
    description, table = path.with_suffix(DESCRIPTION), path.with_suffix(EPOCHS)
    try:
        summary = json.loads(read_unchanged(description, files.sha256[description.name]))
        rows = read_unchanged(table, files.sha256[table.name])
        check_unchanged(path, files.sha256[path.name])
    except BenchmarkError as error:
        raise BenchmarkError(f"{error}; {prepare_again(path, files.index)}") from error
    try:
        roles, n_epochs = tuple(summary["roles"]), int(summary["epochs_kept"])
        n_samples = int(summary["samples_per_epoch"])
        identity = summary["recording"], str(summary["subject"]), int(summary["night"])
        kept = {trimming: int(summary["trimmings"][trimming]["epochs"]) for trimming in AROUND_SLEEP}
        is_whole = int(summary["trimmings"].get(WHOLE, {"epochs": 0})["epochs"]) == n_epochs
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{description}: does not describe a prepared recording ({error!r}); {prepare_again(path, files.index)}"
        ) from error
    signals = _map_signals(path, (n_epochs, len(roles), n_samples))
    epochs = _read_epochs(table, rows, n_epochs)
    for trimming, expected in kept.items():
        if (found := np.count_nonzero(epochs[trimming])) != expected:
            raise BenchmarkError(
                f"{table}: has {found} epochs of the {trimming} trimming, {description.name} says {expected}; "
                "prepare it again"
            )
    return PreparedRecording(
        *identity,
        roles,
        signals,
        epochs["epoch"],
        epochs["onset_s"],
        epochs["stage"].astype(np.int8),
        *(epochs[trimming].astype(bool) for trimming in AROUND_SLEEP),
        np.ones(n_epochs, bool) if is_whole else None,
    )


def prepare_again(signals: Path, index: Path) -> str:
    """What to do about a file of a prepared recording that is wrong, as the end of a message."""
    files = [signals.with_suffix(suffix).as_posix() for suffix in (SIGNALS, EPOCHS, DESCRIPTION, QUALITY)]
    return f"delete {', '.join(files)} and {index} and run again: it is prepared again"


def _read_epochs(path: Path, content: bytes, n_epochs: int) -> dict[str, np.ndarray]:
    """Read the table of kept epochs: column -> int64 (n_epochs,)."""
    with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8") as file:
        names = tuple(file.readline().rstrip("\n").split(","))
        if names != EPOCH_COLUMNS:
            raise BenchmarkError(f"{path}: the columns are {names}, expected {EPOCH_COLUMNS}; prepare it again")
        try:
            rows = np.loadtxt(file, delimiter=",", dtype=np.int64, ndmin=2)
        except ValueError as error:
            raise BenchmarkError(f"{path}: is not a table of whole numbers ({error}); prepare it again") from error
    if rows.shape != (n_epochs, len(EPOCH_COLUMNS)):
        raise BenchmarkError(f"{path}: has {len(rows)} epochs, its JSON says {n_epochs}; prepare it again")
    return dict(zip(EPOCH_COLUMNS, rows.T, strict=True))


def _map_signals(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Memory-map the signals; their shape, type and file size must be what is expected."""
    try:
        signals = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise BenchmarkError(f"{path}: is not a whole .npy file ({error}); prepare it again") from error
    if signals.shape != shape or signals.dtype != np.float32 or path.stat().st_size != signals.offset + signals.nbytes:
        raise BenchmarkError(
            f"{path}: holds {signals.dtype} {signals.shape} in {path.stat().st_size} bytes, expected float32 {shape}; "
            "prepare it again"
        )
    return signals
