"""Changes to the signals of a batch that leave their stages what they are; drawn in training only."""

import functools
from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Signals (n, n_channels, 3000) or (n, length, n_channels, 3000), as a model is given them, to others of the shape."""


def roll_10(signals: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Shift each sequence or single epoch in time by up to a tenth of an epoch.

    After TinySleepNet (EMBC 2020); `models.tiny_sleepnet` says what its program does instead. All channels move
    together; what leaves at one end comes back at the other.

    signals : (n, n_channels, 3000) or (n, length, n_channels, 3000)
    """
    most = signals.shape[-1] // 10
    rolled = np.empty_like(signals)
    for i, shift in enumerate(generator.integers(-most, most, size=len(signals), endpoint=True)):
        rolled[i] = _rolled(signals[i], shift)
    return rolled


def _rolled(signals: np.ndarray, shift: int) -> np.ndarray:
    return _parted(np.roll(_joined(signals), shift, axis=-1), signals.shape)


# ---------------------------------------------------------------------------------------------------------------------
# U-Time's and U-Sleep's, after the settings of their program (github.com/perslev/U-Time at e51be3f). There an augmented
# sequence also weighs half as much in the loss; here it weighs as any other.


def _sometimes(
    change: Callable[[np.ndarray, np.random.Generator], None], probability: float, needs_channels: int = 1
) -> Augmentation:
    """Apply `change`, in place, to each sequence or epoch as one signal (n_channels, time) with this probability."""

    def augment(signals: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if signals.shape[-2] < needs_channels:
            return signals
        augmented = signals.copy()
        for i in np.flatnonzero(generator.random(len(signals)) < probability):
            signal = _joined(signals[i]).copy()
            change(signal, generator)
            augmented[i] = _parted(signal, signals[i].shape)
        return augmented

    return augment


def _joined(sequence: np.ndarray) -> np.ndarray:
    """(length, n_channels, n) or (n_channels, n) -> (n_channels, length * n)."""
    return sequence if sequence.ndim == 2 else sequence.swapaxes(0, 1).reshape(sequence.shape[1], -1)


def _parted(signal: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `_joined`."""
    return signal if len(shape) == 2 else signal.reshape(shape[1], shape[0], shape[2]).swapaxes(0, 1)


def _region(n: int, most: float, generator: np.random.Generator) -> np.ndarray:
    """Indices of a stretch, which may go on at the beginning.

    Its share of `n` is between a thousandth and `most`, evenly on a logarithmic scale.
    """
    share = 10 ** generator.uniform(-3, np.log10(most))
    return (generator.integers(n) + np.arange(int(share * n))) % n


def _add_noise(signal: np.ndarray, generator: np.random.Generator) -> None:
    signal += generator.normal(0, 0.1, signal.shape)


def _add_noise_to_region(signal: np.ndarray, generator: np.random.Generator) -> None:
    region = _region(signal.shape[1], 0.5, generator)
    signal[:, region] += generator.normal(0, 0.2, (len(signal), len(region)))


def _erase(signal: np.ndarray, generator: np.random.Generator, most: float) -> None:
    """Hardly any noise around the mean of all in place of a region."""
    region = _region(signal.shape[1], most, generator)
    signal[:, region] = generator.normal(signal.mean(), 0.01, (len(signal), len(region)))


def _deform(signal: np.ndarray, generator: np.random.Generator) -> None:
    """Move every sample in time by smooth noise; beyond the ends the signal is 0."""
    strength, smoothness = generator.uniform(0, 35), generator.uniform(3, 30)
    noise = generator.uniform(-1, 1, signal.shape[1])
    at = np.arange(signal.shape[1])
    moved = at + strength * gaussian_filter1d(noise, smoothness, mode="constant")
    signal[:] = [np.interp(moved, at, channel, left=0, right=0) for channel in signal]


def _drop_channels(signal: np.ndarray, generator: np.random.Generator) -> None:
    """Hardly any noise in place of half of the channels, at least one."""
    for i in generator.choice(len(signal), max(1, len(signal) // 2), replace=False):
        signal[i] = generator.normal(signal[i].mean(), 0.01, signal.shape[1])


AUGMENTATIONS: dict[str, Augmentation] = {
    "roll_10": roll_10,
    "noise": _sometimes(_add_noise, 0.2),
    "regional_noise": _sometimes(_add_noise_to_region, 0.2),
    "elastic": _sometimes(_deform, 0.2),
    "erase_30": _sometimes(functools.partial(_erase, most=0.3), 0.2),
    "erase_33": _sometimes(functools.partial(_erase, most=0.33), 0.1),
    "drop_channels": _sometimes(_drop_channels, 0.1, needs_channels=2),
}
"""By their names in recipes."""
