"""Recipes, and the released optimizer and schedule against Keras."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.ulw_sleepnet import ULWSleepNet, load_keras_weights
from sleepbench.training.recipe import (
    Recipe,
    class_weights_of,
    cycle_ends,
    learning_rate_at,
    make_optimizer,
    set_learning_rate,
)

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

FIRST_STAGE = {"model": "cnn", "submodule": "features", **CONSTANT}


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


def test_cosine_falls_to_zero_over_all_training_epochs():
    recipe = Recipe.from_config("common", {**CONSTANT, "learning_rate": 1e-3, "schedule": "cosine"})
    rates = [learning_rate_at(recipe, step, progress=step / 100) for step in range(301)]
    assert rates[0] == 1e-3 and rates[-1] == pytest.approx(0, abs=1e-18)
    assert rates[150] == pytest.approx(5e-4) and rates[75] == pytest.approx(1e-3 * (2 + 2**0.5) / 4)
    assert rates == sorted(rates, reverse=True)
    assert cycle_ends(recipe, 10_000) == []


def test_steps_of_the_learning_rate_are_in_training_epochs():
    settings = {**CONSTANT, "learning_rate": 1e-3, "schedule": "steps", "steps": [[1, 1e-4], [2, 1e-5]]}
    recipe = Recipe.from_config("attn", settings)
    rates = [learning_rate_at(recipe, 0, progress) for progress in (0, 0.99, 1, 1.5, 2, 2.9)]
    assert rates == [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    assert cycle_ends(recipe, 10_000) == []


@pytest.mark.parametrize(
    "steps", [None, [], 3, [[1, 1e-4, 1]], [1, 1e-4], [[2, 1e-4], [1, 1e-5]], [[0, 1e-4]], [[1, 0]], [[1.5, 1e-4]]]
)
def test_wrong_steps_are_named(steps):
    with pytest.raises(BenchmarkError, match=r"recipe r: steps is .*, expected pairs \[training epoch, rate\]"):
        Recipe.from_config("r", {**CONSTANT, "schedule": "steps", "steps": steps})


def test_a_batch_of_sequences_holds_as_many_epochs_or_so_many_sequences():
    def of(unit: str) -> list[int]:
        recipe = Recipe.from_config("r", {**CONSTANT, "batch_size": 128, "batch_unit": unit})
        return [recipe.items_per_batch(length) for length in (None, 1, 20, 128, 200)]

    assert of("epochs") == [128, 128, 6, 1, 1]
    assert of("sequences") == [128] * 5


def weights_by(class_weights: object, stage: list[int]) -> np.ndarray | None:
    return class_weights_of(Recipe.from_config("r", {**CONSTANT, "class_weights": class_weights}), np.array(stage))


def test_class_weights_follow_the_training_labels():
    stage = [0] * 50 + [1] * 5 + [2] * 30 + [3] * 10 + [4] * 5
    assert weights_by("none", stage) is None
    assert weights_by([1, 1.5, 1, 1, 1], stage).tolist() == [1, 1.5, 1, 1, 1]
    assert weights_by("balanced", stage) == pytest.approx([0.4, 4, 2 / 3, 2, 4])
    # AttnSleep: mu = (0.3, 0.4, 0.3, 0.2, 0.3); only N1 and REM are so rare that ln(mu M / M_k) is above 1.
    assert weights_by("class_aware", stage) == pytest.approx([0.3, 0.4 * np.log(8), 0.3, 0.2, 0.3 * np.log(6)])


@pytest.mark.parametrize("rule", ["balanced", "class_aware"])
def test_a_stage_that_does_not_occur_has_a_finite_weight(rule):
    assert np.isfinite(weights_by(rule, [0] * 9 + [2])).all()


def test_parts_of_a_model_have_learning_rates_of_their_own():
    model = torch.nn.Sequential()
    model.add_module("features", torch.nn.Linear(3, 2))
    model.add_module("head", torch.nn.Linear(2, 2))
    settings = {**CONSTANT, "learning_rate": 1e-4, "learning_rate_of": {"features": 1e-6}, "weight_decay": 0.01}
    optimizer = make_optimizer(model, Recipe.from_config("two", settings))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == 4
    assert [rates[id(p)] for p in model.parameters()] == pytest.approx([1e-6, 1e-6, 1e-4, 1e-4])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.01]
    set_learning_rate(optimizer, 5e-5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([5e-5, 5e-7])


def test_a_first_stage_is_a_recipe_of_its_own():
    stage = Recipe.from_config("deep", {**CONSTANT, "pretrain": FIRST_STAGE | {"batch_size": 7}}).pretrain
    assert (stage.model, stage.submodule, stage.recipe.batch_size) == ("cnn", "features", 7)
    assert stage.recipe.name == "deep.pretrain"


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
        (
            {"learning_rte": 1e-3},
            "recipe released: there is no key 'learning_rte'; the nearest known name is 'learning_rate'",
        ),
        ({"name": "other"}, "there is no key 'name'"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd', expected one of adam"),
        ({"schedule": "cosin"}, "schedule is 'cosin', expected one of constant, cosine, cosine_restarts, steps"),
        ({"amsgrad": "yes"}, "amsgrad is 'yes', expected true or false"),
        ({"learning_rate": 0}, "learning_rate is 0, expected a number above 0"),
        ({"learning_rate": "1e-3"}, "learning_rate is '1e-3'"),  # how YAML reads 1e-3
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"batch_size": 32.0}, "batch_size is 32.0, expected an integer of at least 1"),
        ({"training_epochs": True}, "training_epochs is True"),
        ({"first_cycle_steps": 0}, "first_cycle_steps is 0"),
        ({"cycle_multiplier": None}, "cycle_multiplier is None"),
        ({"schedule": "constant"}, "first_cycle_steps is 10, expected nothing"),
        ({"steps": [[1, 1e-4]]}, "steps is .*, expected nothing: only the schedule steps has it"),
        ({"weight_decay": -1e-4}, "weight_decay is -0.0001, expected a number of at least 0"),
        ({"l2": None}, "l2 is None, expected a number of at least 0"),
        ({"clip_norm": 0}, "clip_norm is 0, expected a number above 0"),
        ({"class_weights": "balance"}, "class_weights is 'balance', expected none, balanced, class_aware, or a number"),
        ({"class_weights": [1, 1, 1, 1]}, "class_weights is .* for each of W, N1, N2, N3, REM"),
        ({"class_weights": [1, 1, 1, 1, 0]}, "class_weights is"),
        ({"label_smoothing": 1}, "label_smoothing is 1, expected a number from 0 to below 1"),
        ({"augmentation": ["roll_20"]}, r"augmentation is \['roll_20'\], expected a list of roll_10"),
        ({"augmentation": "roll_10"}, "augmentation is 'roll_10', expected a list"),
        ({"patience": 0}, "patience is 0, expected an integer of at least 1"),
        ({"balanced_sampling": 1}, "balanced_sampling is 1, expected true or false"),
        ({"batch_unit": "windows"}, "batch_unit is 'windows', expected one of epochs, sequences"),
        ({"learning_rate_of": {"cnn": 0}}, "learning_rate_of is .*, expected numbers above 0 by names of submodules"),
        ({"learning_rate_of": [1e-4]}, "learning_rate_of is"),
        ({"pretrain": "cnn"}, r"recipe released\.pretrain: is 'cnn', expected a mapping"),
        ({"pretrain": FIRST_STAGE | {"submodule": 3}}, r"released\.pretrain: submodule is 3, expected a name"),
        ({"pretrain": FIRST_STAGE | {"patience": 3}}, r"released\.pretrain: a first stage has no patience"),
        ({"pretrain": FIRST_STAGE | {"pretrain": FIRST_STAGE}}, r"a first stage has no pretrain"),
        ({"pretrain": FIRST_STAGE | {"batch_size": 0}}, r"recipe released\.pretrain: batch_size is 0"),
        ({"pretrain": FIRST_STAGE | {"learning_rte": 1}}, r"recipe released\.pretrain: there is no key 'learning_rte'"),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises(BenchmarkError, match=message):
        Recipe.from_config("released", {**RELEASED, **change})


def test_missing_settings_are_named():
    with pytest.raises(BenchmarkError, match="recipe released: missing schedule, batch_size"):
        Recipe.from_config("released", {"learning_rate": 1e-3, "training_epochs": 1})
