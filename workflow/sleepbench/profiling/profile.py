"""The profile of a model: size, operations and latency in one file."""

from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.models import create_model, describe
from sleepbench.profiling.latency import measure_latency
from sleepbench.profiling.operations import count_operations


def write_profile(model: str, n_channels: int, output: str | Path, n_samples: int = SAMPLES_PER_EPOCH) -> None:
    """Count a network's parameters and operations, time it, and write the result as JSON.

    A sequence model is counted and timed on one sequence of the length it is trained on; both say how much of it falls
    to an epoch. BenchmarkError for a model that is no network.
    """
    info = describe(model)
    if info.kind != "network":
        raise BenchmarkError(f"profile of {model}: it is no network; there is nothing to count in it")
    profile = {
        "model": model,
        "title": info.title,
        "n_channels": n_channels,
        "n_samples": n_samples,
        "operations": count_operations(
            create_model(model, n_channels, n_samples=n_samples), n_channels, info.sequence_length, n_samples
        ),
        "latency": measure_latency(model, n_channels, n_samples=n_samples),
    }
    write_json(output, profile)
    print(profile)
