"""What makes a number stale."""

import dataclasses

import pytest

from sleepbench.core.provenance import PREPARATION, TRAINING, code_sha256
from sleepbench.models import describe, registry


def hashes() -> dict[str, str]:
    return {name: code_sha256(PREPARATION + TRAINING, name) for name in registry.model_names()}


@pytest.mark.parametrize(
    "change",
    [{"sequence_length": 11}, {"inference": "windows"}, {"architecture": "Another"}, {"kind": "estimator"}],
)
def test_what_the_registry_decides_of_a_model_is_in_its_hash_alone(monkeypatch, change):
    before = hashes()
    monkeypatch.setitem(registry.MODELS, "u_time", dataclasses.replace(describe("u_time"), **change))
    after = hashes()
    assert {name for name in before if before[name] != after[name]} == {"u_time"}


def test_a_title_makes_nothing_stale(monkeypatch):
    before = hashes()
    other = dataclasses.replace(describe("u_time"), title="Another", paper="Another", published_recipe="common")
    monkeypatch.setitem(registry.MODELS, "u_time", other)
    assert hashes() == before
