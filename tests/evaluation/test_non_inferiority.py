"""Non-inferiority: bounds, verdicts, power, and the tests that stand beside them."""

import math
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.non_inferiority import (
    INFERIOR,
    NOT_DECIDABLE,
    NOT_INFERIOR,
    corrected_resampled_t,
    p_values,
    paired_difference,
    signed_rank_probabilities,
    subjects_needed,
    verdict,
)

ROOT = Path(__file__).parents[2]
TWENTY = (
    *(0.096, -0.132, 0.016, -0.033, -0.027, -0.016, -0.105, -0.017, -0.048, 0.16, 0.006, -0.023, -0.019, -0.038),
    *(-0.057, -0.024, 0.019, -0.017, 0.043, -0.015),
)
"""Differences whose probabilities baycomp 1.0.3 gives, by 200,000 draws."""
SIX = (1 / 64, 2 / 64, -3 / 64, 1 / 64, -2 / 64, 0.0)
"""Of which averages lie on a margin of 1 / 64; these are floats without rounding errors."""
SPREAD = np.linspace(-1, 1, 20)
Differences = st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=30)
Margin = st.floats(0.001, 0.5)


def at(differences, margin: float) -> str:
    found = paired_difference(differences)
    return verdict(found.low, found.high, margin)


@pytest.mark.parametrize(
    ("mean", "spread", "verdicts"),
    [
        (0.0, 0.01, (NOT_INFERIOR, NOT_INFERIOR)),  # equal networks
        (0.05, 0.01, (NOT_INFERIOR, NOT_INFERIOR)),
        (-0.05, 0.01, (INFERIOR, INFERIOR)),  # a clearly worse one
        (-0.015, 0.01, (INFERIOR, NOT_INFERIOR)),
        (-0.01, 0.08, (NOT_DECIDABLE, NOT_DECIDABLE)),
        (0.0, 0.05, (NOT_DECIDABLE, NOT_INFERIOR)),
    ],
)
def test_verdicts_at_one_and_two_points(mean, spread, verdicts):
    assert tuple(at(mean + spread * SPREAD, margin) for margin in (0.01, 0.02)) == verdicts


def test_a_bound_on_the_margin_decides_nothing():
    assert verdict(-0.01, 0.02, 0.01) == verdict(-0.03, -0.01, 0.01) == NOT_DECIDABLE


def test_bounds_are_those_of_one_sided_t_tests():
    found = paired_difference(TWENTY)
    for alternative, bound in (("greater", found.low), ("less", found.high)):
        interval = stats.ttest_1samp(TWENTY, 0, alternative=alternative).confidence_interval(0.95)
        assert [bound] == pytest.approx([one for one in interval if math.isfinite(one)])
    assert (found.n, found.mean, found.sd) == (
        20,
        pytest.approx(np.mean(TWENTY)),
        pytest.approx(np.std(TWENTY, ddof=1)),
    )


@pytest.mark.parametrize(("n", "points"), [(20, 2.87), (78, 1.41)])
def test_the_smallest_margin_has_80_percent_power(n, points):
    """Two real networks differ by subject with a standard deviation of 4.97 points."""
    spread = np.linspace(-1, 1, n)
    found = paired_difference(spread * 0.0497 / spread.std(ddof=1))
    assert 100 * found.smallest_margin == pytest.approx(points, abs=0.005)
    shift = found.smallest_margin / found.sd * np.sqrt(n)
    assert stats.nct.sf(stats.t.ppf(0.95, n - 1), n - 1, shift) == pytest.approx(0.80, abs=1e-4)
    # With a known spread it were a little smaller: 2.76 of 20 subjects.
    normal = (stats.norm.ppf(0.95) + stats.norm.ppf(0.80)) * found.sd / np.sqrt(n)
    assert normal < found.smallest_margin < 1.05 * normal


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("sd", [0.0233, 0.0497])
def test_the_subjects_needed_are_the_fewest_that_show_the_margin(sd, margin):
    n = subjects_needed(sd, margin)

    def smallest(n):
        spread = np.linspace(-1, 1, n)
        return paired_difference(spread * sd / spread.std(ddof=1)).smallest_margin

    assert smallest(n) <= margin < smallest(n - 1)


def test_a_spread_that_is_small_needs_two_subjects_and_none_is_refused():
    assert subjects_needed(0.0001, 0.02) == 2
    for sd in (0.0, -1.0, np.nan):
        with pytest.raises(BenchmarkError, match="standard deviation is"):
            subjects_needed(sd, 0.01)


