"""Time from one epoch of signal, or one sequence of epochs, to its logits, on one CPU thread.

`python -m sleepbench.profiling.latency NAME N_CHANNELS WARM_UPS RUNS` measures in its own process and prints JSON.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from sleepbench.errors import BenchmarkError
from sleepbench.models import create_model, describe
from sleepbench.stages import SAMPLES_PER_EPOCH


def measure_latency(model_name: str, n_channels: int, warm_ups: int = 50, runs: int = 400) -> dict:
    """Time single forward passes of a model with fresh weights in a clean process with one thread.

    PyTorch eager, evaluation mode, inference mode, batch 1: one epoch, or for a sequence model one sequence of the
    length it is trained on. Nothing else should run on the machine meanwhile.

    Returns
    -------
    dict of median_us, iqr_us and p99_us (microseconds a pass), length (epochs of a pass), median_us_per_epoch, runs,
    warm_ups, threads, batch_size, model, n_channels, hardware, torch and python
    """
    if describe(model_name).kind != "network":
        raise BenchmarkError(f"latency of {model_name}: it is no network, so there is no forward pass to time")
    arguments = [model_name, str(n_channels), str(warm_ups), str(runs)]
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


def _time_forward_passes(model_name: str, n_channels: int, warm_ups: int, runs: int) -> dict:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = create_model(model_name, n_channels).eval()
    length = describe(model_name).sequence_length
    axes = (1, n_channels, SAMPLES_PER_EPOCH) if length is None else (1, length, n_channels, SAMPLES_PER_EPOCH)
    signals = 30 * torch.randn(axes)  # 30 microvolts, about the amplitude of an EEG
    microseconds = np.empty(runs)
    with torch.inference_mode():
        for _ in range(warm_ups):
            model(signals)
        for run in range(runs):
            start = time.perf_counter_ns()
            model(signals)
            microseconds[run] = (time.perf_counter_ns() - start) / 1000
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
        "hardware": _processor_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor_name() -> str:
    """The processor's own name on Linux, where the platform module knows none; what that module knows elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    print(json.dumps(_time_forward_passes(name, *map(int, numbers))))
