"""The models by name. To add one: write its file, then add its entry to models.yaml.

PyTorch is imported only when a model is built, so that a configuration can be checked without it.
"""

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.shipped import shipped
from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.transformation import NONE, InputTransformation, transformation_from

if TYPE_CHECKING:
    from sleepbench.models.base import Estimator, Network

ENTRIES = Path(__file__).with_name("models.yaml")
VERIFIED = ("outputs", "size")
LENGTHS = {
    "any": "",
    "built": "",
    "fixed": f"the architecture is made for epochs of {SAMPLES_PER_EPOCH:,} samples",
    "unbroken": "the architecture reads a sequence as one unbroken signal",
}
"""How an architecture takes epochs of another length, and why some do not."""
REFERENCES = shipped("resources") / "parity"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is said about a model without building it.

    module, architecture : the module, in models.yaml a file beside it, and of which the class, whose constructor takes
        (n_channels, n_classes)
    published_roles : what the paper's network is given, in order
    published_recipe : the configured recipe that the published figures belong to; None: the paper's is not known in
        full
    verified : "outputs", where they equal those of its authors' program, or of a named independent one, on the same
        weights: workflow/resources/parity has what that gave; "size", where only parameters and multiply-accumulates
        equal those published or of an independent build; None: the architecture is "after the description"
    differs : in few words, what differs from that program by choice or remains; empty: nothing
    supported_channels : the numbers of signals it is defined for; None: any from `least_channels` on
    kind : "network" or "estimator", see models/base.py
    sequence_length : epochs in a sequence of training; None for a model of single epochs
    authors_batch : sequences in a batch of its authors' training, where that is known
    inference : of a sequence model, "night": an unbroken run of epochs at once, of any length, which is what carrying
        the state does; "windows": windows of `sequence_length`, half a length apart, probabilities averaged; "fused":
        one window from every epoch, logarithms of probabilities averaged
    input_transformation : what is done to the signals before; in models.yaml such as {robust: {clip: 20}}
    input_length : "fixed" or "unbroken", a key of LENGTHS: takes whole epochs only; "any": takes epochs of any length;
        "built": those of the length that it is built for, `n_samples` of its constructor
    """

    name: str
    title: str
    module: str
    architecture: str
    paper: str
    published_roles: tuple[str, ...]
    published_recipe: str | None = None
    verified: str | None = None
    differs: str = ""
    supported_channels: tuple[int, ...] | None = None
    least_channels: int = 1
    kind: str = "network"
    sequence_length: int | None = None
    authors_batch: int | None = None
    inference: str | None = None
    input_transformation: InputTransformation = NONE
    input_length: str = "fixed"

    def takes(self, n_channels: int) -> bool:
        """Whether it is defined for so many signals."""
        if self.supported_channels is None:
            return n_channels >= self.least_channels
        return n_channels in self.supported_channels

    def lacks_length(self, n_samples: int) -> str:
        """Why it is not defined for epochs of so many samples; empty where it is."""
        return "" if n_samples == SAMPLES_PER_EPOCH else LENGTHS[self.input_length]

    @property
    def channels(self) -> str:
        """The numbers of signals that it is defined for, as printed."""
        if self.supported_channels is None:
            return f"{self.least_channels} and more"
        return ", ".join(map(str, self.supported_channels))


def read_entry(name: str, entry: Mapping[str, Any]) -> ModelInfo:
    """A model from its entry in models.yaml; BenchmarkError when a key is unknown or missing."""
    known = {field.name for field in fields(ModelInfo)} - {"name"}
    for key in entry:
        if key not in known:
            raise BenchmarkError(f"{ENTRIES}: {name} has no key {key!r}; {nearest(key, known)}")
    if (verified := entry.get("verified")) not in (None, *VERIFIED):
        raise BenchmarkError(
            f"{ENTRIES}: {name}: verified is {verified!r}, expected one of {', '.join(VERIFIED)}, or no such key for a "
            "model after the description"
        )
    if (length := entry.get("input_length", "fixed")) not in LENGTHS:
        raise BenchmarkError(f"{ENTRIES}: {name}: input_length is {length!r}, expected one of {', '.join(LENGTHS)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    values["module"] = f"sleepbench.models.{entry.get('module', name)}"
    transformation = transformation_from(entry.get("input_transformation", "none"), f"{ENTRIES}: {name}")
    try:
        return ModelInfo(name=name, **values | {"input_transformation": transformation})
    except TypeError as error:
        raise BenchmarkError(f"{ENTRIES}: {name}: {error}; add what is missing") from error


def _read_entries() -> dict[str, ModelInfo]:
    entries = yaml.load(ENTRIES.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {name: read_entry(name, entry) for name, entry in entries.items()}


MODELS = _read_entries()


def model_names() -> tuple[str, ...]:
    """Names of all models, in the order of models.yaml."""
    return tuple(MODELS)


def describe(name: str) -> ModelInfo:
    """What models.yaml says of a model; BenchmarkError with the nearest known name when it is not there."""
    if name not in MODELS:
        raise BenchmarkError(f"model {name!r} is not known; {nearest(name, MODELS)}")
    return MODELS[name]


def model_source(name: str) -> Path:
    """The file that defines the architecture."""
    return _file_of(describe(name).module)


def model_sources(name: str) -> tuple[Path, ...]:
    """All source files of the architecture: its own, and those of this folder that it imports from.

    Imports are followed from file to file, and C files of the same names are included.
    """
    found, modules = {}, [describe(name).module]
    while modules:
        module = modules.pop()
        found[module] = _file_of(module)
        imports = [node for node in ast.walk(ast.parse(found[module].read_text())) if isinstance(node, ast.ImportFrom)]
        modules += [
            node.module for node in imports if node.module.startswith("sleepbench.models.") and node.module not in found
        ]
    in_c = [path.with_suffix(".c") for path in found.values() if path.with_suffix(".c").exists()]
    return tuple(sorted([*found.values(), *in_c]))


def reference_files(name: str) -> list[Path]:
    """What other programs of a model gave: NAME.npz, or by number of channels NAME-4.npz."""
    describe(name)
    return [path for path in sorted(REFERENCES.glob("*.npz")) if path.stem.partition("-")[0] == name]


def _file_of(module: str) -> Path:
    return Path(importlib.util.find_spec(module).origin)


def architecture_of(info: ModelInfo) -> type:
    """The model's class."""
    return getattr(importlib.import_module(info.module), info.architecture)


