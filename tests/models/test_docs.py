"""The examples of docs/adding-a-model.md, taken from the page: they do what it says."""

import io
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import test_conformance as conformance
import yaml

import sleepbench.models
from sleepbench.models import registry

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-model.md"
CHECKS = {name: check for name, check in vars(conformance).items() if name.startswith("test_")}
FOR_OTHERS = {
    "test_sequences_may_have_any_length": "it takes single epochs",
    "test_parts_of_a_forward_are_the_whole": "it takes single epochs",
    "test_epochs_of_a_sequence_know_each_other": "it takes single epochs",
    "test_estimators_learn_and_tell_probabilities": "it is a network",
    "test_fast_forward_gives_the_same": "it has no faster way",
}
"""Checks of models that the example is none of, and why."""


@pytest.fixture
def examples() -> dict[str, list[str]]:
    """The page's blocks of code by language."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {language: [code for other, code in blocks if other == language] for language, _ in blocks}


@pytest.fixture
def added(examples, tmp_path, monkeypatch) -> str:
    """The name of the example, added as the page says."""
    (model_file,), (entries,), (sizes,) = (examples[language] for language in ("python", "yaml", "csv"))
    ((name, entry),) = yaml.safe_load(entries).items()
    info = registry.read_entry(name, entry)
    (tmp_path / f"{name}.py").write_text(model_file)
    monkeypatch.setattr(sleepbench.models, "__path__", [*sleepbench.models.__path__, str(tmp_path)])
    monkeypatch.setitem(registry.MODELS, name, info)
    row = pd.read_csv(io.StringIO(sizes), names=conformance.SIZES.columns, dtype=str)
    monkeypatch.setattr(conformance, "SIZES", row.astype({"n_channels": int, "exact": bool}))
    yield name
    sys.modules.pop(info.module, None)


def test_example_is_eleven_lines(examples):
    assert len(re.findall(r"^.*\S.*$", examples["python"][0], flags=re.MULTILINE)) == 11


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in FOR_OTHERS])
def test_example_conforms(added, check):
    assert added in sleepbench.models.model_names()
    conformance.run(CHECKS[check], added)


def test_checks_that_are_left_out_are_there():
    assert set(FOR_OTHERS) <= set(CHECKS)


def test_page_names_files_that_exist():
    root = PAGE.parents[1]
    named = set(re.findall(r"`((?:tests|workflow)/[\w/]+\.\w+)`", PAGE.read_text()))
    assert {str(path) for path in named if not (root / path).exists()} == {
        "workflow/sleepbench/models/first_steps.py"  # the one to be written
    }
