"""Processes that work side by side, where the machine allows them."""

import multiprocessing

from sleepbench.core.errors import BenchmarkError


def require_shared_memory() -> None:
    """BenchmarkError where processes cannot wait for each other: Linux keeps what they need for it in /dev/shm."""
    try:
        multiprocessing.get_context("spawn").Semaphore()
    except (OSError, ImportError) as error:
        raise BenchmarkError(
            f"/dev/shm is not there or cannot be written to ({error}), so that processes cannot work side by side; "
            "mount it: mount -t tmpfs tmpfs /dev/shm, or docker run --shm-size=1g. Trainings do without it."
        ) from error
