"""Time from one epoch of signal, or one sequence of epochs, to its logits, on one CPU thread.

`python -m sleepbench.profiling.latency NAME N_CHANNELS WARM_UPS RUNS SECONDS` measures in its own process and prints
JSON.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.models import create_model, describe

if TYPE_CHECKING:
    import torch

FEWEST_RUNS = 50
"""Timed passes of a network that is slow, unless fewer are asked for."""
FEWEST_WARM_UPS = 3
SHARE_OF_WARM_UPS = 0.2
"""Of the seconds, at most, where more than the fewest warm-ups are asked for."""


def measure_latency(
    model_name: str,
    n_channels: int,
    warm_ups: int = 50,
    runs: int = 400,
    seconds: float = 20,
    n_samples: int = SAMPLES_PER_EPOCH,
) -> dict:
    """Time single forward passes of a model with fresh weights in a clean process with one thread.

    PyTorch eager, evaluation mode, inference mode, batch 1: one epoch, or for a sequence model one sequence of the
    length it is trained on. Nothing else should run on the machine meanwhile.

    Parameters
    ----------
    warm_ups, runs : passes before the clock counts, and timed ones, of a network that is quick enough
    seconds : what all of them may take; a slower network gets fewer passes, but 3 warm-ups and 50 timed ones if asked
        for that many
    n_samples : of an epoch

    Returns
    -------
    dict of median_us, iqr_us and p99_us (microseconds a pass), length (epochs of a pass), median_us_per_epoch, runs
    and warm_ups (as many as there were), threads, batch_size, model, n_channels, hardware, torch and python
    """
    if describe(model_name).kind != "network":
        raise BenchmarkError(f"latency of {model_name}: it is no network, so there is no forward pass to time")
    arguments = [model_name, *map(str, (n_channels, n_samples, warm_ups, runs, seconds))]
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
    return json.loads(finished.stdout)


def _time_forward_passes(
    model_name: str, n_channels: int, n_samples: int, warm_ups: int, runs: int, seconds: float
) -> dict:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = create_model(model_name, n_channels, n_samples=n_samples).eval()
    length = describe(model_name).sequence_length
    axes = (1, n_channels, n_samples) if length is None else (1, length, n_channels, n_samples)
    signals = 30 * torch.randn(axes)  # 30 microvolts, about the amplitude of an EEG
    with torch.inference_mode():
        before = _passes(model, signals, warm_ups, min(warm_ups, FEWEST_WARM_UPS), SHARE_OF_WARM_UPS * seconds)
        timed = _passes(model, signals, runs, min(runs, FEWEST_RUNS), seconds - sum(before) / 1e6)
    warm_ups, runs, microseconds = len(before), len(timed), np.array(timed)
    lower, median, upper, p99 = np.percentile(microseconds, [25, 50, 75, 99])
    return {
        "median_us": median,
        "iqr_us": upper - lower,
        "p99_us": p99,
        "length": length or 1,
        "median_us_per_epoch": median / (length or 1),
        "runs": runs,
        "warm_ups": warm_ups,
        "threads": torch.get_num_threads(),
        "batch_size": 1,
        "model": model_name,
        "n_channels": n_channels,
        "hardware": processor_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _passes(
    model: Callable[["torch.Tensor"], object], signals: "torch.Tensor", most: int, fewest: int, seconds: float
) -> list[float]:
    """Microseconds of each pass, until there are `most` of them, or `fewest` and the seconds are over."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < fewest or (len(taken) < most and time.perf_counter() < end):
        start = time.perf_counter_ns()
        model(signals)
        taken.append((time.perf_counter_ns() - start) / 1000)
    return taken


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
    name, *counts, limit = sys.argv[1:]
    print(json.dumps(_time_forward_passes(name, *map(int, counts), float(limit))))
