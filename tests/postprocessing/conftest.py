import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import pytest
from fake_models import ENTRIES

from sleepbench.models import registry


@pytest.fixture
def fake_models(monkeypatch):
    """The models of tests/training/fake_models.py are in the registry."""
    for info in ENTRIES:
        monkeypatch.setitem(registry.MODELS, info.name, info)
