"""What artefacts declare is read without importing them, and is what they are."""

import subprocess
import sys

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting import artefacts, declared
from sleepbench.workflow import RESOURCE_FILES


@pytest.mark.parametrize("room", ["tables", "figures", "statistics"])
def test_what_is_read_is_what_is_imported(room):
    imported, read = getattr(artefacts, room)(), declared.declared(room)
    assert list(imported) == list(read)
    for name, artefact in imported.items():
        for field in ("inputs", "settings", "place", "names", "in_summary"):
            assert getattr(read[name], field) == getattr(artefact, field, getattr(read[name], field)), (name, field)


def test_every_input_is_made_by_a_rule_or_committed():
    known = {"runs", "trainings", "profiles", "folds", "totals", "quality", "recordings", "smoothed", "audit"}
    statistics = {f"statistics/{name}" for one in declared.declared("statistics").values() for name in one.names}
    for room in ("tables", "figures", "statistics"):
        for artefact in declared.declared(room).values():
            assert set(artefact.inputs) <= known | statistics | set(RESOURCE_FILES), artefact.name


def test_a_caption_of_a_table_is_no_code_of_the_statistics(tmp_path, monkeypatch):
    package = tmp_path / "sleepbench"
    for name, text in {
        "reporting/tables/one.py": "from sleepbench.reporting.cells import text\nCAPTION = 'a'\n",
        "reporting/statistics/two.py": "from sleepbench.reporting import (\n    cells,\n)\n",
        "reporting/cells.py": "import sleepbench.numbers\n",
        "numbers.py": "",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.setattr(declared, "PACKAGE", package)

    def hashes() -> tuple[str, str]:
        for cached in (declared.code_sha256, declared._imported, declared._text):
            cached.cache_clear()
        return tuple(declared.code_sha256(f"sleepbench.reporting.{n}") for n in ("tables.one", "statistics.two"))

    table, statistics = hashes()
    (package / "reporting/tables/one.py").write_text(
        "from sleepbench.reporting.cells import text\nCAPTION = 'b'\n"
    )
    assert hashes()[0] != table and hashes()[1] == statistics
    (package / "numbers.py").write_text("ONE = 1\n")
    assert hashes()[1] != statistics
    monkeypatch.undo()
    for cached in (declared.code_sha256, declared._imported, declared._text):
        cached.cache_clear()


def test_a_declaration_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    room = tmp_path / "reporting" / "tables"
    room.mkdir(parents=True)
    (room / "one.py").write_text("ARTEFACT = Table(name='one', inputs=tuple(INPUTS))\n")
    monkeypatch.setattr(declared, "PACKAGE", tmp_path)
    with pytest.raises(BenchmarkError, match=r"one\.py: ARTEFACT must give name, inputs as plain values"):
        declared.declared.__wrapped__("tables")
    (room / "one.py").write_text("ARTEFACT = Table(name='other')\n")
    with pytest.raises(BenchmarkError, match=r"is called 'other', expected 'one'"):
        declared.declared.__wrapped__("tables")


def test_planning_imports_nothing_that_takes_time():
    code = (
        "import sys, yaml; from pathlib import Path; from sleepbench.workflow import Workflow\n"
        "W = Workflow(yaml.safe_load(open('config.yaml')), Path.cwd())\n"
        "[W.products(name) for name in W.plan.datasets]\n"
        "print(sorted({'torch', 'scipy', 'pandas', 'matplotlib', 'mlflow', 'mne', 'edfio', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
