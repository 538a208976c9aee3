"""What the simulation is calibrated to, from real excerpts: the content of sleep_stage_excerpts.json."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import signal, stats
from sklearn.mixture import GaussianMixture

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLING_RATE, STAGES
from sleepbench.reporting.realism.excerpts import (
    BANDS,
    CHANNEL,
    FEWEST_EXCERPTS,
    FREQUENCIES_HZ,
    N_SAMPLES,
    POWER_FLOOR,
    WELCH,
    Excerpts,
    log_band_powers,
    measure_excerpts,
    powers_by_second,
)
from sleepbench.reporting.realism.measure import transition_probabilities

MIXED = 3
MAINS_HZ, MAINS_BESIDE_HZ = 49.4, (42, 48)
"""Frequencies from which the recorder shows the hum of the mains, and those that tell whether it stands out."""
MAINS_STANDS_OUT = np.e
"""Density over that of the frequencies beside from which a recording counts as humming."""


def resource_of(recordings: Sequence[Excerpts]) -> dict[str, Any]:
    """What the simulation is calibrated to, as JSON values; see `simulation.calibration`."""
    statistics, mixed = measure_excerpts(recordings), mixtures(recordings)
    noise = [replace(one, microvolts=random_phases(one.microvolts)) for one in recordings]
    even, together = measure_excerpts(noise), burst_correlations(recordings, noise)
    tilt_between, tilt_within = tilts(recordings)
    return {
        "source": "Sleep-EDF Expanded 1.0.0, ODC-By 1.0, in the excerpts of github.com/swapnil5053/AttnSleep-EEG-5s at "
        "cde8b3995c; made by tools/excerpt_statistics.py",
        "description": f"Statistics of the first 5 s of each 30-s epoch of {len(recordings)} recordings, {CHANNEL}, in "
        "microvolts: natural log band powers and densities by stage. No waveform can be had back from them.",
        "welch": "Hann windows of 2.5 s, half overlapping; bands are sums of densities, borders included",
        "bands_hz": {name: list(band) for name, band in BANDS.items()},
        "transition_probability_30s": np.round(
            transition_probabilities([recording.stage for recording in recordings]), 5
        ).tolist(),
        "recordings": len(recordings),
        "mains": mains(recordings),
        "frequencies_hz": [round(float(frequency), 3) for frequency in FREQUENCIES_HZ],
        "stages": {
            stage: {
                "n_excerpts": int(statistics.n_excerpts[code]),
                "mean": _rounded(statistics.mean[code]),
                "between_recording_cov": _rounded(statistics.between_covariance[code]),
                "within_recording_cov": _rounded(statistics.within_covariance[code]),
                "lag1_autocorrelation": _rounded(statistics.lag1[code]),
                "within_recording_mixture": mixed[code],
                "tilt_between_recording_sd": _rounded(tilt_between[code]),
                "tilt_within_recording_sd": _rounded(tilt_within[code]),
                "fluctuation": _rounded(statistics.fluctuation[code]),
                "fluctuation_by_chance": _rounded(even.fluctuation[code]),
                "burst_correlation": _rounded(together[code]),
                "mean_log_density": _rounded(statistics.log_density[code]),
            }
            for code, stage in enumerate(STAGES)
        },
    }


def _rounded(values: np.ndarray) -> list:
    return np.round(values, 4).tolist()


def mixtures(recordings: Sequence[Excerpts]) -> list[list[dict[str, Any]]]:
    """Per stage, how log band powers deviate from the recording's mean, as a mixture of MIXED normal distributions.

    Each has its share, mean (6,) and covariance (6, 6); rare ones are bursts of muscle, of movement, of slow waves.
    """
    found = []
    for stage in range(len(STAGES)):
        own = [recording.microvolts[recording.stage == stage].astype(np.float64) for recording in recordings]
        densities = [signal.welch(x, SAMPLING_RATE, **WELCH, axis=1)[1] for x in own if len(x) >= FEWEST_EXCERPTS]
        deviations = np.concatenate([power - power.mean(axis=0) for power in map(log_band_powers, densities)])
        mixture = GaussianMixture(MIXED, reg_covar=1e-3, random_state=0).fit(deviations)
        order = np.argsort(-mixture.weights_)
        found.append(
            [
                {
                    "share": round(float(mixture.weights_[i]), 4),
                    "mean": _rounded(mixture.means_[i]),
                    "covariance": _rounded(mixture.covariances_[i]),
                }
                for i in order
            ]
        )
    return found


def tilts(recordings: Sequence[Excerpts]) -> tuple[np.ndarray, np.ndarray]:
    """How the upper half of each band differs from the lower: the log ratio's standard deviation (5, 6 each).

    Between and within recordings, from peaks that lie elsewhere in others and at other times: a spindle's frequency.
    """
    halves = [(low, (low + high) / 2, high) for low, high in BANDS.values()]
    between, within = [], []
    for stage in range(len(STAGES)):
        own = [recording.microvolts[recording.stage == stage].astype(np.float64) for recording in recordings]
        densities = [signal.welch(x, SAMPLING_RATE, **WELCH, axis=1)[1] for x in own if len(x) >= FEWEST_EXCERPTS]
        ratios = []
        for density in densities:
            columns = []
            for low, middle, high in halves:
                lower = density[:, (low <= FREQUENCIES_HZ) & (middle > FREQUENCIES_HZ)].mean(axis=1)
                upper = density[:, (middle < FREQUENCIES_HZ) & (high >= FREQUENCIES_HZ)].mean(axis=1)
                columns.append(np.log(upper + POWER_FLOOR) - np.log(lower + POWER_FLOOR))
            ratios.append(np.column_stack(columns))
        means = np.array([ratio.mean(axis=0) for ratio in ratios])
        between.append(means.std(axis=0, ddof=1))
        pooled = np.concatenate([ratio - mean for ratio, mean in zip(ratios, means, strict=True)])
        within.append(pooled.std(axis=0))
    return np.array(between), np.array(within)


def burst_correlations(recordings: Sequence[Excerpts], noise: Sequence[Excerpts]) -> np.ndarray:
    """How far the bands wax and wane together (5, 6, 6): correlations of what log powers vary over seconds.

    noise : the excerpts with random phases, whose covariance, that of estimates, is taken off
    """
    found = []
    for stage in range(len(STAGES)):
        covariance = [_over_seconds(side, stage) for side in (recordings, noise)]
        values, vectors = np.linalg.eigh(covariance[0] - covariance[1])
        bursts = (vectors * np.maximum(values, 1e-4)) @ vectors.T
        scale = np.sqrt(np.diag(bursts))
        found.append(bursts / np.outer(scale, scale))
    return np.array(found)


def _over_seconds(recordings: Sequence[Excerpts], stage: int) -> np.ndarray:
    microvolts = np.concatenate([one.microvolts[one.stage == stage] for one in recordings]).astype(np.float64)
    log_power = np.log(powers_by_second(microvolts) + POWER_FLOOR)
    deviations = log_power - log_power.mean(axis=2, keepdims=True)
    return np.cov(np.moveaxis(deviations, 1, 0).reshape(len(BANDS), -1))


def random_phases(microvolts: np.ndarray) -> np.ndarray:
    """Excerpts (n, 500) of the same spectra, each frequency at a phase drawn at random: noise."""
    spectrum = np.fft.rfft(microvolts, axis=1)
    turned = spectrum * np.exp(2j * np.pi * np.random.default_rng(0).random(spectrum.shape))
    turned[:, [0, -1]] = spectrum[:, [0, -1]]
    return np.fft.irfft(turned, microvolts.shape[1], axis=1)


def mains(recordings: Sequence[Excerpts]) -> dict[str, float]:
    """How the log power of mains hum (uV squared) is spread over recordings and within them, and its frequency.

    The mean and deviation between recordings are those of the normal distribution whose upper quantiles are the
    recordings whose hum stands out: of the others it is only known that they have less.
    """
    humming = []
    frequencies = np.fft.rfftfreq(N_SAMPLES, 1 / SAMPLING_RATE)
    line, (low, high) = frequencies >= MAINS_HZ, MAINS_BESIDE_HZ
    for recording in recordings:
        density = signal.periodogram(recording.microvolts.astype(np.float64), SAMPLING_RATE, "hann", axis=1)[1]
        beside = np.median(density[:, (frequencies >= low) & (frequencies <= high)], axis=1)
        if np.median(density[:, line].mean(axis=1) / (beside + POWER_FLOOR)) > MAINS_STANDS_OUT:
            log_power = np.log(density[:, line].sum(axis=1) * frequencies[1] + POWER_FLOOR)
            humming.append((np.median(log_power), log_power.std(), density[:, line].mean(axis=0)))
    if len(humming) < 2:
        raise BenchmarkError(
            f"{len(humming)} of the {len(recordings)} recordings show the hum of the mains above {MAINS_HZ} Hz: "
            "expected two or more, as their spread is asked for; give the excerpts of all 39 recordings"
        )
    levels, deviations, densities = (np.array(column) for column in zip(*humming, strict=True))
    n = len(recordings)
    expected = stats.norm.ppf(1 - (np.arange(len(levels)) + 0.5) / n)
    deviation, mean = np.polyfit(expected, np.sort(levels)[::-1], 1)
    peak = frequencies[line][np.log(densities).mean(axis=0).argmax()]
    return {
        "frequency_hz": round(float(peak), 2),
        "recordings_humming": len(levels),
        "log_power_mean": round(float(mean), 3),
        "log_power_between_sd": round(float(deviation), 3),
        "log_power_within_sd": round(float(np.median(deviations)), 3),
    }
