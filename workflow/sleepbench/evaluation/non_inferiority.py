"""Non-inferiority: how much worse a network can be than another, against margins that were set beforehand.

A subject is the unit. Folds are not: any two of them share most of their training data, so that a fold is no
independent sample, and a test that takes folds for such finds differences that are none (Nadeau and Bengio 2003). Their
corrected test stands beside that over subjects.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from sleepbench.core.errors import BenchmarkError

NOT_INFERIOR, INFERIOR, NOT_DECIDABLE = "not inferior", "inferior", "not decidable"
ALPHA = 0.05
"""Of every one-sided test: bounds are one-sided 95 % bounds."""
POWER = 0.80
DRAWS, PRIOR = 10_000, 0.5
"""Draws of the Bayesian test, and the weight of its prior: that of half a subject without a difference."""


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences and what can be said of it; shares, as the differences are.

    n : of differences
    mean, sd : of them, sd with n - 1
    low, high : one-sided 95 % bounds of the mean, by the t distribution
    smallest_margin : the smallest that n differences with this sd can show with 80 % power, were there no difference
    reason : why there are no bounds; empty where there are
    """

    n: int
    mean: float = np.nan
    sd: float = np.nan
    low: float = np.nan
    high: float = np.nan
    smallest_margin: float = np.nan
    reason: str = ""


def paired_difference(differences: Sequence[float] | np.ndarray, unit: str = "subject") -> Difference:
    """What paired differences, (n,), say of their mean.

    A single difference has no bounds, nor have differences that are all the same: `reason` says so, of which `unit`.
    """
    # To 12 decimals, so that rounding errors are no spread.
    values = np.round(np.asarray(differences, dtype=float), 12)
    if values.size == 0:
        return Difference(0, reason=f"there is no {unit}")
    mean = float(values.mean())
    if values.size == 1:
        return Difference(1, mean, reason=f"a single {unit} has no spread, so no bound can be computed")
    if np.ptp(values) == 0:
        reason = f"the difference is the same in each {unit}, so no bound can be computed"
        return Difference(values.size, mean, 0.0, reason=reason)
    described = DescrStatsW(values)
    sd = float(values.std(ddof=1))
    low, high = map(float, described.tconfint_mean(alpha=2 * ALPHA))  # two-sided, of which each side is one-sided
    return Difference(values.size, mean, sd, low, high, sd * _detectable_effect(values.size))


@lru_cache(maxsize=1024)
def _detectable_effect(n: int) -> float:
    """The mean, in standard deviations, that a one-sided t test of n differences finds with 80 % power."""
    return float(TTestPower().solve_power(nobs=n, alpha=ALPHA, power=POWER, alternative="larger"))


def subjects_needed(sd: float, margin: float) -> int:
    """The fewest subjects whose differences show a margin with 80 % power, were there no difference; at least two.

    sd : of the differences over subjects, a share like the margin, above 0
    """
    check_margin(margin)
    if not sd > 0:
        raise BenchmarkError(f"the standard deviation is {sd!r}, expected a share above 0; correct the call")
    effect = margin / sd
    if effect >= _detectable_effect(2):
        return 2
    return math.ceil(TTestPower().solve_power(effect_size=effect, alpha=ALPHA, power=POWER, alternative="larger"))


def verdict(low: float, high: float, margin: float) -> str:
    """Whether a network is worse by the margin or more, from the one-sided 95 % bounds of its difference.

    The difference is the network's metric less that of the other.

    not inferior : the lower bound is above -margin
    inferior : the upper bound is below -margin
    not decidable : neither, or there are no bounds
    """
    check_margin(margin)
    if low > -margin:
        return NOT_INFERIOR
    return INFERIOR if high < -margin else NOT_DECIDABLE


def check_margin(margin: float) -> None:
    """BenchmarkError where a margin is not a share above 0."""
    if not 0 < margin < 1:
        raise BenchmarkError(f"the margin is {margin!r}, expected a share above 0 and below 1; correct the call")


