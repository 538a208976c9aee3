"""Five seconds of each epoch, simulated and real: what the stages look like within so short a time.

Of both sides the first 5 s of each epoch of the channel Fpz-Cz, in microvolts. The simulation is calibrated to some of
these statistics (`short_window_statistics`), the others show how near its waveforms come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy import signal

from sleepbench.core.stages import SAMPLING_RATE, STAGES
from sleepbench.datasets.base import Dataset
from sleepbench.preparation.prepared import PreparedRecording
from sleepbench.reporting.realism.measure import Spread

CHANNEL, ROLE = "EEG Fpz-Cz", "eeg1"
SECONDS = 5
N_SAMPLES = SECONDS * SAMPLING_RATE
WELCH = {"nperseg": N_SAMPLES // 2, "noverlap": N_SAMPLES // 4, "detrend": "constant"}
FREQUENCIES_HZ = np.fft.rfftfreq(WELCH["nperseg"], 1 / SAMPLING_RATE)
BANDS = {"delta": (0.5, 4), "theta": (4, 8), "alpha": (8, 12), "sigma": (12, 16), "beta": (16, 30), "gamma": (30, 49)}
POWER_FLOOR = 1e-6
"""Microvolts squared, below the recorder's resolution: a flat excerpt has no logarithm."""
FEWEST_EXCERPTS = 10
"""Excerpts of a stage below which a recording's mean says nothing about differences between recordings."""

AMPLITUDE_QUANTILES = (50, 75, 90, 99, 99.9)
ALPHA_PEAK = 2.0
"""Density at 8 to 12 Hz over that of its neighbours from which wake counts as quiet, with alpha."""
SPINDLE_HZ, SPINDLE_SECONDS, SPINDLE_UV = (11, 16), 0.5, 6.0
"""A spindle: the envelope of the sigma band above so many microvolts for so long."""
SLOW_WAVE_HZ, SLOW_WAVE_UV, SLOW_WAVE_SECONDS = (0.5, 4), 75, (0.25, 1.0)
"""A slow wave: a negative half-wave so long, from whose trough to the next peak it is so high (the AASM's 75 uV)."""


@dataclass(frozen=True)
class Excerpts:
    """The excerpts of one recording: microvolts (n, 500) float32 and stages (n,) 0 to 4, in order."""

    recording: str
    subject: str
    microvolts: np.ndarray
    stage: np.ndarray

    @classmethod
    def of(cls, prepared: PreparedRecording) -> Self:
        """The first 5 s of the epochs that the standard trimming keeps."""
        kept = prepared.trimmed("standard")
        microvolts = np.ascontiguousarray(prepared.signals[kept, prepared.roles.index(ROLE), :N_SAMPLES])
        return cls(prepared.id, prepared.subject, microvolts, prepared.stage[kept].astype(np.int64))


@dataclass(frozen=True)
class ShortWindowStatistics(Spread):
    """One side of the comparison; NaN for a stage that does not occur.

    n_excerpts (5,); deviation_uv (5,), of all samples of a stage; deviation_quantiles_uv (5, 5) at 10, 25, 50, 75 and
    90 % over excerpts; amplitude_uv (5, 5), quantiles AMPLITUDE_QUANTILES of the absolute samples; kurtosis (5,), mean
    excess kurtosis of an excerpt; mean (5, 6), natural log band powers; between_covariance, within_covariance (5, 6,
    6), between and within recordings; lag1 (5, 6), correlation with the excerpt 30 s later; log_density (5, 126), mean
    at FREQUENCIES_HZ; alpha (5,), share of excerpts with an alpha peak; fluctuation (5, 6), of a band's power from
    second to second; spindles, slow_waves (5,), per minute; slow_wave_uv (5,), median height.
    """

    n_excerpts: np.ndarray
    deviation_uv: np.ndarray
    deviation_quantiles_uv: np.ndarray
    amplitude_uv: np.ndarray
    kurtosis: np.ndarray
    mean: np.ndarray
    between_covariance: np.ndarray
    within_covariance: np.ndarray
    lag1: np.ndarray
    log_density: np.ndarray
    alpha: np.ndarray
    fluctuation: np.ndarray
    spindles: np.ndarray
    slow_waves: np.ndarray
    slow_wave_uv: np.ndarray


