"""Log band powers of each epoch of a simulated night, with the statistics of real nights.

Per stage the means, covariances and lag-1 autocorrelations are those of the real recordings.
"""

from dataclasses import replace

import numpy as np
from scipy import signal

from sleepbench.core.stages import STAGES, W
from sleepbench.simulation.bursts import burst_covariance
from sleepbench.simulation.calibration import (
    DELTA,
    FRONTAL,
    N_BANDS,
    N_CHANNELS,
    WAKE_EPOCHS,
    StagePowers,
    excerpt_powers,
    frontal_microvolts,
    matrix_square_root,
    stage_powers,
)
from sleepbench.simulation.moments import surplus_powers
from sleepbench.simulation.randomness import Part, Randomness

EOG_BETA_ATTENUATION = -2.45
"""The log gain of the low-pass at 15 Hz through which the table's EOG beta power was seen; raw signals lack it."""

IN_COMMON_AWAKE, IN_COMMON_ASLEEP = np.array([[0.15, 0.7, 0.7, 0.65, 0.75], [0.75, 0.9, 0.9, 0.9, 0.93]])
"""Share by band of a recording's deviation at Fpz-Cz that all stages have: a high alpha in N1 is one in N2 too.

By them the correlations between stages are those of the excerpts: of sleep 0.75 to 0.93; of wake with sleep 0.8, but
0.3 for delta, which awake is of the eyes.
"""
IN_COMMON_ELSEWHERE = 0.1
"""The same share for Pz-Oz and EOG, of which there are no excerpts.

By hand, low enough that a logistic regression across subjects does no better than it may.
"""

GAMMA_LAG1 = 0.95
"""Correlation from epoch to epoch of the power above 30 Hz, which drifts with muscle tone and electrodes; by hand."""

ARTEFACT_LOG_GAIN = 2.0
ARTEFACT_SHARE_OF_WAKE = 0.005
"""About the share of wake epochs whose extreme amplitude kept them out of the table (348 of 65,951)."""


def _autoregressive(powers: StagePowers, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Deviations (epochs, 15) within a recording, as stationary AR(1) processes.

    The processes are correlated over the 15 features (channel by band).
    """
    rho = powers.lag1_autocorrelation
    innovation = matrix_square_root(powers.within_recording * (1 - np.outer(rho, rho)))
    noise = random.standard_normal((epochs, len(rho))) @ innovation
    first = random.standard_normal(len(rho)) @ matrix_square_root(powers.within_recording)
    deviations = np.empty_like(noise)
    for feature, coefficient in enumerate(rho):
        start = [coefficient * first[feature]]
        deviations[:, feature] = signal.lfilter([1], [1, -coefficient], noise[:, feature], zi=start)[0]
    return deviations


def slow_drift(epochs: int, lag1: float, random: np.random.Generator) -> np.ndarray:
    """A stationary AR(1) process (epochs,) of variance one."""
    start = [lag1 * random.standard_normal()]
    return signal.lfilter([1], [1, -lag1], np.sqrt(1 - lag1**2) * random.standard_normal(epochs), zi=start)[0]


def simulate_powers(randomness: Randomness, stages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log band powers (n_epochs, 3, 5) of channels of variance one, and Fpz-Cz's from 30 to 49 Hz (n_epochs,).

    Stage mean + deviation of the recording + deviation of the epoch; successive epochs *of a stage* are autocorrelated,
    as in the table.
    """
    random = randomness.stream(Part.POWERS)
    powers = np.empty((len(stages), N_CHANNELS * N_BANDS))
    deviations = randomness.partly_shared(Part.POWERS, (1 + len(STAGES), N_CHANNELS * N_BANDS))
    gamma, gamma_of_recording = np.empty(len(stages)), randomness.partly_shared(Part.MOMENTS, 1)[0]
    level = 2 * np.log(frontal_microvolts())
    drift = slow_drift(len(stages), GAMMA_LAG1, randomness.stream(Part.DRIFT))
    for stage, (statistics, excerpts, surplus) in enumerate(
        zip(stage_powers(), excerpt_powers(), surplus_powers(), strict=True)
    ):
        scale = np.ones(N_CHANNELS * N_BANDS)
        scale[:N_BANDS] = surplus.scale
        within = statistics.within_recording * np.outer(scale, scale)
        statistics = replace(statistics, within_recording=within)
        common = np.full(N_CHANNELS * N_BANDS, IN_COMMON_ELSEWHERE)
        common[:N_BANDS] = IN_COMMON_AWAKE if stage == W else IN_COMMON_ASLEEP
        standard = np.sqrt(common) * deviations[0] + np.sqrt(1 - common) * deviations[1 + stage]
        recording = standard @ matrix_square_root(statistics.between_recording)
        epochs = np.flatnonzero(stages == stage)
        deviation = _autoregressive(statistics, len(epochs), random)
        powers[epochs] = statistics.mean + recording + deviation
        powers[epochs, DELTA] += surplus.louder
        # Bursts keep the mean power, so they lower the mean of its logarithm.
        lost = np.diag(burst_covariance()[stage]) / 2
        powers[epochs, :N_BANDS] += lost[:N_BANDS]
        gamma[epochs] = excerpts.mean[N_BANDS] - level + lost[N_BANDS]
        gamma[epochs] += surplus.gamma_residual * gamma_of_recording + surplus.gamma_drift * drift[epochs]
        gamma[epochs] += surplus.gamma_of_recording @ recording[:N_BANDS] + deviation[:, :N_BANDS] @ surplus.gamma
    powers = powers.reshape(-1, N_CHANNELS, N_BANDS)
    gamma += _set_daytime_amplitude(powers, stages)[:, FRONTAL]
    powers[:, 2, -1] -= EOG_BETA_ATTENUATION
    return powers, gamma


def is_day(stages: np.ndarray) -> np.ndarray:
    """Which epochs (n_epochs,) are more than 30 min from sleep."""
    asleep = np.flatnonzero(stages != W)
    day = np.ones(len(stages), dtype=bool)
    day[max(0, asleep[0] - WAKE_EPOCHS) : asleep[-1] + 1 + WAKE_EPOCHS] = False
    return day


def _set_daytime_amplitude(powers: np.ndarray, stages: np.ndarray) -> np.ndarray:
    """Shift the day's log powers in place so that each channel's variance over the recording is one.

    Returns the shifts (n_epochs, 3).

    The table's powers are of channels z-scored over whole recordings, but describe only the night and the 30 min of
    wake either side; the day's amplitude is what remains. Within a factor of two, lest an unusual night make an absurd
    day.
    """
    day = is_day(stages)
    shifts = np.zeros(powers.shape[:2])
    if day.mean() < 0.25:
        return shifts
    variance = np.exp(powers).sum(axis=2)
    gain = (len(stages) - variance[~day].sum(axis=0)) / variance[day].sum(axis=0)
    shifts[day] = np.log(np.clip(gain, 0.5, 2))
    powers += shifts[:, :, None]
    return shifts
