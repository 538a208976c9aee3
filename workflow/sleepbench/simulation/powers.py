"""Log band powers of each epoch of a simulated night, with the statistics of real nights.

Per stage the means, covariances and lag-1 autocorrelations are those of the real recordings.
"""

import numpy as np
from scipy import signal

from sleepbench.core.stages import STAGES, W
from sleepbench.simulation.calibration import N_BANDS, N_CHANNELS, WAKE_EPOCHS, StagePowers, stage_powers
from sleepbench.simulation.randomness import Part, Randomness

EOG_BETA_ATTENUATION = -2.45
"""The log gain of the low-pass at 15 Hz through which the table's EOG beta power was seen; raw signals lack it."""

STAGES_IN_COMMON = 0.7
"""Correlation over recordings of the deviations of different stages: a high alpha in wake is one in N2 too."""

ARTEFACT_LOG_GAIN = 2.0
ARTEFACT_SHARE_OF_WAKE = 0.005
"""About the share of wake epochs whose extreme amplitude kept them out of the table (348 of 65,951)."""


def _matrix_square_root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def _autoregressive(powers: StagePowers, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Deviations (epochs, 15) within a recording, as stationary AR(1) processes.

    The processes are correlated over the 15 features (channel by band).
    """
    rho = powers.lag1_autocorrelation
    innovation = _matrix_square_root(powers.within_recording * (1 - np.outer(rho, rho)))
    noise = random.standard_normal((epochs, len(rho))) @ innovation
    first = random.standard_normal(len(rho)) @ _matrix_square_root(powers.within_recording)
    deviations = np.empty_like(noise)
    for feature, coefficient in enumerate(rho):
        start = [coefficient * first[feature]]
        deviations[:, feature] = signal.lfilter([1], [1, -coefficient], noise[:, feature], zi=start)[0]
    return deviations


def simulate_powers(randomness: Randomness, stages: np.ndarray) -> np.ndarray:
    """Log band powers (n_epochs, 3, 5) of channels of variance one.

    Stage mean + deviation of the recording + deviation of the epoch; successive epochs *of a stage* are autocorrelated,
    as in the table.
    """
    random = randomness.stream(Part.POWERS)
    powers = np.empty((len(stages), N_CHANNELS * N_BANDS))
    deviations = randomness.partly_shared(Part.POWERS, (1 + len(STAGES), N_CHANNELS * N_BANDS))
    for stage, statistics in enumerate(stage_powers()):
        standard = np.sqrt(STAGES_IN_COMMON) * deviations[0] + np.sqrt(1 - STAGES_IN_COMMON) * deviations[1 + stage]
        recording = statistics.mean + standard @ _matrix_square_root(statistics.between_recording)
        epochs = np.flatnonzero(stages == stage)
        powers[epochs] = recording + _autoregressive(statistics, len(epochs), random)
    powers = powers.reshape(-1, N_CHANNELS, N_BANDS)
    _set_daytime_amplitude(powers, stages)
    powers[:, 2, -1] -= EOG_BETA_ATTENUATION
    return powers


def is_day(stages: np.ndarray) -> np.ndarray:
    """Which epochs (n_epochs,) are more than 30 min from sleep."""
    asleep = np.flatnonzero(stages != W)
    day = np.ones(len(stages), dtype=bool)
    day[max(0, asleep[0] - WAKE_EPOCHS) : asleep[-1] + 1 + WAKE_EPOCHS] = False
    return day


def _set_daytime_amplitude(powers: np.ndarray, stages: np.ndarray) -> None:
    """Shift the day's log powers in place so that each channel's variance over the recording is one.

    The table's powers are of channels z-scored over whole recordings, but describe only the night and the 30 min of
    wake either side; the day's amplitude is what remains. Within a factor of two, lest an unusual night make an absurd
    day.
    """
    day = is_day(stages)
    if day.mean() < 0.25:
        return
    variance = np.exp(powers).sum(axis=2)
    gain = (len(stages) - variance[~day].sum(axis=0)) / variance[day].sum(axis=0)
    powers[day] += np.log(np.clip(gain, 0.5, 2))[:, None]
