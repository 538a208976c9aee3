import json
import os
import platform
import sys

import numpy as np
import pytest
import torch

from sleepbench.core.errors import BenchmarkError
from sleepbench.profiling import inference, latency
from sleepbench.profiling.inference import ENGINES
from sleepbench.profiling.latency import measure_latency
from sleepbench.profiling.load import MOST_OTHERS


@pytest.fixture(scope="module")
def one_channel():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "2")
        found = measure_latency("ulw_sleepnet", 1, warm_ups=3, runs=30, batches=(1, 2))
        assert os.environ["OMP_NUM_THREADS"] == "2"
    return found


def test_measures_in_a_process_with_one_thread(one_channel):
    found = one_channel
    assert (found["threads"], found["length"]) == (1, 1)
    assert (found["torch"], found["python"]) == (torch.__version__, platform.python_version())
    assert found["hardware"] and found["onnxruntime"]
    assert found["others_cores"] >= 0 and 1 <= found["attempts"] <= latency.ATTEMPTS
    assert bool(found["disturbances"]) <= (found["attempts"] == latency.ATTEMPTS)


def test_every_way_of_inference_is_timed(one_channel):
    assert list(one_channel["batches"]) == ["1", "2"]
    for batch, engines in one_channel["batches"].items():
        assert list(engines) == list(ENGINES)
        for one in engines.values():
            assert one["runs"] == 30 if batch == "1" else 25 <= one["runs"] <= 30
            assert 1 < one["minimum_us"] <= one["median_us"] <= one["p99_us"] < 1e7
            assert 0 < one["cpu_minimum_us"] <= one["cpu_median_us"] and one["iqr_us"] >= 0


@pytest.fixture
def now(monkeypatch):
    """Nanoseconds, which pass while a network works and at no other time."""
    passed = [0, 0]  # by the clock and of the CPU
    monkeypatch.setattr(latency.time, "perf_counter_ns", lambda: passed[0])
    monkeypatch.setattr(latency.time, "perf_counter", lambda: passed[0] / 1e9)
    monkeypatch.setattr(latency.time, "process_time_ns", lambda: passed[1])
    return passed


def test_a_pass_is_timed_from_before_it_to_after_it(now):
    order = []

    def taking(name, nanoseconds):
        def network(signals):
            assert signals == "an epoch"
            order.append(name)
            now[0] += nanoseconds
            now[1] += nanoseconds // 2

        return network

    def clock_of(nanoseconds, **settings):
        return latency._passes({"one": taking("one", nanoseconds)}, "an epoch", **settings)["one"][0].tolist()

    assert clock_of(1500, most=4, fewest=1, seconds=1) == [1.5] * 4
    assert clock_of(3000, most=2, fewest=1, seconds=1) == [3.0] * 2
    # The seconds are over during the third pass, or before the fewest are done.
    assert len(clock_of(4 * 10**8, most=9, fewest=1, seconds=1)) == 3
    assert len(clock_of(4 * 10**8, most=9, fewest=5, seconds=1)) == 5
    order.clear()
    taken = latency._passes({"a": taking("a", 2000), "b": taking("b", 6000)}, "an epoch", 2, 1, 1)
    assert order == ["a", "b", "a", "b"]
    assert taken["b"][0].tolist() == [6.0, 6.0] and taken["b"][1].tolist() == [3.0, 3.0]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_sequence_is_a_pass_and_a_network_may_lack_a_way(monkeypatch, one_thread):
    shapes = []
    monkeypatch.setattr(latency, "ATTEMPTS", 1)
    fake = {name: (lambda signals: shapes.append(tuple(signals.shape))) for name in ENGINES}
    monkeypatch.setattr(inference, "inference_engines", lambda *_: {**fake, "fast": None, "ours": None})
    found = latency._measured("nano_sleepnet_tcn", 1, 3000, 0, 5, 1.0, [1])
    assert found["length"] == 10 and set(shapes) == {(1, 10, 1, 3000)}
    assert found["batches"]["1"]["fast"] is found["batches"]["1"]["ours"] is None
    assert found["batches"]["1"]["eager"]["runs"] == found["batches"]["1"]["onnxruntime"]["runs"] == 5


def test_a_slow_network_gets_fewer_passes_but_fifty(monkeypatch, one_thread):
    monkeypatch.setattr(latency, "ATTEMPTS", 1)
    monkeypatch.setattr(inference, "inference_engines", lambda *_: dict.fromkeys(ENGINES, lambda signals: None))
    found = latency._measured("ulw_sleepnet", 1, 30, 20, 10**9, 0.2, [1])["batches"]["1"]["eager"]
    assert 50 <= found["runs"] < 10**9
    found = latency._measured("ulw_sleepnet", 1, 30, 20, 60, 0, [1, 10])["batches"]
    assert (found["1"]["eager"]["runs"], found["10"]["eager"]["runs"]) == (50, 5)


def steady(n=100):
    return np.full(n, 100.0), np.full(n, 100.0)


def measurements(*others):
    """Measurements beside which others used so many cores."""
    waiting = list(others)
    return lambda: ({1: {"eager": steady()}}, waiting.pop(0))


def test_a_disturbed_measurement_is_made_again(monkeypatch):
    monkeypatch.setattr(latency.time, "sleep", lambda seconds: None)
    _, others, found, attempts = latency._least_disturbed(measurements(0.9, 0.0))
    assert (others, found, attempts) == (0.0, [], 2)


def test_one_that_is_disturbed_every_time_says_so(monkeypatch):
    monkeypatch.setattr(latency.time, "sleep", lambda seconds: None)
    _, others, found, attempts = latency._least_disturbed(measurements(0.9, 0.3, 1.2))
    assert (others, attempts) == (0.3, 3)
    assert found == ["other processes used 0.30 cores"]


def test_what_disturbs_a_measurement_is_named():
    clock, cpu = steady()
    assert latency.disturbances(MOST_OTHERS, [("a", clock, cpu)]) == []
    (said,) = latency.disturbances(0, [("a", clock, cpu), ("b", 2 * clock, cpu)])
    assert said == "b waited for a core for 100% of the CPU time that it took"
    (said,) = latency.disturbances(0, [("c", np.linspace(50, 150, 100), np.linspace(50, 150, 100))])
    assert said == "the middle half of the passes of c spreads over 50% of their median"


def test_work_of_other_processes_is_seen():
    import subprocess

    from sleepbench.profiling.load import Watch

    watch = Watch()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.4: pass"], check=True)
    assert watch.others() > MOST_OTHERS


def test_what_is_no_network_is_refused():
    with pytest.raises(BenchmarkError, match="latency of band_power: it is no network"):
        measure_latency("band_power", 1)


def test_unknown_model_is_refused_before_a_process_starts():
    with pytest.raises(BenchmarkError, match=r"'ulwsleepnet' is not known; .* 'ulw_sleepnet'"):
        measure_latency("ulwsleepnet", 1)


def test_failure_of_the_process_is_told():
    with pytest.raises(BenchmarkError, match=r"latency of ulw_sleepnet: .*n_channels is 0, expected an integer"):
        measure_latency("ulw_sleepnet", 0)


def test_result_is_json(one_channel):
    assert json.loads(json.dumps(one_channel)) == one_channel
