"""What every script of the workflow does around its one call."""

import contextlib
import errno
import os
import re
import resource
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sleepbench.core.errors import BenchmarkError

ERRORS_ARE_READ = "SLEEPBENCH_ERRORS_ARE_READ"
"""A variable of the environment: whoever started the jobs shows the errors that are in their logs."""


@contextlib.contextmanager
def logged(log: str) -> Iterator[None]:
    """Send what a job prints to its log file.

    A BenchmarkError, or what a file system refuses, ends the job with a message and no traceback, in the log and on the
    terminal; any other exception leaves its traceback there. Where ERRORS_ARE_READ is set, the terminal gets only what
    could not be written to the log. The last line of a job that succeeds is its peak memory: Snakemake's benchmark
    samples it too rarely for jobs of seconds.
    """
    terminal = sys.stderr
    with _opened(Path(log)) as file:
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
            print(f"peak memory {peak_memory_mb():.0f} MB", file=file)
        except KeyboardInterrupt:
            print("Interrupted.", file=file)
            raise SystemExit(130) from None
        except Exception as error:
            message = explained(error)
            text = traceback.format_exc() if message is None else f"Error: {message}\n"
            is_said = _appended(file, text) and bool(os.environ.get(ERRORS_ARE_READ))
            if message is None and not is_said:
                raise
            if not is_said:
                print(f"\nError: {message}\n", file=terminal)
            raise SystemExit(1) from None


def _appended(file: TextIO, text: str) -> bool:
    """Write a text and close the file; whether that could be done, as it may lie on a disk that is full."""
    try:
        with file:
            file.write(text)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _opened(log: Path) -> Iterator[TextIO]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        # line by line, so that the log of a running job can be followed
        file = log.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        if (message := explained(error)) is None:
            raise
        print(f"\nError: {message}\n", file=sys.stderr)
        raise SystemExit(1) from None
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # of a full disk, which was said when a line could not be written
            file.close()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    with contextlib.suppress(OSError):
        # Linux' ru_maxrss starts from that of the process that started this one.
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


FULL = re.compile(r"No space left|requested and \d+ written|database or disk is full")
"""How libraries tell a full disk by their message alone: pyarrow, numpy's tofile, SQLite."""
READ_ONLY = re.compile(r"attempt to write a readonly database")
REFUSALS = {
    errno.EROFS: "is on a file system that is read-only, or became so: make it writable again (`mount` says why)",
    errno.EACCES: "may not be read or written by this user: correct its owner or permissions",
    errno.EPERM: "may not be changed by this user: correct its owner or permissions",
    errno.EIO: "cannot be read or written, the disk or the connection to it fails: see the system's log, or move away",
    errno.ESTALE: "has gone from the network's file system: mount it again",
    errno.ENAMETOOLONG: "has too long a path: move the project to a shorter one",
    errno.EMFILE: "cannot be opened, too many files are open: raise `ulimit -n`",
    errno.ENFILE: "cannot be opened, too many files are open on this machine: close other programs",
}
"""What a file system answers, and what to do about it."""


def is_of_a_full_disk(error: BaseException) -> bool:
    """Whether an error says that a disk, or a quota of it, is full."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(FULL.search(str(error)))


def explained(error: BaseException) -> str | None:
    """What a user is told instead of a traceback; None for what is no user's to fix."""
    if isinstance(error, BenchmarkError):
        return str(error)
    number = error.errno if isinstance(error, OSError) else None
    place = error.filename if isinstance(error, OSError) and error.filename else "a file"
    if is_of_a_full_disk(error):
        return (
            f"the disk is full ({place} could not be written); nothing half-written was kept: make room and run again"
        )
    if READ_ONLY.search(str(error)):
        number = errno.EROFS
    if number in REFUSALS:
        return f"{place} {REFUSALS[number]}, then run again; nothing half-written was kept"
    return None
