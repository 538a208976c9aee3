"""What powers vary by beside the table of whole epochs, so that five seconds look like five real ones.

The log band powers of Fpz-Cz deviate from the table's by as much as excerpts of 5 s vary within a recording more than
whole epochs do. An epoch has five moments of 6 s, each with its own slope within the bands.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from sleepbench.core.stages import N2
from sleepbench.simulation.bursts import burst_covariance, estimate_variance
from sleepbench.simulation.calibration import (
    DELTA,
    N_BANDS,
    N_CHANNELS,
    SIGMA,
    excerpt_powers,
    excerpts,
    matrix_square_root,
    stage_powers,
)
from sleepbench.simulation.randomness import Part, Randomness

MOMENTS_PER_EPOCH = 5
SHARED_BY_CHANNEL = np.array([1.0, 0.5, 0.0])
"""How much of Fpz-Cz's deviation Pz-Oz and EOG show; by hand, as the excerpts have neither."""
KEPT_VARIANCE = (0.15, 0.25, 0.25, 0.1, 0.1)
"""Share of the excerpts' surplus variance that epochs of each stage have, W to REM.

The rest stands for real epochs scored as another stage than theirs, most of them as W or N2; simulated ones never are.
By hand, so that a network trained on simulated excerpts does well on real ones.
"""
OWN_TILT = 0.7
"""Share of the variance of tilts between recordings that is drawn; the rest comes of the slopes from band to band."""
N2_SIGMA_SHARE = 0.3
"""Of the surplus variance of the log sigma power in N2; the rest is that of spindles."""


@dataclass(frozen=True)
class SurplusPowers:
    """Of one stage, Fpz-Cz: how epochs deviate from the table, as a mixture of normal distributions.

    share (3,), mean (3, 6), covariance (3, 6, 6) : of the distributions
    scale (5,) : what an epoch's deviations from the table are multiplied by
    louder : half of what the mean log delta power gains so that the smaller variance leaves mean power the same
    gamma (5,) : the sixth band's deviation per deviation of each of the others, within a recording
    gamma_of_recording (5,), gamma_residual : the same between recordings, and the standard deviation of the rest
    gamma_drift : standard deviation of what drifts of the sixth band, whatever the others do
    """

    share: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    scale: np.ndarray
    louder: float
    gamma: np.ndarray
    gamma_of_recording: np.ndarray
    gamma_residual: float
    gamma_drift: float


def _regression(covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients (5,) of the sixth feature on the other five, and the variance that they leave."""
    coefficients = np.linalg.solve(covariance[:N_BANDS, :N_BANDS], covariance[:N_BANDS, N_BANDS])
    return coefficients, float(max(covariance[N_BANDS, N_BANDS] - coefficients @ covariance[:N_BANDS, N_BANDS], 0))


@cache
def surplus_powers() -> tuple[SurplusPowers, ...]:
    """What is left of the excerpts' variance within recordings when the table's and the estimates' are taken off."""
    bands = np.array(list(excerpts()["bands_hz"].values()))
    estimate = estimate_variance(bands[:, 1] - bands[:, 0])
    found = []
    for stage, (own, table) in enumerate(zip(excerpt_powers(), stage_powers(), strict=True)):
        usual = own.covariance[0]
        uncertain = np.diag(estimate[stage]) + burst_covariance()[stage]
        gamma, gamma_rest = _regression(own.within_recording)
        gamma_of_recording, residual = _regression(own.between_recording)
        extend = np.vstack([np.eye(N_BANDS), gamma])
        slow = table.within_recording[:N_BANDS, :N_BANDS]
        # Of an epoch's variance no more than the commonest excerpts have, as the rest is in rare ones, or than lasts.
        lasting = own.lag1_autocorrelation * np.diag(own.within_recording)
        variance = np.maximum(np.diag(usual - uncertain), lasting)[:N_BANDS]
        scale = np.sqrt(np.minimum(1, variance / np.diag(slow)))
        slow = extend @ (slow * np.outer(scale, scale)) @ extend.T
        drift = min(gamma_rest, max(0, lasting[N_BANDS] - slow[N_BANDS, N_BANDS]))
        roots = [matrix_square_root(covariance - slow - uncertain) for covariance in own.covariance]
        fast = np.array([root @ root for root in roots])
        in_all = np.average(fast, axis=0, weights=own.share) + (own.deviation.T * own.share) @ own.deviation
        kept = np.full(N_BANDS + 1, KEPT_VARIANCE[stage])
        if stage == N2:
            kept[SIGMA] = N2_SIGMA_SHARE
        found.append(
            SurplusPowers(
                share=own.share / own.share.sum(),
                mean=own.deviation * np.sqrt(kept),
                covariance=fast * np.sqrt(np.outer(kept, kept)),
                scale=scale,
                louder=float((1 - KEPT_VARIANCE[stage]) * in_all[DELTA, DELTA] / 4),
                gamma=gamma,
                gamma_of_recording=gamma_of_recording,
                gamma_residual=float(np.sqrt(residual)),
                gamma_drift=float(np.sqrt(drift)),
            )
        )
    return tuple(found)


def simulate_tilts(randomness: Randomness, stages: np.ndarray) -> np.ndarray:
    """Tilts (n_epochs, 5 moments, 6 bands) of Fpz-Cz's log density within each band, lower edge to upper.

    A recording has its own, in all stages alike; the rest is drawn for each moment.
    """
    random = randomness.stream(Part.TILTS)
    noise = random.standard_normal((len(stages), MOMENTS_PER_EPOCH, N_BANDS + 1))
    recording = randomness.partly_shared(Part.TILTS, N_BANDS + 1)
    bands = np.array(list(excerpts()["bands_hz"].values()))
    # Of two halves of a band, estimated from windows that overlap by half.
    estimate = 1.45 * 2 * estimate_variance((bands[:, 1] - bands[:, 0]) / 2)
    between = np.sqrt(OWN_TILT) * np.array([own.tilt_between for own in excerpt_powers()])
    within = np.sqrt(np.maximum(np.array([own.tilt_within for own in excerpt_powers()]) ** 2 - estimate, 0))
    return between[stages][:, None] * recording + within[stages][:, None] * noise


def simulate_surplus(randomness: Randomness, stages: np.ndarray) -> np.ndarray:
    """Deviations (n_epochs, 3 channels, 6 bands) of log band powers that the table of whole epochs lacks.

    They last the epoch: excerpts, which are its first five seconds, do not tell whether they last shorter.
    """
    random = randomness.stream(Part.MOMENTS)
    noise = random.standard_normal((len(stages), N_BANDS + 1))
    chance = random.random(len(stages))
    frontal = np.empty_like(noise)
    for stage, powers in enumerate(surplus_powers()):
        kind = np.searchsorted(powers.share.cumsum()[:-1], chance, side="right")
        for i, (mean, covariance) in enumerate(zip(powers.mean, powers.covariance, strict=True)):
            own = (stages == stage) & (kind == i)
            frontal[own] = mean + noise[own] @ matrix_square_root(covariance)
    return frontal[:, None] * SHARED_BY_CHANNEL[:N_CHANNELS, None]
