"""What is done to signals before a model sees them, as its entry in the registry says.

Epochs are transformed where they are read, in `training.epochs`: training, evaluation and smoothing see the same.
Statistics are of one channel of one recording, over all its prepared epochs, whichever of them a trimming keeps, or of
one epoch: what a model sees of a night depends on that night alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLING_RATE


@dataclass(frozen=True)
class InputTransformation:
    """A kind of transformation with its settings; here the one that does nothing."""

    def measure(self, signals: np.ndarray) -> np.ndarray:
        """What it must know of a recording's signals: two numbers per channel, float32 (2, n_channels).

        `signals` are float32 (n_epochs, n_channels, 3000).
        """
        return np.zeros((2, signals.shape[1]), np.float32)

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """The transformed signals, (n, n_channels, 3000) as `signals`.

        `measured` (n, 2, n_channels) holds for each epoch what `measure` returns for its recording.
        """
        return signals

    def settings(self) -> dict[str, dict]:
        """What decides its result: the kind's name and its settings."""
        return {next(name for name, kind in KINDS.items() if kind is type(self)): asdict(self)}


@dataclass(frozen=True)
class _Scaled(InputTransformation):
    """Subtracts a centre and divides by a scale.

    With `clip`, values further than `clip` scales from the centre are clipped there.
    """

    clip: float | None = None

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        centre, scale = (measured[:, i, :, None] for i in range(2))
        scale = np.where(scale > 0, scale, np.float32(1))  # a channel that never changes becomes 0
        scaled = (signals - centre) / scale
        return scaled if self.clip is None else scaled.clip(-self.clip, self.clip)


@dataclass(frozen=True)
class Unit(InputTransformation):
    """In units of so many microvolts."""

    microvolts: float

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        return signals / np.float32(self.microvolts)


@dataclass(frozen=True)
class Standard(_Scaled):
    """Each channel of a recording with mean 0 and standard deviation 1."""

    def measure(self, signals: np.ndarray) -> np.ndarray:
        channels = np.moveaxis(signals, 1, 0)
        moments = [(channel.mean(dtype=np.float64), channel.std(dtype=np.float64)) for channel in channels]
        return np.array(moments, np.float32).T


@dataclass(frozen=True)
class StandardEpoch(InputTransformation):
    """Each channel of each epoch with mean 0 and standard deviation 1, behind a low-pass filter where one is set."""

    low_pass: float | None = None

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        if self.low_pass is not None:
            signals = low_passed(signals, self.low_pass)
        centre = signals.mean(axis=-1, dtype=np.float64, keepdims=True).astype(np.float32)
        scale = signals.std(axis=-1, dtype=np.float64, keepdims=True).astype(np.float32)
        is_alive = scale > 1e-6 * np.abs(centre)  # a filter leaves rounding of a channel that never changes
        return (signals - centre) / np.where(is_alive, scale, np.float32(1)) * is_alive


@dataclass(frozen=True)
class Robust(_Scaled):
    """Each channel of a recording with median 0 and interquartile range 1.

    What is further from 0 microvolts than `clip` times the range is cut off there, before the median is taken away:
    what U-Time's and U-Sleep's program does.
    """

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        centre, scale = (measured[:, i, :, None] for i in range(2))
        if self.clip is not None:
            limit = np.where(scale > 0, np.float32(self.clip) * scale, np.float32(np.inf))
            signals, centre = signals.clip(-limit, limit), centre.clip(-limit, limit)
        return (signals - centre) / np.where(scale > 0, scale, np.float32(1))

    def measure(self, signals: np.ndarray) -> np.ndarray:
        quartiles = [np.percentile(channel, (25, 50, 75)) for channel in np.moveaxis(signals, 1, 0)]
        return np.array([(median, high - low) for low, median, high in quartiles], np.float32).T


@dataclass(frozen=True)
class LowPass(InputTransformation):
    """A low-pass filter at `hertz`: Butterworth of order 4, forwards and backwards over each epoch."""

    hertz: float

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        return low_passed(signals, self.hertz)


def low_passed(signals: np.ndarray, hertz: float) -> np.ndarray:
    """Signals (..., 3000) behind a Butterworth filter of order 4, forwards and backwards over each epoch."""
    from scipy.signal import butter, sosfiltfilt  # the registry is read without SciPy

    return sosfiltfilt(butter(4, hertz, fs=SAMPLING_RATE, output="sos"), signals).astype(np.float32)


NONE = InputTransformation()
KINDS = {
    "none": InputTransformation,
    "unit": Unit,
    "standard": Standard,
    "standard_epoch": StandardEpoch,
    "robust": Robust,
    "low_pass": LowPass,
}


def transformation_from(entry: str | Mapping[str, Mapping[str, Any]], asked_by: str) -> InputTransformation:
    """A transformation from its entry, such as "none", "standard" or {"unit": {"microvolts": 20}}."""
    kinds = {entry: {}} if isinstance(entry, str) else entry
    try:
        ((name, settings),) = kinds.items()
        return KINDS[name](**settings)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{asked_by}: input_transformation is {entry!r}, expected one of {', '.join(KINDS)}, with its settings, "
            "such as {unit: {microvolts: 20}}"
        ) from error
