import pytest
import torch

from sleepbench.benchmarks import training as benchmark_training
from sleepbench.core.errors import BenchmarkError
from sleepbench.models.kernels.fused import arrangement


@pytest.fixture(autouse=True)
def _threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_table_has_both_engines_and_their_ratio(capsys):
    benchmark_training.compare_engines("ulw_sleepnet", 1, batch=2, threads=1, rounds=3)
    title, head, training, inference = capsys.readouterr().out.splitlines()
    assert "ulw_sleepnet, 1 channels, 1 threads" in title and "3 rounds" in title
    has_kernel = arrangement() == "C kernel"
    assert title.endswith(arrangement())
    assert head.split() == ["batch", "fast", *(["in", "PyTorch"] if has_kernel else []), "reference", "ratio"]
    for line, name in ((training, "training"), (inference, "inference")):
        what, _, fast, *in_pytorch, reference, ratio = line.split()
        assert len(in_pytorch) == has_kernel
        assert what == name
        assert float(ratio) == pytest.approx(float(fast) / float(reference), rel=0.05)


def test_first_round_is_left_out():
    rates = benchmark_training.measure("ulw_sleepnet", 1, {"training": 2, "inference": 2}, rounds=2)
    assert {len(values) for engines in rates.values() for values in engines.values()} == {2}


def test_unknown_model_is_refused():
    with pytest.raises(BenchmarkError, match="'ulw' is not known"):
        benchmark_training.compare_engines("ulw")
