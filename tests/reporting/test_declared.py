"""What artefacts declare is read without importing them, and is what they are."""

import subprocess
import sys

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting import artefacts, declared
from sleepbench.workflow import RESOURCE_FILES


@pytest.mark.parametrize("room", ["tables", "figures", "statistics", "cross.tables", "cross.figures"])
def test_what_is_read_is_what_is_imported(room):
    imported, read = getattr(artefacts, room.replace(".", "_"))(), declared.declared(room)
    assert list(imported) == list(read)
    for name, artefact in imported.items():
        for field in ("inputs", "settings", "place", "names", "in_summary"):
            assert getattr(read[name], field) == getattr(artefact, field, getattr(read[name], field)), (name, field)


def test_every_input_is_made_by_a_rule_or_committed():
    known = {"runs", "trainings", "profiles", "folds", "totals", "quality", "recordings", "smoothed", "audit", "parity"}
    known |= {"imported", "deployment"}
    statistics = {f"statistics/{name}" for one in declared.declared("statistics").values() for name in one.names}
    for room in ("tables", "figures", "statistics"):
        for artefact in declared.declared(room).values():
            assert set(artefact.inputs) <= known | statistics | set(RESOURCE_FILES), artefact.name


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
        "slow = {'torch', 'scipy', 'pandas', 'matplotlib', 'mlflow', 'mne', 'edfio', 'sklearn'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
