"""Labels of somebody else's table beside the hypnograms: where they differ is counted and named, never mended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file
from sleepbench.core.stages import REM
from sleepbench.datasets.base import Dataset, Recording
from sleepbench.preparation.prepared import DESCRIPTION, QUALITY
from sleepbench.signals.trimming import select_trimming

FARTHEST = 5
"""Epochs by which labels are moved, either way, to see whether they agree then."""
MOVES = tuple(move for distance in range(1, FARTHEST + 1) for move in (distance, -distance))

PREPARED, ORIGINAL = "the prepared recordings", "the original hypnograms"


@dataclass(frozen=True)
class Night:
    """The scored stage of every epoch of a night, int8 (n_epochs,), and where it was read."""

    stages: np.ndarray
    read_from: str

    @property
    def standard(self) -> np.ndarray:
        """Indices of the epochs that the standard trimming keeps, ascending."""
        return select_trimming(self.stages, "standard")


@dataclass(frozen=True)
class Labels:
    """How the labels of a recording agree with its hypnogram.

    n_epochs : in the table
    differing : of these, labels that are not the hypnogram's stage; `first`, the first such epoch, as the table counts
    moved_by : epochs by which all labels must be moved to agree; None where they agree, or nowhere near
    n_standard : epochs that the standard trimming keeps; `cut`, those that the table does not have
    outside : epochs of the table that the standard trimming does not keep
    """

    recording: str
    n_epochs: int
    differing: int
    first: int | None
    moved_by: int | None
    n_standard: int
    cut: int
    outside: int

    def sentences(self) -> Iterator[str]:
        """What a reader must know, first of labels that differ; nothing where all agrees."""
        if self.differing:
            moved = f"; agrees when moved by {_epochs(self.moved_by)}" if self.moved_by is not None else ""
            yield f"{self.differing:,} of {self.n_epochs:,} labels differ, the first at epoch {self.first}{moved}"
        if self.cut:
            yield f"{self.cut:,} of the {self.n_standard:,} epochs of the standard trimming are cut"
        if self.outside:
            yield f"{self.outside:,} epochs are outside the standard trimming"


def _epochs(number: int) -> str:
    return f"{number} epoch" + ("" if abs(number) == 1 else "s")


# ------------------------------------------------------------------------------------------------------------- reading


def read_nights(dataset: Dataset, recordings: list[str], hypnograms: Path | None) -> dict[str, Night]:
    """The scored nights of recordings.

    They are those that were prepared; where a recording is not prepared, or a directory of `hypnograms` is given, its
    original file, checked against its SHA-256 where that is known. BenchmarkError lists the recordings whose hypnogram
    is not at hand.
    """
    nights, missing = {}, []
    for id in recordings:
        try:
            nights[id] = _read_night(dataset, dataset.recording(id), hypnograms)
        except _NotAtHandError as error:
            missing.append(f"{id}: {error}")
    if missing:
        raise BenchmarkError(
            f"{dataset.name}: labels cannot be checked without the hypnograms; prepare the dataset (sleepbench data "
            f"prepare --datasets {dataset.name}), or name their directory with --hypnograms; not at hand:\n  "
            + "\n  ".join(missing)
        )
    return nights


class _NotAtHandError(Exception):
    """A hypnogram that is not there."""


class _ScoringFiles(Mapping[str, Path]):
    """A recording's files by role, each looked for and checked when it is asked for.

    So a dataset whose stages are in a file of their own needs no signals here.
    """

    def __init__(self, dataset: Dataset, recording: Recording, directory: Path):
        self._dataset, self._recording, self._directory = dataset, recording, directory

    def __getitem__(self, role: str) -> Path:
        file = self._recording.file(role)
        path = self._dataset.locate(file.name, self._directory)
        if not path.is_file():
            raise _NotAtHandError(f"{path} does not exist")
        if file.sha256 is not None and (found := sha256_of_file(path)) != file.sha256:
            raise BenchmarkError(f"{path}: its SHA-256 is {found}, expected {file.sha256}; get the right file")
        return path

    def __iter__(self) -> Iterator[str]:
        return (file.role for file in self._recording.files)

    def __len__(self) -> int:
        return len(self._recording.files)


def _read_night(dataset: Dataset, recording: Recording, hypnograms: Path | None) -> Night:
    quality = Path(paths.prepared(dataset.source, recording.id, QUALITY.removeprefix(".")))
    if hypnograms is None and quality.exists():
        return Night(_prepared_stages(quality), PREPARED)
    directory = hypnograms or dataset.directory(paths.raw(dataset.files_source))
    return Night(dataset.read_stages(_ScoringFiles(dataset, recording, directory)), ORIGINAL)


def _prepared_stages(quality: Path) -> np.ndarray:
    """The night of a quality file that is the one its recording was prepared with, int8 (n_epochs,)."""
    description = quality.with_name(quality.name.removesuffix(QUALITY) + DESCRIPTION)
    try:
        expected = read_json(description)["sha256"][quality.name]
        stages, lengths = zip(*read_json(quality)["hypnogram"], strict=True)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{quality}: is not of a prepared recording ({error!r}); prepare it again") from error
    if sha256_of_file(quality) != expected:
        raise BenchmarkError(f"{quality}: was changed since its recording was prepared; prepare it again")
    return np.repeat(np.array(stages, dtype=np.int8), lengths)


# ---------------------------------------------------------------------------------------------------------- comparison


def place(table: pd.DataFrame, epochs: str, nights: Mapping[str, Night]) -> tuple[pd.DataFrame, list[Labels]]:
    """A table with its epochs by their place in the night, and how the labels of each recording agree.

    Parameters
    ----------
    table : recording, epoch, stage, ... sorted by recording and epoch
    epochs : what its epochs count: "night" or "standard"
    nights : by recording

    Returns
    -------
    The table with `epoch` as index in the night and a column `hypnogram`, the stage there (int8, 0..6); and one Labels
    per recording, in ascending order. BenchmarkError for epochs that are beyond the end.
    """
    placed, labels, beyond = [], [], []
    for id, rows in table.groupby("recording", sort=True):
        night = nights[id]
        standard = night.standard
        index = standard if epochs == "standard" else np.arange(len(night.stages))
        epoch = rows.epoch.to_numpy()
        if (last := int(epoch.max())) >= len(index):
            beyond.append(f"{id}: epoch {last}, the last one is {len(index) - 1}")
            continue
        truth = night.stages[index]
        placed.append(rows.assign(epoch=index[epoch], hypnogram=truth[epoch]))
        labels.append(_compare(id, rows.stage.to_numpy(), epoch, truth, np.isin(index[epoch], standard), len(standard)))
    if beyond:
        kept = {"night": "epochs of the night", "standard": "epochs that the standard trimming keeps"}[epochs]
        raise BenchmarkError(
            f"epochs are beyond the end, where the table counts the {kept} (`epochs: {epochs}` in its description); "
            "correct the table, or what it counts:\n  " + "\n  ".join(beyond)
        )
    return pd.concat(placed, ignore_index=True), labels


def _compare(
    recording: str, stage: np.ndarray, epoch: np.ndarray, truth: np.ndarray, kept: np.ndarray, n_standard: int
) -> Labels:
    differs = truth[epoch] != stage
    return Labels(
        recording=recording,
        n_epochs=len(stage),
        differing=int(differs.sum()),
        first=int(epoch[differs][0]) if differs.any() else None,
        moved_by=_move_that_agrees(stage, epoch, truth) if differs.any() else None,
        n_standard=n_standard,
        cut=n_standard - int(kept.sum()),
        outside=int((~kept).sum()),
    )


def _move_that_agrees(stage: np.ndarray, epoch: np.ndarray, truth: np.ndarray) -> int | None:
    """The smallest move after which every label is that of the hypnogram; those moved past its ends do not count."""
    for move in MOVES:
        moved = epoch + move
        there = (moved >= 0) & (moved < len(truth))
        if there.any() and (~there).sum() <= abs(move) and (truth[moved[there]] == stage[there]).all():
            return move
    return None


def scored_in_hypnogram(placed: pd.DataFrame) -> np.ndarray:
    """Whether the hypnogram has a stage at each epoch, bool (n_epochs,), neither movement nor unknown."""
    return (placed.hypnogram <= REM).to_numpy()
