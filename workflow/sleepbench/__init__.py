"""A reproducible benchmark of lightweight sleep-staging networks on Sleep-EDF.

`sleepbench.load` reads a bundle, a trained network with all it needs, and scores recordings with it.
"""

import importlib
from typing import Any

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load`, imported when it is asked for: the package itself imports nothing that takes seconds."""
    if name == "load":
        return importlib.import_module("sleepbench.deployment.scorer").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
