"""The loss of a recipe: cross-entropy with class weights, and an L2 penalty.

The penalty is on the parameters that the model names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

if TYPE_CHECKING:
    from sleepbench.config.recipe import RecipeSettings

IGNORED = -100  # the label of an epoch that does not count
CLASS_AWARE = (1.5, 2, 1.5, 1, 1.5)
"""By how much AttnSleep (IEEE TNSRE 2021) stresses W, N1, N2, N3 and REM."""


def class_weights_of(recipe: RecipeSettings, stage: np.ndarray) -> np.ndarray | None:
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


def cross_entropy_of(recipe: RecipeSettings, stage: np.ndarray, like: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The recipe's mean cross-entropy over the epochs of a batch that count, by their stages' weights.

    The recipe's `loss_mean` says what their sum is divided by. `stage` is that of the whole training set; the loss is
    for logits of the type and on the device of `like`.
    """
    weights = class_weights_of(recipe, stage)
    weight = None if weights is None else like.new_tensor(weights)
    settings = {"ignore_index": IGNORED, "label_smoothing": recipe.label_smoothing}
    if recipe.loss_mean == "weights":
        return nn.CrossEntropyLoss(weight, **settings)
    total = nn.CrossEntropyLoss(weight, **settings, reduction="sum")
    return lambda logits, labels: total(logits, labels) / (labels != IGNORED).sum()


def cross_entropies(logits: Tensor, labels: Tensor, class_weights: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of each fold (n_folds,), as `nn.CrossEntropyLoss` gives it.

    Means are over the epochs that are not `IGNORED`.

    `logits` are (n_folds, n, n_classes), `labels` (n_folds, n), `class_weights` (n_folds, n_classes). PyTorch's own
    picks out the epochs that count, so that the shape of what it computes depends on values: no CUDA graph can hold it.
    """
    n_classes = logits.shape[-1]
    counted = (labels != IGNORED).unsqueeze(-1)
    is_label = labels.unsqueeze(-1) == torch.arange(n_classes, device=labels.device)
    weights = class_weights.unsqueeze(1)
    of_label = is_label * weights
    target = of_label
    if smoothing:
        target = (1 - smoothing) * of_label + smoothing / n_classes * (counted * weights)
    return -(target * logits.log_softmax(dim=-1)).sum((1, 2)) / of_label.sum((1, 2))


def l2_parameters(model: Network, recipe: RecipeSettings) -> list[nn.Parameter]:
    """The parameters that the recipe's `l2` penalises; BenchmarkError where the model does not name any."""
    names = model.l2_parameters() if recipe.l2 else ()
    if recipe.l2 and not names:
        raise BenchmarkError(
            f"recipe {recipe.name}: l2 is {recipe.l2}, but {type(model).__name__} does not say which of its parameters "
            "are penalised; take weight_decay, or add l2_parameters() to the model"
        )
    return [model.get_parameter(name) for name in names]
