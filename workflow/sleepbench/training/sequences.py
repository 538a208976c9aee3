"""Which epochs a model sees together: single epochs, or gap-free sequences from one recording.

A segment is an unbroken run of consecutive epochs of one recording: a removed epoch ends it, and so does the end of the
recording. Sequences are cut from one segment.

Training, as the recipe says. "cut": in every training epoch each segment is cut, at an offset drawn again, into windows
of the model's sequence length. What is left over at its head and tail becomes windows of the full length too: they
reach into their neighbour, whose epochs are context there and do not count in loss and accuracy. A segment shorter than
a window is filled up with copies of its last epoch that do not count. So every epoch counts exactly once in a training
epoch. The offset leaves room for at least one whole window.

"overlapping" (SeqSleepNet): a window starts at every epoch of a segment that leaves room for it, and every epoch counts
in all windows that hold it. "balanced" (U-Time, U-Sleep): as many windows as the training set could be cut into;
somewhere in each is an epoch that is drawn by its stage, then by its recording, each with equal chance; at the ends of
a segment the window is moved.

"side_by_side" (TinySleepNet): whole segments in order, as many at once as a batch has rows. "stretches" (DeepSleepNet):
one segment after the other, each divided into as many stretches as a batch has rows. In both a network's recurrent
state is carried from batch to batch, and every epoch counts once.

Inference, as the registry says of the model. "night": a segment at once, whatever its length. "windows": windows of the
sequence length, half a length apart, the last one ending with the segment; the probabilities of an epoch are averaged
over the windows that hold it. "fused": a window from every epoch that leaves room for it; the logarithms of the
probabilities are averaged. In all, every epoch is predicted exactly once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sleepbench.config.arrangements import STATEFUL
from sleepbench.training.epochs import EpochSet


@dataclass(frozen=True)
class Batch:
    """What a model is given at once.

    epochs : indices into an `EpochSet`, (n,) of single epochs or (n, length) of sequences
    counted : bool, of the same shape; the other epochs are context or filling
    continues : int (n,), the row of the batch before whose recurrent state a sequence goes on from, -1 for none; None
        where no state is carried
    """

    epochs: np.ndarray
    counted: np.ndarray
    continues: np.ndarray | None = None


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


def overlapping_windows(segment: np.ndarray, length: int, step: int = 1) -> Batch:
    """Windows of `length`, `step` apart, the last one ending with the segment.

    Every epoch of the segment counts in all windows that hold it.
    """
    last = max(0, len(segment) - length)
    starts = np.unique([*range(0, last, step), last])
    return _windows(segment, length, starts, starts + length)


def inference_windows(segment: np.ndarray, length: int, inference: str) -> Batch:
    """The windows of a segment for the inference "windows" or "fused"."""
    return overlapping_windows(segment, length, 1 if inference == "fused" else max(1, length // 2))


def lanes(parts: Sequence[np.ndarray], length: int) -> list[Batch]:
    """Parts side by side, `length` epochs of each in a batch, until the longest is through; every epoch counts once.

    A part that ends within a sequence is filled up; after its end it is left out of the batches.
    """
    batches, rows_before = [], {}
    for first in range(0, max(map(len, parts)), length):
        under_way = [i for i, part in enumerate(parts) if len(part) > first]
        positions = first + np.arange(length)
        epochs = np.stack([parts[i][np.minimum(positions, len(parts[i]) - 1)] for i in under_way])
        counted = np.stack([positions < len(parts[i]) for i in under_way])
        batches.append(Batch(epochs, counted, np.array([rows_before.get(i, -1) for i in under_way])))
        rows_before = {i: row for row, i in enumerate(under_way)}
    return batches


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
    sequences : how segments become windows, see above
    recording : of all epochs; needed for balanced sequences
    drop_last : a last batch that is smaller than the others is left out
    """

    stage: np.ndarray
    batch_size: int
    segments: list[np.ndarray]
    length: int | None
    balanced: bool
    sequences: str = "cut"
    recording: np.ndarray | None = None
    drop_last: bool = False

    @property
    def varies(self) -> bool:
        """Whether the number of batches may differ between training epochs.

        It may for sequences, which are cut again in each.
        """
        return self.length is not None

    def draw(self, generator: torch.Generator) -> list[Batch]:
        """The batches of one training epoch."""
        if self.sequences in STATEFUL:
            return self._in_order(generator)
        draw_sequences = {"cut": self._cut, "overlapping": self._overlapping, "balanced": self._balanced}
        drawn = (self._single_epochs if self.length is None else draw_sequences[self.sequences])(generator)
        order = torch.randperm(len(drawn.epochs), generator=generator)
        batches = [_take(drawn, rows.numpy()) for rows in order.split(self.batch_size)]
        smaller = self.drop_last and len(batches) > 1 and len(batches[-1].epochs) < self.batch_size
        return batches[:-1] if smaller else batches

    def _single_epochs(self, generator: torch.Generator) -> Batch:
        epochs = _oversampled(self.stage, generator) if self.balanced else np.arange(len(self.stage))
        return Batch(epochs, np.ones(len(epochs), bool))

    def _cut(self, generator: torch.Generator) -> Batch:
        windows = []
        for segment in self.segments:
            n_offsets = max(1, min(self.length, len(segment) - self.length + 1))
            offset = int(torch.randint(n_offsets, (), generator=generator))
            windows.append(training_windows(segment, self.length, offset))
        return _joined(windows)

    def _overlapping(self, generator: torch.Generator) -> Batch:
        return _joined([overlapping_windows(segment, self.length) for segment in self.segments])

    def _balanced(self, generator: torch.Generator) -> Batch:
        epochs = [  # by stage, then by recording
            [np.flatnonzero(has_it & (self.recording == number)) for number in np.unique(self.recording[has_it])]
            for has_it in (self.stage == code for code in np.unique(self.stage))
        ]
        segment_of = np.repeat(np.arange(len(self.segments)), [len(segment) for segment in self.segments])
        windows = []
        for _ in range(sum(-(-len(segment) // self.length) for segment in self.segments)):
            drawn = int(_one_of(_one_of(_one_of(epochs, generator), generator), generator))
            segment = self.segments[segment_of[drawn]]
            place = int(torch.randint(self.length, (), generator=generator))
            start = drawn - int(segment[0]) - place
            start = np.array([min(max(0, start), max(0, len(segment) - self.length))])
            windows.append(_windows(segment, self.length, start, start + self.length))
        return _joined(windows)

    def _in_order(self, generator: torch.Generator) -> list[Batch]:
        """Batches through which a recurrent state is carried."""
        if self.sequences == "stretches":
            every = [_stretches(segment, self.length, self.batch_size) for segment in self.segments]
        else:
            order = torch.randperm(len(self.segments), generator=generator)
            every = [[self.segments[i] for i in together] for together in order.split(self.batch_size)]
        return [batch for parts in every for batch in lanes(parts, self.length)]


def inference_batches(epochs: EpochSet, length: int | None, inference: str | None, batch_size: int) -> list[Batch]:
    """Batches that together hold every epoch, for inference.

    A batch is `batch_size` epochs or windows; for the inference "night" it is one segment.
    """
    if inference == "night":
        return [Batch(segment[None], np.ones((1, len(segment)), bool)) for segment in segments(epochs)]
    if length is None:
        together = Batch(np.arange(len(epochs)), np.ones(len(epochs), bool))
    else:
        together = _joined([inference_windows(segment, length, inference) for segment in segments(epochs)])
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


def _stretches(segment: np.ndarray, length: int, n: int) -> list[np.ndarray]:
    """At most `n` equal parts of a segment, fewer where they would be shorter than `length`."""
    size = max(length, -(-len(segment) // n))
    return [segment[start : start + size] for start in range(0, len(segment), size)]


def _one_of(choices: Sequence, generator: torch.Generator) -> Any:
    return choices[int(torch.randint(len(choices), (), generator=generator))]


def _oversampled(stage: np.ndarray, generator: torch.Generator) -> np.ndarray:
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
