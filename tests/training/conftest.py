import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from edf_files import load_night
from fake_models import ENTRIES, ULW_RECIPE, recipe_of
from synthetic_night import ROLES, write_night

from sleepbench.models import registry
from sleepbench.training.epochs import epoch_set

REFERENCE = Path(__file__).parents[1] / "reference" / "ulw_sleepnet_reference.npz"


@pytest.fixture
def ulw():
    """The recipe of the released program."""
    return recipe_of(ULW_RECIPE, "ulw")


@pytest.fixture(scope="session")
def reference():
    """What the released program computes, in Keras."""
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def nights(tmp_path_factory):
    """Four prepared nights of 24 epochs, by id."""
    directory = tmp_path_factory.mktemp("prepared")
    ids = ["SC4001", "SC4002", "SC4011", "SC4021"]
    return {id: write_night(directory, id, n_epochs=24, seed=i) for i, id in enumerate(ids)}


@pytest.fixture
def sets(nights):
    """Training, validation and test epochs of different nights."""
    ids = {"train": ["SC4001", "SC4002"], "validation": ["SC4011"], "test": ["SC4021"]}
    return {
        name: epoch_set([load_night(nights[id]) for id in of_set], ROLES, "standard") for name, of_set in ids.items()
    }


@pytest.fixture
def fake_models(monkeypatch):
    """The models of fake_models.py are in the registry."""
    for info in ENTRIES:
        monkeypatch.setitem(registry.MODELS, info.name, info)
