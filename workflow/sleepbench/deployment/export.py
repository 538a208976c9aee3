"""A bundle in another form, for programs that know nothing of this one: the targets of `sleepbench model export`.

To add a target, write its module, with a function `export(bundle, directory)` that returns the files it wrote, and
name it in TARGETS.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path

from sleepbench.deployment.bundle import read_bundle

TARGETS: Mapping[str, str] = {"onnx": "sleepbench.deployment.to_onnx", "c": "sleepbench.deployment.to_c"}
"""The module of each target."""


def export_bundle(bundle: str | Path, target: str, directory: str | Path) -> list[Path]:
    """Write the networks of a bundle's file in the form `target`, whole or not at all; returns the files."""
    return importlib.import_module(TARGETS[target]).export(read_bundle(bundle), Path(directory))
