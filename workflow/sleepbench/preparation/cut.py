"""The signals of a night cut into epochs, for the preparation of a dataset and for the scoring of any recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, SAMPLING_RATE
from sleepbench.datasets.base import Signal
from sleepbench.preparation.measure import POSSIBLE_UV, half_range_uv, measure_channel, poor_sentences


@dataclass(frozen=True)
class NightSignals:
    """Signals of a night that last for whole epochs.

    where : the file that stands for the recording in messages
    montage : role -> label of the channel, in the order of the epochs' channels
    signals : role -> signal, each at its own rate
    n_samples : of an epoch as it is cut, at 100 Hz; fewer than 3000 where the signals are only beginnings of epochs
    n_epochs, seconds : whole epochs that all signals last for, and seconds that the shortest stands for
    """

    where: Path
    montage: Mapping[str, str]
    signals: Mapping[str, Signal]
    n_samples: int
    n_epochs: int
    seconds: float

    def measure(self) -> dict[str, dict[str, Any]]:
        """What each channel is like, by role; BenchmarkError where it has voltages that no electrode has."""
        seconds = self.n_samples / SAMPLING_RATE
        measured = {role: measure_channel(self.signals[role], self.n_epochs, seconds) for role in self.montage}
        for role, label in self.montage.items():
            half, (low, high) = half_range_uv(role, measured[role]), POSSIBLE_UV
            if half is not None and not low <= half <= high:
                raise BenchmarkError(
                    f"{self.where}, channel {label!r}: half of its samples lie within {half:.2g} uV of their middle, "
                    f"which no electrode gives (expected {low:g} to {high:g} uV): the unit in the file is wrong; "
                    "correct it there, or leave the recording out"
                )
        return measured

    def epochs(self, chosen: np.ndarray) -> np.ndarray:
        """Some epochs of all channels, float32 (n_epochs, n_channels, n_samples) in microvolts.

        `chosen` are their indices in the night, ascending. Signals at 100 Hz are cut; at any other rate (a 1-Hz EMG)
        each epoch is resampled on its own by Fourier's method, as ULW-SleepNet's released program does.
        """
        cut = np.empty((len(chosen), len(self.montage), self.n_samples), dtype="<f4")
        if not len(chosen):
            return cut
        first, end = int(chosen[0]), int(chosen[-1]) + 1
        for column, role in enumerate(self.montage):
            signal = self.signals[role]
            samples = round(signal.rate * self.n_samples / SAMPLING_RATE)
            read = signal.microvolts[first * samples : end * samples].reshape(end - first, samples)
            own = read if len(chosen) == end - first else read[chosen - first]
            cut[:, column] = own if samples == self.n_samples else resample(own, self.n_samples, axis=-1)
        return cut

    def remarks(self, measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What a user may want to know of how long signals are, and of what `measure` said of them."""
        left_over = self.seconds - self.n_epochs * EPOCH_SECONDS
        said = [f"the last {left_over:g} s of the signal fill no epoch and are left out"] if left_over else []
        return said + [
            text for role, label in self.montage.items() for text in poor_sentences(role, label, measured[role])
        ]

    def rate_remarks(self) -> list[str]:
        """What a user may want to know of the rates of signals."""
        return [
            f"{label} is recorded at {rate:g} Hz; each epoch is resampled to {self.n_samples} samples"
            for role, label in self.montage.items()
            if (rate := self.signals[role].rate) != SAMPLING_RATE
        ]


def cut_night(where: Path, montage: Mapping[str, str], signals: Mapping[str, Signal], n_samples: int) -> NightSignals:
    """The signals of a night, as long as all of them last.

    BenchmarkError when an epoch is not a whole number of samples at a signal's rate, a sample is not finite, or the
    montage has no channel.
    """
    lengths = []
    for role, signal in signals.items():
        samples = signal.rate * n_samples / SAMPLING_RATE
        if samples % 1 or samples < 1:
            raise BenchmarkError(
                f"{where}, channel {montage[role]!r}: at {signal.rate} Hz an epoch has no whole number of samples"
            )
        values = signal.microvolts  # whole numbers that are read in slices are finite
        if isinstance(values, np.ndarray) and not np.isfinite(values).all():
            raise BenchmarkError(f"{where}, channel {montage[role]!r}: has samples that are no numbers")
        lengths.append((len(signal.microvolts) // round(samples), len(signal.microvolts) * EPOCH_SECONDS / samples))
    if not lengths:
        raise BenchmarkError(f"{where}: no channel is asked for, expected one or more")
    return NightSignals(where, montage, signals, n_samples, *min(lengths))
