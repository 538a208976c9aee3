"""Everything wrong in a recipe is named."""

import re
from dataclasses import replace

import pytest
from pydantic import ValidationError

from sleepbench.config.recipe import recipe_from
from sleepbench.core.strict import problems_in
from sleepbench.models import describe

ULW = {
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
FIRST_PHASE = {"model": "cnn", "submodule": "features", **CONSTANT}


def wrong(settings: dict) -> str:
    """What is said about a recipe that is wrong."""
    with pytest.raises(ValidationError) as raised:
        recipe_from("r", settings)
    return "; ".join(f"{'.'.join(map(str, place))}: {text}" for place, text in problems_in(raised.value))


@pytest.mark.parametrize(
    "steps", [None, [], 3, [[1, 1e-4, 1]], [1, 1e-4], [[2, 1e-4], [1, 1e-5]], [[0, 1e-4]], [[1, 0]], [[1.5, 1e-4]]]
)
def test_wrong_steps_are_named(steps):
    assert "steps" in wrong({**CONSTANT, "schedule": "steps", "steps": steps})


def test_a_batch_of_sequences_holds_as_many_epochs_or_so_many_sequences():
    def of(unit: str, **known: int) -> list[int]:
        recipe = recipe_from("r", {**CONSTANT, "batch_size": 128, "batch_unit": unit})
        infos = [replace(describe("tiny_sleepnet"), sequence_length=n, **known) for n in (None, 1, 20, 128, 200)]
        return [recipe.items_per_batch(info) for info in infos]

    assert of("epochs") == [128, 128, 6, 1, 1]
    assert of("sequences") == [128] * 5
    assert of("authors", authors_batch=15) == [128, 15, 15, 15, 15]
    assert of("authors", authors_batch=None) == of("epochs")


def test_a_learning_rate_of_a_tuned_recipe_makes_it_a_recipe_as_others():
    tuned = recipe_from("r", {**CONSTANT, "learning_rates": [1e-4, 1e-3]})
    assert tuned.at_rate(1e-3) == recipe_from("r", {**CONSTANT, "learning_rate": 1e-3})


def test_a_first_phase_is_a_recipe_of_its_own():
    phase = recipe_from("r", {**CONSTANT, "pretrain": FIRST_PHASE | {"batch_size": 7}}).pretrain
    assert (phase.model, phase.submodule, phase.batch_size) == ("cnn", "features", 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rte": 1e-3}, "unknown key 'learning_rte'; the nearest known name is 'learning_rate'"),
        ({"optimizer": "sgd"}, r"optimizer: found 'sgd'; .*\(known: adam\)"),
        ({"schedule": "cosin"}, r"schedule: found 'cosin'; .*\(known: constant, cosine, cosine_restarts, steps\)"),
        ({"learning_rates": [1e-3]}, "learning_rates: found .*at least 2"),
        ({"learning_rates": [1e-3, 1e-3]}, "learning_rates: found .*, expected every learning rate once"),
        ({"sequences": "stretches", "drop_last": True}, "drop_last is true, but sequences stretches"),
        ({"sequences": "stretched"}, "sequences: found 'stretched'"),
        ({"amsgrad": "yes"}, "amsgrad: found 'yes', expected true or false"),
        ({"learning_rate": 0}, "learning_rate: found 0, expected a number above 0"),
        ({"learning_rate": "1e-3"}, r"learning_rate: found '1e-3', .* write 1\.0e-3"),
        ({"epsilon": float("nan")}, "epsilon: found nan"),
        ({"batch_size": 32.0}, r"batch_size: found 32\.0, expected a whole number"),
        ({"training_epochs": True}, "training_epochs: found True"),
        ({"first_cycle_steps": 0}, "first_cycle_steps: found 0, expected at least 1"),
        ({"cycle_multiplier": None}, "cycle_multiplier is None, but the schedule cosine_restarts needs it"),
        ({"schedule": "constant"}, "first_cycle_steps is 10, but the schedule constant does not have it"),
        ({"steps": [[1, 1e-4]]}, "steps is .*, but the schedule cosine_restarts does not have it, only steps does"),
        ({"weight_decay": -1e-4}, r"weight_decay: found -0\.0001, expected at least 0"),
        ({"l2": None}, "l2: found None, expected a number"),
        ({"clip_norm": 0}, "clip_norm: found 0, expected a number above 0"),
        ({"class_weights": "balance"}, "class_weights: found 'balance', expected none, balanced, class_aware, or a nu"),
        ({"class_weights": [1, 1, 1, 1]}, "class_weights: found .* for each of W, N1, N2, N3, REM"),
        ({"class_weights": [1, 1, 1, 1, 0]}, r"class_weights\.4: found 0, expected a number above 0"),
        ({"label_smoothing": 1}, "label_smoothing: found 1, expected a number below 1"),
        ({"augmentation": ["roll_20"]}, r"augmentation\.0: found 'roll_20'; .* 'roll_10'"),
        ({"augmentation": "roll_10"}, "augmentation: found 'roll_10', expected a list"),
        ({"patience": 0}, "patience: found 0, expected at least 1"),
        ({"balanced_sampling": 1}, "balanced_sampling: found 1, expected true or false"),
        ({"batch_unit": "windows"}, r"batch_unit: found 'windows'; .*\(known: authors, epochs, sequences\)"),
        ({"learning_rate_of": {"cnn": 0}}, r"learning_rate_of\.cnn: found 0, expected a number above 0"),
        ({"learning_rate_of": [1e-4]}, "learning_rate_of: found .*, expected a mapping"),
        ({"pretrain": "cnn"}, "pretrain: found 'cnn', expected a mapping"),
        ({"pretrain": FIRST_PHASE | {"submodule": 3}}, r"pretrain\.submodule: found 3, expected a text"),
        ({"pretrain": FIRST_PHASE | {"patience": 3}}, r"pretrain\.patience: unknown key 'patience'"),
        ({"pretrain": FIRST_PHASE | {"pretrain": FIRST_PHASE}}, r"pretrain\.pretrain: unknown key 'pretrain'"),
        ({"pretrain": FIRST_PHASE | {"batch_size": 0}}, r"pretrain\.batch_size: found 0"),
        ({"pretrain": FIRST_PHASE | {"learning_rte": 1}}, r"pretrain\.learning_rte: unknown key 'learning_rte'"),
    ],
)
def test_wrong_settings_are_named(change, message):
    assert re.search(message, wrong({**ULW, **change}))


def test_missing_settings_are_named():
    said = wrong({"learning_rate": 1e-3, "training_epochs": 1})
    assert "schedule: the key 'schedule' is missing" in said and "batch_size: the key 'batch_size' is missing" in said
