"""One process at a time, by a kernel lock.

The lock ends with the process that holds it, however that ends. Where the file system has no such locks, a file that
only one process can create is the lock: it says who has it, and is removed by the next when that process is gone.
"""

import errno
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What a file system says that does not lock files."""
OWNER = ".owner"
"""Ends the name of the file that stands for a lock where there are none."""


@contextmanager
def alone(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time do what `path` stands for; others say so by `on_wait`, and wait.

    The lock's file is there meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)
    try:
        _acquire(lock, on_wait)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        path.unlink(missing_ok=True)
        lock = owner_lock(path)
        _acquire(lock, lambda: (on_wait(), _say_who_has(lock)))
    try:
        yield
    finally:
        # Removed while it is held: whoever gets the lock of a removed file tries again.
        path.unlink(missing_ok=True)
        lock.release()


def owner_lock(path: Path) -> SoftFileLock:
    """A lock that is a file beside `path` with its owner's host, process and that one's start.

    Whoever waits for an owner of the same host that has ended takes it; one of another host cannot be asked.
    """
    return SoftFileLock(path.with_name(path.name + OWNER))


def owner_of(lock: SoftFileLock) -> tuple[int, str] | None:
    """The process and the host that have such a lock; None where its file says neither."""
    with suppress(OSError, ValueError, IndexError):
        process, host, *_ = Path(lock.lock_file).read_text(encoding="utf-8").split("\n")
        return int(process), host
    return None


def _acquire(lock: BaseFileLock, on_wait: Callable[[], None]) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_wait()
        lock.acquire()


def _say_who_has(lock: SoftFileLock) -> None:
    process, host = owner_of(lock) or ("?", "?")
    if host != socket.gethostname():
        print(
            f"{lock.lock_file} says that process {process} on {host} is at it; if it has ended, remove that file",
            file=sys.stderr,
            flush=True,
        )
