"""The campaign of damage and interruptions: its short form, and that it would notice what is bad."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import damage
import forked
import pytest
import reliability
import trials
from forked import Ended

TOOLS = Path(reliability.__file__).parent
REFUSED = "Building DAG\n\nError: results/a.json: was changed; delete it and run again\n\n[Mon] Error in rule tables:\n"


def test_the_short_campaign_finds_nothing_bad():
    command = [sys.executable, "reliability.py", "--short"]
    ended = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tried = re.findall(r"^\| (?!what)([\w /:']+) \| (\d+) \|", ended.stdout, re.MULTILINE)
    assert len(tried) >= 6 and all(int(n) for _, n in tried), ended.stdout


def test_every_kind_has_a_name_of_its_own_and_a_number_of_trials():
    kinds = reliability.kinds()
    assert len({kind.name for kind in kinds}) == len(kinds)
    assert all(kind.times > 0 for kind in kinds if kind.name != "archives of other people")
    assert {kind.group for kind in kinds} == {
        *("kills", "full disk", "flips", "deletions", "surroundings", "hostile input"),
    }


def test_what_became_of_a_kind_is_kept_and_not_tried_again(tmp_path, monkeypatch):
    for name in ("XDG_CACHE_HOME", "PYTHONPATH"):  # which a workshop sets
        monkeypatch.setenv(name, os.environ.get(name, ""))
    tried = []

    def attempt(workshop, source, number):
        tried.append(number)
        return trials.Result(trials.SILENT if number == 1 else trials.SAME, f"trial {number}")

    kind, workshop = trials.Kind("flips", "a bit of: a file", 3, attempt), trials.Workshop(tmp_path / "scratch")
    options = reliability.parse(["--keep", str(tmp_path / "kept")])
    assert reliability.kept(kind, options) is None
    tally = reliability.tried(kind, workshop, options)
    assert reliability.kept(kind, options) == tally and tried == [0, 1, 2]
    assert tally.outcomes == {trials.SAME: 2, trials.SILENT: 1} and tally.bad == [(1, trials.SILENT, "trial 1")]
    options.seed = 2
    assert reliability.kept(kind, options) is None


def test_a_flip_changes_one_bit_and_neither_time_stamp_nor_what_is_linked(tmp_path):
    first, path = tmp_path / "first", tmp_path / "a" / "second"
    first.write_bytes(bytes(1000))
    path.parent.mkdir()
    os.link(first, path)
    os.utime(path, ns=(1, 2))
    assert re.fullmatch(r"bit \d of byte \d+ of 1000 in second", damage.flip(path, random.Random(1)))
    assert sum(byte.bit_count() for byte in path.read_bytes()) == 1
    assert path.stat().st_mtime_ns == 2 and first.read_bytes() == bytes(1000)


# ------------------------------------------------------------------------------------------------------------ judgement


@pytest.fixture
def project(tmp_path):
    """A project that was run, and a copy of it."""
    for name in ("reference", "copy"):
        (tmp_path / name / "results").mkdir(parents=True)
        for file, text in {"a.json": "1", "b.csv": "x,duration_s\n1,2\n"}.items():
            (tmp_path / name / "results" / file).write_text(text)
    return trials.Project(tmp_path / "copy", tmp_path / "reference")


def ending(*endings: Ended):
    """A command that ends in these ways, one after the other."""
    left = list(endings)
    return lambda: left.pop(0)


def outcome(project, *endings: Ended, **more) -> str:
    return project.judge([], ["results/*"], command=ending(*endings), **more).outcome


def test_the_same_results_are_the_same(project):
    (project.directory / "results/b.csv").write_text("x,duration_s\n1,999\n")  # what a clock says may differ
    assert outcome(project, Ended(0, "")) == "same"


@pytest.mark.parametrize("content", ["x,duration_s\n3,2\n", "x,duration_s\n1,2\n1,2\n", "x\n1,2\n", "", None])
def test_other_results_are_silent(project, content):
    path = project.directory / "results/b.csv"
    path.unlink() if content is None else path.write_text(content)
    assert outcome(project, Ended(0, "")) == "silent"


def test_a_refusal_is_healed_by_its_remedy_alone(project):
    path = project.directory / "results/a.json"
    assert outcome(project, Ended(1, REFUSED), Ended(1, REFUSED)) == "not healed"
    assert not path.exists(), "the remedy was followed"
    path.write_text("1")
    heal = (project.directory / "results/a.json").write_text
    assert outcome(project, Ended(1, REFUSED), Ended(0, "")) == "silent", "nobody made the file again"
    path.write_text("1")
    command = ending(Ended(1, REFUSED), Ended(0, ""))

    def made_again() -> Ended:
        ended = command()
        if ended.status == 0:
            heal("1")
        return ended

    assert project.judge([], ["results/*"], command=made_again).outcome == "refused and healed"


def test_a_refusal_without_an_error_or_a_remedy_is_not_healed(project):
    assert outcome(project, Ended(1, "it failed")) == "not healed"
    assert outcome(project, Ended(1, "Error: something is wrong\n")) == "not healed"


def test_crashes_and_what_hangs(project):
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    b\nKeyError: 3\n'
    assert outcome(project, Ended(1, f"Error: no\n\n{trace}")) == "traceback"
    assert outcome(project, Ended(0, trace)) == "traceback"
    assert outcome(project, Ended(-11, "")) == "traceback"
    assert outcome(project, Ended(None, "")) == "hung"


def test_what_is_gone_is_lost(project):
    assert outcome(project, Ended(0, ""), there=["results/gone"]) == "lost"


def test_all_that_a_message_names_is_deleted(project):
    error = "Error: results/a.json: was changed; delete results/a.json, results/b.csv and results/c and run again\n"
    assert outcome(project, Ended(1, error), Ended(0, "")) == "silent"
    assert project.files("results/*") == []


def test_a_message_that_names_a_command_is_followed(project, monkeypatch):
    asked = []
    monkeypatch.setattr(trials.Project, "sleepbench", lambda self, *arguments: asked.append(arguments))
    error = "Error: results/a.json: is no receipt; fetch it again\n"
    outcome(project, Ended(1, error), Ended(0, ""))
    assert asked == [("data", "fetch", "--datasets", trials.DATASET)]


# ------------------------------------------------------------------------------------------------------------- commands


def test_a_process_that_hangs_is_ended_and_a_crash_has_its_signal(tmp_path):
    started = lambda log: forked.start_function(tmp_path, lambda: __import__("time").sleep(60), log)  # noqa: E731
    assert forked.call(started, tmp_path, limit_s=0.2).status is None
    crashed = lambda log: forked.start_function(tmp_path, os.abort, log)  # noqa: E731
    assert forked.call(crashed, tmp_path).status == -6
    said = forked.calling(tmp_path, lambda: print("said"))
    assert said == Ended(0, "said\n")
