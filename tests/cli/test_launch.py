"""One Snakemake at a time in a directory, and none is kept out by one that was killed."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from sleepbench.cli import launch
from sleepbench.cli.launch import HELD, explained_itself, has_locks, hold, in_use, running_there
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.locks import OWNER

SNAKEFILE = """
rule slow:
    output: "done"
    shell: "echo up > started; while [ ! -e go ]; do sleep 0.1; done; touch {output}"
"""
SLEEPBENCH = ("sleepbench.cli.app", "run")


@pytest.mark.parametrize("name", ["snakemake", "sleepbench"])
@pytest.mark.parametrize("options", [[], ["-u"], ["-W", "ignore", "-u"]])
def test_a_process_that_runs_snakemake_there_is_found_however_it_was_started(tmp_path, name, options):
    script = tmp_path / name  # goes by the name, in that directory
    script.write_text("import time; print('up', flush=True); time.sleep(60)")
    assert running_there(tmp_path) is None
    process = subprocess.Popen([sys.executable, *options, name], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert running_there(tmp_path) == process.pid
        assert running_there(tmp_path / ".snakemake") is None
    finally:
        process.kill()
        process.wait()
    assert running_there(tmp_path) is None


def test_a_process_that_only_names_snakemake_is_none(tmp_path):
    (tmp_path / "snakemake").touch()
    process = subprocess.Popen(["tail", "-f", "snakemake"], cwd=tmp_path)
    try:
        assert running_there(tmp_path) is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("mode", ["remote", "subprocess"])
def test_a_job_of_a_run_that_was_killed_is_none(tmp_path, mode):
    """On a cluster of which this machine is a node it goes on; the next run's waits for it."""
    (tmp_path / "snakemake").write_text("import time; print('up', flush=True); time.sleep(60)")
    command = [sys.executable, "snakemake", "--mode", mode, "some/output"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert running_there(tmp_path) is None
    finally:
        process.kill()
        process.wait()


def test_locks_of_snakemake_are_seen(tmp_path):
    locks = tmp_path / ".snakemake" / "locks"
    assert not has_locks(tmp_path)
    locks.mkdir(parents=True)
    assert not has_locks(tmp_path)
    (locks / "0.output.lock").write_text("results/x")
    assert has_locks(tmp_path)


def test_the_message_names_the_process_and_when_it_began(tmp_path):
    message = in_use(tmp_path, os.getpid())
    assert f"{tmp_path} is in use by process {os.getpid()}, started 2" in message
    assert f"kill -INT {os.getpid()}" in message
    assert "has just started" in in_use(tmp_path, 0) and "kill" not in in_use(tmp_path, 0)  # signals go to a group of 0


def no_flock(_file, _how):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that does not lock files, and what is to be done when this process ends."""
    at_exit = []
    monkeypatch.setattr(launch.fcntl, "flock", no_flock)
    monkeypatch.setattr(launch.atexit, "register", at_exit.append)
    return at_exit


def test_where_the_file_system_has_no_locks_a_file_says_who_works_there(tmp_path, without_locks):
    assert hold(tmp_path) is None
    assert hold(tmp_path)[0] == os.getpid()
    assert f"is in use by process {os.getpid()}, started 2" in in_use(tmp_path, *hold(tmp_path))
    (release,) = without_locks
    release()
    assert hold(tmp_path) is None and len(without_locks) == 2
    without_locks[1]()


def test_a_run_on_another_machine_is_named_with_the_file_that_it_may_have_left(tmp_path, without_locks):
    file = Path(f"{tmp_path / HELD}{OWNER}")
    file.parent.mkdir()
    file.write_text("17\nelsewhere\n")
    message = in_use(tmp_path, *hold(tmp_path))
    assert "is in use by process 17 on elsewhere" in message and message.endswith(f"remove {file}")
    file.unlink()
    assert hold(tmp_path) is None
    without_locks[0]()


def test_a_job_that_said_why_it_failed_is_told_from_one_that_did_not(tmp_path):
    log = tmp_path / "job.log"
    assert not explained_itself(log)
    log.write_text("fetching\nTraceback\nValueError: x\n")
    assert not explained_itself(log)
    log.write_text("fetching\nError: no network; check it\n")
    assert explained_itself(log)


@pytest.fixture
def project(tmp_path):
    """A directory with a workflow of one job, which ends once there is a file "go": after the test in any case."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    shutil.copy(Path(__file__).parents[2] / "config.yaml", tmp_path)
    profile = tmp_path / "workflow" / "profiles" / "default"
    profile.mkdir(parents=True)
    (profile / "config.yaml").write_text("cores: 1\nrerun-incomplete: true\n")
    yield tmp_path
    (tmp_path / "go").touch()


def start(project, module, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # background jobs ignore Ctrl-C
    )  # fmt: skip


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


def test_a_second_run_is_told_who_works_there_and_a_killed_one_keeps_nobody_out(project):
    first = start(project, *SLEEPBENCH)
    wait_for(project / "started")
    assert has_locks(project)
    second = start(project, *SLEEPBENCH)
    output = second.communicate(timeout=60)[0]
    assert second.returncode == 1
    assert re.fullmatch(rf"Error: .* is in use by process {first.pid}, started \d{{4}}-.*\n", output)
    dry_run = start(project, *SLEEPBENCH, "-n")  # changes nothing, so it need not wait
    assert "slow" in dry_run.communicate(timeout=60)[0]

    (job,) = psutil.Process(first.pid).children()
    first.send_signal(signal.SIGKILL)
    first.wait()
    (project / "started").unlink()
    third = start(project, *SLEEPBENCH)
    wait_for(project / "started")
    assert job.is_running()  # the first run's job outlives it, and keeps nobody out
    (project / "go").touch()
    output = third.communicate(timeout=60)[0]
    assert third.returncode == 0, output
    assert "Removing the lock of a run that was killed." in output
    assert (project / "done").exists() and not has_locks(project)


def test_a_snakemake_started_by_hand_keeps_others_out(project):
    by_hand = start(project, "snakemake", "--cores", "1")
    wait_for(project / "started")
    second = start(project, *SLEEPBENCH)
    assert f"is in use by process {by_hand.pid}, started 2" in second.communicate(timeout=60)[0]
    assert second.returncode == 1 and has_locks(project)
    (project / "go").touch()
    by_hand.communicate(timeout=60)
    assert by_hand.returncode == 0


def test_ctrl_c_ends_the_jobs_and_is_exit_status_130(project):
    process = start(project, *SLEEPBENCH)
    wait_for(project / "started")
    (job,) = psutil.Process(process.pid).children()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and output.endswith("Interrupted.\n") and "Traceback" not in output
    assert "Error" not in output
    assert not job.is_running() and not has_locks(project) and not (project / "done").exists()


def test_the_exit_status_is_that_of_snakemake(project):
    process = start(project, *SLEEPBENCH, "nowhere")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1 and "nowhere" in output and not has_locks(project)


@pytest.mark.parametrize("name", ["a {0}", "a {b c}", "{}"])
def test_a_path_that_snakemake_takes_for_a_pattern_is_said(name, tmp_path, monkeypatch):
    (tmp_path / name / "workflow/profiles/default").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(BenchmarkError, match="braces around anything but a name; move the project"):
        launch.snakemake(["-n"])
