"""What a training costs on this machine, timed on real trainings that are cut short.

They run side by side, as the workflow's jobs do.
"""

import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import psutil

from sleepbench.benchmarks import made_up
from sleepbench.benchmarks.made_up import made_up_epochs, made_up_night, silent
from sleepbench.config.recipe import Recipe, RecipeSettings
from sleepbench.core.processes import require_shared_memory
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.models import create_model, describe
from sleepbench.training import estimators
from sleepbench.training.loop import INFERENCE_BATCH, train, use_device
from sleepbench.training.stack import Stack, is_stackable
from sleepbench.training.timing import EVALUATION, TRAINING, WAITING, Timing

MOST_STEPS = 500


@dataclass(frozen=True)
class Timed:
    """What is timed: a model with so many channels by the settings of a recipe or of its first phase.

    `n_folds` is how many folds a job trains: at once, where a job would do so; `n_samples` are those of an epoch.
    """

    model: str
    n_channels: int
    settings: RecipeSettings
    n_folds: int = 1
    n_samples: int = SAMPLES_PER_EPOCH

    @property
    def recipe(self) -> Recipe:
        """One training epoch by these settings, and nothing before it.

        Sequences are cut, so that the epochs to be trained are known; they take the time of any others. The batch is
        as large as it is for the model.
        """
        own = {name: getattr(self.settings, name) for name in RecipeSettings.model_fields}
        batch = {"batch_size": self.settings.items_per_batch(describe(self.model)), "batch_unit": "sequences"}
        return Recipe(name="timed", **own | batch | {"sequences": "cut"}).at_most(1)

    @property
    def alike(self) -> tuple[str, int, int, int, str]:
        """What is equal for works whose steps are the same."""
        return self.model, self.n_channels, self.n_samples, self.n_folds, repr(self.recipe.settings())


@dataclass(frozen=True)
class Rates:
    """Seconds to train and to evaluate an epoch of 30 s, and to start a training.

    Training includes waiting for data.

    Where folds are trained at once, each one's share.
    """

    train_s: float
    evaluate_s: float
    start_s: float


def time_side_by_side(
    works: list[Timed], processes: int, threads: int, engine: str, device: str, seconds: float
) -> list[Rates]:
    """Rates of each work, as means over processes that do the same at the same time.

    The processes share caches and memory, as jobs do.

    `seconds` is how long the steps of one work are timed, after some that warm up.
    """
    require_shared_memory()
    context = multiprocessing.get_context("spawn")  # as a job starts: nothing is there yet
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _share, (barrier,)) as pool:  # tells when a process was killed
        jobs = [pool.submit(_time_works, works, threads, engine, device, seconds) for _ in range(processes)]
        found = [job.result() for job in jobs]
    return [
        Rates(*np.mean([(rates.train_s, rates.evaluate_s, rates.start_s) for rates in same], axis=0).tolist())
        for same in zip(*found, strict=True)
    ]


_together = None
"""In a process of the pool: what its processes wait at for each other."""


def _share(barrier: object) -> None:
    global _together
    _together = barrier


def _time_works(works: list[Timed], threads: int, engine: str, device: str, seconds: float) -> list[Rates]:
    start_s = time.time() - psutil.Process().create_time()
    found = []
    try:
        for work in works:
            _together.wait()
            found.append(time_work(work, threads, engine, device, seconds, start_s))
    except BaseException:
        _together.abort()  # nobody waits for a process that failed
        raise
    return found


def time_work(work: Timed, threads: int, engine: str, device: str, seconds: float, start_s: float) -> Rates:
    """Time a training of few steps and the evaluation after it.

    The first training is of one step, and only warms up unless that step takes `seconds` on a CPU.

    Whatever takes the place of `loop.train` in a job takes it here: the unit is a training with its `Timing`, or of a
    stack its second training epoch.
    """
    info = describe(work.model)
    recipe = work.recipe
    is_network = info.kind == "network"
    on = use_device(device if is_network else "cpu", threads)
    length = info.sequence_length or 1
    batch = recipe.items_per_batch(info) * length
    model = create_model(work.model, work.n_channels, n_samples=work.n_samples)
    if is_network:
        model.to(on)
    n_folds = work.n_folds if is_stackable(info, recipe, engine, on, work.n_channels * work.n_samples) else 1
    night = made_up_night(work.n_channels, n_samples=work.n_samples)
    in_evaluation = INFERENCE_BATCH * (1 if info.inference == "night" else length)

    def run(steps: int, evaluated: int) -> Timing:
        timing = Timing()
        sets = {"train": made_up_epochs(night, steps * batch), "test": made_up_epochs(night, evaluated)}
        sets["validation"] = made_up_epochs(night, 0)
        if n_folds > 1:
            return _second_training_epoch(Stack(model, recipe, [sets] * n_folds, 0, info, timing, silent))
        if is_network:
            train(model, recipe, sets, 0, engine, info, silent, timing=timing)
        else:
            estimators.fit(model, recipe, sets, 0, engine, info, timing, report=silent)
        return timing

    timing = run(1, in_evaluation)
    if on.type == "cuda" or _training_s(timing) < seconds:  # the first step ever on a GPU may take as long
        timing = run(2, in_evaluation)
        steps = math.ceil(2 * seconds / _training_s(timing))
        an_epoch = timing.totals[EVALUATION] / timing.totals["epochs_evaluated"]
        evaluated = math.ceil(seconds / 2 / an_epoch / in_evaluation) * in_evaluation
        # A model of whole nights is timed on whole nights, if that does not take ten times too long.
        least = made_up.NIGHT if info.inference == "night" and made_up.NIGHT * an_epoch < 5 * seconds else in_evaluation
        timing = run(min(max(steps, 2), MOST_STEPS), min(max(evaluated, least), 4 * made_up.NIGHT))
    counted = timing.totals
    return Rates(
        _training_s(timing) / counted["epochs_trained"],
        counted[EVALUATION] / counted["epochs_evaluated"],
        start_s / n_folds,
    )


def _second_training_epoch(stack: Stack) -> Timing:
    """Where the time of a stack's second training epoch and the evaluation after it goes.

    What is done once, such as making CUDA graphs, is in the first.
    """
    for _ in range(2):
        stack.timing = Timing()
        stack.training_epoch()
        stack.evaluate("test")
        stack.timing.lap(EVALUATION, evaluated=sum(map(len, stack.positions["test"])))
    return stack.timing


def _training_s(timing: Timing) -> float:
    return timing.totals[WAITING] + timing.totals[TRAINING]
