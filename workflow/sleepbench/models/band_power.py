"""Gradient boosting on spectral features: what no network at all achieves.

No paper's model, but one in the manner of Vallat and Walker, "An open-source, high-performance tool for automated sleep
staging", eLife 2021 (YASA), without its smoothing over neighbouring epochs and without age and sex: every epoch by
itself. After the description.

Features of every channel: Welch's spectrum (4-s Hann windows, half overlapping), its power in six bands, absolute and
relative, how it is spread, and statistics of the amplitude and of its differences. The classifier is scikit-learn's
histogram gradient boosting as it comes, without its early stopping, which would hold out epochs of the recordings it
trains on.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import fft
from scipy.signal import get_window
from sklearn.ensemble import HistGradientBoostingClassifier

from sleepbench.core.stages import SAMPLING_RATE, STAGES

BANDS = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 12.0),
    "sigma": (12.0, 16.0),
    "beta": (16.0, 30.0),
    "gamma": (30.0, 50.0),
}
"""Hz, the upper end left out."""
WELCH_WINDOW = 4 * SAMPLING_RATE
SPECTRUM_FEATURES = (
    *(f"log_{band}" for band in BANDS),
    *(f"relative_{band}" for band in BANDS),
    "median_frequency",
    "edge_frequency",
    "spectral_entropy",
)
AMPLITUDE_FEATURES = (
    *("mean", "deviation", "skewness", "kurtosis", "minimum", "maximum", "mean_deviation"),
    *("line_length", "mobility", "complexity", "crossings"),
)
FEATURES = SPECTRUM_FEATURES + AMPLITUDE_FEATURES
"""Of one channel. Frequencies are in Hz, amplitudes in microvolts, powers in squared microvolts."""

SMALLEST = np.float32(1e-6)
"""Added to what is divided by or whose logarithm is taken: a dead signal has features too."""
CHUNK = 128
"""Epochs whose features are computed at once."""


class BandPower:
    """An estimator: epochs (n, n_channels, 3000) in microvolts at 100 Hz -> probabilities (n, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        self.n_channels = n_channels
        self.n_classes = n_classes

    def fit(self, signals: Callable[[np.ndarray], np.ndarray], stage: np.ndarray, seed: int) -> "BandPower":
        """Learn `stage` (n,), in 0..n_classes - 1, of the epochs that `signals` gives for indices below n.

        `signals` is asked for one chunk after the other, so that they may lie on disk; of an array, it is the method
        `__getitem__`.
        """
        chunks = np.split(np.arange(len(stage)), range(CHUNK, len(stage), CHUNK))
        features = np.concatenate([spectral_features(signals(indices)) for indices in chunks])
        self.classifier = HistGradientBoostingClassifier(early_stopping=False, random_state=seed)
        self.classifier.fit(features, stage)
        return self

    def predict_proba(self, signals: np.ndarray) -> np.ndarray:
        """Stage probabilities (n, n_classes), float32, of epochs (n, n_channels, 3000).

        A class not seen in `fit` has probability 0.
        """
        classes = self.classifier.classes_
        probabilities = np.zeros((len(signals), self.n_classes), np.float32)
        for start in range(0, len(signals), CHUNK):
            features = spectral_features(signals[start : start + CHUNK])
            of_seen = self.classifier.predict_proba(features)[:, : len(classes)]  # a single class has a twin
            probabilities[start : start + CHUNK, classes] = of_seen
        return probabilities


def spectral_features(signals: np.ndarray) -> np.ndarray:
    """Features (n, n_channels * len(FEATURES)) of epochs (n, n_channels, 3000), channel by channel."""
    signals = np.asarray(signals, np.float32)
    features = np.stack([*_of_spectrum(signals), *_of_amplitude(signals)], axis=-1, dtype=np.float32)
    return features.reshape(len(signals), -1)


def _of_spectrum(signals: np.ndarray) -> list[np.ndarray]:
    """SPECTRUM_FEATURES, each (n, n_channels)."""
    frequencies, density = _welch(signals)
    inside = (frequencies >= BANDS["delta"][0]) & (frequencies < BANDS["gamma"][1])
    step, density, frequencies = SAMPLING_RATE / WELCH_WINDOW, density[..., inside], frequencies[inside]
    powers = [
        step * density[..., (frequencies >= low) & (frequencies < high)].sum(axis=-1) for low, high in BANDS.values()
    ]
    total = sum(powers) + SMALLEST
    share = (step * density + SMALLEST / np.float32(len(frequencies))) / total[..., None]
    cumulative = share.cumsum(axis=-1)
    return [
        *(np.log(power + SMALLEST) for power in powers),
        *(power / total for power in powers),
        *(frequencies[0] + step * (cumulative < part).sum(axis=-1) for part in (0.5, 0.95)),
        -(share * np.log(share)).sum(axis=-1) / math.log(len(frequencies)),
    ]


def _welch(signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and power density (n, n_channels, n_frequencies) in squared microvolts a Hz.

    The same as scipy.signal.welch, in a third of the time.
    """
    window = get_window("hann", WELCH_WINDOW).astype(np.float32)
    segments = np.lib.stride_tricks.sliding_window_view(signals, WELCH_WINDOW, axis=-1)[..., :: WELCH_WINDOW // 2, :]
    spectra = fft.rfft((segments - segments.mean(axis=-1, keepdims=True)) * window)
    density = (spectra.real**2 + spectra.imag**2).mean(axis=-2) * float(2 / (SAMPLING_RATE * (window**2).sum()))
    density[..., [0, -1]] /= 2  # these frequencies have no negative twin
    return fft.rfftfreq(WELCH_WINDOW, 1 / SAMPLING_RATE), density


def _of_amplitude(signals: np.ndarray) -> list[np.ndarray]:
    """AMPLITUDE_FEATURES, each (n, n_channels)."""
    mean = signals.mean(axis=-1)
    centred = signals - mean[..., None]
    slope = np.diff(signals, axis=-1)
    deviation, of_slope, of_curvature = (x.std(axis=-1) + SMALLEST for x in (signals, slope, np.diff(slope, axis=-1)))
    mobility = of_slope / deviation
    square = centred**2
    return [
        mean,
        deviation,
        (square * centred).mean(axis=-1) / deviation**3,
        (square**2).mean(axis=-1) / deviation**4,
        signals.min(axis=-1),
        signals.max(axis=-1),
        np.abs(centred).mean(axis=-1),
        np.abs(slope).mean(axis=-1),
        mobility,
        of_curvature / of_slope / mobility,
        (np.signbit(centred[..., 1:]) != np.signbit(centred[..., :-1])).mean(axis=-1),
    ]
