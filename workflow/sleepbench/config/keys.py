"""The nouns: a training, a run of a protocol, and what is compared."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self


class Contender(NamedTuple):
    """What is compared: a model on an input by a recipe, all by their names."""

    model: str
    input: str
    recipe: str


@dataclass(frozen=True, order=True)
class TrainingKey:
    """What tells one training from every other, all by name."""

    dataset: str
    folds: str
    trimming: str
    model: str
    input: str
    recipe: str
    seed: int
    fold: int

    @classmethod
    def named(cls, wildcards: Any, fold: int | None = None) -> Self:
        """The training that a path names, by the parts of the path; `fold` where the path names several."""
        names = ("dataset", "folds", "trimming", "model", "input", "recipe")
        of_fold = int(wildcards.fold) if fold is None else fold
        return cls(*(getattr(wildcards, name) for name in names), int(wildcards.seed), of_fold)

    @property
    def contender(self) -> Contender:
        """The model, its input and its recipe."""
        return Contender(self.model, self.input, self.recipe)


@dataclass(frozen=True, order=True)
class PlannedRun:
    """A training as a protocol reads it: through its selection rule. Protocols may share a training."""

    training: TrainingKey
    protocol: str
    selection: str


@dataclass(frozen=True, order=True)
class CrossKey:
    """The networks of one dataset, tested on another: all folds of a contender's trainings with one seed."""

    trained: str
    tested: str
    model: str
    input: str
    recipe: str
    seed: int

    @classmethod
    def named(cls, wildcards: Any) -> Self:
        """What a path names, by the parts of the path."""
        names = ("trained", "tested", "model", "input", "recipe")
        return cls(*(getattr(wildcards, name) for name in names), int(wildcards.seed))

    @property
    def contender(self) -> Contender:
        """The model, its input and its recipe."""
        return Contender(self.model, self.input, self.recipe)
