"""A tuned recipe: of the trainings with its learning rates the validation set chooses one."""

import re

import pytest
import torch
from fake_models import recipe_of
from synthetic_night import ROLES

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe
from sleepbench.training.epochs import epoch_set
from sleepbench.training.loop import train
from sleepbench.training.timing import Timing
from sleepbench.training.tuning import tune

RATES = [1e-5, 3e-2, 1e-9]
PLAIN = {"learning_rate": 1e-2, "schedule": "constant", "batch_size": 10, "training_epochs": 3}


@pytest.fixture(autouse=True)
def fakes(fake_models):
    torch.set_num_threads(1)


def alone(sets, recipe, report=lambda line: None):
    """A training by one learning rate."""
    torch.manual_seed(3)
    model = create_model("of_epochs", len(ROLES))
    return train(model, recipe, sets, 3, "reference", describe("of_epochs"), report)


def tuned(sets, report=lambda line: None, rates=RATES, **settings):
    torch.manual_seed(3)
    model, timing = create_model("of_epochs", len(ROLES)), Timing()

    def train_by(recipe, checkpoint):
        return train(model, recipe, sets, 3, "reference", describe("of_epochs"), report, checkpoint, timing)

    recipe = recipe_of(PLAIN | settings | {"learning_rates": rates})
    return tune(train_by, model, recipe, sets["validation"], None, timing, report)


def test_the_learning_rate_with_the_highest_validation_accuracy_is_taken(sets):
    lines = []
    training = tuned(sets, lines.append, training_epochs=8)
    assert [found["learning_rate"] for found in training.tuning] == RATES
    best = [found["validation_accuracy"] for found in training.tuning]
    assert best[1] == max(best) > best[0]
    assert lines[-1] == f"learning rate 0.03 is taken: validation {best[1]:.3f}"
    by_itself = alone(sets, recipe_of(PLAIN | {"learning_rate": 3e-2, "training_epochs": 8}))
    assert training.history == by_itself.history and training.selected == by_itself.selected
    assert all((training.weights[n][k] == w).all() for n in by_itself.weights for k, w in by_itself.weights[n].items())
    assert training.tuning[1]["training_epoch"] == by_itself.selected["best_validation"]


def test_the_test_set_does_not_choose_the_learning_rate(sets):
    other = sets["test"]
    shuffled = type(other)(other.recordings, other.channels, other.recording, other.row, other.stage[::-1].copy())
    first, second = (tuned(sets | {"test": test}).tuning for test in (other, shuffled))
    assert first == second


def test_tuning_without_validation_subjects_is_an_error(sets):
    with pytest.raises(BenchmarkError, match="recipe r: its learning rates are chosen on validation subjects"):
        tuned(sets | {"validation": epoch_set([], ROLES, "standard")})


def test_a_learning_rate_with_which_the_training_diverges_is_left_out(sets):
    lines = []
    training = tuned(sets, lines.append, [3e37, 1e-2])
    assert training.tuning[0] == {"learning_rate": 3e37, "training_epoch": None, "validation_accuracy": None}
    said = r"learning rate 3e\+37 is left out: the training loss is (nan|inf) in step \d of 5 of training epoch 1"
    assert any(re.match(said, line) for line in lines)
    assert lines[-1].startswith("learning rate 0.01 is taken")
    assert training.history == alone(sets, recipe_of(PLAIN)).history


def test_a_training_that_diverges_with_every_learning_rate_is_an_error(sets):
    with pytest.raises(BenchmarkError, match=r"diverges with all learning_rates, 3e\+37, 3\.2e\+37: add a lower"):
        tuned(sets, rates=[3e37, 3.2e37])
