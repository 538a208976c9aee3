"""Locks: one process at a time, whatever ends it, and none where the file system has no locks."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from sleepbench.core.files import replacing
from sleepbench.core.locks import NO_LOCKS, OWNER, alone

HOLDER = """
import sys, time
from pathlib import Path
from sleepbench.core.locks import alone
with alone(Path(sys.argv[1]), lambda: None):
    print("has it", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_the_next_when_it_was_killed(tmp_path):
    lock = tmp_path / "new" / ".lock"
    waited = []
    with alone(lock, lambda: waited.append("before")):
        assert lock.exists()
    assert not lock.exists() and not waited
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline() == "has it\n"
    with alone(lock, lambda: (waited.append("meanwhile"), process.kill())):
        assert process.wait() == -signal.SIGKILL
        assert waited == ["meanwhile"] and lock.exists()
    assert not lock.exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(tmp_path):
    lock, order = tmp_path / ".lock", []

    def second():
        with alone(lock, lambda: order.append("waits")):
            order.append("second")

    with alone(lock, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            time.sleep(0.01)
        order.append("first ends")
    thread.join(10)
    assert order == ["waits", "first ends", "second"] and not lock.exists()


def test_who_gives_up_waiting_leaves_the_lock_to_the_one_that_has_it(tmp_path):
    lock = tmp_path / ".lock"

    def give_up():
        raise KeyboardInterrupt

    with alone(lock, lambda: None):
        seen = []

        def second():
            with pytest.raises(KeyboardInterrupt), alone(lock, give_up):
                seen.append("never")

        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
        assert lock.exists() and not seen


WITHOUT_LOCKS = """
import fcntl, os, sys
def flock(file, how):
    raise OSError(int(sys.argv[1]), "no locks")
fcntl.flock = flock
"""
WRITER = """
from pathlib import Path
from sleepbench.core.files import replacing
for n in range(6):
    with replacing(sys.argv[2]) as temporary:
        with temporary.open("w") as file:
            for line in range(200):
                print(sys.argv[3], n, file=file, flush=True)
    lines = set(Path(sys.argv[2]).read_text().splitlines())
    if len(lines) != 1:
        sys.exit(f"torn: {lines}")
"""


def without_locks(script, *arguments):
    """A process on a file system that answers flock with an error."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WITHOUT_LOCKS + script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("number", NO_LOCKS)
def test_writers_neither_tear_nor_lose_a_file_where_the_file_system_has_no_locks(tmp_path, number):
    writers = [without_locks(WRITER, number, tmp_path / "a.txt", name) for name in "abcd"]
    outcomes = [(*writer.communicate(timeout=120), writer.returncode) for writer in writers]
    assert {code for *_, code in outcomes} == {0}, outcomes
    assert len((tmp_path / "a.txt").read_text().splitlines()) == 200
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_process_left_of_such_a_lock_keeps_nobody_out(tmp_path):
    lock = tmp_path / ".lock"
    holder = without_locks(HOLDER.replace("sys.argv[1]", "sys.argv[2]"), errno.ENOSYS, lock)
    assert holder.stdout.readline() == "has it\n"
    assert lock.with_name(lock.name + OWNER).exists()
    holder.kill()
    holder.wait()
    second = without_locks(WRITER, errno.ENOSYS, tmp_path / "a.txt", "second")
    second.communicate(timeout=60)
    waiting = without_locks(HOLDER.replace("sys.argv[1]", "sys.argv[2]"), errno.ENOSYS, lock)
    assert waiting.stdout.readline() == "has it\n"
    waiting.kill()
    waiting.wait()


def test_the_owner_on_another_machine_is_named_with_the_file_to_remove(tmp_path, monkeypatch, capsys):
    def refused(_lock, **_options):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(FileLock, "acquire", refused)
    path = tmp_path / "a.txt"
    lock = tmp_path / f".a.txt.lock{OWNER}"
    lock.write_text("17\nelsewhere\n")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("whole")

    thread = threading.Thread(target=write)
    thread.start()
    said = ""
    while "remove that file" not in said:
        said += capsys.readouterr().err
        time.sleep(0.01)
    assert f"{lock} says that process 17 on elsewhere is at it" in said and not path.exists()
    lock.unlink()  # as it says
    thread.join(10)
    assert path.read_text() == "whole"


def test_other_errors_of_the_file_system_are_not_passed_over(tmp_path, monkeypatch):
    def fails(_lock, **_options):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(FileLock, "acquire", fails)
    with pytest.raises(OSError, match="input/output error"), alone(tmp_path / ".lock", lambda: None):
        pass
