from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepbench.core.stages import N1, N2, N3, REM, W
from sleepbench.postprocessing.hmm import HiddenMarkovModel, decoded, estimate, filtered, viterbi

ANY_SEED = st.integers(0, 2**32 - 1)


def random_model(generator: np.random.Generator) -> HiddenMarkovModel:
    initial, *rows = generator.dirichlet(np.full(5, 0.5), size=11) * 0.99 + 0.002
    return HiddenMarkovModel(initial, np.array(rows[:5]), np.array(rows[5:]))


def cut(*lengths: int) -> list[np.ndarray]:
    """Segments of the given lengths, one after the other."""
    return np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])


def log_probability(model: HiddenMarkovModel, path: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of paths (..., n) together with the predicted stages (n,)."""
    first = np.log(model.initial[path[..., 0]])
    moves = np.log(model.transition[path[..., :-1], path[..., 1:]]).sum(axis=-1)
    return first + moves + np.log(model.emission[path, predicted]).sum(axis=-1)


@settings(max_examples=60, deadline=None)
@given(seed=ANY_SEED, predicted=st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_viterbi_finds_the_best_of_all_paths(seed, predicted):
    model, predicted = random_model(np.random.default_rng(seed)), np.array(predicted)
    paths = np.array(list(product(range(5), repeat=len(predicted))))
    every = log_probability(model, paths, predicted)
    found = viterbi(model, predicted)
    assert log_probability(model, found, predicted) == pytest.approx(every.max(), abs=1e-9)
    if np.diff(np.sort(every)[-2:]) > 1e-9:  # one path is the best
        assert found.tolist() == paths[every.argmax()].tolist()


def test_of_equally_probable_paths_the_lowest_stages_are_taken():
    even = HiddenMarkovModel(np.full(5, 0.2), np.full((5, 5), 0.2), np.full((5, 5), 0.2))
    assert viterbi(even, np.array([4, 3, 2])).tolist() == [W, W, W]


def test_a_single_epoch_of_another_stage_is_smoothed_away_and_a_bout_is_not():
    sticky = HiddenMarkovModel(np.full(5, 0.2), np.full((5, 5), 0.02) + 0.9 * np.eye(5), np.full((5, 5), 0.1))
    sticky.emission[np.diag_indices(5)] = 0.6
    predicted = np.array([N2] * 5 + [W] + [N2] * 5 + [REM] * 6)
    assert viterbi(sticky, predicted).tolist() == [N2] * 11 + [REM] * 6


def test_a_long_night_does_not_underflow():
    model = random_model(np.random.default_rng(0))
    predicted = np.random.default_rng(1).integers(0, 5, 20_000)
    path = viterbi(model, predicted)
    assert np.isfinite(log_probability(model, path, predicted)) and set(path) <= set(range(5))


def test_parameters_are_those_counted_by_hand():
    stage = np.array([W, W, N1, N2, N2, W, N1])  # segments W W N1 | N2 N2 | W N1
    predicted = np.array([W, N1, N1, N2, N3, W, W])
    model = estimate(stage, predicted, cut(3, 2, 2))
    # Three segments begin with W, N2 and W; one is added to each of the five counts.
    assert model.initial == pytest.approx(np.array([3, 1, 2, 1, 1]) / 8)
    # W-W, W-N1 | N2-N2 | W-N1: neither N1-N2 nor N2-W, which cross a border.
    assert model.transition[W] == pytest.approx(np.array([2, 3, 1, 1, 1]) / 8)
    assert model.transition[N2] == pytest.approx(np.array([1, 1, 2, 1, 1]) / 6)
    assert model.transition[N1] == pytest.approx(np.full(5, 0.2))
    # W was predicted as W, N1, W; N1 as N1, W; N2 as N2, N3.
    assert model.emission[W] == pytest.approx(np.array([3, 2, 1, 1, 1]) / 8)
    assert model.emission[N1] == pytest.approx(np.array([2, 2, 1, 1, 1]) / 7)
    assert model.emission[N2] == pytest.approx(np.array([1, 1, 2, 2, 1]) / 7)


def test_a_stage_that_is_not_in_training_is_defined():
    stage = np.array([W, N2, N2, W])
    model = estimate(stage, stage, cut(4))
    for absent in (N3, REM):
        assert model.transition[absent] == pytest.approx(np.full(5, 0.2))
        assert model.emission[absent] == pytest.approx(np.full(5, 0.2))
    for part in (model.initial, model.transition, model.emission):
        assert (part > 0).all() and part.sum(axis=-1) == pytest.approx(1)
    assert set(viterbi(model, np.array([W, REM, N3, N2]))) <= {W, N1, N2, N3, REM}


def test_segments_of_one_epoch_have_no_transition():
    stage = np.array([W, N2, W])
    assert estimate(stage, stage, cut(1, 1, 1)).transition == pytest.approx(np.full((5, 5), 0.2))


@settings(max_examples=30, deadline=None)
@given(seed=ANY_SEED, lengths=st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_a_segment_is_smoothed_as_if_there_were_no_other(seed, lengths):
    generator = np.random.default_rng(seed)
    model, segments = random_model(generator), cut(*lengths)
    probabilities = generator.dirichlet(np.ones(5), size=sum(lengths))
    predicted = probabilities.argmax(axis=1)
    together, smooth = decoded(model, predicted, segments), filtered(probabilities, segments)
    for segment in segments:
        alone = [np.arange(len(segment))]
        assert together[segment].tolist() == decoded(model, predicted[segment], alone).tolist()
        assert np.array_equal(smooth[segment], filtered(probabilities[segment], alone))


@settings(max_examples=30, deadline=None)
@given(seed=ANY_SEED, length=st.integers(1, 40))
def test_filtered_probabilities_are_probabilities(seed, length):
    sharp = np.random.default_rng(seed).dirichlet(np.full(5, 0.05), size=length).astype(np.float32)
    smooth = filtered(sharp, cut(length))
    assert smooth.shape == sharp.shape and smooth.dtype == np.float64
    assert (smooth >= 0).all() and smooth.sum(axis=1) == pytest.approx(1)
    if length < 5:
        assert smooth == pytest.approx(sharp, abs=1e-6)


def test_the_filter_has_the_coefficients_of_its_authors():
    """Savitzky and Golay 1964, table I: -3, 12, 17, 12, -3 over 35 for five points and a quadratic."""
    probabilities = np.random.default_rng(0).dirichlet(np.full(5, 50.0), size=9)
    weights = np.array([-3, 12, 17, 12, -3]) / 35
    expected = [weights @ probabilities[i - 2 : i + 3] for i in range(2, 7)]
    assert filtered(probabilities, cut(9))[2:7] == pytest.approx(np.array(expected))