def log_band_powers(density: np.ndarray) -> np.ndarray:
    """Natural log power in each band (n, 6) of densities (n, 126)."""
    step = FREQUENCIES_HZ[1]
    inside = [(low <= FREQUENCIES_HZ) & (high >= FREQUENCIES_HZ) for low, high in BANDS.values()]
    return np.log(np.array([density[:, band].sum(axis=1) * step for band in inside]).T + POWER_FLOOR)


def measure_excerpts(recordings: Sequence[Excerpts]) -> ShortWindowStatistics:
    """The statistics of one side; a stage that is absent has NaN."""
    rows = [_of_stage(recordings, stage) for stage in range(len(STAGES))]
    return ShortWindowStatistics(**{name: np.array([row[name] for row in rows]) for name in rows[0]})


def _of_stage(recordings: Sequence[Excerpts], stage: int) -> dict[str, Any]:
    n_bands, n_frequencies = len(BANDS), len(FREQUENCIES_HZ)
    places = [np.flatnonzero(recording.stage == stage) for recording in recordings]
    n = sum(map(len, places))
    nothing = {
        **dict.fromkeys(("deviation_uv", "kurtosis", "alpha", "spindles", "slow_waves", "slow_wave_uv"), np.nan),
        **dict.fromkeys(("deviation_quantiles_uv", "amplitude_uv"), np.full(5, np.nan)),
        **dict.fromkeys(("mean", "lag1", "fluctuation"), np.full(n_bands, np.nan)),
        **dict.fromkeys(("between_covariance", "within_covariance"), np.full((n_bands, n_bands), np.nan)),
        "log_density": np.full(n_frequencies, np.nan),
    }
    if not n:
        return {"n_excerpts": 0, **nothing}
    microvolts = np.concatenate(
        [recording.microvolts[own] for recording, own in zip(recordings, places, strict=True)]
    ).astype(np.float64)
    density = signal.welch(microvolts, SAMPLING_RATE, **WELCH, axis=1)[1]
    centred = microvolts - microvolts.mean(axis=1, keepdims=True)
    variance = np.maximum((centred**2).mean(axis=1), POWER_FLOOR)
    minutes = n * SECONDS / 60
    heights = slow_wave_heights(microvolts)
    powers = np.split(log_band_powers(density), np.cumsum([len(own) for own in places])[:-1])
    return {
        "n_excerpts": n,
        **nothing,
        "deviation_uv": microvolts.std(),
        "deviation_quantiles_uv": np.percentile(np.sqrt(variance), (10, 25, 50, 75, 90)),
        "amplitude_uv": np.percentile(np.abs(microvolts), AMPLITUDE_QUANTILES),
        "kurtosis": np.mean((centred**4).mean(axis=1) / variance**2) - 3,
        "log_density": np.log(density + POWER_FLOOR).mean(axis=0),
        "alpha": np.mean(has_alpha_peak(density)),
        "fluctuation": fluctuation(microvolts),
        "spindles": spindle_count(microvolts) / minutes,
        "slow_waves": len(heights) / minutes,
        "slow_wave_uv": np.median(heights) if len(heights) else np.nan,
        **_power_statistics(powers, places),
    }


