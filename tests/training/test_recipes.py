"""Recipes, and the released optimizer and schedule against Keras."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from sleepbench.errors import BenchmarkError
from sleepbench.models.ulw_sleepnet import ULWSleepNet, load_keras_weights
from sleepbench.training.recipes import Recipe, cycle_ends, learning_rate_at, make_optimizer, set_learning_rate

REFERENCE = Path(__file__).parents[1] / "reference" / "ulw_sleepnet_reference.npz"
RELEASED = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "amsgrad": True,
    "epsilon": 1e-7,
    "schedule": "cosine_restarts",
    "first_cycle_steps": 10,
    "cycle_multiplier": 2,
    "batch_size": 32,
    "training_epochs": 50,
}
CONSTANT = {"learning_rate": 2e-4, "schedule": "constant", "batch_size": 128, "training_epochs": 3}


@pytest.fixture
def released():
    return Recipe.from_config("released", RELEASED)


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def test_schedule_is_that_of_keras(released, reference):
    expected = reference["lr_schedule_first_5000_steps"]
    found = [learning_rate_at(released, step) for step in range(5000)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_losses_of_twelve_steps_are_those_of_keras(released, reference):
    model = ULWSleepNet(n_channels=4).train()
    load_keras_weights(
        model, {name.removeprefix("weight/"): reference[name] for name in reference if name.startswith("weight/")}
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    epochs, target = torch.from_numpy(reference["input"]), torch.from_numpy(reference["target"])
    optimizer = make_optimizer(model, released)
    losses = []
    for step in range(12):
        set_learning_rate(optimizer, learning_rate_at(released, step))
        optimizer.zero_grad()
        loss = cross_entropy(model(epochs), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, reference["adam_losses"], rtol=0, atol=5e-4)


def test_cycles_end_where_the_learning_rate_is_lowest(released):
    ends = cycle_ends(released, 1000)
    assert ends == [10, 30, 70, 150, 310, 630]
    for end in ends:
        assert learning_rate_at(released, end - 1) < learning_rate_at(released, end - 2)
        assert learning_rate_at(released, end) == released.learning_rate


@pytest.mark.parametrize(("n_steps", "n_ends"), [(0, 0), (9, 0), (10, 1), (29, 1), (30, 2)])
def test_only_complete_cycles_have_an_end(released, n_steps, n_ends):
    assert len(cycle_ends(released, n_steps)) == n_ends


def test_cycles_may_keep_their_length():
    recipe = Recipe.from_config("equal", {**RELEASED, "cycle_multiplier": 1})
    assert cycle_ends(recipe, 35) == [10, 20, 30]
    assert [learning_rate_at(recipe, step) for step in (5, 15, 25)] == [learning_rate_at(recipe, 5)] * 3


def test_constant_schedule():
    recipe = Recipe.from_config("plain", CONSTANT)
    assert {learning_rate_at(recipe, step) for step in (0, 1, 10_000)} == {2e-4}
    assert cycle_ends(recipe, 10_000) == []


def test_optimizer_has_the_settings_of_the_recipe(released):
    model = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(model, released)
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.Adam)
    assert (group["lr"], group["eps"], group["amsgrad"], group["weight_decay"]) == (1e-3, 1e-7, True, 0)
    assert {id(parameter) for parameter in group["params"]} == {id(parameter) for parameter in model.parameters()}
    set_learning_rate(optimizer, 5e-5)
    assert group["lr"] == 5e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rte": 1e-3}, "recipe released: there is no key 'learning_rte'; did you mean 'learning_rate'"),
        ({"name": "other"}, "there is no key 'name'"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd', expected one of adam"),
        ({"schedule": "cosine"}, "schedule is 'cosine', expected one of constant, cosine_restarts"),
        ({"amsgrad": "yes"}, "amsgrad is 'yes', expected true or false"),
        ({"learning_rate": 0}, "learning_rate is 0, expected a number above 0"),
        ({"learning_rate": "1e-3"}, "learning_rate is '1e-3'"),  # how YAML reads 1e-3
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"batch_size": 32.0}, "batch_size is 32.0, expected an integer of at least 1"),
        ({"training_epochs": True}, "training_epochs is True"),
        ({"first_cycle_steps": 0}, "first_cycle_steps is 0"),
        ({"cycle_multiplier": None}, "cycle_multiplier is None"),
        ({"schedule": "constant"}, "first_cycle_steps is 10, expected nothing"),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises(BenchmarkError, match=message):
        Recipe.from_config("released", {**RELEASED, **change})


def test_missing_settings_are_named():
    with pytest.raises(BenchmarkError, match="recipe released: missing schedule, batch_size"):
        Recipe.from_config("released", {"learning_rate": 1e-3, "training_epochs": 1})
