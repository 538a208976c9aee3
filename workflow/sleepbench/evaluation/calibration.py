"""Calibration: whether epochs predicted with a probability of 0.8 are right in 80 % of cases."""

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.bootstrap import check_predictions, probabilities

BINS = 15
"""Bins of the confidence, as Guo et al. 2017 (https://arxiv.org/abs/1706.04599) take them."""


def reliability_table(predictions: pd.DataFrame, bins: int = BINS, check: bool = True) -> pd.DataFrame:
    """Confidence and accuracy by bin of confidence: the table behind a reliability diagram.

    An epoch's confidence is its largest probability, that of the predicted stage. The bins are equally wide; bin m of M
    holds the confidences in ((m - 1) / M, m / M]. Of five stages the largest probability is at least 0.2, so the lowest
    bins are empty.

    Parameters
    ----------
    predictions : one row per test epoch, with the columns of predictions.parquet; BenchmarkError as `check_predictions`
    bins : number of bins
    check : whether `check_predictions` is still to be asked

    Returns
    -------
    One row per bin: `low`, `high`, its bounds; `n_epochs`; `confidence`, their mean confidence, and `accuracy`, the
    share of them whose predicted stage is the scored one, both NaN in an empty bin.
    """
    if check:
        check_predictions(predictions)
    if bins < 1:
        raise BenchmarkError(f"{bins} bins of the confidence were asked for, expected at least 1; correct the call")
    confidence = probabilities(predictions).max(axis=0)
    right = predictions.stage.to_numpy() == predictions.predicted.to_numpy()
    edges = np.linspace(0, 1, bins + 1)
    # Only the inner edges: a bin includes its upper one.
    bin_of = np.searchsorted(edges[1:-1], confidence, side="left")
    n_epochs = np.bincount(bin_of, minlength=bins)
    divisor = np.where(n_epochs, n_epochs, np.nan)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "n_epochs": n_epochs,
            "confidence": np.bincount(bin_of, weights=confidence, minlength=bins) / divisor,
            "accuracy": np.bincount(bin_of, weights=right, minlength=bins) / divisor,
        }
    )


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error, 0..1, from a `reliability_table`.

    The mean over epochs of the distance between the accuracy and the mean confidence of the epoch's bin (Guo et al.
    2017, equation 3).
    """
    filled = table[table.n_epochs > 0]
    return float(np.average((filled.accuracy - filled.confidence).abs(), weights=filled.n_epochs))
