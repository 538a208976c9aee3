"""The examples of docs/adding-a-model.md, taken from the page: they do what it says."""

import io
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import test_conformance as conformance

import sleepbench.models
from sleepbench.models import ModelInfo, registry

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-model.md"
CHECKS = [
    conformance.test_entry_fits_the_model,
    conformance.test_other_numbers_of_channels_are_refused,
    conformance.test_size_is_known,
    conformance.test_shapes,
    conformance.test_output_does_not_depend_on_the_rest_of_the_batch,
    conformance.test_output_is_logits,
    conformance.test_every_parameter_gets_a_gradient,
    conformance.test_every_other_parameter_gets_a_gradient_in_training,
    conformance.test_fits_64_windows,
    conformance.test_weights_follow_from_the_seed,
    conformance.test_saves_and_loads,
    conformance.test_exports,
]


@pytest.fixture
def examples() -> dict[str, list[str]]:
    """The page's blocks of code by language."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {language: [code for other, code in blocks if other == language] for language, _ in blocks}


@pytest.fixture
def added(examples, tmp_path, monkeypatch) -> str:
    """The name of the example, added as the page says."""
    model_file, entry = examples["python"]
    info = eval(entry, {"ModelInfo": ModelInfo})
    (tmp_path / f"{info.module.rpartition('.')[2]}.py").write_text(model_file)
    monkeypatch.setattr(sleepbench.models, "__path__", [*sleepbench.models.__path__, str(tmp_path)])
    monkeypatch.setitem(registry._BY_NAME, info.name, info)
    row = pd.read_csv(io.StringIO(*examples["csv"]), names=conformance.SIZES.columns, dtype=str)
    monkeypatch.setattr(conformance, "SIZES", row.astype({"n_channels": int, "exact": bool}))
    yield info.name
    sys.modules.pop(info.module, None)


def test_example_is_ten_lines(examples):
    assert len(re.findall(r"^.*\S.*$", examples["python"][0], flags=re.MULTILINE)) == 10


def test_example_conforms(added):
    assert added in sleepbench.models.model_names()
    for check in CHECKS:
        conformance.run(check, added)


def test_page_names_files_that_exist():
    root = PAGE.parents[1]
    named = set(re.findall(r"`((?:tests|workflow)/[\w/]+\.\w+)`", PAGE.read_text()))
    assert {str(path) for path in named if not (root / path).exists()} == {
        "workflow/sleepbench/models/first_steps.py"  # the one to be written
    }
