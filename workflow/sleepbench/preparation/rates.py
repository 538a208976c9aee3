"""Signals of any rate brought to another: behind a low-pass filter, or as an envelope."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import butter, firwin, kaiserord, sosfilt

from sleepbench.datasets.base import Samples, Signal

STOPBAND_DB = 70
PASSBAND = 0.8
"""Share of the frequencies that both rates can hold which passes unchanged; from all of them on nothing does."""
MOST_STEPS = 1000
"""The ratio of two rates is taken as one of whole numbers up to this: off by 1e-6 at most."""
EMG_FROM_HZ = 10.0
"""What is below in a channel of muscles is movement."""
SAMPLES_AT_ONCE = 2**20
BLOCKS = 32
"""Of `up` values each, that are one product of matrices, always with the same neighbours: else its rounding differs."""
PRODUCTS_AT_ONCE = 32


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
        taken, made = BLOCKS * self.down, BLOCKS * self.up  # samples of a product, before and after
        first, end = start // made, -(-stop // made)
        values = np.empty((end - first, BLOCKS, self.up))
        for begin in range(first, end, PRODUCTS_AT_ONCE):
            products = values[begin - first : begin - first + PRODUCTS_AT_ONCE]
            samples = self._around(begin * taken, (begin + len(products)) * taken)
            windows = sliding_window_view(samples, len(self.weights))[:: self.down]
            np.matmul(windows.reshape(len(products), BLOCKS, -1), self.weights, out=products)
        return values.reshape(-1)[start - first * made : stop - first * made]

    def _around(self, start: int, stop: int) -> np.ndarray:
        """Some samples and those on either side that they are weighed with; outside, the first one or the last."""
        start, stop = start - self.reach, stop + self.reach
        samples = np.asarray(self.samples[max(0, start) : max(0, stop)], float)
        before = max(0, -start)
        return np.pad(samples, (before, stop - start - before - len(samples)), mode="edge")

    @property
    def reach(self) -> int:
        """Samples on either side that a value depends on."""
        return len(self.filter) // 2 // self.up + 1

    @cached_property
    def weights(self) -> np.ndarray:
        """(down + 2 reach, up): what makes `up` values of `down` samples and those around them.

        A value is a sum over few of the samples, but a product of whole matrices is five times as fast.
        """
        sample, value = np.arange(-self.reach, self.down + self.reach)[:, None], np.arange(self.up)
        place = value * self.down - sample * self.up + len(self.filter) // 2
        within = (place >= 0) & (place < len(self.filter))
        return np.where(within, self.up * self.filter[np.where(within, place, 0)], 0.0)

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
