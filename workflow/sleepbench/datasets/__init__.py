"""Databases: one file each; the configuration names its module as the `reader` of a dataset."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.strict import Strict, problems_in
from sleepbench.datasets.base import Dataset, SourceSettings


def open_dataset(name: str, definition: Mapping[str, Any], sources: Mapping[str, SourceSettings]) -> Dataset:
    """A dataset as the configuration defines it.

    `reader` names the dataset's module, whose `Settings` take the other keys of the definition. `sources` are the
    sections of `data`, by the source of a database. BenchmarkError, with the nearest name, for an unknown reader or
    key, and for a value that is none.
    """
    reader = definition.get("reader")
    module = _module(name, reader)
    given = {key: value for key, value in definition.items() if key != "reader"}
    try:
        settings = getattr(module, "Settings", Strict).model_validate(given)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, ('datasets', name, *place)))}: {text}" for place, text in problems_in(error)]
        raise BenchmarkError("\n".join(said)) from error
    dataset = module.DATASET(name, settings)
    dataset.source_settings = sources.get(dataset.files_source, dataset.source_settings)
    return dataset


def readers() -> list[str]:
    """The modules of this package that hold a dataset."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in names if hasattr(importlib.import_module(f"{__name__}.{name}"), "DATASET")]


def _module(name: str, reader: Any) -> ModuleType:
    path = f"{__name__}.{reader}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        module = None
    if not hasattr(module, "DATASET"):
        raise BenchmarkError(f"datasets.{name}.reader: unknown reader '{reader}'; {nearest(reader, readers())}")
    return module