def create_model(
    name: str, n_channels: int, n_classes: int = len(STAGES), n_samples: int = SAMPLES_PER_EPOCH
) -> "Network | Estimator":
    """Build a model with fresh weights, drawn from PyTorch's global generator.

    Parameters
    ----------
    name : a name of `model_names()`
    n_channels : number of signals of an epoch, one that the model `takes`
    n_classes : number of stages, 2 or more
    n_samples : of an epoch, at 100 Hz

    Returns
    -------
    A network that maps (batch, n_channels, n_samples) microvolts to logits (batch, n_classes), one of sequences (batch,
    length, n_channels, n_samples) to (batch, length, n_classes); or an estimator
    """
    info = describe(name)
    for argument, found, least in (("n_channels", n_channels, 1), ("n_classes", n_classes, 2)):
        if not isinstance(found, int) or found < least:
            raise BenchmarkError(f"model {name}: {argument} is {found!r}, expected an integer of at least {least}")
    if not info.takes(n_channels):
        raise BenchmarkError(
            f"model {name}: n_channels is {n_channels}, but the architecture is defined for {info.channels}"
        )
    if why := info.lacks_length(n_samples):
        raise BenchmarkError(f"model {name}: n_samples is {n_samples}, but {why}")
    built_for = {"n_samples": n_samples} if info.input_length == "built" else {}
    return architecture_of(info)(n_channels, n_classes, **built_for)
