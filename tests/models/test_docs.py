"""The examples of docs/adding-a-model.md, taken from the page: they do what it says."""

import importlib.util
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
from sleepbench.models.transformation import KINDS, transformation_from

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-model.md"
CHECKS = {name: check for name, check in vars(conformance).items() if name.startswith("test_")}
FOR_OTHERS = {
    "test_sequences_may_have_any_length": "it takes single epochs",
    "test_parts_of_a_forward_are_the_whole": "it takes single epochs",
    "test_epochs_of_a_sequence_know_each_other": "it takes single epochs",
    "test_estimators_learn_and_tell_probabilities": "it is a network",
    "test_fast_forward_gives_the_same": "it has no faster way",
}
"""Checks of models that the example is none of, and why."""


def models_of(check) -> set[str]:
    """The registered models that a check of test_conformance.py is run on."""
    (mark,) = (mark for mark in check.pytestmark if mark.name == "parametrize")
    cases = (getattr(case, "values", (case,)) for case in mark.args[1])
    return {case[0] for case in cases}


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


def test_its_operations_agree_with_an_independent_count(added):
    """The one check of models that is in another folder."""
    path = ROOT / "tests" / "profiling" / "test_operations.py"
    spec = importlib.util.spec_from_file_location("test_operations_of_the_page", path)
    operations = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(operations)
    operations.test_macs_agree_with_an_independent_count(added)


def test_just_the_checks_are_left_out_that_no_network_like_it_has():
    """A network like it takes single epochs and has no faster way."""
    alike = {name for name in conformance.NETWORKS if not conformance.architecture(name).has_folds()}
    alike -= set(conformance.SEQUENCE_NETWORKS)
    assert {name for name, check in CHECKS.items() if not models_of(check) & alike} == set(FOR_OTHERS)
    assert all(alike <= models_of(check) for name, check in CHECKS.items() if name not in FOR_OTHERS)


def test_page_has_every_kind_of_transformation_and_of_inference():
    page = PAGE.read_text()
    transformations, inferences = page.partition("`input_transformation` is one of")[2].split("`inference` is one of")
    written = [yaml.safe_load(kind) for kind in re.findall(r"^\| `([^`]+)`", transformations, flags=re.MULTILINE)]
    assert {type(transformation_from(kind, "the page")) for kind in written} == set(KINDS.values())
    kinds = re.findall(r"^\| `(\w+)` \|", inferences, flags=re.MULTILINE)
    assert {info.inference for info in registry.MODELS.values()} - {None} == set(kinds)


def test_page_names_files_that_exist():
    named = set(re.findall(r"`((?:tests|workflow)/[\w/]+\.\w+)`", PAGE.read_text()))
    missing = {path for path in named if not (ROOT / path).exists()}
    assert missing <= {"workflow/sleepbench/models/first_steps.py"}  # the one to be written
