import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.logs import ERRORS_ARE_READ, logged, peak_memory_mb


def test_output_goes_to_the_log(tmp_path, capsys):
    with logged(tmp_path / "logs" / "job.log"):
        print("to stdout")
        print("to stderr", file=sys.stderr)
    lines = (tmp_path / "logs" / "job.log").read_text().splitlines()
    assert lines[:2] == ["to stdout", "to stderr"]
    assert re.fullmatch(r"peak memory \d+ MB", lines[2])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BenchmarkError("x.edf: is wrong; mend it"), "Error: x.edf: is wrong; mend it"),
        (OSError("3830400 requested and 1251328 written"), "Error: the disk is full"),
        (OSError(errno.ENOSPC, "No space left on device", "big.npy"), "Error: the disk is full (big.npy"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "Error: the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "a.npy"), "Error: a.npy is on a file system that is read-only"),
        (RuntimeError("attempt to write a readonly database"), "Error: a file is on a file system that is read-only"),
        (PermissionError(errno.EACCES, "denied", "a.csv"), "Error: a.csv may not be read or written by this user"),
        (OSError(errno.EIO, "Input/output error", "a.csv"), "Error: a.csv cannot be read or written"),
    ],
)
def test_what_a_user_can_mend_is_one_message_without_traceback(tmp_path, capsys, error, message):
    with pytest.raises(SystemExit) as ended, logged(tmp_path / "job.log"):
        raise error
    assert ended.value.code == 1
    for text in (capsys.readouterr().err, (tmp_path / "job.log").read_text()):
        assert message in text
        assert "Traceback" not in text


def test_where_logs_are_read_the_terminal_gets_only_what_is_in_no_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(ERRORS_ARE_READ, "1")
    for error in (BenchmarkError("x.edf: is wrong"), ZeroDivisionError()):
        with pytest.raises(SystemExit), logged(tmp_path / "job.log"):
            raise error
        assert capsys.readouterr().err == ""
    assert "ZeroDivisionError" in (tmp_path / "job.log").read_text()
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(SystemExit), logged(full):
            raise BenchmarkError("x.edf: is wrong")
        assert capsys.readouterr().err == "\nError: x.edf: is wrong\n\n"


def test_a_log_that_cannot_be_written_is_said_too(tmp_path, capsys, monkeypatch):
    def refused(path, *_arguments, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(SystemExit), logged(tmp_path / "job.log"):
        pytest.fail("begins")
    assert "job.log is on a file system that is read-only" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("error", [None, OSError(errno.ENOSPC, "No space left on device", "big.npy")])
def test_a_log_on_a_full_disk_hides_no_message(tmp_path, capsys, error):
    (tmp_path / "job.log").symlink_to("/dev/full")
    with pytest.raises(SystemExit) as ended, logged(tmp_path / "job.log"):
        if error:
            raise error
        print("a line")
    assert ended.value.code == 1
    assert re.fullmatch(
        r"\nError: the disk is full \((big\.npy|a file) could [^\n]*run again\n\n", capsys.readouterr().err
    )


def test_any_other_exception_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), logged(tmp_path / "job.log"):
        raise ZeroDivisionError
    assert "Traceback" in (tmp_path / "job.log").read_text()


def test_ctrl_c_is_an_exit_status_and_no_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, logged(tmp_path / "job.log"):
        raise KeyboardInterrupt
    assert ended.value.code == 130 and capsys.readouterr() == ("", "")
    assert (tmp_path / "job.log").read_text() == "Interrupted.\n"


def test_peak_memory_is_that_of_this_process_alone():
    """Not that of the one that started it, which Linux' getrusage begins with."""
    held = np.ones(60_000_000)  # 480 MB here
    script = "from sleepbench.core.logs import peak_memory_mb; print(peak_memory_mb())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert 5 < float(found.stdout) < 300 < peak_memory_mb()
    assert held.sum() == 60_000_000
