import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics

codes = st.integers(0, 4)
scorings = st.integers(1, 60).flatmap(
    lambda n: st.tuples(hnp.arrays(np.int8, n, elements=codes), hnp.arrays(np.int8, n, elements=codes))
)


@given(scorings)
def test_agrees_with_scikit_learn(scoring):
    stage, predicted = scoring
    confusion = metrics.confusion_matrix(stage, predicted)
    assert (confusion == sk.confusion_matrix(stage, predicted, labels=range(5))).all()
    assert metrics.accuracy(confusion) == pytest.approx(sk.accuracy_score(stage, predicted))
    assert metrics.macro_f1(confusion) == pytest.approx(sk.f1_score(stage, predicted, average="macro"))
    if len(set(stage) | set(predicted)) > 1:
        assert metrics.cohen_kappa(confusion) == pytest.approx(sk.cohen_kappa_score(stage, predicted))
    present = sorted(set(stage) | set(predicted))
    expected = sk.f1_score(stage, predicted, labels=present, average=None)
    assert metrics.class_f1(confusion)[present] == pytest.approx(expected)


@given(scorings)
def test_recall_and_precision_agree_with_scikit_learn(scoring):
    stage, predicted = scoring
    confusion = metrics.confusion_matrix(stage, predicted)
    precision, recall, _, _ = sk.precision_recall_fscore_support(
        stage, predicted, labels=range(5), zero_division=np.nan
    )
    assert metrics.class_precision(confusion) == pytest.approx(precision, nan_ok=True)
    assert metrics.class_recall(confusion) == pytest.approx(recall, nan_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a stage that is predicted and never scored
        assert metrics.balanced_accuracy(confusion) == pytest.approx(sk.balanced_accuracy_score(stage, predicted))


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 4), st.just(5), st.just(5)), elements=codes))
def test_a_stack_of_matrices_has_the_metrics_of_each(confusions):
    values = metrics.metric_values(confusions)
    assert values.shape == (*confusions.shape[:2], len(metrics.METRICS))
    for position in np.ndindex(confusions.shape[:2]):
        one = metrics.summary(confusions[position])
        # Bit for bit: the accuracy of a history is compared with that of the predictions.
        np.testing.assert_array_equal(values[position], [one[name] for name in metrics.METRICS])
        assert all(type(one[name]) is float for name in metrics.METRICS)


@given(scorings, st.permutations(range(5)))
def test_names_of_stages_do_not_matter(scoring, order):
    confusion = metrics.confusion_matrix(*scoring)
    renamed = confusion[np.ix_(order, order)]
    for metric in (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1, metrics.cohen_kappa):
        assert metric(renamed) == pytest.approx(metric(confusion), nan_ok=True)
    assert metrics.class_recall(renamed) == pytest.approx(metrics.class_recall(confusion)[order], nan_ok=True)
    assert metrics.class_precision(confusion.T) == pytest.approx(metrics.class_recall(confusion), nan_ok=True)


@given(scorings, scorings)
def test_sum_of_folds_is_the_pooled_matrix(first, second):
    pooled = metrics.confusion_matrix(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    assert (metrics.confusion_matrix(*first) + metrics.confusion_matrix(*second) == pooled).all()


@given(scorings)
def test_names_of_cells_lead_back_to_the_matrix(scoring):
    confusion = metrics.confusion_matrix(*scoring)
    assert (metrics.confusion_from_items(metrics.confusion_items(confusion)) == confusion).all()


def test_absent_stage_has_no_f1_and_does_not_count_in_the_mean():
    confusion = metrics.confusion_matrix(np.array([0, 0, 2]), np.array([0, 2, 2]))
    assert np.isnan(metrics.class_f1(confusion)[[1, 3, 4]]).all()
    assert metrics.macro_f1(confusion) == pytest.approx(2 / 3)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(3 / 4)


@given(scorings)
def test_macro_f1_is_scikit_learns_over_the_stages_that_occur(scoring):
    confusion = metrics.confusion_matrix(*scoring)
    n = metrics.macro_f1_stages(confusion)
    assert n == len(set(scoring[0]) | set(scoring[1])) and type(n) is int
    every = {"labels": range(5), "average": "macro"}
    assert metrics.macro_f1(confusion) == pytest.approx(sk.f1_score(*scoring, average="macro"))
    assert metrics.macro_f1(confusion) == pytest.approx(sk.f1_score(*scoring, **every, zero_division=np.nan))
    # Over all five, with an F1 of 0 for a stage that does not occur, the same predictions look worse.
    assert metrics.macro_f1(confusion) * n / 5 == pytest.approx(sk.f1_score(*scoring, **every, zero_division=0))


def test_a_stage_that_is_only_predicted_counts_in_macro_f1():
    confusion = metrics.confusion_matrix(np.array([0, 0, 2, 2]), np.array([0, 4, 2, 2]))
    assert metrics.macro_f1(confusion) == pytest.approx((2 / 3 + 1 + 0) / 3)
    both = np.stack([confusion, np.zeros((5, 5), dtype=int)])
    assert metrics.macro_f1_stages(both).tolist() == [3, 0]
    assert np.isnan(metrics.macro_f1(both)[1])


@given(hnp.arrays(np.int64, (4, 5, 5), elements=codes))
def test_counts_of_a_sum_are_the_sum_of_the_counts(confusions):
    counts = metrics.stage_counts(confusions)
    assert counts.shape == (3, 5, 4)
    assert (counts.sum(axis=-1) == metrics.stage_counts(confusions.sum(axis=0))).all()
    np.testing.assert_array_equal(metrics.values_of_counts(counts).T, metrics.metric_values(confusions))


def test_recall_needs_scored_and_precision_predicted_epochs():
    confusion = metrics.confusion_matrix(np.array([0, 0]), np.array([0, 2]))
    assert metrics.class_recall(confusion) == pytest.approx([0.5, *[np.nan] * 4], nan_ok=True)
    assert metrics.class_precision(confusion) == pytest.approx([1, np.nan, 0, np.nan, np.nan], nan_ok=True)
    assert metrics.class_f1(confusion) == pytest.approx([2 / 3, np.nan, 0, np.nan, np.nan], nan_ok=True)


def test_undefined_metrics_are_nan():
    empty = np.zeros((5, 5), dtype=int)
    assert all(np.isnan(metrics.summary(empty)[name]) for name in metrics.METRICS)
    one_stage = metrics.confusion_matrix(np.zeros(9, int), np.zeros(9, int))
    assert metrics.accuracy(one_stage) == 1
    assert np.isnan(metrics.cohen_kappa(one_stage))


def test_summary_names_every_stage():
    assert {f"f1_{name}" for name in STAGES} <= set(metrics.summary(np.eye(5, dtype=int)))


@pytest.mark.parametrize(("stage", "predicted"), [([0, 1], [0]), ([0, 5], [0, 0]), ([0, 0], [0, -1]), ([[0]], [[0]])])
def test_bad_input_is_refused(stage, predicted):
    with pytest.raises(ValueError, match=r"expected 0\.\.4|one length"):
        metrics.confusion_matrix(np.array(stage), np.array(predicted))
