"""Signals of any rate brought to another: behind a low-pass filter, or as an envelope."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy.signal import butter, firwin, kaiserord, resample_poly, sosfilt

from sleepbench.datasets.base import Samples, Signal

STOPBAND_DB = 70
PASSBAND = 0.8
"""Share of the frequencies that both rates can hold which passes unchanged; from all of them on nothing does."""
MOST_STEPS = 1000
"""The ratio of two rates is taken as one of whole numbers up to this: off by 1e-6 at most."""
EMG_FROM_HZ = 10.0
"""What is below in a channel of muscles is movement."""
SAMPLES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Resampled:
    """Samples at `up` / `down` of their rate, computed where they are asked for: a FIR filter of linear phase.

    A slice has the same values whatever other slices are asked for.
    """

    samples: Samples
    up: int
    down: int

    def __len__(self) -> int:
        return len(self.samples) * self.up // self.down

    def __getitem__(self, part: slice) -> np.ndarray:
        """Some samples at the new rate, float64."""
        start, stop, _ = part.indices(len(self))
        if stop <= start:
            return np.empty(0)
        reach = len(self.filter) // 2 // self.up + 1  # samples on either side that a value depends on
        first = max(0, start * self.down // self.up - reach) // self.down * self.down
        end = min(len(self.samples), -(-stop * self.down // self.up) + reach)
        values = resample_poly(self.samples[first:end], self.up, self.down, window=self.filter, padtype="edge")
        offset = first // self.down * self.up
        return values[start - offset : stop - offset]

    @cached_property
    def filter(self) -> np.ndarray:
        """Its coefficients, at `up` times the rate."""
        edge = 1 / max(self.up, self.down)  # of half the rate of the filter
        length, beta = kaiserord(STOPBAND_DB, (1 - PASSBAND) * edge)
        return firwin(length | 1, (1 + PASSBAND) / 2 * edge, window=("kaiser", beta))


def resampled(signal: Signal, rate: float) -> Signal:
    """A signal at another rate, in Hz."""
    ratio = (Fraction(rate) / Fraction(signal.rate).limit_denominator(10**6)).limit_denominator(MOST_STEPS)
    return Signal(Resampled(signal.microvolts, ratio.numerator, ratio.denominator), float(rate))


def envelope(signal: Signal, rate: float) -> Signal:
    """The root mean square of a channel of muscles in each interval of a lower rate, in microvolts.

    What is below 10 Hz is left out, but of an envelope of another rate. Sleep-EDF's recorder did the same with analogue
    parts: a high-pass filter, a rectifier, a low-pass filter, the envelope "expressed in uV rms" sampled at 1 Hz.
    """
    n = int(len(signal.microvolts) / signal.rate * rate + 1e-9)
    sums, counts = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    high_pass = butter(2, EMG_FROM_HZ, "highpass", fs=signal.rate, output="sos") if has_muscles(signal) else None
    state, done = None if high_pass is None else np.zeros((len(high_pass), 2)), 0
    for part in signal.parts(SAMPLES_AT_ONCE):
        values = part
        if high_pass is not None:
            values, state = sosfilt(high_pass, part, zi=state)
        place = np.minimum((np.arange(done, done + len(part)) * (rate / signal.rate) + 1e-9).astype(np.int64), n)
        sums += np.bincount(place, values**2, n + 1)
        counts += np.bincount(place, minlength=n + 1)
        done += len(part)
    return Signal(np.sqrt(sums[:n] / np.maximum(counts[:n], 1)), float(rate))


def has_muscles(signal: Signal) -> bool:
    """Whether a channel's rate can hold what muscles do, which is more than an envelope's can."""
    return signal.rate > 2.5 * EMG_FROM_HZ
