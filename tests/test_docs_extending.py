"""The examples of docs/extending.md do what the page says, with the files that it names."""

import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import sleepbench.reporting.tables
from sleepbench.protocols import selection
from sleepbench.reporting import artefacts, declared

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
TABLE, RULE, COMMAND = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def table_added(tmp_path, monkeypatch):
    """The example's file, found as if it lay in the package."""
    (tmp_path / "tested.py").write_text(TABLE, encoding="utf-8")
    monkeypatch.setattr(sleepbench.reporting.tables, "__path__", [*sleepbench.reporting.tables.__path__, str(tmp_path)])
    artefacts.tables.cache_clear()
    yield tmp_path / "tested.py"
    artefacts.tables.cache_clear()
    sys.modules.pop("sleepbench.reporting.tables.tested", None)


def test_a_table_is_one_file(table_added):
    assert list(artefacts.tables())[-1] == "tested"
    read = declared._declaration(table_added, "tables")
    assert (read.name, read.inputs, read.place) == ("tested", ("runs",), 1000)


def test_a_selection_rule_is_one_entry():
    rule = eval(RULE, {"SelectionRule": selection.SelectionRule})
    history = [{"training_epoch": n, "test_accuracy": n / 10, "validation_accuracy": None} for n in (1, 2, 3)]
    assert rule.choose(history, ()) == 1
    assert set(vars(rule)) == set(vars(next(iter(selection.SELECTION_RULES.values()))))


def test_a_command_is_a_function():
    names: dict[str, object] = {"click": click}
    exec(COMMAND, names)
    done = CliRunner().invoke(names["paths"], ["simulated"])
    assert (done.exit_code, done.output) == (0, "results/simulated\n")


def test_page_names_files_that_exist():
    named = set(re.findall(r"`((?:models|datasets|reporting|protocols|cli)/[\w/]+\.\w+)`", PAGE))
    missing = {path for path in named if not (ROOT / "workflow" / "sleepbench" / path).exists()}
    assert missing <= {"reporting/tables/tested.py"}  # the one to be written
