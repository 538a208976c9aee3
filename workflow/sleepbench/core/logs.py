"""What every script of the workflow does around its one call."""

import contextlib
import errno
import re
import resource
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from sleepbench.core.errors import BenchmarkError


@contextlib.contextmanager
def logged(log: str) -> Iterator[None]:
    """Send what a job prints to its log file.

    A BenchmarkError, or a full disk, ends the job with a message and no traceback, in the log and on the terminal; any
    other exception leaves its traceback in the log as well. The last line of a job that succeeds is its peak memory:
    Snakemake's benchmark samples it too rarely for jobs of seconds.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    # line by line, so that the log of a running job can be followed
    with Path(log).open("w", encoding="utf-8", buffering=1) as file:
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
            print(f"peak memory {peak_memory_mb():.0f} MB", file=file)
        except Exception as error:
            message = _message(error)
            if message is None:
                traceback.print_exc(file=file)
                raise
            print(f"\nError: {message}\n", file=terminal)
            with contextlib.suppress(OSError):  # the log may lie on the full disk
                print(f"Error: {message}", file=file)
            raise SystemExit(1) from None


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    with contextlib.suppress(OSError):
        # Linux' ru_maxrss starts from that of the process that started this one.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _message(error: Exception) -> str | None:
    """What a user is told instead of a traceback; None for what is no user's to fix."""
    if isinstance(error, BenchmarkError):
        return str(error)
    # pyarrow and numpy's tofile tell a full disk by their message alone
    full = re.search(r"No space left|requested and \d+ written", str(error)) is not None
    if isinstance(error, OSError) and (error.errno in (errno.ENOSPC, errno.EDQUOT) or full):
        return (
            f"the disk is full ({error.filename or 'a file could not be written'}); nothing half-written was kept: "
            "make room and run again"
        )
    return None
