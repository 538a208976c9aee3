"""Adam as recipes ask for it, that of the released program against Keras."""

import numpy as np
import pytest
import torch
from fake_models import CONSTANT_RECIPE, ULW_RECIPE, recipe_of
from torch import nn
from torch.nn.functional import cross_entropy

from sleepbench.models.ulw_sleepnet import ULWSleepNet, load_keras_weights
from sleepbench.training.optimizer import StackedAdam, make_optimizer, set_learning_rate
from sleepbench.training.schedule import learning_rate_at


def test_losses_of_twelve_steps_are_those_of_keras(ulw, reference):
    model = ULWSleepNet(n_channels=4).train()
    load_keras_weights(
        model, {name.removeprefix("weight/"): reference[name] for name in reference if name.startswith("weight/")}
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    epochs, target = torch.from_numpy(reference["input"]), torch.from_numpy(reference["target"])
    optimizer = make_optimizer(model, ulw)
    losses = []
    for step in range(12):
        set_learning_rate(optimizer, learning_rate_at(ulw, step))
        optimizer.zero_grad()
        loss = cross_entropy(model(epochs), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, reference["adam_losses"], rtol=0, atol=5e-4)


def test_parts_of_a_model_have_learning_rates_of_their_own():
    model = torch.nn.Sequential()
    model.add_module("features", torch.nn.Linear(3, 2))
    model.add_module("head", torch.nn.Linear(2, 2))
    settings = {**CONSTANT_RECIPE, "learning_rate": 1e-4, "learning_rate_of": {"features": 1e-6}, "weight_decay": 0.01}
    optimizer = make_optimizer(model, recipe_of(settings, "two"))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == 4
    assert [rates[id(p)] for p in model.parameters()] == pytest.approx([1e-6, 1e-6, 1e-4, 1e-4])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.01]
    set_learning_rate(optimizer, 5e-5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-5, 5e-7])


def test_optimizer_has_the_settings_of_the_recipe(ulw):
    model = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(model, ulw)
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.Adam)
    assert (group["lr"], group["eps"], group["amsgrad"], group["weight_decay"]) == (1e-3, 1e-7, True, 0)
    assert {id(parameter) for parameter in group["params"]} == {id(parameter) for parameter in model.parameters()}
    set_learning_rate(optimizer, 5e-5)
    assert group["lr"] == 5e-5


def test_adam_is_as_exact_as_that_of_pytorch_in_float32():
    """Its bias correction above all, which is a small difference at first."""
    torch.manual_seed(0)
    gradients, rates = 10 * torch.randn(5, 2, 50), torch.full((2, 1), 1e-3, dtype=torch.float64)
    parameters = torch.zeros(2, 50)
    adam = StackedAdam(parameters, recipe_of(ULW_RECIPE))
    theirs = nn.Parameter(torch.zeros(2, 50))
    optimizer = torch.optim.Adam([theirs], lr=1e-3, eps=1e-7, amsgrad=True)
    for gradient in gradients:
        before = parameters.clone(), theirs.detach().clone()
        adam.step(gradient, rates, None)
        theirs.grad = gradient.clone()
        optimizer.step()
        assert torch.allclose(parameters - before[0], theirs.detach() - before[1], rtol=2e-6, atol=1e-9)
