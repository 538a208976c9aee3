"""The set-up knows where it was made: a moved or copied environment is made again, or says so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = f"""#!/bin/sh
# Stands for Python: its virtual environments hold a copy of it, and its pip writes down what it is asked for.
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && touch "$3/pyvenv.cfg" && cp "$0" "$3/bin/python" ;;
"-m pip") shift 2 && echo "$@" >>pip-calls ;;
"-P -m") echo "runs in $PWD" ;;
"envs/installed.py "*) : ;;
*) exec {sys.executable} "$@" ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A checkout with what the set-up reads, and a Python that installs nothing."""
    project = tmp_path / "first checkout"
    (project / "envs").mkdir(parents=True)
    (project / "workflow/sleepbench").mkdir(parents=True)
    for name in ("envs/setup.sh", "envs/requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, project / name)
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return project


def set_up(project, venv=".venv"):
    """Set up; what it said, and the calls of pip."""
    result = subprocess.run(
        ["envs/setup.sh", str(project.parent / "python"), venv, "0"],
        cwd=project, capture_output=True, text=True, check=True,
    )  # fmt: skip
    calls = project / "pip-calls"
    said = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return result.stdout, said


def command(project):
    return subprocess.run([".venv/bin/sleepbench"], cwd=project, capture_output=True, text=True, check=False)


def test_it_is_made_once(project):
    said, calls = set_up(project)
    assert "Setting up .venv" in said and [call.split()[-1] for call in calls if "editable" in call] == ["."]
    assert set_up(project) == ("", [])
    result = command(project)
    assert result.returncode == 0 and result.stdout == f"runs in {project}\n"
    link = project / "by a link"
    link.symlink_to(".venv/bin/sleepbench")
    assert subprocess.run([str(link)], cwd=project, check=False).returncode == 0


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_one_that_was_copied_or_moved_says_so_and_is_made_again(project, how):
    set_up(project)
    other = project.with_name("other")
    shutil.copytree(project, other) if how == "copied" else project.rename(other)
    (other / ".venv" / "of the first").touch()
    refused = command(other)
    assert refused.returncode == 1 and "was moved or copied. Make it again:  make setup" in refused.stderr
    said, calls = set_up(other)
    assert f"It was made as {project}/.venv, and was moved or copied: it is made again." in said and calls
    assert not (other / ".venv" / "of the first").exists()
    assert command(other).stdout == f"runs in {other}\n"
    assert set_up(other) == ("", [])
    if how == "copied":
        assert set_up(project) == ("", []) and command(project).returncode == 0


def test_one_that_two_checkouts_share_is_given_the_other_project_and_not_made_again(project):
    shared = project.with_name("shared venv")
    other = project.with_name("other")
    shutil.copytree(project, other)
    set_up(project, str(shared))
    (shared / "kept").touch()
    said, calls = set_up(other, str(shared))
    assert "made again" not in said and "install --no-deps --editable ." in calls[-1]
    assert (shared / "kept").exists()


def test_the_command_of_another_checkout_is_refused(tmp_path):
    """Whatever it is asked: the tables as well would be made by the code of the first."""
    (tmp_path / "workflow/sleepbench").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    asked = [sys.executable, "-m", "sleepbench", "tables"]
    result = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 1
    assert "is not this sleepbench" in result.stderr and "unset PYTHONPATH" in result.stderr
