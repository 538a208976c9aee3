"""A tuned recipe: of the trainings with its learning rates the validation set chooses one."""

import pytest
import torch
from fake_models import recipe_of
from synthetic_night import ROLES

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe
from sleepbench.preparation.prepared import load_prepared
from sleepbench.training.epochs import epoch_set
from sleepbench.training.loop import train
from sleepbench.training.tuning import tune

RATES = [1e-5, 3e-2, 1e-9]
PLAIN = {"learning_rate": 1e-2, "schedule": "constant", "batch_size": 10, "training_epochs": 3}


@pytest.fixture(autouse=True)
def fakes(fake_models):
    torch.set_num_threads(1)


@pytest.fixture
def sets(nights):
    """Training, validation and test epochs of different nights."""
    ids = {"train": ["SC4001", "SC4002"], "validation": ["SC4011"], "test": ["SC4021"]}
    return {
        name: epoch_set([load_prepared(nights[id]) for id in of_set], ROLES, "standard") for name, of_set in ids.items()
    }


def by(function, sets, report=lambda line: None, **settings):
    torch.manual_seed(3)
    model = create_model("of_epochs", len(ROLES))
    return function(model, recipe_of(PLAIN | settings), sets, 3, "reference", describe("of_epochs"), report)


def tuned(sets, report=lambda line: None, **settings):
    return by(tune, sets, report, learning_rates=RATES, **settings)


def test_the_learning_rate_with_the_highest_validation_accuracy_is_taken(sets):
    lines = []
    training = tuned(sets, lines.append, training_epochs=8)
    assert [found["learning_rate"] for found in training.tuning] == RATES
    best = [found["validation_accuracy"] for found in training.tuning]
    assert best[1] == max(best) > best[0]
    assert lines[-1] == f"learning rate 0.03 is taken: validation {best[1]:.3f}"
    alone = by(train, sets, learning_rate=3e-2, training_epochs=8)
    assert training.history == alone.history and training.selected == alone.selected
    assert all((training.weights[n][k] == w).all() for n in alone.weights for k, w in alone.weights[n].items())
    assert training.tuning[1]["training_epoch"] == alone.selected["best_validation"]


def test_the_test_set_does_not_choose_the_learning_rate(sets):
    other = sets["test"]
    shuffled = type(other)(other.recordings, other.channels, other.recording, other.row, other.stage[::-1].copy())
    first, second = (tuned(sets | {"test": test}).tuning for test in (other, shuffled))
    assert first == second


def test_tuning_without_validation_subjects_is_an_error(sets):
    with pytest.raises(BenchmarkError, match="recipe r: its learning rates are chosen on validation subjects"):
        tuned(sets | {"validation": epoch_set([], ROLES, "standard")})
