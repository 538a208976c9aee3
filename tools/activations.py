"""What activations in bfloat16 cost in accuracy, beside what another seed changes.

python tools/activations.py simulated --seeds 5 trains ULW-SleepNet on the folds of the protocol `clean` of a dataset
that was run, by the recipe `ulw` and by the same with `activations: bfloat16`, with the same seeds. It prints the
accuracy on the test subjects: the difference of each pair, and the standard deviation over seeds. It writes no results.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.config.plan import dataset, plan, recipe_on
from sleepbench.models import create_model, describe
from sleepbench.preparation.index import read_index
from sleepbench.protocols.folds import folds_of, read_folds
from sleepbench.runs.text import aligned
from sleepbench.training.epochs import EpochSet, fold_sets
from sleepbench.training.loop import use_device
from sleepbench.training.stack import train_stack

MODEL, RECIPE, PROTOCOL = "ulw_sleepnet", "ulw", "clean"
KINDS = ("float32", "bfloat16")


def accuracy(sets: Sequence[dict[str, EpochSet]], recipe: object, seed: int, device: torch.device) -> float:
    """Accuracy, in percent, after the last training epoch of a stack on its test subjects, all folds together."""
    torch.manual_seed(seed)
    model = create_model(MODEL, len(sets[0]["train"].channels)).to(device)
    trainings, _ = train_stack(model, recipe, sets, seed, describe(MODEL), lambda line: None)
    sizes = [len(fold["test"]) for fold in sets]
    return 100 * float(np.average([one.history[-1]["test_accuracy"] for one in trainings], weights=sizes))


def lines(found: Mapping[str, Sequence[float]]) -> list[str]:
    """A table of the accuracies by kind and seed, and what the difference is beside the seeds."""
    ours, others = (np.array(found[kind]) for kind in KINDS)
    differences = others - ours
    rows = [
        (str(i), f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}") for i, (a, b) in enumerate(zip(ours, others, strict=True), 1)
    ]
    spread = ours.std(ddof=1)
    return [
        *aligned(("Seed", *KINDS, "Difference"), rows, left=1),
        f"bfloat16 - float32: {differences.mean():+.2f} points on average of {len(ours)} seeds, standard error "
        f"{differences.std(ddof=1) / len(ours) ** 0.5:.2f}; another seed changes {spread:.2f} (standard deviation)",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train by both, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--input", default="four", help="the set of channels; of the excerpts: one")
    parser.add_argument("--seeds", type=int, default=5, help="how many, at least 2")
    parser.add_argument("--folds", type=int, help="how many of the folds; default: all")
    parser.add_argument("--training-epochs", type=int, help="fewer than the recipe has")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    asked = parser.parse_args(arguments)
    if asked.seeds < 2:
        parser.error("--seeds: at least 2, else there is nothing to hold a difference against")
    config = load(run={"datasets": [asked.dataset], "protocols": [PROTOCOL], "inputs": [asked.input]})
    planned, device = plan(config).datasets[asked.dataset], use_device(asked.device, config.training.threads)
    protocol, roles = planned.protocols[PROTOCOL], tuple(config.inputs[asked.input])
    folds = folds_of(read_folds(Path(paths.folds(asked.dataset, protocol.folds.name))))[: asked.folds]
    prepared = read_index(Path(paths.recordings(asked.dataset))).prepared
    sets = fold_sets(folds, prepared, roles, protocol.trimming, describe(MODEL).input_transformation)
    recipe = recipe_on(config, RECIPE, asked.dataset).at_most(asked.training_epochs)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in range(1, asked.seeds + 1):
        for kind in KINDS:
            found[kind].append(accuracy(sets, recipe.model_copy(update={"activations": kind}), seed, device))
    said = f"{len(folds)} folds, {recipe.training_epochs} training epochs"
    title = f"{MODEL}, {asked.input}, {RECIPE}, {PROTOCOL}, {said}"
    label = dataset(config, asked.dataset).label.title(title)
    print("\n".join([label, *lines(found)]))


if __name__ == "__main__":
    main()
