"""Peak resident memory of training and of scoring a night, by model and recipe.

Each model and recipe is measured in a process of its own.

A training here is a step or two of the optimizer on one batch of noise, both phases where a recipe has two; then one
unbroken night of noise is scored, as long as the longest of Sleep-EDF-20. By default every model of sequences is
measured, by the common recipe and by its own.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from sleepbench.benchmarks.made_up import made_up_epochs, made_up_night, silent
from sleepbench.config.load import load
from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.logs import peak_memory_mb
from sleepbench.models import create_model, describe, model_names
from sleepbench.training.loop import predict_probabilities, train, use_device

LONGEST_NIGHT = 2265
"""Epochs that the longest night of Sleep-EDF-20 keeps, workflow/resources/known_epochs.csv."""


def peak_memory(model: str, recipe: Recipe, n_channels: int, n_night: int, threads: int = 1) -> dict[str, float]:
    """Peak resident memory of this process in GB, after training and after scoring a night.

    The keys are "training", the peak so far when training ends, and "night", with the scoring of a night as well.

    recipe : its batches are what is trained on, of `items_per_batch` epochs or sequences
    n_night : epochs of the night that is scored
    """
    info = describe(model)
    device = use_device("cpu", threads)
    network = create_model(model, n_channels).to(device)
    n_epochs = recipe.items_per_batch(info) * (info.sequence_length or 1)
    n_epochs = max(n_epochs, recipe.pretrain.batch_size if recipe.pretrain else 0)
    batch = made_up_night(n_channels, n_epochs)
    sets = {name: made_up_epochs(batch, n) for name, n in (("train", n_epochs), ("validation", 0), ("test", 1))}
    one_batch = {"sequences": "cut"}  # another arrangement takes as much, but more of the one night
    train(network, recipe.at_most(1).model_copy(update=one_batch), sets, 0, "fast", info, report=silent)
    peaks = {"training": peak_memory_mb() / 1000}
    predict_probabilities(network, made_up_epochs(made_up_night(n_channels, n_night), n_night), "fast", info)
    return peaks | {"night": peak_memory_mb() / 1000}


def measured(model: str, recipe: Recipe, n_channels: int, n_night: int = LONGEST_NIGHT) -> dict[str, float]:
    """`peak_memory` of a new process, so that nothing that ran before counts."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(peak_memory, model, recipe, n_channels, n_night).result()


def recipes(model: str, sequences: int | None) -> list[Recipe]:
    """The recipes that are measured: the common one, and the model's own where it has one.

    Where a number of sequences is given, only the common recipe, with batches of so many sequences.
    """
    configured, own = load().recipes, describe(model).published_recipe
    common = configured["common"]
    if sequences:
        return [common.model_copy(update={"batch_size": sequences, "batch_unit": "sequences"})]
    return [common, *([configured[own]] if own else [])]


def print_memory(
    models: Sequence[str] = (), sequences: int | None = None, channels: int = 1, night: int = LONGEST_NIGHT
) -> None:
    """Print a line per model and recipe, by default of all models of sequences.

    sequences : sequences in a batch
    night : epochs of the night that is scored
    """
    models = models or [name for name in model_names() if describe(name).sequence_length]
    jobs = [(model, recipe) for model in models for recipe in recipes(model, sequences)]
    for model in models:
        if not describe(model).takes(channels) or describe(model).kind != "network":
            raise BenchmarkError(
                f"model {model}: no network of {channels} channel(s); take --channels or leave that model out"
            )
    print(f"{channels} channel(s), a night of {night:,} epochs, one thread: peak resident memory, GB")
    print(f"{'model':20}{'recipe':20}{'batch':>24}{'training':>10}{'and night':>11}")
    for model, recipe in jobs:
        info = describe(model)
        of = f" x {info.sequence_length}" if info.sequence_length else ""
        batch = f"{recipe.items_per_batch(info)}{of} epochs"
        peaks = measured(model, recipe, channels, night)
        print(f"{model:20}{recipe.name:20}{batch:>24}{peaks['training']:>10.2f}{peaks['night']:>11.2f}", flush=True)
