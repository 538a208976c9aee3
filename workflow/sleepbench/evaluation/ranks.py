"""Many networks at once: Friedman's test over subjects and Nemenyi's critical difference (Demsar 2006)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05
FEWEST_NETWORKS, FEWEST_SUBJECTS = 3, 3


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of networks and what tells them apart.

    mean_ranks : by network, from the best; 1 is the best in every subject, ties share their ranks
    letters : by network; networks that share a letter are not told apart
    chi_square, p : Friedman's test
    critical_difference : of two mean ranks, from which on they differ at 5 %, by Nemenyi's test
    """

    mean_ranks: pd.Series
    letters: pd.Series
    chi_square: float
    p: float
    critical_difference: float
    n_subjects: int


def ranking(values: pd.DataFrame) -> Ranking:
    """Rank networks (columns) within each subject (rows) by a metric of which more is better, without gaps.

    At least three networks and three subjects. Where all networks are the same in every subject, Friedman's test has
    nothing to test: its statistic is 0 and its p is 1.
    """
    # Not at the top: seaborn and pyplot come with it, which other statistics do not need.
    from scikit_posthocs import compact_letter_display, posthoc_nemenyi_friedman

    # To 12 decimals, so that rounding errors do not break ties.
    rounded = values.round(12)
    n_subjects, n_networks = rounded.shape
    ranks = rounded.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    p_values = posthoc_nemenyi_friedman(rounded.to_numpy())
    p_values.index = p_values.columns = rounded.columns
    ordered = p_values.loc[ranks.index, ranks.index]
    same = (rounded.nunique(axis=1) == 1).all()
    test = (0.0, 1.0) if same else stats.friedmanchisquare(*rounded.to_numpy().T)
    return Ranking(
        ranks,
        compact_letter_display(ordered, alpha=ALPHA).str.strip(),
        *map(float, test),
        critical_difference(n_networks, n_subjects),
        n_subjects,
    )


def critical_difference(n_networks: int, n_subjects: int) -> float:
    """Nemenyi's critical difference of two mean ranks at 5 % (Demsar 2006, section 3.2.2)."""
    quantile = stats.studentized_range.ppf(1 - ALPHA, n_networks, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(n_networks * (n_networks + 1) / (6 * n_subjects)))
