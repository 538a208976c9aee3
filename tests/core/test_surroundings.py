"""What a user's machine brings with it stays out of what is computed."""

import getpass
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.surroundings import PACKAGE, require_own_workflow, settle


@pytest.fixture(autouse=True)
def kept_environment(monkeypatch, tmp_path):
    """`settle` changes the environment of its process: of the test only."""
    for name in ("MPLBACKEND", "MPLCONFIGDIR", "XDG_CACHE_HOME", "MATPLOTLIBRC", "PYTHONWARNINGS", "LOGNAME"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.chdir(tmp_path)


def test_settings_of_other_programs_are_left_out(monkeypatch):
    monkeypatch.setenv("MATPLOTLIBRC", "dark")
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    settle()
    assert "MATPLOTLIBRC" not in os.environ and os.environ["MPLBACKEND"] == "agg"


def test_caches_lie_in_the_project_where_the_user_has_no_place_for_them(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settle()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "cache")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    settle()
    assert os.environ["XDG_CACHE_HOME"] == os.environ["MPLCONFIGDIR"] == str(tmp_path / ".snakemake/cache")
    assert list((tmp_path / ".snakemake/cache").iterdir()) == []


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_whom_the_machine_does_not_know_has_a_name(monkeypatch, error):
    def unknown(uid):
        raise error(f"uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    settle()
    assert getpass.getuser() == f"uid-{os.getuid()}"


def test_what_is_printed_never_fails_for_want_of_a_character():
    script = "from sleepbench.core.surroundings import settle; settle(); print('an en dash \u2013')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, env=environment, check=False
    )
    assert result.returncode == 0 and result.stdout == b"an en dash ?\n", result.stderr


def test_the_workflow_of_another_copy_is_refused(tmp_path, monkeypatch):
    require_own_workflow(tmp_path)  # none
    workflow = tmp_path / "workflow"
    workflow.symlink_to(PACKAGE.parent)
    require_own_workflow(tmp_path)
    workflow.unlink()
    (workflow / "sleepbench").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(BenchmarkError, match=r"is not this sleepbench.* `make setup` makes .*/\.venv/bin/sleepbench"):
        require_own_workflow(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE.parent))
    with pytest.raises(BenchmarkError, match="unset PYTHONPATH"):
        require_own_workflow(tmp_path)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_may_write_the_cache_of_the_project(monkeypatch, tmp_path, umask):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    before = os.umask(umask)
    try:
        settle()
    finally:
        os.umask(before)
    assert not stat.S_IMODE(Path(".snakemake/cache").stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
