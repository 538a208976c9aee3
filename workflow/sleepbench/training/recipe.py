"""Recipes: how a model is trained, as plain data, and what follows from it for the optimizer.

PyTorch is imported only when an optimizer is made, so that a configuration can be checked without it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.stages import STAGES
from sleepbench.training.augmentation import AUGMENTATIONS

if TYPE_CHECKING:
    import torch

OPTIMIZERS = ("adam",)
SCHEDULES = ("constant", "cosine", "cosine_restarts", "steps")
BATCH_UNITS = ("epochs", "sequences")
CLASS_WEIGHTS = ("none", "balanced", "class_aware")
CLASS_AWARE = (1.5, 2, 1.5, 1, 1.5)
"""By how much AttnSleep (IEEE TNSRE 2021) stresses W, N1, N2, N3 and REM."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Parameters
    ----------
    name : the recipe's name in the configuration
    learning_rate : of the constant schedule; at the start of the others, of "cosine_restarts" at that of each cycle
    schedule : "constant"; "cosine", half a cosine down to zero over all training epochs; "cosine_restarts"; "steps"
    batch_size : epochs of signal, or sequences of a sequence model, in an optimizer step
    training_epochs : passes over the training set, at most these where there is a patience
    optimizer : "adam"
    amsgrad : divide by the largest second moment seen so far
    epsilon : added to the root of the second moment after its bias correction, as PyTorch does; Keras adds it before
    first_cycle_steps : optimizer steps in the first cosine cycle
    cycle_multiplier : length of a cosine cycle in units of the one before
    steps : of the schedule "steps", pairs [n, rate]: the learning rate after n training epochs
    batch_unit : what `batch_size` counts for a model of sequences: "epochs" of signal or "sequences"
    weight_decay : L2 penalty on all parameters, its gradient added by Adam
    clip_norm : gradients of a larger norm, over all parameters, are scaled down to it
    class_weights : of the stages in the cross-entropy, by `class_weights_of`, or five numbers
    label_smoothing : share of the target that is spread evenly over all stages
    augmentation : names of `augmentation.AUGMENTATIONS`, in order
    patience : training ends when the validation accuracy has not risen for so many training epochs
    l2 : coefficient of half the sum of squares of the model's `l2_parameters()`, part of the loss
    balanced_sampling : repeat epochs of rarer stages in a training epoch; for models of single epochs
    learning_rate_of : the learning rate of some of the model's submodules, in place of `learning_rate`
    pretrain : a first stage, in which a part of the model is trained within another model
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
    steps: Sequence[Sequence[float]] | None = None
    batch_unit: str = "epochs"
    weight_decay: float = 0
    clip_norm: float | None = None
    class_weights: str | Sequence[float] = "none"
    label_smoothing: float = 0
    augmentation: Sequence[str] = ()
    patience: int | None = None
    l2: float = 0
    balanced_sampling: bool = False
    learning_rate_of: Mapping[str, float] = field(default_factory=dict)
    pretrain: "Pretraining | None" = None

    def __post_init__(self) -> None:
        for key, names in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("batch_unit", BATCH_UNITS)):
            self._check(key, getattr(self, key) in names, f"one of {', '.join(names)}")
        for key in ("amsgrad", "balanced_sampling"):
            self._check(key, isinstance(getattr(self, key), bool), "true or false")
        for key in ("learning_rate", "epsilon"):
            self._check(key, _is_positive(getattr(self, key)), "a number above 0")
        for key in ("weight_decay", "l2"):
            self._check(key, _is_number(getattr(self, key)), "a number of at least 0")
        for key in ("batch_size", "training_epochs"):
            self._check(key, _is_count(getattr(self, key)), "an integer of at least 1")
        for key in ("first_cycle_steps", "cycle_multiplier"):
            self._check_of_schedule(key, "cosine_restarts", _is_count(getattr(self, key)), "an integer of at least 1")
        self._check_of_schedule(
            "steps", "steps", _are_steps(self.steps), "pairs [training epoch, rate], ascending, such as [[10, 1.0e-4]]"
        )
        smoothing = self.label_smoothing
        self._check("label_smoothing", _is_number(smoothing) and smoothing < 1, "a number from 0 to below 1")
        self._check("clip_norm", self.clip_norm is None or _is_positive(self.clip_norm), "a number above 0")
        self._check("patience", self.patience is None or _is_count(self.patience), "an integer of at least 1")
        self._check(
            "class_weights",
            _are_class_weights(self.class_weights),
            f"{', '.join(CLASS_WEIGHTS)}, or a number above 0 for each of {', '.join(STAGES)}",
        )
        self._check(
            "augmentation",
            _is_list(self.augmentation) and all(name in AUGMENTATIONS for name in self.augmentation),
            f"a list of {', '.join(AUGMENTATIONS)}",
        )
        self._check(
            "learning_rate_of",
            isinstance(self.learning_rate_of, Mapping)
            and all(_is_positive(rate) for rate in self.learning_rate_of.values()),
            "numbers above 0 by names of submodules",
        )

    def _check(self, key: str, valid: bool, expected: str) -> None:
        if not valid:
            raise BenchmarkError(f"recipe {self.name}: {key} is {getattr(self, key)!r}, expected {expected}")

    def _check_of_schedule(self, key: str, schedule: str, valid: bool, expected: str) -> None:
        """Check a key that one schedule needs and the others do not have."""
        if self.schedule == schedule:
            self._check(key, valid, expected)
        else:
            self._check(key, getattr(self, key) is None, f"nothing: only the schedule {schedule} has it")

    @classmethod
    def from_config(cls, name: str, settings: Mapping[str, Any]) -> Self:
        """Make a recipe from its mapping in the configuration; BenchmarkError names a key that is wrong."""
        keys = [field.name for field in fields(cls) if field.name != "name"]
        for key in settings:
            if key not in keys:
                raise BenchmarkError(f"recipe {name}: there is no key {key!r}; {nearest(key, keys)}")
        required = [key.name for key in fields(cls) if key.name != "name" and _is_required(key)]
        missing = [key for key in required if key not in settings]
        if missing:
            raise BenchmarkError(f"recipe {name}: missing {', '.join(missing)}")
        pretrain = settings.get("pretrain")
        if pretrain is not None:
            settings = {**settings, "pretrain": Pretraining.from_config(f"{name}.pretrain", pretrain)}
        return cls(name=name, **settings)

    def items_per_batch(self, sequence_length: int | None) -> int:
        """Epochs in a batch of a model of single epochs (`sequence_length` None), sequences in one of the others."""
        if sequence_length is None or self.batch_unit == "sequences":
            return self.batch_size
        return max(1, self.batch_size // sequence_length)


@dataclass(frozen=True)
class Pretraining:
    """A first stage: `model` is trained by `recipe`, then the weights of its `submodule` are copied."""

    model: str
    submodule: str
    recipe: Recipe

    @classmethod
    def from_config(cls, name: str, settings: object) -> Self:
        """Make it from its mapping: the keys of a recipe, a model's name and that of a submodule."""
        if not isinstance(settings, Mapping):
            raise BenchmarkError(f"recipe {name}: is {settings!r}, expected a mapping")
        own = {"model", "submodule"}
        for key in own:
            if not isinstance(settings.get(key), str):
                raise BenchmarkError(f"recipe {name}: {key} is {settings.get(key)!r}, expected a name")
        for key in ("pretrain", "patience"):
            if settings.get(key) is not None:
                raise BenchmarkError(f"recipe {name}: a first stage has no {key}; remove it")
        recipe = Recipe.from_config(name, {key: value for key, value in settings.items() if key not in own})
        return cls(settings["model"], settings["submodule"], recipe)


def _is_required(key: Any) -> bool:
    return key.default is MISSING and key.default_factory is MISSING


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _are_steps(steps: object) -> bool:
    pairs = _is_list(steps) and all(_is_list(step) and len(step) == 2 for step in steps)
    if not pairs or not steps or not all(_is_count(n) and _is_positive(rate) for n, rate in steps):
        return False
    epochs = [n for n, _ in steps]
    return epochs == sorted(set(epochs))


def _are_class_weights(weights: object) -> bool:
    if not _is_list(weights):
        return weights in CLASS_WEIGHTS
    return len(weights) == len(STAGES) and all(_is_positive(weight) for weight in weights)


def learning_rate_at(recipe: Recipe, step: int, progress: float = 0) -> float:
    """Learning rate of an optimizer step, the first being 0, at which `progress` training epochs are done.

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


def cycle_ends(recipe: Recipe, n_steps: int) -> list[int]:
    """Numbers of optimizer steps done, at most `n_steps`, when a cosine cycle is complete; empty without cycles.

    After that many steps the learning rate is about to jump back to its peak, so the weights are at their most settled.
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


def class_weights_of(recipe: Recipe, stage: np.ndarray) -> np.ndarray | None:
    """Weights of the five stages in the loss, from the training labels alone; None when all are equal.

    With M labels, M_k of them of stage k: "balanced" is M / (5 M_k); "class_aware" is AttnSleep's (IEEE TNSRE 2021)
    mu_k max(1, ln(mu_k M / M_k)), mu_k being a fifth of `CLASS_AWARE`. A stage without labels is taken to have one.
    """
    if recipe.class_weights == "none":
        return None
    if not isinstance(recipe.class_weights, str):
        return np.array(recipe.class_weights, float)
    labels = np.maximum(np.bincount(stage, minlength=len(STAGES)), 1)
    if recipe.class_weights == "balanced":
        return len(stage) / (len(STAGES) * labels)
    stress = np.array(CLASS_AWARE) / len(STAGES)
    return stress * np.maximum(1, np.log(stress * len(stage) / labels))


def l2_parameters(model: "torch.nn.Module", recipe: Recipe) -> list["torch.nn.Parameter"]:
    """The parameters that the recipe's `l2` penalises; BenchmarkError where the model does not name any."""
    if not recipe.l2:
        return []
    if not hasattr(model, "l2_parameters"):
        raise BenchmarkError(
            f"recipe {recipe.name}: l2 is {recipe.l2}, but {type(model).__name__} does not say which of its parameters "
            "are penalised; take weight_decay, or add l2_parameters() to the model"
        )
    return [model.get_parameter(name) for name in model.l2_parameters()]


def make_optimizer(model: "torch.nn.Module", recipe: Recipe) -> "torch.optim.Optimizer":
    """The recipe's optimizer for all parameters of `model`, at the learning rates of step 0."""
    import torch

    groups, taken = [], set()
    for name, rate in recipe.learning_rate_of.items():
        parameters = list(submodule_of(model, name, f"recipe {recipe.name}: learning_rate_of").parameters())
        groups.append({"params": parameters, "relative_rate": rate / recipe.learning_rate})
        taken |= set(parameters)
    others = [parameter for parameter in model.parameters() if parameter not in taken]
    optimizer = torch.optim.Adam(
        [{"params": others, "relative_rate": 1.0}, *groups],
        lr=recipe.learning_rate,
        eps=recipe.epsilon,
        amsgrad=recipe.amsgrad,
        weight_decay=recipe.weight_decay,
    )
    set_learning_rate(optimizer, learning_rate_at(recipe, 0))
    return optimizer


def submodule_of(model: "torch.nn.Module", name: str, asked_by: str) -> "torch.nn.Module":
    """A submodule by name; BenchmarkError names those that there are, `asked_by` being the key that asks for it."""
    try:
        return model.get_submodule(name)
    except AttributeError:
        known = ", ".join(child for child, _ in model.named_children())
        raise BenchmarkError(f"{asked_by}: {type(model).__name__} has no part {name!r}, only {known}") from None


def set_learning_rate(optimizer: "torch.optim.Optimizer", learning_rate: float) -> None:
    """Set the learning rate of all parameters; those with a rate of their own keep its ratio to the others'."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["relative_rate"]
