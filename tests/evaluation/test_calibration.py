import numpy as np
import pandas as pd
import pytest
from cohort import certain, cohort
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.bootstrap import PROBABILITIES
from sleepbench.evaluation.calibration import BINS, expected_calibration_error, reliability_table


def slow_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """The expected calibration error, one bin at a time from its definition."""
    total = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@given(st.integers(0, 1000), st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([1, 10, BINS]))
@settings(max_examples=30)
def test_agrees_with_scikit_learn_and_with_the_definition(seed, skill, bins):
    predictions = cohort(2, skill=skill, seed=seed)
    confidence = predictions[list(PROBABILITIES)].to_numpy(dtype=float).max(axis=1)
    right = (predictions.stage == predictions.predicted).to_numpy()
    table = reliability_table(predictions, bins)
    filled = table[table.n_epochs > 0]
    accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=bins)
    assert filled.accuracy.to_numpy() == pytest.approx(accuracy)
    assert filled.confidence.to_numpy() == pytest.approx(mean_confidence)
    assert table.n_epochs.sum() == len(predictions)
    assert ((filled.low < filled.confidence) & (filled.confidence <= filled.high)).all()
    assert expected_calibration_error(table) == pytest.approx(slow_error(confidence, right, bins))


def test_table_has_every_bin_and_empty_ones_are_undefined():
    table = reliability_table(cohort(2))
    assert len(table) == BINS
    assert (table.n_epochs[:3] == 0).all()
    assert table.loc[:2, ["confidence", "accuracy"]].isna().all(axis=None)


def test_a_bin_includes_its_upper_bound():
    predictions = certain("SC4001", [0, 0], [0, 0])
    predictions[list(PROBABILITIES)] = [[0.6, 0.4, 0, 0, 0], [0.61, 0.39, 0, 0, 0]]
    assert reliability_table(predictions, bins=5).n_epochs.tolist() == [0, 0, 1, 1, 0]


def test_certain_and_right_is_calibrated_certain_and_wrong_is_not():
    predictions = certain("SC4001", [0, 1, 2, 3], [0, 1, 2, 3])
    predictions[list(PROBABILITIES)] = np.eye(5)[:4]
    assert expected_calibration_error(reliability_table(predictions)) == 0
    predictions["stage"] = [1, 2, 3, 4]
    assert expected_calibration_error(reliability_table(predictions)) == 1


def test_order_of_epochs_does_not_matter():
    predictions = cohort(2)
    shuffled = predictions.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(reliability_table(shuffled), reliability_table(predictions))


def test_spoiled_probabilities_are_refused():
    with pytest.raises(BenchmarkError, match="a probability is NaN"):
        reliability_table(cohort(1).assign(p_N3=np.nan))


def test_no_bins_are_refused():
    with pytest.raises(BenchmarkError, match="expected at least 1"):
        reliability_table(cohort(1), bins=0)
