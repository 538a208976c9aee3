"""The statistics of real recordings that simulated nights are calibrated to."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sleepbench.core.files import read_json
from sleepbench.core.shipped import shipped
from sleepbench.core.stages import EPOCH_SECONDS, STAGES

RESOURCES = shipped("resources")
STATISTICS = RESOURCES / "sleep_stage_statistics.json"
"""Of 153 whole nights: three channels, epochs of 30 s."""
EXCERPTS = RESOURCES / "sleep_stage_excerpts.json"
"""Of the first 5 s of each epoch of 39 of these nights: Fpz-Cz, in microvolts."""
EPOCHS_PER_HOUR = 3600 // EPOCH_SECONDS
EPOCHS_PER_DAY = 24 * EPOCHS_PER_HOUR
WAKE_EPOCHS = 60
"""Wake kept either side of sleep in the recordings that the statistics are of (30 min)."""

N_CHANNELS, N_BANDS = 3, 5
EXCERPT_SECONDS = 5
DELTA, _, ALPHA, SIGMA, BETA = range(N_BANDS)
FRONTAL = 0
"""The channel Fpz-Cz, which alone has a sixth band, 30 to 49 Hz."""


@dataclass(frozen=True)
class StagePowers:
    """Natural log band powers of one stage: 3 channels x 5 bands = 15 features, of z-scored channels."""

    mean: np.ndarray
    between_recording: np.ndarray
    within_recording: np.ndarray
    lag1_autocorrelation: np.ndarray


@dataclass(frozen=True)
class ExcerptPowers:
    """Natural log powers of one stage in excerpts of 5 s, Fpz-Cz in microvolts: 6 bands.

    share (3,), deviation (3, 6), covariance (3, 6, 6): the normal distributions that deviations within a recording are
    a mixture of. log_density (n_frequencies,): mean at `excerpts()["frequencies_hz"]`. tilt_between, tilt_within (6,):
    standard deviations of the log ratio of a band's upper half to its lower.
    """

    mean: np.ndarray
    between_recording: np.ndarray
    within_recording: np.ndarray
    lag1_autocorrelation: np.ndarray
    log_density: np.ndarray
    share: np.ndarray
    deviation: np.ndarray
    covariance: np.ndarray
    tilt_between: np.ndarray
    tilt_within: np.ndarray
    fluctuation: np.ndarray
    fluctuation_by_chance: np.ndarray
    burst_correlation: np.ndarray


@cache
def statistics() -> dict:
    """What is in STATISTICS."""
    return read_json(STATISTICS)


@cache
def excerpts() -> dict:
    """What is in EXCERPTS."""
    return read_json(EXCERPTS)


@cache
def excerpt_powers() -> tuple[ExcerptPowers, ...]:
    """The excerpts' statistics of each stage."""
    keys = ("within_recording_cov", "lag1_autocorrelation", "mean_log_density")
    mixed = ("share", "mean", "covariance")
    bands = np.array(list(excerpts()["bands_hz"].values()))
    # A log power from T seconds of a band B Hz wide, in overlapping windows, is too low by about 1.45 / 2BT.
    lost = 1.45 / (2 * EXCERPT_SECONDS * (bands[:, 1] - bands[:, 0]))
    return tuple(
        ExcerptPowers(
            np.array(own["mean"]) + lost,
            _between(own),
            *(np.array(own[key]) for key in keys),
            *(np.array([part[key] for part in own["within_recording_mixture"]]) for key in mixed),
            *(np.array(own[f"tilt_{where}_recording_sd"]) for where in ("between", "within")),
            *(np.array(own[key]) for key in ("fluctuation", "fluctuation_by_chance", "burst_correlation")),
        )
        for own in map(excerpts()["stages"].get, STAGES)
    )


def _between(own: dict) -> np.ndarray:
    """Covariance between recordings (6, 6) of a stage without that of the means of finitely many, alike excerpts."""
    lag1 = np.array(own["lag1_autocorrelation"])
    repeated = np.sqrt((1 + lag1) / (1 - lag1))
    of_means = np.array(own["within_recording_cov"]) * np.outer(repeated, repeated)
    return np.array(own["between_recording_cov"]) - of_means * excerpts()["recordings"] / own["n_excerpts"]


@cache
def frontal_microvolts() -> float:
    """Microvolts per unit of the z-scored Fpz-Cz: what sets the table's mean log powers level with the excerpts'."""
    pairs = zip(excerpt_powers(), _table(), strict=True)
    return float(np.exp(np.mean([own.mean[:N_BANDS] - table.mean[:N_BANDS] for own, table in pairs]) / 2))


def matrix_square_root(covariance: np.ndarray) -> np.ndarray:
    """Symmetric square root; negative eigenvalues count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


@cache
def _table() -> tuple[StagePowers, ...]:
    keys = ("mean", "between_recording_cov", "within_recording_cov", "lag1_autocorrelation")
    stages = statistics()["stages"]
    return tuple(StagePowers(*(np.array(stages[stage][key]) for key in keys)) for stage in STAGES)


@cache
def stage_powers() -> tuple[StagePowers, ...]:
    """The table's statistics of each stage, but that Fpz-Cz's means and spread between recordings are the excerpts'."""
    level, found = 2 * np.log(frontal_microvolts()), []
    for own, table in zip(excerpt_powers(), _table(), strict=True):
        # Mapped, not replaced, so that the whole is a covariance still.
        mapped = np.eye(len(table.mean))
        mapped[:N_BANDS, :N_BANDS] = matrix_square_root(own.between_recording[:N_BANDS, :N_BANDS]) @ np.linalg.inv(
            matrix_square_root(table.between_recording[:N_BANDS, :N_BANDS])
        )
        between = mapped @ table.between_recording @ mapped.T
        mean = np.r_[own.mean[:N_BANDS] - level, table.mean[N_BANDS:]]
        found.append(replace(table, mean=mean, between_recording=between))
    return tuple(found)
