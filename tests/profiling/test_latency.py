import os
import platform

import pytest
import torch

from sleepbench.core.errors import BenchmarkError
from sleepbench.profiling import latency
from sleepbench.profiling.latency import measure_latency


@pytest.fixture(scope="module")
def one_channel():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "2")
        found = measure_latency("ulw_sleepnet", 1, warm_ups=3, runs=30)
        assert os.environ["OMP_NUM_THREADS"] == "2"
    return found


def test_measures_in_a_process_with_one_thread(one_channel):
    found = one_channel
    assert (found["runs"], found["warm_ups"], found["threads"], found["batch_size"]) == (30, 3, 1, 1)
    assert (found["torch"], found["python"]) == (torch.__version__, platform.python_version())
    assert found["hardware"]
    assert 50 < found["median_us"] < 1e6
    assert 0 <= found["iqr_us"] < found["p99_us"]
    assert found["median_us"] <= found["p99_us"]


def test_a_pass_is_timed_from_before_it_to_after_it(monkeypatch):
    now = [0]  # nanoseconds, which pass while a network works and at no other time
    monkeypatch.setattr(latency.time, "perf_counter_ns", lambda: now[0])
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0] / 1e9)

    def taking(nanoseconds):
        def network(signals):
            assert signals == "an epoch"
            now[0] += nanoseconds

        return network

    assert latency._passes(taking(1500), "an epoch", most=4, fewest=1, seconds=1) == [1.5] * 4
    assert latency._passes(taking(3000), "an epoch", most=2, fewest=1, seconds=1) == [3.0] * 2
    # The seconds are over during the third pass, or before the fewest are done.
    assert len(latency._passes(taking(4 * 10**8), "an epoch", most=9, fewest=1, seconds=1)) == 3
    assert len(latency._passes(taking(4 * 10**8), "an epoch", most=9, fewest=5, seconds=1)) == 5


def test_an_epoch_is_a_pass(one_channel):
    assert (one_channel["length"], one_channel["median_us_per_epoch"]) == (1, one_channel["median_us"])


def test_a_sequence_is_a_pass():
    found = measure_latency("nano_sleepnet_tcn", 1, warm_ups=1, runs=5)
    assert found["length"] == 10
    assert found["median_us_per_epoch"] == pytest.approx(found["median_us"] / 10)


def test_a_slow_network_gets_fewer_passes_but_fifty():
    found = measure_latency("ulw_sleepnet", 1, warm_ups=20, runs=100_000, seconds=0.5)
    assert 50 <= found["runs"] < 100_000
    found = measure_latency("ulw_sleepnet", 1, warm_ups=20, runs=60, seconds=0)
    assert (found["warm_ups"], found["runs"]) == (3, 50)


def test_what_is_no_network_is_refused():
    with pytest.raises(BenchmarkError, match="latency of band_power: it is no network"):
        measure_latency("band_power", 1)


def test_unknown_model_is_refused_before_a_process_starts():
    with pytest.raises(BenchmarkError, match=r"'ulwsleepnet' is not known; .* 'ulw_sleepnet'"):
        measure_latency("ulwsleepnet", 1)


def test_failure_of_the_process_is_told():
    with pytest.raises(BenchmarkError, match=r"latency of ulw_sleepnet: .*n_channels is 0, expected an integer"):
        measure_latency("ulw_sleepnet", 0)
