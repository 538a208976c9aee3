"""The profile of a model: size, operations and latency in one file."""

from pathlib import Path

from sleepbench.files import write_json
from sleepbench.models import create_model, describe
from sleepbench.profiling.latency import measure_latency
from sleepbench.profiling.operations import count_operations


def write_profile(model: str, n_channels: int, output: str | Path) -> None:
    """Count a model's parameters and operations, time it, and write the result as JSON."""
    profile = {
        "model": model,
        "title": describe(model).title,
        "n_channels": n_channels,
        "operations": count_operations(create_model(model, n_channels), n_channels),
        "latency": measure_latency(model, n_channels),
    }
    write_json(output, profile)
    print(profile)