def test_the_sample_sizes_of_the_checklist_are_those_computed():
    """By the spread between two real networks, and by those of the committed real excerpts."""
    page = " ".join((ROOT / "docs/tripod-ai.md").read_text(encoding="utf-8").split())
    spreads = [0.0497]
    archive = zipfile.ZipFile(ROOT / "docs/real-5s/sleep-edf-20-5s-results.zip")
    with archive, archive.open("results/sleep-edf-20-5s/tables/non_inferiority.csv") as table:
        rows = pd.read_csv(table)
    accuracy = rows[rows["metric"] == "accuracy"]
    for sd in [*spreads, *accuracy["sd"] / 100]:
        needed = [subjects_needed(sd, margin) for margin in (0.01, 0.02)]
        assert f"{100 * sd:.2f} | {needed[0]} | {needed[1]} |" in page
    assert len(accuracy) == 3


def test_bounds_hold_in_95_percent_and_power_is_as_promised():
    generator, n, draws = np.random.default_rng(5), 20, 1000
    found = [paired_difference(generator.normal(0, 0.05, n)) for _ in range(draws)]
    assert np.mean([one.low < 0 for one in found]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([one.high > 0 for one in found]) == pytest.approx(0.95, abs=0.02)
    margin = 0.05 * 0.5769  # the smallest that 20 differences can show
    assert np.mean([verdict(one.low, one.high, margin) == NOT_INFERIOR for one in found]) == pytest.approx(
        0.8, abs=0.04
    )


@given(Differences, Margin, Margin)
def test_verdicts_are_monotone_in_the_margin(differences, one, other):
    """A wider margin never makes a network inferior, nor takes back that it is not."""
    order = [INFERIOR, NOT_DECIDABLE, NOT_INFERIOR]
    narrow, wide = (order.index(at(differences, margin)) for margin in sorted((one, other)))
    assert narrow <= wide


@given(Differences, Margin)
def test_p_values_say_the_same_as_bounds(differences, margin):
    found = paired_difference(differences)
    not_inferior, equivalent = p_values(differences, margin)
    if found.reason:
        assert np.isnan([not_inferior, equivalent]).all() and at(differences, margin) == NOT_DECIDABLE
    elif abs(found.low + margin) > 1e-9:
        assert (not_inferior < 0.05) == (at(differences, margin) == NOT_INFERIOR)
        assert equivalent >= not_inferior - 1e-12


def test_tost_is_that_of_paired_values():
    values = np.random.default_rng(0).normal(0.8, 0.05, 20)
    p = ttost_paired(values + TWENTY, values, -0.05, 0.05)[0]
    assert p_values(TWENTY, 0.05)[1] == pytest.approx(p)


@pytest.mark.parametrize(
    ("differences", "margin", "expected"),
    [
        (TWENTY, 0.01, (0.92196, 0.002415, 0.075625)),
        (TWENTY, 0.02, (0.62119, 0.320135, 0.058675)),
        (SIX, 1 / 64, (0.137245, 0.78589, 0.076865)),
    ],
)
def test_the_bayesian_test_gives_what_baycomp_gives(differences, margin, expected):
    assert signed_rank_probabilities(differences, margin) == pytest.approx(expected, abs=0.01)


@given(st.lists(st.integers(-300, 300), min_size=1, max_size=8), st.sampled_from([0.01, 0.02]))
def test_probabilities_add_up_and_turn_round(thousandths, margin):
    differences = np.array(thousandths) / 1000
    worse, same, better = signed_rank_probabilities(differences, margin)
    assert worse + same + better == pytest.approx(1)
    assert signed_rank_probabilities(-differences, margin) == pytest.approx((better, same, worse))


def test_the_corrected_test_over_folds_is_that_of_nadeau_and_bengio():
    found = corrected_resampled_t(TWENTY[:10], 1 / 9)
    variance = 0.0015731155555555555  # baycomp's CorrelatedTTest of the same ten
    assert found.mean == pytest.approx(-0.0106)
    assert found.p == pytest.approx(2 * stats.t.sf(0.0106 / np.sqrt(variance), 9))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.95, 9) * np.sqrt(variance))
    plain = paired_difference(TWENTY[:10])
    assert found.low < plain.low and plain.high < found.high


@pytest.mark.parametrize(
    ("differences", "reason"),
    [([], "there is no"), ([0.02], "a single"), ([0.1 + 0.2, 0.3, 0.3], "the difference is the same in each")],
)
def test_without_a_spread_it_is_said_why_there_is_no_bound(differences, reason):
    for found in (paired_difference(differences), corrected_resampled_t(differences, 0.1)):
        assert found.reason.startswith(reason) and np.isnan([found.low, found.high]).all()
        assert verdict(found.low, found.high, 0.01) == NOT_DECIDABLE
    assert np.isnan(p_values(differences, 0.01)).all()


@pytest.mark.parametrize("margin", [0, -0.01, 1, math.nan])
def test_a_margin_that_is_none_is_refused(margin):
    for call in (
        lambda: verdict(0, 0, margin),
        lambda: p_values(SIX, margin),
        lambda: signed_rank_probabilities(SIX, margin),
    ):
        with pytest.raises(BenchmarkError, match="expected a share above 0 and below 1"):
            call()
