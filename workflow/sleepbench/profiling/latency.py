"""Time from one epoch of signal, or one sequence of epochs, to its logits, on one CPU thread.

All ways of inference take turns in one process, so that what else the machine does falls on all alike, and a
measurement that was disturbed is made again; one that is disturbed every time says so.

`python -m sleepbench.profiling.latency NAME N_CHANNELS N_SAMPLES WARM_UPS RUNS SECONDS BATCH...` measures in its own
process and prints JSON.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.models import describe
from sleepbench.profiling.load import Watch, disturbances

if TYPE_CHECKING:
    import torch

FEWEST_RUNS = 50
"""Timed passes of a network that is slow, unless fewer are asked for; of larger batches as many fewer."""
FEWEST_WARM_UPS = 3
SHARE_OF_WARM_UPS = 0.2
"""Of the seconds, at most, where more than the fewest warm-ups are asked for."""
ATTEMPTS = 3
"""At a measurement without disturbance."""
PAUSE_S = 2
"""Before the next attempt."""

Pass = Callable[["torch.Tensor"], object]
Taken = dict[str, tuple[np.ndarray, np.ndarray]]
"""Microseconds of each pass by the clock and of the CPU, by engine."""


def measure_latency(
    model_name: str,
    n_channels: int,
    warm_ups: int = 50,
    runs: int = 400,
    seconds: float = 20,
    n_samples: int = SAMPLES_PER_EPOCH,
    batches: Sequence[int] = (1,),
) -> dict:
    """Time single forward passes of a model with fresh weights in a clean process with one thread.

    Evaluation mode, without gradients; by every way of inference that the model has. A pass is a batch of epochs, or
    for a sequence model of sequences of the length it is trained on.

    Parameters
    ----------
    warm_ups, runs : passes of each engine before the clock counts, and timed ones, of a network that is quick enough
    seconds : what all of them may take, for each batch; a slower network gets fewer passes, but 3 warm-ups and 50
        timed ones if asked for that many, and of a larger batch 3
    n_samples : of an epoch
    batches : epochs or sequences of a pass

    Returns
    -------
    dict of batches, which has for every size, as text, and engine of `profiling.inference` minimum_us, median_us,
    iqr_us, p99_us (microseconds a pass by the clock), cpu_minimum_us, cpu_median_us and runs, or None for an engine
    that the model does not have; length (epochs of a sequence, or 1), threads, model, n_channels, hardware and
    versions; disturbances, in words, which make the figures unreliable where there are some, others_cores (that other
    processes used meanwhile), and attempts
    """
    if describe(model_name).kind != "network":
        raise BenchmarkError(f"latency of {model_name}: it is no network, so there is no forward pass to time")
    arguments = [model_name, *map(str, (n_channels, n_samples, warm_ups, runs, seconds, *batches))]
    # Thread pools are sized when their libraries load, so one thread must be asked for before the process starts.
    finished = subprocess.run(
        [sys.executable, "-m", "sleepbench.profiling.latency", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchmarkError(
            f"latency of {model_name}: the measuring process ended with {finished.returncode}: {reason}"
        )
    return json.loads(finished.stdout.splitlines()[-1])


def _measured(
    model_name: str, n_channels: int, n_samples: int, warm_ups: int, runs: int, seconds: float, batches: Sequence[int]
) -> dict:
    import onnxruntime
    import torch

    from sleepbench.profiling.inference import inference_engines

    torch.set_num_threads(1)
    torch.manual_seed(0)
    length = describe(model_name).sequence_length
    engines = inference_engines(model_name, n_channels, n_samples)
    working = {name: engine for name, engine in engines.items() if engine}

    def once() -> tuple[dict[int, Taken], float]:
        taken, watch = {}, Watch()
        for batch in batches:
            # 30 microvolts, about the amplitude of an EEG
            signals = 30 * torch.randn((batch, *([length] if length else []), n_channels, n_samples))
            started = time.perf_counter()
            _passes(working, signals, warm_ups, min(warm_ups, FEWEST_WARM_UPS), SHARE_OF_WARM_UPS * seconds)
            left = seconds - (time.perf_counter() - started)
            fewest = max(FEWEST_WARM_UPS, FEWEST_RUNS // batch)
            taken[batch] = _passes(working, signals, runs, min(runs, fewest), left)
        return taken, watch.others()

    with torch.inference_mode():
        taken, others, found, attempts = _least_disturbed(once)
    return {
        "batches": {
            str(batch): {name: _summary(*one[name]) if name in one else None for name in engines}
            for batch, one in taken.items()
        },
        "length": length or 1,
        "disturbances": found,
        "others_cores": others,
        "attempts": attempts,
        "threads": torch.get_num_threads(),
        "model": model_name,
        "n_channels": n_channels,
        "hardware": processor_name(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    }


def _least_disturbed(
    once: Callable[[], tuple[dict[int, Taken], float]],
) -> tuple[dict[int, Taken], float, list[str], int]:
    """The first measurement that nothing disturbed, or the one beside which least was done.

    Returns what was taken, the cores that others used, what disturbed it, and how many measurements there were.
    """
    made: list[tuple[dict[int, Taken], float, list[str]]] = []
    while not made or (made[-1][2] and len(made) < ATTEMPTS):
        if made:
            time.sleep(PAUSE_S)
        taken, others = once()
        timed = [(f"{name}, batch {batch}", *times) for batch, one in taken.items() for name, times in one.items()]
        made.append((taken, others, disturbances(others, timed)))
    return *min(made, key=lambda one: (bool(one[2]), one[1])), len(made)


def _passes(engines: Mapping[str, Pass], signals: "torch.Tensor", most: int, fewest: int, seconds: float) -> Taken:
    """The time of each pass of the engines, which take turns.

    It ends when there are `most` turns, or `fewest` and the seconds are over.
    """
    taken: dict[str, list[tuple[int, int]]] = {name: [] for name in engines}
    end, turns = time.perf_counter() + seconds, 0
    while turns < fewest or (turns < most and time.perf_counter() < end):
        for name, engine in engines.items():
            cpu, clock = time.process_time_ns(), time.perf_counter_ns()
            engine(signals)
            taken[name].append((time.perf_counter_ns() - clock, time.process_time_ns() - cpu))
        turns += 1
    return {name: tuple(np.array(times).reshape(-1, 2).T / 1000) for name, times in taken.items()}


def _summary(clock: np.ndarray, cpu: np.ndarray) -> dict[str, float]:
    lower, median, upper, p99 = np.percentile(clock, [25, 50, 75, 99])
    return {
        "minimum_us": clock.min(),
        "median_us": median,
        "iqr_us": upper - lower,
        "p99_us": p99,
        "cpu_minimum_us": cpu.min(),
        "cpu_median_us": np.median(cpu),
        "runs": len(clock),
    }


def processor_name() -> str:
    """The processor's model name on Linux; elsewhere what the platform module says.

    On Linux the platform module knows no model name.
    """
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    name, channels, samples, warm, timed, limit, *sizes = sys.argv[1:]
    settings = (int(channels), int(samples), int(warm), int(timed), float(limit))
    print(json.dumps(_measured(name, *settings, [int(size) for size in sizes])))
