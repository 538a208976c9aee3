import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.protocols.selection import SELECTION_RULES, selected

accuracies = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


def history(pairs):
    """Rows with (validation, test) accuracies."""
    return [
        {"training_epoch": n, "validation_accuracy": validation, "test_accuracy": test}
        for n, (validation, test) in enumerate(pairs, start=1)
    ]


@given(accuracies)
def test_best_is_the_first_maximum_and_last_is_last(pairs):
    validation, test = zip(*pairs, strict=True)
    assert selected(history(pairs), ()) == {
        "best_test": 1 + test.index(max(test)),
        "best_validation": 1 + validation.index(max(validation)),
        "last": len(pairs),
    }


def test_without_validation_subjects_nothing_is_selected_on_them():
    assert selected(history([(None, 0.0)]), ()) == {"best_test": 1, "last": 1}


@pytest.mark.parametrize(("ends", "taken"), [((), None), ((2, 4), 4), ((2, 4, 9), 4), ((9,), None)])
def test_cycle_end_is_the_last_training_epoch_so_far_at_whose_end_a_cycle_ends(ends, taken):
    assert selected(history([(0, 0)] * 5), ends).get("cycle_end") == taken


@given(accuracies, st.sets(st.integers(1, 30)))
def test_a_rule_stays_with_its_choice_or_takes_the_newest(pairs, ends):
    """Weights are kept only of what is selected as a training goes on."""
    rows, before = history(pairs), {}
    for n in range(1, len(rows) + 1):
        now = selected(rows[:n], ends)
        assert all(training_epoch in (n, before.get(name)) for name, training_epoch in now.items())
        before = now


def test_rules_say_what_tables_and_reports_print_of_them():
    assert [rule.name for rule in SELECTION_RULES.values()] == list(SELECTION_RULES)
    for texts in ([r.looks_at for r in SELECTION_RULES.values()], [r.sentence for r in SELECTION_RULES.values()]):
        assert all(texts) and len(set(texts)) == len(texts)
    assert [name for name, rule in SELECTION_RULES.items() if rule.needs_validation] == ["best_validation"]
    assert [name for name, rule in SELECTION_RULES.items() if rule.needs_cycles] == ["cycle_end"]
