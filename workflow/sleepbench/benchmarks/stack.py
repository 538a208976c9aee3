"""Optimizer steps a second of ten folds as one stack, and of one fold, measured in turn.

What `released` takes at that rate is extrapolated.

Of the stack also the bytes that a step passes over: a GPU is held up by its memory.

On a GPU this is how folds are trained. A CPU, where they are trained one by one, can be asked as well.
"""

import math

import torch

from sleepbench.benchmarks import passes
from sleepbench.benchmarks.estimate import Phase, epochs_by_recording, works
from sleepbench.benchmarks.made_up import made_up_stack
from sleepbench.benchmarks.passes import Traffic
from sleepbench.config.keys import Contender
from sleepbench.config.load import load
from sleepbench.config.models import Config
from sleepbench.config.plan import dataset, plan, recipe_on, recordings
from sleepbench.training.loop import use_device
from sleepbench.training.stack import Stack

CONTENDER = Contender("ulw_sleepnet", "four", "ulw")
EXTRAPOLATED = ("sleep-edf-20", "sleep-edf-78")


def traffic(config: Config, n_channels: int, n_folds: int) -> Traffic:
    """The operators of a step of a stack as a GPU runs it."""
    return passes.traffic(_stack(config, n_channels, n_folds, torch.device("meta"), steps=1))


def _stack(config: Config, n_channels: int, n_folds: int, device: torch.device, steps: int) -> Stack:
    return made_up_stack(CONTENDER.model, config.recipes[CONTENDER.recipe], n_channels, n_folds, device, steps)


def steps_on(name: str) -> int:
    """Steps that all folds of `released` on a dataset take as one stack: those of its largest fold."""
    lists = dict(zip(("models", "inputs", "recipes"), ([part] for part in CONTENDER), strict=True))
    config = load(run={"datasets": [name], "protocols": ["released"], "seeds": [32], **lists})
    counts = epochs_by_recording(dataset(config, name), recordings(config, name))
    trained = [work.phases[Phase(CONTENDER)].trained for work in works(config, plan(config).datasets[name], counts)]
    recipe = recipe_on(config, CONTENDER.recipe, name)
    return recipe.training_epochs * math.ceil(max(trained) / recipe.training_epochs / recipe.batch_size)


def measure_stack(
    n_folds: int = 10, seconds: float = 60, device: str = "auto", threads: int = 1, steps: int = 200
) -> None:
    """Measure a stack of folds and one fold, in training epochs of so many steps, and print."""
    config, on = load(), use_device(device, threads)
    n_channels, sizes = len(config.inputs[CONTENDER.input]), (n_folds, 1)
    stacks = [_stack(config, n_channels, n, on, steps) for n in sizes]
    name = torch.cuda.get_device_name(on) if on.type == "cuda" else f"CPU, {threads} thread(s)"
    print(
        f"{CONTENDER.model}, {n_channels} channels, {CONTENDER.recipe}, on {name}, torch {torch.__version__}: "
        "made-up signals"
    )
    batch = stacks[0].recipe.batch_size
    rates = [sorted(own)[len(own) // 2] for own in passes.measure(stacks, seconds)]
    for n, stack, rate in zip(sizes, stacks, rates, strict=True):
        print(
            f"{n:>3} fold(s): {rate:8.1f} steps a second (median), {rate * n * batch:9.0f} epochs trained and "
            f"{passes.evaluation_rate(stack):9.0f} classified a second"
        )
    counted = traffic(config, n_channels, n_folds)
    print(
        f"A step of {n_folds} folds as a GPU takes it: {counted.n_operators} operators, which read and write "
        f"{counted.n_bytes / 1e9:.2f} GB, {counted.n_bytes / (n_folds * batch) / 1e6:.1f} MB an epoch"
        + (f"; here {counted.n_bytes * rates[0] / 1e9:.0f} GB a second" if on.type == "cuda" else "")
    )
    print(f"As one stack the folds train {n_folds * rates[0] / rates[1]:.1f} times as fast as one by one.")
    for extrapolated in EXTRAPOLATED:
        n = steps_on(extrapolated)
        print(f"{n} steps of released on {extrapolated}: {n / rates[0] / 60:.1f} minutes, extrapolated")
