"""Changes to the signals of a batch that leave their stages what they are; drawn in training only."""

from collections.abc import Callable

import numpy as np


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
    if signals.ndim == 2:
        return np.roll(signals, shift, axis=-1)
    length, n_channels, n_samples = signals.shape
    joined = np.roll(signals.swapaxes(0, 1).reshape(n_channels, -1), shift, axis=-1)
    return joined.reshape(n_channels, length, n_samples).swapaxes(0, 1)


AUGMENTATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {"roll_10": roll_10}
"""By their names in recipes."""
