"""Schedules, that of the released program against Keras."""

import numpy as np
import pytest
from fake_models import CONSTANT_RECIPE, ULW_RECIPE, recipe_of
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.training.schedule import cycle_ends, epochs_before_cycle_ends, learning_rate_at


def test_schedule_is_that_of_keras(ulw, reference):
    expected = reference["lr_schedule_first_5000_steps"]
    found = [learning_rate_at(ulw, step) for step in range(5000)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_cycles_end_where_the_learning_rate_is_lowest(ulw):
    ends = cycle_ends(ulw, 1000)
    assert ends == [10, 30, 70, 150, 310, 630]
    for end in ends:
        assert learning_rate_at(ulw, end - 1) < learning_rate_at(ulw, end - 2)
        assert learning_rate_at(ulw, end) == ulw.learning_rate


@pytest.mark.parametrize(("n_steps", "n_ends"), [(0, 0), (9, 0), (10, 1), (29, 1), (30, 2)])
def test_only_complete_cycles_have_an_end(ulw, n_steps, n_ends):
    assert len(cycle_ends(ulw, n_steps)) == n_ends


def test_cycles_may_keep_their_length():
    recipe = recipe_of({**ULW_RECIPE, "cycle_multiplier": 1}, "equal")
    assert cycle_ends(recipe, 35) == [10, 20, 30]
    assert [learning_rate_at(recipe, step) for step in (5, 15, 25)] == [learning_rate_at(recipe, 5)] * 3


def test_constant_schedule():
    recipe = recipe_of(CONSTANT_RECIPE, "plain")
    assert {learning_rate_at(recipe, step) for step in (0, 1, 10_000)} == {2e-4}
    assert cycle_ends(recipe, 10_000) == []


def test_cosine_falls_to_zero_over_all_training_epochs():
    recipe = recipe_of({**CONSTANT_RECIPE, "learning_rate": 1e-3, "schedule": "cosine"}, "common")
    rates = [learning_rate_at(recipe, step, progress=step / 100) for step in range(301)]
    assert rates[0] == 1e-3 and rates[-1] == pytest.approx(0, abs=1e-18)
    assert rates[150] == pytest.approx(5e-4) and rates[75] == pytest.approx(1e-3 * (2 + 2**0.5) / 4)
    assert rates == sorted(rates, reverse=True)
    assert cycle_ends(recipe, 10_000) == []


def test_steps_of_the_learning_rate_are_in_training_epochs():
    settings = {**CONSTANT_RECIPE, "learning_rate": 1e-3, "schedule": "steps", "steps": [[1, 1e-4], [2, 1e-5]]}
    recipe = recipe_of(settings, "attn")
    rates = [learning_rate_at(recipe, 0, progress) for progress in (0, 0.99, 1, 1.5, 2, 2.9)]
    assert rates == [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    assert cycle_ends(recipe, 10_000) == []


@given(st.integers(1, 40), st.integers(1, 60))
def test_training_epochs_before_cycle_ends_are_followed_by_a_jump_of_the_learning_rate(steps_per_epoch, n):
    recipe = recipe_of(ULW_RECIPE | {"training_epochs": n})
    ends = cycle_ends(recipe, n * steps_per_epoch)
    found = epochs_before_cycle_ends(ends, [steps_per_epoch * epoch for epoch in range(1, n + 1)])
    # By the schedule itself: training epochs with a jump to the peak in the next training epoch, or at once.
    rates = [learning_rate_at(recipe, step) for step in range(n * steps_per_epoch + 1)]
    jumps = [step for step in range(1, len(rates)) if rates[step] > rates[step - 1]]
    assert found == {step // steps_per_epoch for step in jumps if step >= steps_per_epoch}
