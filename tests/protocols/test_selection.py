from hypothesis import given
from hypothesis import strategies as st

from sleepbench.protocols.selection import Selections, epochs_before_cycle_ends
from sleepbench.training.recipe import Recipe, cycle_ends, learning_rate_at

accuracies = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


@given(accuracies)
def test_best_is_the_first_maximum_and_last_is_last(pairs):
    selections = Selections(with_validation=True)
    for epoch, (validation, test) in enumerate(pairs, start=1):
        selections.update({"training_epoch": epoch, "validation_accuracy": validation, "test_accuracy": test})
    validation, test = zip(*pairs, strict=True)
    assert selections.selected == {
        "best_validation": 1 + validation.index(max(validation)),
        "best_test": 1 + test.index(max(test)),
        "last": len(pairs),
    }


def test_without_validation_subjects_nothing_is_selected_on_them():
    selections = Selections(with_validation=False)
    selections.update({"training_epoch": 1, "validation_accuracy": None, "test_accuracy": 0.0})
    assert selections.selected == {"best_test": 1, "last": 1}


@given(st.integers(1, 40), st.integers(1, 60))
def test_cycle_end_is_the_last_training_epoch_before_the_learning_rate_jumps_back(steps_per_epoch, n):
    recipe = Recipe("r", 1e-3, "cosine_restarts", 32, n, first_cycle_steps=10, cycle_multiplier=2)
    ends = cycle_ends(recipe, n * steps_per_epoch)
    steps_done = [steps_per_epoch * epoch for epoch in range(1, n + 1)]
    selections = Selections(False, epochs_before_cycle_ends(ends, steps_done))
    for epoch in range(1, n + 1):
        selections.update({"training_epoch": epoch, "validation_accuracy": None, "test_accuracy": 0.0})
    # By the schedule itself: the last training epoch with a jump to the peak in its next training epoch, or at once.
    rates = [learning_rate_at(recipe, step) for step in range(n * steps_per_epoch + 1)]
    jumps = [step for step in range(1, len(rates)) if rates[step] > rates[step - 1]]
    before = [step // steps_per_epoch for step in jumps if step >= steps_per_epoch]
    assert selections.selected.get("cycle_end") == (max(before) if before else None)
