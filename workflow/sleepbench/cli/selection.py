"""The options that say what is run: an experiment of config.yaml, and lists in place of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sleepbench.config.models import Config
    from sleepbench.config.plan import Plan

LISTS = {
    "datasets": "Datasets",
    "protocols": "Protocols, or ladder: those from the released evaluation to the clean one",
    "models": "Models, or all: every registered one",
    "inputs": "Inputs, sets of channels",
    "recipes": "Recipes; own: by the recipe of each model's paper",
    "seeds": "Seeds, one training for each",
    "test_on": "Datasets on which the networks of the others are tested",
}
WORDS = {"protocols": "ladder", "models": "all"}
"""Words that stand for a list."""


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --experiment and an option for each of its lists; `settings_of` reads them."""
    for name, text in reversed(LISTS.items()):
        command = click.option(f"--{name.replace('_', '-')}", metavar="LIST", help=f"{text}.")(command)
    return click.option("--experiment", metavar="NAME", help="An experiment of config.yaml.")(command)


datasets_option = click.option("--datasets", metavar="LIST", help="Datasets, in place of the experiment's.")


def settings_of(experiment: str | None = None, **lists: str | None) -> dict[str, Any]:
    """The `run` settings that the command line gives; options that are not given are left out.

    The values are not checked here but when the configuration is loaded.
    """
    settings = {name: _listed(name, text) for name, text in lists.items() if text is not None}
    return settings if experiment is None else {"experiment": experiment, **settings}


def _listed(name: str, text: str) -> str | list[str] | list[int | str]:
    names = [part.strip() for part in text.split(",")] if text.strip() else []
    if names == [WORDS.get(name)]:
        return names[0]
    return [int(part) if part.isdecimal() else part for part in names] if name == "seeds" else names


def settings_of_data(datasets: str | None) -> dict[str, Any]:
    """The `run` settings of a command on recordings: of an experiment that is run on these datasets, if there is one.

    Else it is the experiment of the configuration, with an input that the datasets have the channels of.
    """
    from sleepbench.config.load import load
    from sleepbench.config.plan import dataset

    settings = settings_of(datasets=datasets)
    if not (asked := settings.get("datasets")):
        return settings
    config = load(run=settings)  # the names are checked
    if found := next((one.name for one in config.experiments if {*asked} <= {*one.datasets}), None):
        return {"experiment": found, **settings}
    montages = [dataset(config, name).montage for name in asked]
    inputs = [name for name, roles in config.inputs.items() if all({*roles} <= {*one} for one in montages)]
    return {"inputs": inputs[:1], **settings} if inputs else settings


def planned(settings: dict[str, Any]) -> tuple[Config, Plan]:
    """The configuration with these `run` settings, and the plan of what it asks for.

    BenchmarkError when the configuration is wrong.
    """
    from sleepbench.config.load import load
    from sleepbench.config.plan import plan

    config = load(run=settings)
    return config, plan(config)
