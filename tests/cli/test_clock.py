"""Files from the future are dated now, in their order."""

import os
import time

from sleepbench.cli.clock import bring_back


def write(path, dated):
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, ns=(dated, dated), follow_symlinks=False)
    return path


def test_what_is_dated_in_the_future_is_dated_now_in_the_same_order(tmp_path, capsys):
    now = time.time_ns()
    past = write(tmp_path / "past", now - 10**12)
    slight = write(tmp_path / "slight", now + 10**8)
    later = [write(tmp_path / name, now + hours * 3600 * 10**9) for name, hours in [("a", 9), ("c", 1), ("b", 5)]]
    same = write(tmp_path / ".same as a", later[0].stat().st_mtime_ns)
    kept = [path.stat().st_mtime_ns for path in (past, slight)]
    bring_back(tmp_path)
    a, c, b = (path.stat().st_mtime_ns for path in later)
    assert kept[0] < c < b < a == same.stat().st_mtime_ns <= time.time_ns()
    assert [path.stat().st_mtime_ns for path in (past, slight)] == kept
    assert f"4 files and folders in {tmp_path} are dated in the future, up to 2" in capsys.readouterr().err


def test_nothing_is_said_where_nothing_is_wrong_or_there(tmp_path, capsys):
    write(tmp_path / "now", time.time_ns())
    bring_back(tmp_path)
    bring_back(tmp_path / "absent")
    assert capsys.readouterr().err == ""
