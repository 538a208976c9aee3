"""Models that are no networks: trained in one go, kept as bytes in place of weights."""

import io
import pickle
from collections.abc import Callable
from typing import Any

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


def from_state(state: dict[str, torch.Tensor], like: Estimator) -> Estimator:
    """The estimator that `state_of` kept, of the class of `like`.

    A pickle may name anything to be called. So only files of results that were made here are read, and no archive has
    any; and what they name must be of the model's own module, of scikit-learn, or an array. BenchmarkError otherwise.
    """
    try:
        estimator = _OnlyEstimators(state[STATE].numpy().tobytes(), type(like).__module__).load()
        if type(estimator) is not type(like):
            raise pickle.UnpicklingError(f"it holds a {type(estimator).__name__}")
    except (pickle.UnpicklingError, KeyError, EOFError, AttributeError, ImportError, IndexError, TypeError) as error:
        raise BenchmarkError(
            f"the weights hold no {type(like).__name__} ({error}): an estimator is read from results that were made "
            "here alone, never from those of others; delete the fold's directory and run again"
        ) from error
    return estimator


class _OnlyEstimators(pickle.Unpickler):
    """Reads what estimators consist of: classes of one of our modules, of scikit-learn, and NumPy's arrays."""

    def __init__(self, content: bytes, module: str) -> None:
        super().__init__(io.BytesIO(content))
        self.module = module

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names, if it is harmless."""
        if "." not in name:
            found = super().find_class(module, name)
            of_ours = module == self.module or module.startswith("sklearn.")
            if (module, name) in OF_ARRAYS or (
                of_ours and (isinstance(found, type) or name.startswith("__pyx_unpickle_"))
            ):
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}")


OF_ARRAYS = {
    *(("numpy", name) for name in ("ndarray", "dtype")),
    *(("numpy._core.multiarray", name) for name in ("_reconstruct", "scalar")),
    *(("numpy.random._pickle", name) for name in ("__generator_ctor", "__bit_generator_ctor")),
    ("numpy.random._pcg64", "PCG64"),
    *(("numpy.random.bit_generator", name) for name in ("__pyx_unpickle_SeedSequence", "SeedSequence")),
}
"""What the pickles of arrays and of NumPy's random generator name."""
