"""How the signal of each band waxes and wanes within seconds, as bursts of real EEG do.

Noise of a given spectrum is nearly even over five seconds; the excerpts are not, in any stage or band: alpha, spindles,
slow waves, muscle and eyes come in bursts of about a second.
"""

from functools import cache

import numpy as np
from scipy import fft, ndimage

from sleepbench.core.stages import N2, N3, REM, SAMPLES_PER_EPOCH, SAMPLING_RATE, W
from sleepbench.simulation.calibration import (
    DELTA,
    EXCERPT_SECONDS,
    N_BANDS,
    SIGMA,
    excerpt_powers,
    excerpts,
    matrix_square_root,
)

KNOTS_PER_SECOND = 10
BURST_SECONDS = 0.25
"""Standard deviation of the bell that envelopes are smoothed with; by hand, for bursts of half a second to a second."""
EXCESS = np.array([5, 4.5, 4.5, 5, 3.5, 2.5])
"""By band, what the excess of a squared fluctuation is multiplied by to give the variance of a moment's power.

By hand, so that simulated excerpts fluctuate as much as real ones: over a second, bursts average out in part.
"""
SHARE_OF_NOISE = 0.6
"""Of the excess where a stage has events of its own: the rest is theirs (blinks, K-complexes, spindles, glances)."""
WITH_EVENTS = ((W, DELTA), (N2, DELTA), (N2, SIGMA), (N3, SIGMA), (REM, DELTA))
ORDER = 12
"""Steepness of the borders between bands."""


@cache
def envelope_strengths() -> np.ndarray:
    """Standard deviation (5 stages, 6 bands) of the log amplitude's changes within seconds."""
    found = np.array([own.fluctuation for own in excerpt_powers()])
    by_chance = np.array([own.fluctuation_by_chance for own in excerpt_powers()])
    excess = np.maximum(found**2 - by_chance**2, 0) / (1 + by_chance**2)
    for stage, band in WITH_EVENTS:
        excess[stage, band] *= SHARE_OF_NOISE
    return np.sqrt(np.log1p(EXCESS * excess) / 4)


def estimate_variance(width_hz: np.ndarray) -> np.ndarray:
    """Variance (5 stages, 6 bands) of a log power estimated from an excerpt of 5 s in bands `width_hz` (6,) wide.

    That of noise is about 1 / BT; bursts leave fewer independent samples.
    """
    return np.exp(4 * envelope_strengths() ** 2) / (EXCERPT_SECONDS * width_hz)


@cache
def burst_covariance() -> np.ndarray:
    """Covariance (5 stages, 6 bands, 6 bands) that envelopes give log powers estimated from an excerpt of 5 s."""
    apart = np.linspace(0, EXCERPT_SECONDS, 501)
    correlation = np.exp(-((apart / (2 * BURST_SECONDS)) ** 2))
    weights = 2 * (1 - apart / EXCERPT_SECONDS) / EXCERPT_SECONDS
    # Of an amplitude whose logarithm has the variance s^2, the power has the covariance exp(4 s^2 r) - 1.
    power = np.expm1(4 * envelope_strengths()[..., None] ** 2 * correlation)
    deviation = np.sqrt(np.log1p(np.trapezoid(weights * power, apart, axis=-1)))
    together = np.array([own.burst_correlation for own in excerpt_powers()])
    return together * deviation[:, :, None] * deviation[:, None, :]


def _envelopes(stages: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Smooth processes (6 bands, n_knots) of variance one, correlated as the bursts of each knot's stage are."""
    raw = random.standard_normal((N_BANDS + 1, len(stages)))
    smooth = ndimage.gaussian_filter1d(raw, BURST_SECONDS * KNOTS_PER_SECOND, axis=1)
    smooth /= smooth.std(axis=1, keepdims=True)
    roots = np.array([matrix_square_root(own.burst_correlation) for own in excerpt_powers()])
    return np.einsum("kij,jk->ik", roots[stages], smooth)


def wax_and_wane(samples: np.ndarray, stages: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Samples (n_epochs * 3000,) float32 with an envelope on each band; mean powers stay what they are.

    stages : (n_epochs,), which decide how strong the envelopes are
    """
    n = len(samples)
    padded = fft.next_fast_len(n + SAMPLES_PER_EPOCH, real=True)
    spectrum = fft.rfft(samples, padded)
    frequencies = fft.rfftfreq(padded, 1 / SAMPLING_RATE).astype(np.float32)
    step = SAMPLING_RATE // KNOTS_PER_SECOND
    n_knots = n // step + 1
    epochs = np.minimum(np.arange(n_knots) * step // SAMPLES_PER_EPOCH, len(stages) - 1)
    borders = [low for low, _ in list(excerpts()["bands_hz"].values())[1:]]
    below = np.zeros_like(frequencies)
    knots = _envelopes(stages[epochs], random)
    result = np.zeros_like(samples)
    for band, strengths in enumerate(envelope_strengths().T):
        strength = strengths[stages[epochs]]
        log_amplitude = strength * knots[band] - strength**2
        up_to = 1 / (1 + (frequencies / borders[band]) ** ORDER) if band < N_BANDS else np.ones_like(frequencies)
        part = fft.irfft(spectrum * (up_to - below), padded)[:n]
        below = up_to
        envelope = np.interp(np.arange(n) / step, np.arange(n_knots), np.exp(log_amplitude))
        result += part * envelope.astype(np.float32)
    return result
