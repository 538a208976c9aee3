"""Prepared recordings as training reads them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.stages import SAMPLES_PER_EPOCH

TRIMMINGS = ("standard", "authors")
EPOCH_COLUMNS = ("epoch", "onset_s", "stage", *TRIMMINGS)


@dataclass(frozen=True)
class PreparedRecording:
    """One night as training reads it: the epochs in either window, in order.

    signals (n_epochs, n_channels, 3000): float32 in microvolts, memory-mapped. All others (n_epochs,): index in the
    night; seconds from the start of the EDF; stage, 0 to 4; whether the epoch is in the standard and released windows.
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

    def trimmed(self, rule: str) -> np.ndarray:
        """Indices into `signals` of the epochs in a window ("standard" or "released"), ascending."""
        if rule not in TRIMMINGS:
            raise BenchmarkError(f"the trimming is {rule!r}, expected one of {', '.join(map(repr, TRIMMINGS))}")
        return np.flatnonzero(getattr(self, rule))


def load_prepared(path: str | Path) -> PreparedRecording:
    """Open a prepared recording by its .npy, memory-mapped; BenchmarkError when its three files are not all right."""
    path = Path(path)
    description, table = path.with_suffix(".json"), path.with_suffix(".epochs.csv")
    for file in (path, table, description):
        if not file.exists():
            raise BenchmarkError(f"{file}: missing, so {path.stem} is not prepared; prepare it again")
    try:
        summary = read_json(description)
        id, n_epochs = summary["recording"], int(summary["epochs_kept"])
        channels = tuple(summary.get("roles", ("eeg1", "eeg2", "eog", "emg")))
        in_window = {rule: int(summary["trimmings"][rule]["epochs"]) for rule in TRIMMINGS}
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{description}: does not describe a prepared recording ({error}); prepare it again"
        ) from error
    signals = _map_signals(path, (n_epochs, len(channels), SAMPLES_PER_EPOCH))
    epochs = _read_epochs(table, n_epochs)
    for rule, expected in in_window.items():
        if (found := np.count_nonzero(epochs[rule])) != expected:
            raise BenchmarkError(
                f"{table}: has {found} epochs in the {rule} window, {description.name} says {expected}; "
                "prepare it again"
            )
    return PreparedRecording(
        id=id,
        subject=summary["subject"],
        night=summary["night"],
        roles=channels,
        signals=signals,
        epoch=epochs["epoch"],
        onset_s=epochs["onset_s"],
        stage=epochs["stage"].astype(np.int8),
        standard=epochs["standard"].astype(bool),
        authors=epochs["authors"].astype(bool),
    )


def _read_epochs(path: Path, n_epochs: int) -> dict[str, np.ndarray]:
    """Read the table of kept epochs: column -> int64 (n_epochs,)."""
    with path.open(encoding="utf-8") as file:
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
    """Memory-map the signals and hold their shape, type and file size against what is expected."""
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
