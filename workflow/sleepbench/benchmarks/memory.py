"""Peak resident memory of training and of scoring a night, each model and recipe in a process of its own.

python -m sleepbench.benchmarks.memory [MODEL ...] [--sequences N] [--channels 1]

A training here is a step or two of the optimizer on one batch of noise, both stages where a recipe has two; then one
unbroken night of noise is scored, as long as the longest of Sleep-EDF-20. By default every model of sequences is
measured, by the common recipe and by its own.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np

from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.logs import peak_memory_mb
from sleepbench.core.stages import EPOCH_SECONDS, SAMPLES_PER_EPOCH, STAGES
from sleepbench.models import create_model, describe, model_names
from sleepbench.signals.prepare import PreparedRecording
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.loop import predict_probabilities, train, use_device
from sleepbench.training.recipe import Recipe

LONGEST_NIGHT = 2265
"""Epochs of the longest window of a night of Sleep-EDF-20, workflow/resources/known_epochs.csv."""


def noise(n_epochs: int, n_channels: int) -> EpochSet:
    """An unbroken night of white noise in which the stages take turns."""
    names = tuple(f"signal {i}" for i in range(n_channels))
    generator = np.random.default_rng(0)
    signals = 20 * generator.standard_normal((n_epochs, n_channels, SAMPLES_PER_EPOCH), dtype=np.float32)
    epoch, every = np.arange(n_epochs), np.ones(n_epochs, bool)
    night = PreparedRecording("noise", names, signals, epoch, EPOCH_SECONDS * epoch, epoch % len(STAGES), every, every)
    return epoch_set([night], names, "standard")


def peak_memory(model: str, recipe: Recipe, n_channels: int, n_night: int, threads: int = 1) -> dict[str, float]:
    """Peak resident memory of this process in GB: "training" so far, then "night", with the scoring of a night as well.

    Parameters
    ----------
    recipe : its batches are what is trained on, of `items_per_batch` epochs or sequences
    n_night : epochs of the night that is scored
    """
    info = describe(model)
    device = use_device("cpu", threads)
    network = create_model(model, n_channels).to(device)
    n_epochs = recipe.items_per_batch(info.sequence_length) * (info.sequence_length or 1)
    if recipe.pretrain:
        first = replace(recipe.pretrain.recipe, training_epochs=1)
        n_epochs = max(n_epochs, first.batch_size)
        recipe = replace(recipe, pretrain=replace(recipe.pretrain, recipe=first))
    sets = {name: noise(n, n_channels) for name, n in (("train", n_epochs), ("validation", 0), ("test", 1))}
    recipe = replace(recipe, training_epochs=1, patience=None)
    train(network, recipe, sets, 0, "fast", info, report=lambda line: None)
    peaks = {"training": peak_memory_mb() / 1000}
    predict_probabilities(network, noise(n_night, n_channels), "fast", info)
    return peaks | {"night": peak_memory_mb() / 1000}


def measured(model: str, recipe: Recipe, n_channels: int, n_night: int = LONGEST_NIGHT) -> dict[str, float]:
    """`peak_memory` of a new process, so that nothing that ran before counts."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(peak_memory, model, recipe, n_channels, n_night).result()


def recipes_of(model: str, sequences: int | None) -> list[Recipe]:
    """The common recipe, with batches of so many sequences where a number is given; else the model's own as well."""
    configured = load()["recipes"]
    common = Recipe.from_config("common", configured["common"])
    if sequences:
        return [replace(common, batch_size=sequences, batch_unit="sequences")]
    own = describe(model).published_recipe
    return [common, *([Recipe.from_config(own, configured[own])] if own else [])]


def main(arguments: Sequence[str]) -> None:
    """Print a line per model and recipe."""
    of_sequences = [name for name in model_names() if describe(name).sequence_length]
    parser = argparse.ArgumentParser(prog="python -m sleepbench.benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=of_sequences, metavar="MODEL")
    parser.add_argument("--sequences", type=int, help="in a batch, in place of what the common recipe says")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--night", type=int, default=LONGEST_NIGHT, help="epochs of the night that is scored")
    options = parser.parse_args(arguments)
    jobs = [(model, recipe) for model in options.models for recipe in recipes_of(model, options.sequences)]
    for model in options.models:
        if options.channels not in describe(model).supported_channels or describe(model).kind != "network":
            raise BenchmarkError(
                f"model {model}: no network of {options.channels} channel(s); take --channels or leave that model out"
            )
    print(f"{options.channels} channel(s), a night of {options.night:,} epochs, one thread: peak resident memory, GB")
    print(f"{'model':20}{'recipe':20}{'batch':>24}{'training':>10}{'and night':>11}")
    for model, recipe in jobs:
        length = describe(model).sequence_length
        batch = f"{recipe.items_per_batch(length)} x {length} epochs" if length else f"{recipe.batch_size} epochs"
        peaks = measured(model, recipe, options.channels, options.night)
        print(f"{model:20}{recipe.name:20}{batch:>24}{peaks['training']:>10.2f}{peaks['night']:>11.2f}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")
