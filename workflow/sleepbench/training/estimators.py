"""Models that are no networks: trained in one go, kept as bytes in place of weights."""

import pickle
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.models.base import Estimator
from sleepbench.models.registry import ModelInfo
from sleepbench.training.epochs import EpochSet
from sleepbench.training.loop import Training, evaluate
from sleepbench.training.timing import EVALUATION, TRAINING, Timing

STATE = "pickled"


def fit(
    estimator: Estimator,
    recipe: Recipe,
    sets: dict[str, EpochSet],
    seed: int,
    engine: str,
    info: ModelInfo,
    timing: Timing,
    report: Callable[[str], None] = print,
) -> Training:
    """Fit an estimator in place to the training set, as a training of one training epoch.

    It stands in for `loop.train`. Every selection rule takes the one training epoch. BenchmarkError on an empty
    training set.

    Nothing of the recipe applies but whether its schedule has cycles. The threads are those that torch is set to.
    `timing` counts reading the signals as training: an estimator reads them itself.
    """
    epochs = sets["train"]
    if not len(epochs):
        raise BenchmarkError("the training set holds no epochs")
    row = {"training_epoch": 1, "learning_rate": None}
    timing.start()
    with threadpool_limits(torch.get_num_threads()):
        estimator.fit(epochs.signals, epochs.stage, seed)
        timing.lap(TRAINING, trained=len(epochs))
        for name in ("train", "validation", "test"):
            row |= {f"{name}_{key}": value for key, value in evaluate(estimator, sets[name], engine, info).items()}
            timing.lap(EVALUATION, evaluated=len(sets[name]))
    before_cycle_ends = [1] if recipe.schedule == "cosine_restarts" else []
    report(f"fitted in one go  accuracy: training {row['train_accuracy']:.3f}  test {row['test_accuracy']:.3f}")
    remark = f"{info.name} is fitted in one go: the recipe {recipe.name} sets nothing of it"
    return Training([row], before_cycle_ends, {1: state_of(estimator)}, remarks=[remark])


def state_of(estimator: Estimator) -> dict[str, torch.Tensor]:
    """The estimator as a state_dict of one tensor, the bytes of its pickle."""
    return {STATE: torch.from_numpy(np.frombuffer(pickle.dumps(estimator), np.uint8).copy())}


def from_state(state: dict[str, torch.Tensor]) -> Estimator:
    """The estimator that `state_of` kept. Unpickling runs code: only of files that were made here."""
    return pickle.loads(state[STATE].numpy().tobytes())
