from hypothesis import given
from hypothesis import strategies as st

from sleepbench.training.selection import Selections

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
