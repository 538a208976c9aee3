"""The models by name. To add one: write its file, then add its entry to `MODELS`.

PyTorch is imported only when a model is built, so that a configuration can be checked without it.
"""

import difflib
import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sleepbench.errors import BenchmarkError
from sleepbench.stages import STAGES

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelInfo:
    """What is said about a model without building it.

    `module` holds the class `architecture`, whose constructor takes (n_channels, n_classes). `published_channels` are
    the Sleep-EDF channels, in order, and `published_recipe` the configured recipe that the published figures belong to;
    None where the paper's is not known in full. `supported_channels` are the numbers of signals it is defined for.

    kind : "network", a torch.nn.Module, or "estimator" with fit and predict_proba
    verified : whether the parameters equal those published or of an independent build; otherwise the architecture is
        "after the description"
    sequence_length : epochs in a sequence of training; None for a model of single epochs
    inference : of a sequence model, "night": an unbroken run of epochs at once, of any length, which is what carrying
        the state does; "windows": overlapping windows of `sequence_length`, probabilities averaged
    """

    name: str
    title: str
    module: str
    architecture: str
    paper: str
    published_channels: tuple[str, ...]
    published_recipe: str | None
    supported_channels: tuple[int, ...] = (1, 2, 3, 4)
    kind: str = "network"
    verified: bool = True
    sequence_length: int | None = None
    inference: str | None = None


MODELS = (
    ModelInfo(
        name="ulw_sleepnet",
        title="ULW-SleepNet",
        module="sleepbench.models.ulw_sleepnet",
        architecture="ULWSleepNet",
        paper="Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, ICASSP 2026, arXiv:2602.23852",
        published_channels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental"),
        published_recipe="released",
    ),
)

_BY_NAME = {info.name: info for info in MODELS}


def model_names() -> tuple[str, ...]:
    """Names of all models, in the order of the registry."""
    return tuple(_BY_NAME)


def describe(name: str) -> ModelInfo:
    """The registry's entry; BenchmarkError with the nearest known name when there is none."""
    if name not in _BY_NAME:
        nearest = difflib.get_close_matches(str(name), _BY_NAME, n=1, cutoff=0)
        raise BenchmarkError(
            f"model {name!r} is not known; did you mean {nearest[0]!r}? Known models: {', '.join(_BY_NAME)}"
        )
    return _BY_NAME[name]


def model_source(name: str) -> Path:
    """The file that defines the architecture."""
    return Path(importlib.util.find_spec(describe(name).module).origin)


def create_model(name: str, n_channels: int, n_classes: int = len(STAGES)) -> "torch.nn.Module":
    """Build a model with fresh weights, drawn from PyTorch's global generator.

    Parameters
    ----------
    name : a name of `model_names()`
    n_channels : number of signals of an epoch, one of the model's `supported_channels`
    n_classes : number of stages, 2 or more

    Returns
    -------
    torch.nn.Module that maps (batch, n_channels, 3000) microvolts to logits (batch, n_classes); a sequence model
    (batch, length, n_channels, 3000) to (batch, length, n_classes)
    """
    info = describe(name)
    for argument, found, least in (("n_channels", n_channels, 1), ("n_classes", n_classes, 2)):
        if not isinstance(found, int) or found < least:
            raise BenchmarkError(f"model {name}: {argument} is {found!r}, expected an integer of at least {least}")
    if n_channels not in info.supported_channels:
        raise BenchmarkError(
            f"model {name}: n_channels is {n_channels}, but the architecture is defined for "
            f"{', '.join(map(str, info.supported_channels))}"
        )
    architecture = getattr(importlib.import_module(info.module), info.architecture)
    return architecture(n_channels, n_classes)
