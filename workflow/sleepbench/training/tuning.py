"""A recipe that is tuned: one training for each of its learning rates, of which the validation subjects choose one."""

import dataclasses
from collections.abc import Callable

from torch import nn

from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.epochs import EpochSet
from sleepbench.training.keys import chosen
from sleepbench.training.loop import DivergedError, Training
from sleepbench.training.timing import Timing


def tune(
    train_by: Callable[[Recipe, Checkpoint | None], Training],
    model: nn.Module,
    recipe: Recipe,
    validation: EpochSet,
    checkpoint: Checkpoint | None,
    timing: Timing,
    report: Callable[[str], None] = print,
) -> Training:
    """Train a model with each learning rate of a recipe, from the same weights; the best of these trainings.

    Kept is the training with the highest validation accuracy after any of its training epochs, of equals the one whose
    learning rate stands first in the recipe. A learning rate with which the training diverges is left out.

    Parameters
    ----------
    train_by : trains `model` in place by a recipe with one learning rate, with a checkpoint and `timing`
    validation : the epochs that choose
    checkpoint, timing, report : of all these trainings; as in `loop.train`

    BenchmarkError where no validation subjects are held out; DivergedError where all trainings diverge.
    """
    if not len(validation):
        raise BenchmarkError(
            f"recipe {recipe.name}: its learning rates are chosen on validation subjects, but none are held out; take "
            "a protocol that does, such as clean, or a recipe with one learning rate"
        )
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = checkpoint.load() if checkpoint else {}
    done = {name: kept[name] for name in ("tuning", "best") if name in kept} or {"tuning": [], "best": None}
    timing.resume(kept["training"].get("timing") if kept else None)
    for rate in recipe.learning_rates[len(done["tuning"]) :]:
        report(f"learning rate {rate:g}, {len(done['tuning']) + 1} of {len(recipe.learning_rates)}")
        model.load_state_dict(start)
        part = _PartOfCheckpoint(checkpoint, done) if checkpoint else None
        try:
            done = _with(done, rate, train_by(recipe.at_rate(rate), part))
        except DivergedError as error:
            report(f"learning rate {rate:g} is left out: {error}")
            left_out = {"learning_rate": rate, "training_epoch": None, "validation_accuracy": None}
            done = done | {"tuning": [*done["tuning"], left_out]}
        if checkpoint:
            checkpoint.save(done | {"training": {"timing": timing.totals}})
    taken = chosen(done["tuning"])
    if taken is None:
        rates = ", ".join(f"{rate:g}" for rate in recipe.learning_rates)
        raise DivergedError(f"the training diverges with all learning_rates, {rates}: add a lower one")
    report(f"learning rate {taken['learning_rate']:g} is taken: validation {taken['validation_accuracy']:.3f}")
    return Training(**done["best"] | {"tuning": done["tuning"]})


def _with(done: dict, rate: float, training: Training) -> dict:
    """What is known of the trainings so far, with another one."""
    best = max(training.history, key=lambda row: row["validation_accuracy"])
    found = {"learning_rate": rate, **{name: best[name] for name in ("training_epoch", "validation_accuracy")}}
    tuning = [*done["tuning"], found]
    return {"tuning": tuning, "best": dataclasses.asdict(training) if chosen(tuning) is found else done["best"]}


class _PartOfCheckpoint:
    """The checkpoint of one of several trainings; what is known of those before it is kept with it."""

    def __init__(self, whole: Checkpoint, before: dict):
        self.whole, self.before = whole, before

    def load(self) -> dict:
        """The state of this training but its times, which count for all; empty where it was not begun."""
        kept = self.whole.load()
        is_this = kept and len(kept["tuning"]) == len(self.before["tuning"])
        return {name: part for name, part in kept["training"].items() if name != "timing"} if is_this else {}

    def save(self, state: dict) -> None:
        """Keep a state of this training."""
        self.whole.save(self.before | {"training": state})
