"""A recipe that is tuned: one training for each of its learning rates, of which the validation subjects choose one."""

import dataclasses
from collections.abc import Callable

from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.models.base import Network
from sleepbench.models.registry import ModelInfo
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.epochs import EpochSet
from sleepbench.training.loop import Training, train
from sleepbench.training.timing import Timing


def tune(
    model: Network,
    recipe: Recipe,
    sets: dict[str, EpochSet],
    seed: int,
    engine: str,
    info: ModelInfo,
    report: Callable[[str], None] = print,
    checkpoint: Checkpoint | None = None,
    timing: Timing | None = None,
) -> Training:
    """Train `model` in place with each learning rate of a recipe, from the same weights; the best of these trainings.

    It stands in for `loop.train`, whose parameters these are. Kept is the training with the highest validation accuracy
    after any of its training epochs, of equals the one whose learning rate stands first in the recipe. BenchmarkError
    where no validation subjects are held out.
    """
    if not len(sets["validation"]):
        raise BenchmarkError(
            f"recipe {recipe.name}: its learning rates are chosen on validation subjects, but none are held out; take "
            "a protocol that does, such as clean, or a recipe with one learning rate"
        )
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = checkpoint.load() if checkpoint else {}
    done = {name: kept[name] for name in ("tuning", "best") if name in kept} or {"tuning": [], "best": None}
    timing = timing or Timing()
    timing.resume(kept["training"].get("timing") if kept else None)
    for rate in recipe.learning_rates[len(done["tuning"]) :]:
        report(f"learning rate {rate:g}, {len(done['tuning']) + 1} of {len(recipe.learning_rates)}")
        model.load_state_dict(start)
        part = _PartOfCheckpoint(checkpoint, done) if checkpoint else None
        training = train(model, recipe.at_rate(rate), sets, seed, engine, info, report, part, timing)
        best = max(training.history, key=lambda row: row["validation_accuracy"])
        found = {"learning_rate": rate, **{n: best[n] for n in ("training_epoch", "validation_accuracy")}}
        is_best = all(found["validation_accuracy"] > other["validation_accuracy"] for other in done["tuning"])
        done = {
            "tuning": [*done["tuning"], found],
            "best": dataclasses.asdict(training) if is_best else done["best"],
        }
        if checkpoint:
            checkpoint.save(done | {"training": {"timing": timing.totals}})
    chosen = max(done["tuning"], key=lambda found: found["validation_accuracy"])
    report(f"learning rate {chosen['learning_rate']:g} is taken: validation {chosen['validation_accuracy']:.3f}")
    return Training(**done["best"] | {"tuning": done["tuning"]})


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
