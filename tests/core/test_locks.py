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

from sleepbench.core.locks import NO_LOCKS, alone

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


@pytest.mark.parametrize("number", NO_LOCKS)
def test_nobody_waits_where_the_file_system_has_no_locks(tmp_path, monkeypatch, number):
    def refused(_lock, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", refused)
    with alone(tmp_path / ".lock", lambda: pytest.fail("waits")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_file_system_are_not_passed_over(tmp_path, monkeypatch):
    def fails(_lock, **_options):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(FileLock, "acquire", fails)
    with pytest.raises(OSError, match="input/output error"), alone(tmp_path / ".lock", lambda: None):
        pass
