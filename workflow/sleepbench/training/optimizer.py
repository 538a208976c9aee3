"""Adam as a recipe asks for it: PyTorch's for one network, and one for the folds of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.training.schedule import learning_rate_at

if TYPE_CHECKING:
    from sleepbench.config.recipe import RecipeSettings

ADAM_BETAS = (0.9, 0.999)  # torch.optim.Adam's, which no recipe changes


def make_optimizer(model: nn.Module, recipe: RecipeSettings) -> torch.optim.Optimizer:
    """The recipe's optimizer for all parameters of `model`, at the learning rates of step 0."""
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


def submodule_of(model: nn.Module, name: str, asked_by: str) -> nn.Module:
    """The submodule of a model with this name.

    BenchmarkError where there is none; it lists those that exist. `asked_by` is the key that asks for it.
    """
    try:
        return model.get_submodule(name)
    except AttributeError:
        known = ", ".join(child for child, _ in model.named_children())
        raise BenchmarkError(f"{asked_by}: {type(model).__name__} has no part {name!r}, only {known}") from None


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of all parameters.

    Parameters with a learning rate of their own keep its ratio to that of the others.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["relative_rate"]


class StackedAdam:
    """torch.optim.Adam for the rows of a tensor, each with its own learning rate and step count."""

    def __init__(self, parameters: Tensor, recipe: RecipeSettings):
        self.parameters, self.recipe = parameters, recipe
        names = ("first", "second", "largest") if recipe.amsgrad else ("first", "second")
        self.state = {name: torch.zeros_like(parameters) for name in names}
        # Double, as are PyTorch's: in single precision 1 - 0.999 is wrong by some 1e-5 of it.
        self.state["steps"] = parameters.new_zeros(len(parameters), 1, dtype=torch.float64)

    def step(self, gradient: Tensor, rate: Tensor, active: Tensor | None) -> None:
        """Change the rows by their gradients (n_rows, n) at their rates (n_rows, 1), float64.

        Rows that are not `active`, bool (n_rows, 1), stay as they are, whatever their gradient; None: all are.
        """
        recipe, (beta1, beta2) = self.recipe, ADAM_BETAS
        if recipe.clip_norm is not None:
            norm = gradient.norm(dim=1, keepdim=True)
            gradient = gradient * (recipe.clip_norm / (norm + 1e-6)).clamp(max=1)  # as clip_grad_norm_
        if recipe.weight_decay:
            gradient = gradient.add(self.parameters, alpha=recipe.weight_decay)
        new = {
            "first": torch.lerp(self.state["first"], gradient, 1 - beta1),
            "second": (self.state["second"] * beta2).addcmul(gradient, gradient, value=1 - beta2),
            "steps": self.state["steps"] + 1,
        }
        divisor = new["second"]
        if recipe.amsgrad:
            divisor = new["largest"] = torch.maximum(self.state["largest"], new["second"])
        correction1, correction2 = 1 - beta1 ** new["steps"], 1 - beta2 ** new["steps"]
        size, root = (rate / correction1).to(gradient.dtype), correction2.sqrt().to(gradient.dtype)
        parameters = self.parameters - size * new["first"] / (divisor.sqrt() / root + recipe.epsilon)
        for tensor, changed in ((self.parameters, parameters), *((self.state[name], new[name]) for name in new)):
            tensor.copy_(changed if active is None else torch.where(active, changed, tensor))
