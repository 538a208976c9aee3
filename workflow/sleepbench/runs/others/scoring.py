"""Scores of somebody else's predictions, by the functions that score our own runs."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.evaluation.bootstrap import (
    PROBABILITIES,
    bootstrap_intervals,
    per_subject_metrics,
    probabilities,
    subject_confusions,
)
from sleepbench.evaluation.calibration import expected_calibration_error, reliability_table
from sleepbench.evaluation.metrics import METRICS, confusion_matrix, macro_f1_stages, summary
from sleepbench.evaluation.sleep_measures import agreement, measures_per_night
from sleepbench.runs.others.labels import Labels, scored_in_hypnogram


def score(predictions: pd.DataFrame, labels: Sequence[Labels]) -> dict[str, Any]:
    """Everything that is computed of predictions; JSON values, None where a number is undefined.

    Parameters
    ----------
    predictions : recording, subject, night, epoch (index in the night), stage, predicted, hypnogram, and p_W to p_REM
        where there are probabilities; metrics are of `stage`, the table's own labels
    labels : how the labels of each recording agree with its hypnogram

    Returns
    -------
    n_epochs, n_recordings, n_subjects; confusion (5, 5), rows scored; pooled, every metric with its bootstrap interval
    over subjects; macro_f1_stages; subjects, every metric of each; sleep_measures, bias and limits of agreement over
    nights; calibration, None without probabilities; labels, of each recording; against_hypnograms, the pooled metrics
    by the hypnograms' stages where labels differ, else None.
    """
    confusions = subject_confusions(predictions, check=False)
    pooled = confusions[1].sum(axis=0)
    intervals = bootstrap_intervals(confusions[1])
    return _plain(
        {
            "n_epochs": len(predictions),
            "n_recordings": predictions.recording.nunique(),
            "n_subjects": len(confusions[0]),
            "confusion": pooled.tolist(),
            "pooled": intervals[["estimate", "low", "high"]].to_dict("index"),
            "macro_f1_stages": macro_f1_stages(pooled),
            "subjects": per_subject_metrics(confusions).reset_index().to_dict("records"),
            "sleep_measures": agreement(measures_per_night(predictions, check=False)).to_dict("index"),
            "calibration": _calibration(predictions) if PROBABILITIES[0] in predictions else None,
            "labels": [asdict(one) for one in labels],
            "against_hypnograms": _against_hypnograms(predictions) if any(one.differing for one in labels) else None,
        }
    )


def _calibration(predictions: pd.DataFrame) -> dict[str, Any]:
    """Reliability by bin of confidence, and in how many epochs another stage is predicted than the likeliest."""
    bins = reliability_table(predictions, check=False)
    probability = probabilities(predictions)
    chosen = probability[predictions.predicted.to_numpy(np.int64), np.arange(len(predictions))]
    return {
        "expected_calibration_error": expected_calibration_error(bins),
        "not_the_likeliest": int((chosen < probability.max(axis=0)).sum()),
        "bins": bins.to_dict("records"),
    }


def _against_hypnograms(predictions: pd.DataFrame) -> dict[str, Any]:
    """Pooled metrics by the hypnograms' stages, over the epochs that have one."""
    scored = predictions[scored_in_hypnogram(predictions)]
    values = summary(confusion_matrix(scored.hypnogram.to_numpy(), scored.predicted.to_numpy()))
    return {name: values[name] for name in ("n_epochs", *METRICS[:4])}


def _plain(value: Any) -> Any:
    """JSON values of NumPy's, None for NaN."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value
