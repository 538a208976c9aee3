"""The epochs for training, validation and test of a fold, read lazily from prepared recordings.

Whatever sees signals sees them from here, transformed as the model's entry in the registry says.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.transformation import NONE, InputTransformation
from sleepbench.preparation.prepared import PreparedFiles, PreparedRecording, load_prepared
from sleepbench.protocols.folds import Fold


@dataclass(frozen=True)
class EpochSet:
    """The trimmed epochs of some recordings.

    Signals stay on disk, memory-mapped, until a batch asks for them.

    Attributes
    ----------
    recordings : the prepared recordings
    channels : index of each wanted channel in a recording's signals
    recording, row : int arrays (n_epochs,), where each epoch is: which recording, which row of its signals
    stage : int64 array (n_epochs,), codes 0..4
    transformation : what is done to the signals before anything sees them
    measured : what the transformation must know of a recording, by id; sets may share it, so that each is measured once
    """

    recordings: tuple[PreparedRecording, ...]
    channels: tuple[int, ...]
    recording: np.ndarray
    row: np.ndarray
    stage: np.ndarray
    transformation: InputTransformation = NONE
    measured: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.stage)

    @property
    def n_samples(self) -> int:
        """Samples of an epoch."""
        return self.recordings[0].signals.shape[2]

    def signals(self, indices: np.ndarray) -> np.ndarray:
        """Signals of the epochs at `indices`, float32 (*indices.shape, n_channels, 3000).

        They are in microvolts, with the transformation applied.
        """
        flat, channels = indices.reshape(-1), _as_slice(self.channels)
        batch = np.empty((len(flat), len(self.channels), self.n_samples), np.float32)
        places = zip(self.recording[flat].tolist(), self.row[flat].tolist(), strict=True)
        for i, (recording, row) in enumerate(places):
            batch[i] = self._arrays[recording][row, channels]
        return self._transformed(batch, self.recording[flat]).reshape(*indices.shape, *batch.shape[1:])

    def stored(self, recording: int, rows: np.ndarray) -> np.ndarray:
        """Signals of some `rows` of a recording, float32 (n, n_channels, 3000), transformed microvolts.

        The rows ascend and none comes twice. Where they are side by side and nothing is transformed nothing is copied:
        not to be written to.
        """
        array = self._arrays[recording]
        is_run = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)
        kept = (array[rows[0] : rows[-1] + 1] if is_run else array[rows])[:, _as_slice(self.channels)]
        return self._transformed(kept, np.full(len(rows), recording))

    def _transformed(self, signals: np.ndarray, recording: np.ndarray) -> np.ndarray:
        """Signals (n, n_channels, 3000) of epochs of these recordings as the transformation leaves them."""
        if self.transformation == NONE or not len(signals):
            return signals
        return self.transformation(signals, self._measured[recording])

    @cached_property
    def _measured(self) -> np.ndarray:
        """(n_recordings, 2, n_channels), what the transformation must know of each."""
        for recording, array in zip(self.recordings, self._arrays, strict=True):
            if recording.id not in self.measured:
                self.measured[recording.id] = self.transformation.measure(array[:, _as_slice(self.channels)])
        return np.stack([self.measured[recording.id] for recording in self.recordings])

    @cached_property
    def _arrays(self) -> list[np.ndarray]:
        """The same memory as plain arrays.

        np.memmap's overhead on every index costs more than copying an epoch.
        """
        return [np.asarray(recording.signals) for recording in self.recordings]

    def column(self, name: str) -> np.ndarray:
        """The values (n_epochs,) of the column `name`.

        Some are those of the epoch ("epoch", "onset_s"), others those of its recording ("id", "subject", "night").
        """
        values = [getattr(recording, name) for recording in self.recordings]
        if values and isinstance(values[0], np.ndarray):
            return np.array([values[i][row] for i, row in zip(self.recording, self.row, strict=True)])
        return np.array(values)[self.recording]


def epoch_set(
    recordings: Sequence[PreparedRecording],
    roles: Sequence[str],
    trimming: str,
    transformation: InputTransformation = NONE,
    measured: dict[str, np.ndarray] | None = None,
) -> EpochSet:
    """The epochs that `trimming` keeps of each recording, in order, with the channels of `roles`.

    BenchmarkError where a recording was not prepared with these channels, or with others than the first recording.
    """
    for prepared in recordings:
        again = f"delete {prepared.id}.json among the prepared files and run again"
        if missing := [name for name in roles if name not in prepared.roles]:
            raise BenchmarkError(
                f"recording {prepared.id} was prepared without {', '.join(missing)}, it has "
                f"{', '.join(prepared.roles)}; add what is missing to its dataset's montage, then {again}"
            )
        if prepared.roles != recordings[0].roles:
            raise BenchmarkError(
                f"recording {prepared.id} was prepared with {', '.join(prepared.roles)}, but {recordings[0].id} with "
                f"{', '.join(recordings[0].roles)}: the same channels in the same order are expected; {again}"
            )
    rows = [prepared.trimmed(trimming) for prepared in recordings]
    return EpochSet(
        recordings=tuple(recordings),
        channels=tuple(recordings[0].roles.index(name) for name in roles) if recordings else (),
        recording=np.repeat(np.arange(len(recordings)), [len(kept) for kept in rows]),
        row=np.concatenate(rows) if rows else np.empty(0, np.int64),
        stage=np.concatenate([p.stage[kept] for p, kept in zip(recordings, rows, strict=True)]).astype(np.int64)
        if rows
        else np.empty(0, np.int64),
        transformation=transformation,
        measured={} if measured is None else measured,
    )


def fold_sets(
    folds: Iterable[Fold],
    prepared: Mapping[str, PreparedFiles],
    roles: Sequence[str],
    trimming: str,
    transformation: InputTransformation,
) -> list[dict[str, EpochSet]]:
    """The sets "train", "validation" and "test" of each fold, transformed as a model sees them.

    `prepared` has the files of each recording. A recording is opened, its files held against their hashes, and
    measured, once.
    """
    opened = functools.cache(lambda id: load_prepared(prepared[id]))
    measured: dict[str, np.ndarray] = {}
    return [
        {
            name: epoch_set([opened(id) for id in ids], roles, trimming, transformation, measured)
            for name, ids in (("train", fold.train), ("validation", fold.validation), ("test", fold.test))
        }
        for fold in folds
    ]


def _as_slice(channels: tuple[int, ...]) -> slice | list[int]:
    """What selects these channels: a slice where one does, which copies nothing on the way."""
    first, step = channels[0], channels[1] - channels[0] if len(channels) > 1 else 1
    if step > 0 and channels == tuple(range(first, first + step * len(channels), step)):
        return slice(first, first + step * len(channels), step)
    return list(channels)
