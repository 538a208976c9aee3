"""Recipes: how a model is trained, as plain data, and what follows from it for the optimizer.

PyTorch is imported only when an optimizer is made, so that a configuration can be checked without it.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from sleepbench.errors import BenchmarkError

if TYPE_CHECKING:
    import torch

OPTIMIZERS = ("adam",)
SCHEDULES = ("constant", "cosine_restarts")


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Parameters
    ----------
    name : the recipe's name in the configuration
    learning_rate : of the constant schedule, or at the start of each cosine cycle
    schedule : "constant" or "cosine_restarts"
    batch_size : epochs of signal in an optimizer step
    training_epochs : passes over the training set
    optimizer : "adam"
    amsgrad : divide by the largest second moment seen so far
    epsilon : added to the root of the second moment after its bias correction, as PyTorch does; Keras adds it before
    first_cycle_steps : optimizer steps in the first cosine cycle
    cycle_multiplier : length of a cosine cycle in units of the one before
    """

    name: str
    learning_rate: float
    schedule: str
    batch_size: int
    training_epochs: int
    optimizer: str = "adam"
    amsgrad: bool = False
    epsilon: float = 1e-8
    first_cycle_steps: int | None = None
    cycle_multiplier: int | None = None

    def __post_init__(self) -> None:
        self._check("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}")
        self._check("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        self._check("amsgrad", isinstance(self.amsgrad, bool), "true or false")
        for key in ("learning_rate", "epsilon"):
            value = getattr(self, key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self._check(key, number and 0 < value < math.inf, "a number above 0")
        for key in ("batch_size", "training_epochs"):
            self._check(key, _is_count(getattr(self, key)), "an integer of at least 1")
        for key in ("first_cycle_steps", "cycle_multiplier"):
            if self.schedule == "cosine_restarts":
                self._check(key, _is_count(getattr(self, key)), "an integer of at least 1")
            else:
                self._check(key, getattr(self, key) is None, "nothing: only the schedule cosine_restarts has it")

    def _check(self, key: str, valid: bool, expected: str) -> None:
        if not valid:
            raise BenchmarkError(f"recipe {self.name}: {key} is {getattr(self, key)!r}, expected {expected}")

    @classmethod
    def from_config(cls, name: str, settings: Mapping[str, Any]) -> Self:
        """Make a recipe from its mapping in the configuration; BenchmarkError names a key that is wrong."""
        keys = [field.name for field in fields(cls) if field.name != "name"]
        for key in settings:
            if key not in keys:
                nearest = difflib.get_close_matches(str(key), keys, n=1, cutoff=0)[0]
                raise BenchmarkError(f"recipe {name}: there is no key {key!r}; did you mean {nearest!r}?")
        required = [field.name for field in fields(cls) if field.name != "name" and field.default is MISSING]
        missing = [key for key in required if key not in settings]
        if missing:
            raise BenchmarkError(f"recipe {name}: missing {', '.join(missing)}")
        return cls(name=name, **settings)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Learning rate of an optimizer step, the first being 0.

    "cosine_restarts" is Keras' CosineDecayRestarts (Loshchilov and Hutter 2017) down to zero, with the same peak in
    every cycle, computed here in double precision.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    start, length = 0, recipe.first_cycle_steps
    while step >= start + length:
        start += length
        length *= recipe.cycle_multiplier
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - start) / length)) / 2


def cycle_ends(recipe: Recipe, n_steps: int) -> list[int]:
    """Numbers of optimizer steps done, at most `n_steps`, when a cosine cycle is complete; empty without cycles.

    After that many steps the learning rate is about to jump back to its peak, so the weights are at their most settled.
    """
    if recipe.schedule == "constant":
        return []
    ends = []
    end, length = recipe.first_cycle_steps, recipe.first_cycle_steps
    while end <= n_steps:
        ends.append(end)
        length *= recipe.cycle_multiplier
        end += length
    return ends


def make_optimizer(model: "torch.nn.Module", recipe: Recipe) -> "torch.optim.Optimizer":
    """The recipe's optimizer for all parameters of `model`, at the learning rate of step 0."""
    import torch

    return torch.optim.Adam(
        model.parameters(), lr=learning_rate_at(recipe, 0), eps=recipe.epsilon, amsgrad=recipe.amsgrad
    )


def set_learning_rate(optimizer: "torch.optim.Optimizer", learning_rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
