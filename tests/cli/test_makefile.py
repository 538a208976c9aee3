"""Make passes what it is given as text: no shell reads it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTILE = "a`touch made` $(touch made) $(shell touch made) \"'; touch made #"
RECORDER = '#!/bin/sh\nprintf "%s\\0" "$0" "$@" "end of call" >>calls\n'


@pytest.fixture
def project(tmp_path):
    """A directory with the Makefile, where every program that it starts writes down its arguments."""
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    for program in ("envs/setup.sh", "envs/lock.sh", ".venv/bin/sleepbench", "odd 'place`/bin/sleepbench"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORDER)
        path.chmod(0o755)
    return tmp_path


def make(project, *arguments, **environment):
    """Run make; its result, and the calls of programs as lists of their arguments."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = subprocess.run(
        ["make", *arguments], cwd=project, env=kept | environment, capture_output=True, text=True, check=False
    )
    calls = project / "calls"
    written = calls.read_text().split("end of call\0")[:-1] if calls.exists() else []
    calls.unlink(missing_ok=True)
    assert not (project / "made").exists()
    return result, [call.split("\0")[:-1] for call in written]


def test_help_lists_all_targets_in_80_columns(project):
    result, _ = make(project)
    targets = re.findall(r"^  make (\S+)", result.stdout, re.MULTILINE)
    assert targets == [
        "help",
        "setup",
        "demo",
        "demo-real",
        "try-real",
        "paper",
        "rivals",
        "test",
        "lint",
        "format",
        "lock",
    ]
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_each_is_a_call_of_the_command(project):
    set_up = ["envs/setup.sh", "python3", ".venv", ""]
    command = ".venv/bin/sleepbench"
    assert make(project, "demo")[1] == [set_up, [command, "run", "--experiment", "demo"]]
    real = [command, "run", "--experiment", "real-5s"]
    assert make(project, "demo-real")[1] == [set_up, [*real, "--datasets=sleep-edf-20-5s"]]
    assert make(project, "demo-real", "DATASET=quick")[1] == [set_up, [*real, "--datasets=quick"]]
    assert make(project, "try-real")[1] == [set_up, [command, "run", "--experiment", "try-real"]]
    paper = ["--experiment", "paper", "--datasets=sleep-edf-20"]
    calls = make(project, "paper", "DATASET=sleep-edf-20")[1]
    assert calls == [set_up, [command, "estimate", *paper], [command, "run", *paper]]
    rivals = ["--experiment", "rivals", "--datasets=sleep-edf-20"]
    assert make(project, "rivals")[1] == [set_up, [command, "estimate", *rivals], [command, "run", *rivals]]
    tiny = [command, "run", "--experiment", "rivals", "--datasets=simulated-tiny"]
    assert make(project, "rivals", "DATASET=simulated-tiny")[1] == [set_up, tiny]  # 62 models in eight minutes
    assert make(project, "lock", "PYTHON=python3.12")[1] == [["envs/lock.sh", "python3.12"]]
    assert make(project, "setup", "GPU=1")[1] == [["envs/setup.sh", "python3", ".venv", "1"]]


def test_paper_needs_a_dataset(project):
    result, calls = make(project, "paper")
    assert result.returncode == 2 and len(calls) == 1
    assert "Name the dataset: make paper DATASET=sleep-edf-20" in result.stderr


def test_without_an_estimate_the_run_starts(project):
    path = project / ".venv/bin/sleepbench"
    path.write_text(RECORDER + '[ "$1" != estimate ]\n')
    result, calls = make(project, "paper", "DATASET=sleep-edf-78")
    assert result.returncode == 0 and "no estimate could be made" in result.stderr
    assert [call[1] for call in calls[1:]] == ["estimate", "run"]


def test_a_wrong_configuration_is_said_once(project):
    path = project / ".venv/bin/sleepbench"
    path.write_text(RECORDER + 'echo "Error: unknown name" >&2\nexit 2\n')
    for target in ("paper", "rivals"):
        result, calls = make(project, target, "DATASET=sleep-edf-2O")
        assert result.returncode == 2 and result.stderr.count("unknown name") == 1
        assert "no estimate" not in result.stderr and len(calls) == 2


@pytest.mark.parametrize("how", ["as an argument", "by the environment"])
def test_what_is_hostile_reaches_the_command_as_text(project, how):
    for target in ("paper", "rivals"):
        arguments, environment = ([f"DATASET={HOSTILE}"], {}) if how == "as an argument" else ([], {"DATASET": HOSTILE})
        result, calls = make(project, target, *arguments, **environment)
        assert result.returncode == 0, result.stderr
        assert [call[-1] for call in calls[1:]] == [f"--datasets={HOSTILE}"] * 2


def test_other_values_are_text_too(project):
    odd = str(project / "odd 'place`")
    calls = make(project, "demo", f"VENV={odd}", f"PYTHON={HOSTILE}", f"GPU={HOSTILE}")[1]
    assert calls == [["envs/setup.sh", HOSTILE, odd, HOSTILE], [f"{odd}/bin/sleepbench", "run", "--experiment", "demo"]]
