"""Recipes: how a model is trained, as plain data."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from sleepbench.config.arrangements import STATEFUL
from sleepbench.core.stages import STAGES
from sleepbench.core.strict import Strict
from sleepbench.models.registry import ModelInfo

SCHEDULES_WITH_KEYS = {"cosine_restarts": ("first_cycle_steps", "cycle_multiplier"), "steps": ("steps",)}
"""Keys that one schedule needs and the others do not have."""

CLASS_WEIGHTS = ("none", "balanced", "class_aware")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
NotNegative = Annotated[float, Field(ge=0), AfterValidator(_finite)]
Share = Annotated[float, Field(ge=0, lt=1)]
Step = Annotated[tuple[int, float], Field(strict=False)]


class RecipeSettings(Strict):
    """The settings of a training that a first phase has as well; see `Recipe`."""

    learning_rate: Positive
    schedule: Literal["constant", "cosine", "cosine_restarts", "steps"]
    batch_size: Count
    training_epochs: Count
    optimizer: Literal["adam"] = "adam"
    amsgrad: bool = False
    epsilon: Positive = 1e-8
    first_cycle_steps: Count | None = None
    cycle_multiplier: Count | None = None
    steps: list[Step] | None = None
    batch_unit: Literal["epochs", "sequences", "authors"] = "epochs"
    sequences: Literal["cut", "overlapping", "balanced", "side_by_side", "stretches"] = "cut"
    drop_last: bool = False
    weight_decay: NotNegative = 0.0
    clip_norm: Positive | None = None
    frozen_norms: bool = False
    class_weights: str | list[Positive] = "none"
    loss_mean: Literal["weights", "epochs"] = "weights"
    label_smoothing: Share = 0.0
    augmentation: list[
        Literal["roll_10", "noise", "regional_noise", "elastic", "erase_30", "erase_33", "drop_channels"]
    ] = Field(default_factory=list)
    l2: NotNegative = 0.0
    balanced_sampling: bool = False
    learning_rate_of: dict[str, Positive] = Field(default_factory=dict)
    activations: Literal["float32", "bfloat16"] = "float32"

    @field_validator("class_weights")
    @classmethod
    def _known_weights(cls, weights: Any) -> Any:
        if weights not in CLASS_WEIGHTS if isinstance(weights, str) else len(weights) != len(STAGES):
            expected = f"{', '.join(CLASS_WEIGHTS)}, or a number above 0 for each of {', '.join(STAGES)}"
            raise ValueError(f"found {weights!r}, expected {expected}")
        return weights

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: list[tuple[int, float]] | None) -> list[tuple[int, float]] | None:
        epochs = [epoch for epoch, _ in steps or ()]
        wrong = steps is not None and (not steps or min(rate for _, rate in steps) <= 0 or epochs[0] < 1)
        if wrong or epochs != sorted(set(epochs)):
            expected = "pairs [training epoch, rate], ascending, such as [[10, 1.0e-4]]"
            raise ValueError(f"found {list(map(list, steps))}, expected {expected}")
        return steps

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.drop_last and self.sequences in STATEFUL:
            raise ValueError(f"drop_last is true, but sequences {self.sequences} have no such last batch; leave it out")
        return self

    @model_validator(mode="after")
    def _keys_of_schedule(self) -> Self:
        for schedule, keys in SCHEDULES_WITH_KEYS.items():
            for key in keys:
                if (getattr(self, key) is None) == (self.schedule == schedule):
                    need = "needs it" if self.schedule == schedule else f"does not have it, only {schedule} does"
                    raise ValueError(f"{key} is {getattr(self, key)}, but the schedule {self.schedule} {need}")
        return self

    def items_per_batch(self, info: ModelInfo) -> int:
        """Items in a batch: epochs for a model of single epochs, sequences for any other."""
        if info.sequence_length is None or self.batch_unit == "sequences":
            return self.batch_size
        if self.batch_unit == "authors" and info.authors_batch is not None:
            return info.authors_batch
        return max(1, self.batch_size // info.sequence_length)


class Pretraining(RecipeSettings):
    """A first phase: `model` is trained by these settings, then the weights of `submodule` are copied.

    name : what messages call it
    """

    model: str
    submodule: Annotated[str, Field(min_length=1)]
    name: str = Field(default="pretraining", exclude=True)


class Recipe(RecipeSettings):
    """How a model is trained.

    name : the recipe's name in the configuration
    learning_rate : of the constant schedule; at the start of the others, of "cosine_restarts" at that of each cycle
    schedule : "constant"; "cosine", half a cosine down to zero over all training epochs; "cosine_restarts"; "steps"
    batch_size : epochs of signal, or sequences of a sequence model, in an optimizer step
    training_epochs : passes over the training set, at most these where there is a patience
    amsgrad : divide by the largest second moment seen so far
    epsilon : added to the root of the second moment after its bias correction, as PyTorch does; Keras adds it before
    first_cycle_steps, cycle_multiplier : optimizer steps in the first cosine cycle; length of each in units of the last
    steps : of the schedule "steps", pairs [n, rate]: the learning rate after n training epochs
    batch_unit : what `batch_size` counts for a model of sequences: "epochs" of signal or "sequences"; with "authors" a
        batch of such a model has as many sequences as its authors', where that is known
    sequences : of a model of sequences, in a training epoch: "cut", every epoch in one of them; "overlapping", one
        starts at every epoch; "balanced", around epochs of all stages alike; "side_by_side", `batch_size` nights in
        order, with the recurrent state carried from batch to batch; "stretches", each night cut into `batch_size`
        stretches side by side, with the state carried
    drop_last : leave out the last batch of a training epoch where it is smaller than the others
    weight_decay : L2 penalty on all parameters, its gradient added by Adam
    clip_norm : gradients of a larger norm, over all parameters, are scaled down to it
    frozen_norms : batch norms stay in evaluation mode, with mean 0 and variance 1: a learned scale and shift
    class_weights : of the stages in the cross-entropy: "none", "balanced", "class_aware", or five numbers
    loss_mean : what the weighted cross-entropies of a batch are divided by: the sum of their "weights", or the number
        of "epochs"
    label_smoothing : share of the target that is spread evenly over all stages
    augmentation : names of `training.augmentation.AUGMENTATIONS`, in order
    learning_rates : one training each, of which the one with the highest validation accuracy is kept: the recipe is
        tuned on the validation subjects of the fold's training part
    patience : training ends when no training epoch was better on the validation set for so many of them
    patience_metric : what better is: a higher "accuracy" or "macro_f1", or "both", a higher accuracy and no lower F1
    l2 : coefficient of half the sum of squares of the parameters that the model names, part of the loss
    balanced_sampling : repeat epochs of rarer stages in a training epoch; for models of single epochs
    learning_rate_of : the learning rate of some of the model's submodules, in place of `learning_rate`
    activations : what passes through the network in training; "bfloat16" halves the bytes, which a GPU waits for.
        Weights, losses, statistics and all evaluation stay in single precision
    pretrain : a first phase, in which a part of the model is trained within another model
    """

    name: str = Field(exclude=True)
    learning_rates: Annotated[list[Positive], Field(min_length=2)] | None = None
    patience: Count | None = None
    patience_metric: Literal["accuracy", "macro_f1", "both"] = "accuracy"
    pretrain: Pretraining | None = None

    @field_validator("learning_rates")
    @classmethod
    def _different(cls, rates: list[float] | None) -> list[float] | None:
        if rates and len(set(rates)) < len(rates):
            raise ValueError(f"found {rates}, expected every learning rate once")
        return rates

    def settings(self) -> dict[str, Any]:
        """The settings that differ from the defaults, as JSON values, without the name.

        They are equal for recipes that train alike.
        """
        return self.model_dump(mode="json", exclude_defaults=True)

    def at_rate(self, learning_rate: float) -> "Recipe":
        """The recipe with this one learning rate."""
        return self.model_copy(update={"learning_rate": learning_rate, "learning_rates": None})

    def at_most(self, training_epochs: int | None) -> "Recipe":
        """The recipe with another number of training epochs; unchanged for None.

        A first phase keeps its own number, capped at this one.
        """
        if training_epochs is None:
            return self
        first = self.pretrain
        if first:
            first = first.model_copy(update={"training_epochs": min(training_epochs, first.training_epochs)})
        return self.model_copy(update={"training_epochs": training_epochs, "pretrain": first})


def recipe_from(name: str, settings: Mapping[str, Any]) -> Recipe:
    """A recipe from its mapping; pydantic.ValidationError where a key is wrong."""
    return Recipe.model_validate({**settings, "name": name})
