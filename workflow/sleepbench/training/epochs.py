"""The epochs a fold trains, validates and tests on, read from prepared recordings as they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.prepare import PreparedRecording


@dataclass(frozen=True)
class EpochSet:
    """The epochs of some recordings in one window; signals stay on disk, memory-mapped, until a batch asks for them.

    Attributes
    ----------
    recordings : the prepared recordings
    channels : index of each wanted channel in a recording's signals
    recording, row : int arrays (n_epochs,), where each epoch is: which recording, which row of its signals
    stage : int64 array (n_epochs,), codes 0..4
    """

    recordings: tuple[PreparedRecording, ...]
    channels: tuple[int, ...]
    recording: np.ndarray
    row: np.ndarray
    stage: np.ndarray

    def __len__(self) -> int:
        return len(self.stage)

    def signals(self, indices: np.ndarray) -> np.ndarray:
        """Signals of the epochs at `indices` in microvolts, float32 (*indices.shape, n_channels, 3000)."""
        flat, channels = indices.reshape(-1), _as_slice(self.channels)
        batch = np.empty((len(flat), len(self.channels), self.recordings[0].signals.shape[2]), np.float32)
        places = zip(self.recording[flat].tolist(), self.row[flat].tolist(), strict=True)
        for i, (recording, row) in enumerate(places):
            batch[i] = self._arrays[recording][row, channels]
        return batch.reshape(*indices.shape, *batch.shape[1:])

    def stored(self, recording: int, rows: np.ndarray) -> np.ndarray:
        """Signals in microvolts of some `rows` of a recording, float32 (n, n_channels, 3000), as they lie in memory.

        The rows ascend and none comes twice. Where they are side by side nothing is copied: not to be written to.
        """
        array = self._arrays[recording]
        is_run = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)
        kept = array[rows[0] : rows[-1] + 1] if is_run else array[rows]
        return kept[:, _as_slice(self.channels)]

    @cached_property
    def _arrays(self) -> list[np.ndarray]:
        """The same memory as plain arrays: what np.memmap adds to every index costs more than copying an epoch."""
        return [np.asarray(recording.signals) for recording in self.recordings]

    def column(self, name: str) -> np.ndarray:
        """A per-epoch column of the recordings ("epoch", "onset_s"), for every epoch of the set."""
        columns = [getattr(recording, name) for recording in self.recordings]
        return np.array([columns[i][row] for i, row in zip(self.recording, self.row, strict=True)])


def epoch_set(recordings: Sequence[PreparedRecording], channels: Sequence[str], window: str) -> EpochSet:
    """The epochs that `window` keeps of each recording, in order, with the named channels."""
    for prepared in recordings:
        missing = [name for name in channels if name not in prepared.channels]
        if missing or prepared.channels != recordings[0].channels:
            raise BenchmarkError(
                f"recording {prepared.id} was prepared with the channels {list(prepared.channels)}, "
                f"wanted: {list(channels)}; prepare it again with these in data.channels"
            )
    rows = [prepared.window(window) for prepared in recordings]
    return EpochSet(
        recordings=tuple(recordings),
        channels=tuple(recordings[0].channels.index(name) for name in channels) if recordings else (),
        recording=np.repeat(np.arange(len(recordings)), [len(kept) for kept in rows]),
        row=np.concatenate(rows) if rows else np.empty(0, np.int64),
        stage=np.concatenate([p.stage[kept] for p, kept in zip(recordings, rows, strict=True)]).astype(np.int64)
        if rows
        else np.empty(0, np.int64),
    )


def _as_slice(channels: tuple[int, ...]) -> slice | list[int]:
    """What selects these channels: a slice where one does, which copies nothing on the way."""
    first, step = channels[0], channels[1] - channels[0] if len(channels) > 1 else 1
    if step > 0 and channels == tuple(range(first, first + step * len(channels), step)):
        return slice(first, first + step * len(channels), step)
    return list(channels)