def p_values(differences: Sequence[float] | np.ndarray, margin: float) -> tuple[float, float]:
    """One-sided p that the mean of paired differences, (n,), is not above -margin; and the p of TOST.

    TOST, two one-sided tests (Schuirmann 1987), asks for equivalence: that the mean is neither below -margin nor above
    margin. Both are NaN where `paired_difference` has no bounds.
    """
    check_margin(margin)
    if paired_difference(differences).reason:
        return np.nan, np.nan
    equivalent, (_, not_inferior, _), _ = DescrStatsW(np.asarray(differences, dtype=float)).ttost_mean(-margin, margin)
    return float(not_inferior), float(equivalent)


def signed_rank_probabilities(differences: Sequence[float] | np.ndarray, margin: float) -> tuple[float, float, float]:
    """Bayesian signed-rank test with a region of practical equivalence: P(worse), P(equivalent), P(better).

    Benavoli et al. 2014, 2017: the differences (n,) and one of zero get weights from a Dirichlet distribution; of each
    draw of weights, the most probable place of a Walsh average of two of them is counted: below -margin, in between, or
    above margin. The draws are the same for every call with as many differences. NaN without any difference.
    """
    check_margin(margin)
    values = np.asarray(differences, dtype=float)
    if values.size == 0:
        return np.nan, np.nan, np.nan
    padded = np.concatenate([[0.0], values])
    averages = np.round((padded[:, None] + padded) / 2, 12)
    weights = _drawn_weights(values.size)
    # An average of exactly the margin counts half, as in baycomp, which is no longer kept: its values are in the tests.
    above, below = (np.heaviside(np.round(sign * averages - margin, 12), 0.5) for sign in (1, -1))
    better, worse = ((weights @ place * weights).sum(axis=1) for place in (above, below))
    places = np.stack([worse, 1 - worse - better, better])
    # A tie between places is shared by them.
    largest = np.isclose(places, places.max(axis=0), rtol=0, atol=1e-12)
    return tuple((largest / largest.sum(axis=0)).mean(axis=1).tolist())


@lru_cache(maxsize=8)
def _drawn_weights(n: int) -> np.ndarray:
    """Weights of zero and of n differences, float64 (DRAWS, n + 1), read-only."""
    drawn = np.random.default_rng(0).dirichlet([PRIOR, *[1.0] * n], size=DRAWS)
    drawn.flags.writeable = False
    return drawn


@dataclass(frozen=True)
class CorrectedTest:
    """Nadeau and Bengio's corrected resampled t test of differences over folds; shares.

    n : folds, of all seeds together
    mean : of the differences
    low, high : one-sided 95 % bounds
    p : two-sided
    reason : why there are no bounds; empty where there are
    """

    n: int
    mean: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    reason: str = ""


def corrected_resampled_t(differences: Sequence[float] | np.ndarray, test_to_train: float) -> CorrectedTest:
    """Nadeau and Bengio's test of the differences of J folds, (J,): variance times 1 / J + n_test / n_train.

    Machine Learning 52:239-281 (2003), equation 10; folds of several seeds are J repetitions, as in Bouckaert and Frank
    (2004). The correction makes up for what the training sets share; it is a rule of thumb.

    Parameters
    ----------
    differences : of the metric on each fold
    test_to_train : test epochs by training epochs
    """
    values = paired_difference(differences, "fold")
    if values.reason:
        return CorrectedTest(values.n, values.mean, reason=values.reason)
    error = values.sd * np.sqrt(1 / values.n + test_to_train)
    reach = float(stats.t.ppf(1 - ALPHA, values.n - 1) * error)
    p = float(2 * stats.t.sf(abs(values.mean) / error, values.n - 1))
    return CorrectedTest(values.n, values.mean, values.mean - reach, values.mean + reach, p)
