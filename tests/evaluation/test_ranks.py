"""Ranks of many networks, Friedman's test and Nemenyi's critical difference."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sleepbench.evaluation.ranks import critical_difference, ranking

DEMSAR = pd.DataFrame(
    [
        *([0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967]),
        *([0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931]),
        *([0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875]),
        *([1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669]),
        *([0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970]),
    ],
    columns=["C4.5", "+m", "+cf", "+m+cf"],
)
"""Demsar 2006, table 6; where two round to 0.975, the paper ranks the first before the second."""


def test_ranks_are_those_of_the_paper_that_proposes_them():
    found = ranking(DEMSAR)
    assert found.mean_ranks.round(3).to_dict() == {"+m+cf": 1.964, "+m": 2.0, "+cf": 2.893, "C4.5": 3.143}
    assert round(found.critical_difference, 2) == 1.25 and found.n_subjects == 14
    # The paper's 9.28 is without the correction for ties, which SciPy makes.
    n, k = DEMSAR.shape
    plain = 12 * n / (k * (k + 1)) * ((found.mean_ranks**2).sum() - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=0.02)
    assert found.chi_square > plain and found.p == pytest.approx(stats.chi2.sf(found.chi_square, k - 1))


def test_letters_agree_with_the_critical_difference():
    generator = np.random.default_rng(0)
    level = np.linspace(0.7, 0.9, 12)
    values = pd.DataFrame(generator.normal(0, 0.05, (20, 12)) + level, columns=[f"m{i}" for i in range(12)])
    found = ranking(values)
    assert found.critical_difference == pytest.approx(critical_difference(12, 20))
    for one in values:
        for other in values:
            apart = abs(found.mean_ranks[one] - found.mean_ranks[other]) > found.critical_difference
            assert apart == (not {*found.letters[one]} & {*found.letters[other]})


def test_networks_that_are_all_the_same_are_not_told_apart():
    values = pd.DataFrame({name: [0.7, 0.1 + 0.2, 0.8] for name in "ab"} | {"c": [0.7, 0.3, 0.8]})
    found = ranking(values)
    assert (found.mean_ranks == 2).all() and set(found.letters) == {"a"}
    assert (found.chi_square, found.p) == (0, 1)
