"""Commands that measure this machine."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from sleepbench.core.errors import BenchmarkError

REPORTING = Path("tools/benchmark_reporting.py")


@click.group()
def benchmark() -> None:
    """Measure time and memory."""


@benchmark.command(epilog="Example: sleepbench benchmark jobs sleep-edf-20")
@click.argument("dataset")
def jobs(dataset: str) -> None:
    """Time and memory of the jobs that were run, by kind."""
    from sleepbench.benchmarks.jobs import print_jobs

    print_jobs(dataset)


@benchmark.command(epilog="Example: sleepbench benchmark training ulw_sleepnet --threads 1")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Turns of each engine.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Threads of PyTorch.")
@click.option("--batch", type=click.IntRange(1), help="Epochs of signal in a batch of training.")
@click.option("--channels", type=click.IntRange(1), default=4, show_default=True, help="Channels.")
@click.argument("model", default="ulw_sleepnet")
def training(**options: Any) -> None:
    """Epochs a second that each engine trains and classifies."""
    from sleepbench.benchmarks.training import compare_engines

    compare_engines(**options)


@benchmark.command(epilog="Example: sleepbench benchmark inference ulw_sleepnet --batch 1 --batch 64")
@click.option("--rounds", type=click.IntRange(1), default=400, show_default=True, help="Passes of each, at most.")
@click.option(
    *("--batch", "batches"),
    **{"type": click.IntRange(1), "multiple": True, "default": [1, 64], "show_default": True},
    help="Epochs, or sequences, in a pass; may be given several times.",
)
@click.option("--channels", type=click.IntRange(1), default=4, show_default=True, help="Channels.")
@click.argument("model", default="ulw_sleepnet")
def inference(**options: Any) -> None:
    """Time by PyTorch, ONNX Runtime and in C, one thread.

    All take turns in one process. Where other work on the machine disturbs every one of three measurements, the times
    are printed as unreliable.
    """
    from sleepbench.benchmarks.inference import print_inference

    print_inference(**options)


@benchmark.command(epilog="Example: sleepbench benchmark stack --device cpu --folds 4")
@click.option("--folds", "n_folds", type=click.IntRange(1), default=10, show_default=True, help="Trained at once.")
@click.option("--seconds", type=float, default=60, show_default=True, help="Of timed steps.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Threads of PyTorch.")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True, help="Of a training epoch.")
def stack(**options: Any) -> None:
    """Steps a second of folds trained at once, as a GPU does."""
    from sleepbench.benchmarks.stack import measure_stack

    measure_stack(**options)


@benchmark.command(epilog="Example: sleepbench benchmark memory u_sleep --sequences 64")
@click.argument("models", nargs=-1)
@click.option("--sequences", type=click.IntRange(1), help="In a batch, in place of the common recipe's.")
@click.option("--channels", type=click.IntRange(1), default=1, show_default=True, help="Channels.")
@click.option("--night", type=click.IntRange(1), default=2265, show_default=True, help="Epochs of the night scored.")
def memory(**options: Any) -> None:
    """Peak memory of training and of scoring a night.

    By default of every model of sequences, in 5 minutes.
    """
    from sleepbench.benchmarks.memory import print_memory

    print_memory(**options)


@benchmark.command(epilog="Example: sleepbench benchmark scale --recordings 500")
@click.option("--recordings", type=click.IntRange(20), default=5000, show_default=True, help="That are planned.")
@click.option("--trainings", type=click.IntRange(1), default=1000, show_default=True, help="That are planned.")
@click.option("--runs", type=click.IntRange(1), default=10_000, show_default=True, help="Read back from MLflow.")
@click.option("--subjects", type=click.IntRange(2), default=5000, show_default=True, help="That are resampled.")
def scale(**options: Any) -> None:
    """Planning, MLflow and bootstrap of a large study."""
    from sleepbench.benchmarks.scale import measure_scale

    measure_scale(**options)


@benchmark.command(epilog="Example: sleepbench benchmark reporting")
def reporting() -> int:
    """Time and memory of the tables of 1,600 made-up runs."""
    if not REPORTING.exists():
        raise BenchmarkError(f"{REPORTING}: not found in {Path.cwd()}; run this in a clone of the repository")
    return subprocess.run([sys.executable, str(REPORTING)], check=False).returncode
