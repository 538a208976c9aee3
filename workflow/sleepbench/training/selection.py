"""Selection rules: which training epoch is reported."""

from dataclasses import dataclass, field

BEST_OF = {"best_test": "test_accuracy", "best_validation": "validation_accuracy"}
"""Rules that take the training epoch with the highest value of a column of the history; the first one on a tie."""


@dataclass
class Selections:
    """Follows a training and keeps, for every rule that applies to it, the 1-based training epoch chosen so far."""

    with_validation: bool
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
