import errno
import re
import sys

import pytest

from sleepbench.errors import BenchmarkError
from sleepbench.logs import logged


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
        (OSError(errno.ENOSPC, "No space left on device", "big.npy"), "Error: the disk is full (big.npy)"),
    ],
)
def test_what_a_user_can_mend_is_one_message_without_traceback(tmp_path, capsys, error, message):
    with pytest.raises(SystemExit) as ended, logged(tmp_path / "job.log"):
        raise error
    assert ended.value.code == 1
    for text in (capsys.readouterr().err, (tmp_path / "job.log").read_text()):
        assert message in text
        assert "Traceback" not in text


def test_any_other_exception_keeps_its_traceback(tmp_path):
    with pytest.raises(PermissionError), logged(tmp_path / "job.log"):
        raise PermissionError(errno.EACCES, "denied")
    assert "Traceback" in (tmp_path / "job.log").read_text()
