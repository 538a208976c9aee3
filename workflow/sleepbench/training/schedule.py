"""The learning rate of every optimizer step, and where the cycles of a schedule end."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepbench.config.recipe import RecipeSettings


def learning_rate_at(recipe: RecipeSettings, step: int, progress: float = 0) -> float:
    """Learning rate of optimizer step `step` (from 0), after `progress` training epochs.

    "cosine_restarts" is Keras' CosineDecayRestarts (Loshchilov and Hutter 2017) down to zero, with the same peak in
    every cycle, computed here in double precision.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * progress / recipe.training_epochs)) / 2
    if recipe.schedule == "steps":
        return [recipe.learning_rate, *(rate for n, rate in recipe.steps if progress >= n)][-1]
    start, length = 0, recipe.first_cycle_steps
    while step >= start + length:
        start += length
        length *= recipe.cycle_multiplier
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - start) / length)) / 2


def cycle_ends(recipe: RecipeSettings, n_steps: int) -> list[int]:
    """Numbers of optimizer steps, up to `n_steps`, after which a cosine cycle is complete.

    After that many steps the learning rate is about to jump back to its peak, so the weights are at their most settled.
    Empty for a schedule without cycles.
    """
    if recipe.schedule != "cosine_restarts":
        return []
    ends = []
    end, length = recipe.first_cycle_steps, recipe.first_cycle_steps
    while end <= n_steps:
        ends.append(end)
        length *= recipe.cycle_multiplier
        end += length
    return ends


def epochs_before_cycle_ends(cycle_ends: Iterable[int], steps_done: Sequence[int]) -> frozenset[int]:
    """The last training epochs (1-based) that are complete when a cycle of the schedule ends.

    `cycle_ends` are numbers of optimizer steps, `steps_done` those after each training epoch. Cycles that end within
    the first training epoch have none.
    """
    return frozenset(bisect_right(steps_done, steps) for steps in cycle_ends) - {0}
