"""Selection rules: which training epoch is reported."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SELECTIONS = ("best_test", "best_validation", "last", "cycle_end")
BEST_OF = {"best_test": "test_accuracy", "best_validation": "validation_accuracy"}
"""Rules that take the training epoch with the highest value of a column of the history; the first one on a tie."""


def epochs_before_cycle_ends(cycle_ends: Iterable[int], steps_done: Sequence[int]) -> frozenset[int]:
    """The last training epochs (1-based) that are complete when a cycle of the schedule ends.

    `cycle_ends` are numbers of optimizer steps, `steps_done` those after each training epoch. Cycles that end within
    the first training epoch have none.
    """
    return frozenset(bisect_right(steps_done, steps) for steps in cycle_ends) - {0}


@dataclass
class Selections:
    """Follows a training and keeps, for every rule that applies to it, the 1-based training epoch chosen so far.

    `before_cycle_ends` are the training epochs among which "cycle_end" takes the last; without any it does not apply.
    """

    with_validation: bool
    before_cycle_ends: frozenset[int] = frozenset()
    selected: dict[str, int] = field(default_factory=dict)
    _best: dict[str, float] = field(default_factory=dict)

    def update(self, row: dict) -> None:
        """Take note of the next row of the history."""
        for rule, column in BEST_OF.items():
            if rule == "best_validation" and not self.with_validation:
                continue
            if row[column] > self._best.get(rule, float("-inf")):
                self._best[rule] = row[column]
                self.selected[rule] = row["training_epoch"]
        self.selected["last"] = row["training_epoch"]
        if row["training_epoch"] in self.before_cycle_ends:
            self.selected["cycle_end"] = row["training_epoch"]
