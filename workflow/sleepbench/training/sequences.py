"""Which epochs a model sees together: single epochs, or gap-free sequences from one recording.

A segment is an unbroken run of consecutive epochs of one recording: a removed epoch ends it, and so does the end of the
recording. Sequences are cut from one segment.

Training. In every training epoch each segment is cut, at an offset drawn again, into windows of the model's sequence
length. What is left over at its head and tail becomes windows of the full length too: they reach into their neighbour,
whose epochs are context there and do not count in loss and accuracy. A segment shorter than a window is filled up with
copies of its last epoch that do not count. So every epoch counts exactly once in a training epoch. The offset leaves
room for at least one whole window.

Inference, as the registry says of the model. "night": a segment at once, whatever its length. "windows": windows of the
sequence length, half a length apart, the last one ending with the segment; the probabilities of an epoch are averaged
over the windows that hold it. Either way every epoch is predicted exactly once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from sleepbench.training.epochs import EpochSet


@dataclass(frozen=True)
class Batch:
    """What a model is given at once.

    epochs : indices into an `EpochSet`, (n,) of single epochs or (n, length) of sequences
    counted : bool, of the same shape; the other epochs are context or filling
    """

    epochs: np.ndarray
    counted: np.ndarray


def segments(epochs: EpochSet) -> list[np.ndarray]:
    """Indices of the epochs of every unbroken run, in order."""
    if not len(epochs):
        return []
    broken = (np.diff(epochs.recording) != 0) | (np.diff(epochs.column("epoch")) != 1)
    return np.split(np.arange(len(epochs)), 1 + np.flatnonzero(broken))


def training_windows(segment: np.ndarray, length: int, offset: int) -> Batch:
    """A segment cut at `offset`: windows of `length` in which every epoch of the segment counts once."""
    bounds = np.unique([0, *range(offset, len(segment), length), len(segment)])
    return _windows(segment, length, bounds[:-1], bounds[1:])


def inference_windows(segment: np.ndarray, length: int) -> Batch:
    """Windows of `length`, half a length apart, the last one ending with the segment.

    Every epoch of the segment counts in all windows that hold it.
    """
    last = max(0, len(segment) - length)
    starts = np.unique([*range(0, last, max(1, length // 2)), last])
    return _windows(segment, length, starts, starts + length)


def _windows(segment: np.ndarray, length: int, first: np.ndarray, end: np.ndarray) -> Batch:
    """A window of `length` for each stretch from `first` to before `end`, which alone counts in it."""
    start = np.minimum(first, max(0, len(segment) - length))
    positions = start[:, None] + np.arange(length)
    counted = (positions >= first[:, None]) & (positions < np.minimum(end, len(segment))[:, None])
    return Batch(segment[np.minimum(positions, len(segment) - 1)], counted)


@dataclass(frozen=True)
class Sampler:
    """Draws what the optimizer steps of a training epoch are given.

    stage : of all epochs of the training set
    batch_size : epochs in a batch, or windows for a model of sequences
    segments, length : what windows of what length are cut from; length None for a model of single epochs
    balanced : epochs of rarer stages are repeated until all stages are as frequent as the most frequent one
    """

    stage: np.ndarray
    batch_size: int
    segments: list[np.ndarray]
    length: int | None
    balanced: bool

    @property
    def varies(self) -> bool:
        """Whether the number of batches may differ between training epochs.

        It may for sequences, which are cut again in each.
        """
        return self.length is not None

    def draw(self, generator: torch.Generator) -> list[Batch]:
        """The batches of one training epoch."""
        drawn = self._single_epochs(generator) if self.length is None else self._sequences(generator)
        order = torch.randperm(len(drawn.epochs), generator=generator)
        return [_take(drawn, rows.numpy()) for rows in order.split(self.batch_size)]

    def _single_epochs(self, generator: torch.Generator) -> Batch:
        epochs = _balanced(self.stage, generator) if self.balanced else np.arange(len(self.stage))
        return Batch(epochs, np.ones(len(epochs), bool))

    def _sequences(self, generator: torch.Generator) -> Batch:
        windows = []
        for segment in self.segments:
            n_offsets = max(1, min(self.length, len(segment) - self.length + 1))
            offset = int(torch.randint(n_offsets, (), generator=generator))
            windows.append(training_windows(segment, self.length, offset))
        return _joined(windows)


def inference_batches(epochs: EpochSet, length: int | None, inference: str | None, batch_size: int) -> list[Batch]:
    """Batches that together hold every epoch, for inference.

    A batch is `batch_size` epochs or windows; for the inference "night" it is one segment.
    """
    if inference == "night":
        return [Batch(segment[None], np.ones((1, len(segment)), bool)) for segment in segments(epochs)]
    if length is None:
        together = Batch(np.arange(len(epochs)), np.ones(len(epochs), bool))
    else:
        together = _joined([inference_windows(segment, length) for segment in segments(epochs)])
    n = len(together.epochs)
    return [_take(together, slice(start, start + batch_size)) for start in range(0, n, batch_size)]


def averaged(probabilities: np.ndarray, batches: Iterable[Batch], n_epochs: int) -> np.ndarray:
    """Mean probabilities of every epoch (n_epochs, n_classes) where it counts.

    `probabilities` (n, n_classes) are those of all epochs of the batches, in order.
    """
    epochs, counted = (np.concatenate([getattr(b, name).ravel() for b in batches]) for name in ("epochs", "counted"))
    total = np.zeros((n_epochs, probabilities.shape[1]))
    np.add.at(total, epochs[counted], probabilities[counted])
    times = np.bincount(epochs[counted], minlength=n_epochs)
    return (total / times[:, None]).astype(probabilities.dtype)


def _balanced(stage: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Indices that oversample every stage to the frequency of the most frequent one.

    Stages that do not occur are left out. Copies are spread evenly over a stage's epochs.
    """
    of_stage = [np.flatnonzero(stage == code) for code in np.unique(stage)]
    target = max(map(len, of_stage))
    parts = []
    for own in of_stage:
        copies, rest = divmod(target, len(own))
        parts += [np.tile(own, copies), own[torch.randperm(len(own), generator=generator)[:rest].numpy()]]
    return np.concatenate(parts)


def _joined(batches: list[Batch]) -> Batch:
    return Batch(np.concatenate([b.epochs for b in batches]), np.concatenate([b.counted for b in batches]))


def _take(batch: Batch, rows: np.ndarray | slice) -> Batch:
    return Batch(batch.epochs[rows], batch.counted[rows])
