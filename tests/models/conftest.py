import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread_and_the_same_every_time():
    """Small networks are no faster on two threads, and the tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
