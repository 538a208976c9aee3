"""Selection rules: which training epoch is reported. To add one, add it to `SELECTION_RULES`.

A rule looks at the history alone, so it can be asked of a training that is finished: a rule that is added or corrected
trains nothing again where the weights of the training epoch that it takes were kept. No number of a training depends on
this file.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

History = Sequence[Mapping[str, float | None]]
"""Rows of history.csv, one for each training epoch: training_epoch (from 1), test_accuracy, validation_accuracy..."""


@dataclass(frozen=True)
class SelectionRule:
    """A rule by which one training epoch is taken.

    looks_at : where, as the audit's table has it
    sentence : what follows "the reported training epoch is selected"
    choose : of a history, at least one row, and of the training epochs at whose end a cycle of the schedule is about to
        end: the training epoch taken (from 1), or None where the rule does not apply. Weights are kept only of what a
        rule takes while the training runs: with each row the choice may stay as it was or become the newest.
    needs_validation, needs_cycles : whether it applies only with validation subjects, only with cycles
    """

    name: str
    looks_at: str
    sentence: str
    choose: Callable[[History, Collection[int]], int | None]
    needs_validation: bool = False
    needs_cycles: bool = False


def _highest(column: str) -> Callable[[History, Collection[int]], int | None]:
    """The training epoch with the highest value of a column, the first one on a tie."""

    def choose(history: History, before_cycle_ends: Collection[int]) -> int | None:
        known = [row for row in history if row[column] is not None]
        return max(known, key=lambda row: row[column])["training_epoch"] if known else None

    return choose


def _last(history: History, before_cycle_ends: Collection[int]) -> int:
    return history[-1]["training_epoch"]


def _last_before_a_cycle_ends(history: History, before_cycle_ends: Collection[int]) -> int | None:
    return max((n for n in before_cycle_ends if n <= len(history)), default=None)


SELECTION_RULES = {
    rule.name: rule
    for rule in (
        SelectionRule("best_test", "test fold", "on the test fold", _highest("test_accuracy")),
        SelectionRule(
            "best_validation",
            "validation subjects",
            "on validation subjects",
            _highest("validation_accuracy"),
            needs_validation=True,
        ),
        SelectionRule("last", "nowhere: last epoch", "on no data, the last epoch", _last),
        SelectionRule(
            "cycle_end",
            "nowhere: cycle end",
            "on no data, the last before a cycle ends",
            _last_before_a_cycle_ends,
            needs_cycles=True,
        ),
    )
}
"""By name."""


def selected(history: History, before_cycle_ends: Collection[int]) -> dict[str, int]:
    """The training epoch that each rule takes, of the rules that apply."""
    chosen = {name: rule.choose(history, before_cycle_ends) for name, rule in SELECTION_RULES.items()}
    return {name: training_epoch for name, training_epoch in chosen.items() if training_epoch is not None}
