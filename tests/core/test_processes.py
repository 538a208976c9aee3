import errno
import multiprocessing.synchronize

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.processes import require_shared_memory


def test_a_machine_without_shared_memory_is_told_what_to_mount(monkeypatch):
    require_shared_memory()

    def refused(*_arguments, **_options):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(multiprocessing.synchronize, "Semaphore", refused)
    with pytest.raises(BenchmarkError, match=r"/dev/shm is not there .*docker run --shm-size"):
        require_shared_memory()
