"""Scoring while samples arrive: from standard input, or a file that another program writes.

Samples are float32, little-endian, in microvolts at the bundle's rate: one of each channel in the order of the roles,
then the next of each. A stage is there within a tenth of a second of an epoch's last sample.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES
from sleepbench.deployment.scorer import Scorer
from sleepbench.models.transformation import Robust, Standard
from sleepbench.postprocessing.hmm import HiddenMarkovModel

BYTES_PER_SAMPLE = 4
POLL_SECONDS = 0.02
MOST_UV = 1e6
"""A volt, which no electrode gives: samples in another format or unit look like this, or larger."""


@dataclass(frozen=True)
class StreamedEpoch:
    """An epoch's stage.

    epoch : its number from 0
    stage : its name, by the samples up to the end of this epoch and of `lag` epochs after it
    probabilities : the networks' own, (5,)
    """

    epoch: int
    stage: str
    probabilities: np.ndarray


@dataclass
class CausalSmoother:
    """The forward algorithm of a hidden Markov model: each stage by what was seen until now, or `lag` epochs later.

    `see` gives the likeliest stage of the epoch `lag` before the one that is seen, None while there is none; `rest`
    those that are left at the end. After Rabiner, Proc. IEEE 77:257-286 (1989), section III; with a lag the backward
    algorithm runs over these epochs alone.
    """

    model: HiddenMarkovModel
    lag: int = 0
    _forward: list[np.ndarray] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)

    def see(self, predicted: int) -> int | None:
        """Take the next predicted stage."""
        before = self._forward[-1] @ self.model.transition if self._forward else self.model.initial
        now = before * self.model.emission[:, predicted]
        self._forward.append(now / now.sum())
        self._seen.append(predicted)
        if len(self._forward) <= self.lag:
            return None
        self._forward, self._seen = self._forward[-self.lag - 1 :], self._seen[-self.lag - 1 :]
        return self._stage(0)

    def rest(self) -> list[int]:
        """The stages of the last epochs, for which nothing more will be seen."""
        left = len(self._forward) if len(self._forward) <= self.lag else self.lag
        return [self._stage(i) for i in range(len(self._forward) - left, len(self._forward))]

    def _stage(self, i: int) -> int:
        """The likeliest stage of one of the kept epochs, by all that was seen."""
        backward = np.ones(len(self.model.initial))
        for predicted in self._seen[:i:-1]:
            backward = self.model.transition @ (self.model.emission[:, predicted] * backward)
            backward /= backward.sum()
        return int((self._forward[i] * backward).argmax())


def stream(
    scorer: Scorer, blocks: Iterator[bytes], lag: int | None = None, say: Callable[[str], None] = lambda text: None
) -> Iterator[StreamedEpoch]:
    """The stage of each epoch as its samples are complete; `lag` None: as the networks give it, else smoothed causally.

    `say` is told what is left over at the end. A network of sequences sees as many epochs as it was trained on, up to
    this one. BenchmarkError for a network that sees signals in units of the whole recording's spread, for samples that
    are no microvolts, and for a bundle that cannot smooth where it should.
    """
    told = scorer.description
    if isinstance(scorer.bundle.transformation, Standard | Robust):
        raise BenchmarkError(
            f"{told.title} sees signals in units of the whole recording's spread, which is not known before its end; "
            "stream with another model, or score the finished recording"
        )
    scorer.require_hmm(lag is not None)
    smoother = None if lag is None else CausalSmoother(scorer.hmm, lag)
    kept: list[np.ndarray] = []
    waiting: list[tuple[int, np.ndarray]] = []
    for number, samples in enumerate(_epochs(blocks, len(told.roles), say)):
        kept = [*kept, samples[:, : told.samples_per_epoch]][-(told.sequence_length or 1) :]
        probabilities = scorer.predict(np.stack(kept))[-1]
        waiting.append((number, probabilities))
        stage = int(probabilities.argmax()) if smoother is None else smoother.see(int(probabilities.argmax()))
        if stage is not None:
            epoch, own = waiting.pop(0)
            yield StreamedEpoch(epoch, STAGES[stage], own)
    for (epoch, own), stage in zip(waiting, smoother.rest() if smoother else [], strict=True):
        yield StreamedEpoch(epoch, STAGES[stage], own)


def _epochs(blocks: Iterator[bytes], n_channels: int, say: Callable[[str], None]) -> Iterator[np.ndarray]:
    """Whole epochs (n_channels, 3000) of interleaved samples."""
    size = n_channels * SAMPLES_PER_EPOCH * BYTES_PER_SAMPLE
    buffer, number = bytearray(), 0
    for block in blocks:
        buffer += block
        while len(buffer) >= size:
            samples = np.frombuffer(bytes(buffer[:size]), "<f4").reshape(SAMPLES_PER_EPOCH, n_channels).T
            del buffer[:size]
            if not (np.abs(samples) <= MOST_UV).all():
                raise BenchmarkError(
                    f"epoch {number} of the stream has samples that are no numbers or beyond {MOST_UV:g} uV; expected "
                    f"are float32, little-endian, in microvolts, {n_channels} channels interleaved: write them so"
                )
            yield np.ascontiguousarray(samples)
            number += 1
    if buffer:
        seconds = len(buffer) / (n_channels * BYTES_PER_SAMPLE * SAMPLING_RATE)
        say(f"the last {seconds:.6g} s fill no epoch and are left out")


def read_input(source: BinaryIO, least: int) -> Iterator[bytes]:
    """What arrives at standard input, until it ends."""
    while block := source.read1(least):
        yield block


def read_growing(path: Path, idle_s: float, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """What a file holds and what is written to it, until nothing was for so many seconds."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    with file:
        last = clock()
        while True:
            if block := file.read(2**20):
                last = clock()
                yield block
            elif clock() - last >= idle_s:
                return
            else:
                time.sleep(POLL_SECONDS)
