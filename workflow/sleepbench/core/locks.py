"""One process at a time, by a kernel lock.

The lock ends with the process that holds it, however that ends.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What a file system says that does not lock files."""


@contextmanager
def alone(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time do what `path` stands for; others say so by `on_wait`, and wait.

    The lock's file is there meanwhile. Where the file system has no locks, nobody waits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)
    _acquire(lock, on_wait)
    try:
        yield
    finally:
        # Removed while it is held: whoever gets the lock of a removed file tries again.
        path.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, on_wait: Callable[[], None]) -> None:
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            on_wait()
            lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