def _power_statistics(powers: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Moments of log band powers (n, 6) by recording; `places` are the epochs that they are of."""
    chosen = [(own, at) for own, at in zip(powers, places, strict=True) if len(own) >= FEWEST_EXCERPTS]
    if len(chosen) < 2:
        return {}
    means = np.array([own.mean(axis=0) for own, _ in chosen])
    deviations = [own - mean for (own, _), mean in zip(chosen, means, strict=True)]
    pooled = np.concatenate(deviations)
    pairs = [
        (own[:-1][np.diff(at) == 1], own[1:][np.diff(at) == 1]) for own, (_, at) in zip(deviations, chosen, strict=True)
    ]
    before, after = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return {
        "mean": np.average(means, axis=0, weights=[len(own) for own, _ in chosen]),
        "between_covariance": np.cov(means.T),
        "within_covariance": pooled.T @ pooled / (len(pooled) - len(chosen)),
        "lag1": (before * after).sum(axis=0) / np.sqrt((before**2).sum(axis=0) * (after**2).sum(axis=0)),
    }


def powers_by_second(microvolts: np.ndarray) -> np.ndarray:
    """Power (n, 6 bands, 5 seconds) within excerpts (n, 500), in microvolts squared."""
    centred = microvolts - microvolts.mean(axis=1, keepdims=True)
    squares = [_band_passed(centred, band) ** 2 for band in BANDS.values()]
    return np.stack([one.reshape(len(one), SECONDS, SAMPLING_RATE).mean(axis=2) for one in squares], axis=1)


def fluctuation(microvolts: np.ndarray) -> np.ndarray:
    """Mean coefficient of variation (6,) of each band's power over the seconds of an excerpt (n, 500)."""
    power = powers_by_second(microvolts)
    return np.mean(power.std(axis=2) / (power.mean(axis=2) + POWER_FLOOR), axis=0)


def has_alpha_peak(density: np.ndarray) -> np.ndarray:
    """Whether the mean density (n, 126) of 8 to 12 Hz stands out from 5 to 7 and 13 to 15 Hz, on geometric average."""

    def mean(low: float, high: float) -> np.ndarray:
        return density[:, (low <= FREQUENCIES_HZ) & (high >= FREQUENCIES_HZ)].mean(axis=1)

    return mean(8, 12) > ALPHA_PEAK * np.sqrt(mean(5, 7) * mean(13, 15))


def _band_passed(microvolts: np.ndarray, band: tuple[float, float]) -> np.ndarray:
    sections = signal.butter(3, band, "bandpass", fs=SAMPLING_RATE, output="sos")
    return signal.sosfiltfilt(sections, microvolts, axis=1)


def spindle_count(microvolts: np.ndarray) -> int:
    """Spindles in excerpts (n, 500): the sigma band's envelope above 6 microvolts for 0.5 s."""
    sigma = _band_passed(microvolts, SPINDLE_HZ)
    envelope = np.abs(signal.hilbert(sigma, axis=1))
    return len(_runs(envelope > SPINDLE_UV, round(SPINDLE_SECONDS * SAMPLING_RATE), N_SAMPLES))


def _runs(above: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """Runs (n_runs, 3) of True along the rows of `above`: row, start and end (exclusive), of these lengths."""
    padded = np.pad(above, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    row, start = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[1]
    length = end - start
    return np.column_stack([row, start, end])[(length >= shortest) & (length <= longest)]


def slow_wave_heights(microvolts: np.ndarray) -> np.ndarray:
    """Trough-to-peak heights (n_waves,) in microvolts of the slow waves in excerpts (n, 500)."""
    slow = _band_passed(microvolts, SLOW_WAVE_HZ)
    shortest, longest = (round(seconds * SAMPLING_RATE) for seconds in SLOW_WAVE_SECONDS)
    heights = []
    for row, start, end in _runs(slow < 0, shortest, longest):
        if end < slow.shape[1]:
            heights.append(slow[row, end : end + longest].max() - slow[row, start:end].min())
    found = np.array(heights)
    return found[found >= SLOW_WAVE_UV]


def are_here(dataset: Dataset, directory: Path) -> bool:
    """Whether the files of all real excerpts are in their directory."""
    files = [file.name for recording in dataset.recordings() for file in recording.files]
    return all(dataset.locate(name, directory).is_file() for name in files)


def read_excerpts(dataset: Dataset, directory: Path) -> list[Excerpts]:
    """The real excerpts, their files checked by SHA-256; BenchmarkError where one is missing or wrong."""
    found = []
    for recording in dataset.recordings():
        receipt = dataset.fetch(recording, directory)
        files = {file.role: Path(receipt[file.role]["path"]) for file in recording.files}
        samples = dataset.read_signals(files, [ROLE])[ROLE].microvolts.reshape(-1, N_SAMPLES).astype(np.float32)
        stage = dataset.read_stages(files).astype(np.int64)
        found.append(Excerpts(recording.id, recording.subject, samples, stage))
    return found
