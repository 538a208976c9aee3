"""A bundle: trained networks with all that is needed to use them, in one file without pickles.

The file is a zip of `bundle.json`, the description, and one .npy for each tensor, `0/NAME.npy` for the first member:
NumPy reads the tensors by `np.load`. The description lists the SHA-256 of every tensor and holds its own.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, signed, unsigned
from sleepbench.core.stages import EPOCH_SECONDS, SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES
from sleepbench.core.strict import problems_in
from sleepbench.deployment.description import FORMAT, FORMAT_VERSION, Description
from sleepbench.models import ModelInfo, create_model, describe
from sleepbench.models.transformation import InputTransformation, transformation_from

if TYPE_CHECKING:
    from sleepbench.models.base import Network

DESCRIPTION = "bundle.json"
MOST_BYTES = 2**31
"""Of all tensors together; the largest network of the registry has a hundredth of it."""
MOST_TEXT_BYTES = 2**24
DAMAGED = "the file is damaged: make it again (sleepbench model bundle RUN --output FILE), or fetch it again"

State = Mapping[str, np.ndarray]
"""A network's weights by their names in its state_dict."""


@dataclass(frozen=True)
class Bundle:
    """Networks of one architecture, one a fold, and their description; `members` are in the order of its folds."""

    description: Description
    members: Sequence[State]

    @cached_property
    def info(self) -> ModelInfo:
        """The registry's entry, with what decides scoring as it was when the networks were trained."""
        told = self.description
        return replace(
            describe(told.model),
            sequence_length=told.sequence_length,
            inference=told.inference,
            input_transformation=self.transformation,
        )

    @cached_property
    def transformation(self) -> InputTransformation:
        """What is done to signals before a network sees them."""
        return transformation_from(self.description.input_transformation, f"bundle of run {self.description.run_key}")

    def network(self, member: int = 0) -> "Network":
        """A member as a network in evaluation mode; BenchmarkError where its weights do not fit the architecture."""
        import torch  # here: a description is read and printed without it

        told = self.description
        with torch.random.fork_rng(devices=[]):  # a caller's random numbers stay what they would be
            network = create_model(told.model, len(told.roles), n_samples=told.samples_per_epoch)
        try:
            network.load_state_dict(
                {name: torch.from_numpy(array.copy()) for name, array in self.members[member].items()}
            )
        except RuntimeError as error:
            raise BenchmarkError(
                f"the weights of member {member} do not fit the network {told.model} of this program "
                f"({told.sleepbench} made them): {error}; make the bundle again, with the program that trained the run"
            ) from error
        return network.eval()

    def prepare(self, signals: np.ndarray) -> np.ndarray:
        """Microvolts (n_epochs, n_channels, samples_per_epoch) as the networks see them, float32 of the same shape.

        `signals` are a whole recording's, in order: some networks see them in units of the recording's own spread.
        """
        signals = self.checked(signals)
        measured = self.transformation.measure(signals)
        return self.transformation(signals, np.broadcast_to(measured, (len(signals), *measured.shape)))

    def checked(self, signals: np.ndarray) -> np.ndarray:
        """Signals as float32; BenchmarkError where they are not finite microvolts of the shape that is expected."""
        told = self.description
        signals = np.asarray(signals)
        expected = (len(told.roles), told.samples_per_epoch)
        if signals.ndim != 3 or signals.shape[1:] != expected or not len(signals) or signals.dtype.kind not in "fiu":
            seconds = told.samples_per_epoch / told.sampling_rate
            raise BenchmarkError(
                f"signals are {signals.dtype} {signals.shape}, expected numbers (n_epochs, {expected[0]}, "
                f"{expected[1]}): microvolts of {', '.join(told.roles)}, {seconds:g} s of each epoch at "
                f"{told.sampling_rate} Hz"
            )
        if not np.isfinite(signals).all():
            raise BenchmarkError("signals have values that are not finite; fill gaps, or leave these epochs out")
        return signals.astype(np.float32, copy=False)


def write_bundle(path: str | Path, bundle: Bundle) -> None:
    """Write a bundle, whole or not at all; the same bundle gives the same bytes."""
    if Path(path).is_dir():
        raise BenchmarkError(f"{path}: is a directory; name the file that is to be written, such as {path}/ulw.bundle")
    arrays = {
        f"{number}/{name}.npy": _npy(array)
        for number, member in enumerate(bundle.members)
        for name, array in member.items()
    }
    document = signed(
        {
            **bundle.description.model_dump(mode="json"),
            "tensors": {name: sha256(content).hexdigest() for name, content in arrays.items()},
        }
    )
    members = {DESCRIPTION: json.dumps(document, indent=2, allow_nan=False).encode(), **arrays}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)  # with the date of 1980, whenever it is written


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle, every byte of it checked.

    BenchmarkError, with what to do, where the file is missing, damaged, no bundle, of a newer format, or of a network
    that this program does not have or has with other channels or another rate.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as file:
            if DESCRIPTION not in file.namelist():
                raise BenchmarkError(
                    f"{path}: is no bundle: it holds no {DESCRIPTION}{_guess(file)}; make one: sleepbench model bundle "
                    "RUN --output FILE"
                )
            document = _document(path, _content(file, DESCRIPTION, MOST_TEXT_BYTES))
            members = _members(path, file, document.pop("tensors", {}))
    except FileNotFoundError as error:
        raise BenchmarkError(
            f"{path}: is missing; make a bundle: sleepbench model bundle RUN --output {path}"
        ) from error
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BenchmarkError(
            f"{path}: is no bundle, or a damaged one ({error}); make it again (sleepbench model bundle RUN --output "
            "FILE), or fetch it again"
        ) from error
    try:
        description = Description.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, place))}: {said}" for place, said in problems_in(error))
        raise BenchmarkError(f"{path}: its description is wrong: {wrong}; {DAMAGED}") from error
    bundle = Bundle(description, members)
    _check_usable(path, bundle)
    return bundle


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array).reshape(array.shape), (1, 0), allow_pickle=False)
    return content.getvalue()


def _content(file: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A stored member's bytes, whose size is known before it is read."""
    info = file.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
        raise ValueError(
            f"{name} is packed or has {info.file_size:,} bytes, expected it unpacked with {most:,} at most"
        )
    return file.read(info)


def _guess(file: zipfile.ZipFile) -> str:
    """What a zip may be that is no bundle, as the end of a sentence."""
    pickled = any(name.endswith("data.pkl") for name in file.namelist())
    return " (PyTorch's weights, as training keeps them, are bundled by the command)" if pickled else ""


def _document(path: Path, content: bytes) -> dict[str, Any]:
    """The description and hashes of a bundle, of a format that is known here."""
    document = json.loads(content)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its {DESCRIPTION} does not say format: {FORMAT}")
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BenchmarkError(
            f"{path}: is of format {version}, made by sleepbench {document.get('sleepbench')}; this program reads "
            f"formats up to {FORMAT_VERSION}: update it, or have the bundle made by this version"
        )
    return unsigned(document, path, DAMAGED)


def _members(path: Path, file: zipfile.ZipFile, tensors: Mapping[str, str]) -> list[dict[str, np.ndarray]]:
    """The tensors of each member, each held against its hash."""
    if (listed := {DESCRIPTION, *tensors}) != set(file.namelist()):
        odd = ", ".join(sorted(listed ^ set(file.namelist())))
        raise BenchmarkError(f"{path}: holds other files than its {DESCRIPTION} lists ({odd}); {DAMAGED}")
    members: dict[int, dict[str, np.ndarray]] = {}
    left = MOST_BYTES
    for name, expected in tensors.items():
        content = _content(file, name, left)
        left -= len(content)
        if sha256(content).hexdigest() != expected:
            raise BenchmarkError(f"{path}: {name} is not as it was written; {DAMAGED}")
        number, _, tensor = name.removesuffix(".npy").partition("/")
        members.setdefault(int(number), {})[tensor] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return [members[number] for number in sorted(members)]


def _check_usable(path: Path, bundle: Bundle) -> None:
    """The networks can be built here: for these channels, this rate, these epochs and stages."""
    told = bundle.description
    if len(bundle.members) != len(told.folds):
        raise BenchmarkError(f"{path}: has {len(bundle.members)} members of {len(told.folds)} folds; {DAMAGED}")
    found = told.sampling_rate, told.epoch_seconds, list(told.stages)
    if found != (expected := (SAMPLING_RATE, EPOCH_SECONDS, list(STAGES))):
        raise BenchmarkError(
            f"{path}: is for signals at {found[0]} Hz in epochs of {found[1]} s with the stages {', '.join(found[2])}, "
            f"this program has networks for {expected[0]} Hz, {expected[1]} s and {', '.join(STAGES)}: take a bundle "
            "for these"
        )
    try:
        info, n = bundle.info, len(told.roles)
        if info.kind != "network":
            raise BenchmarkError(f"model {told.model} is an {info.kind}, expected a network")
        if not info.takes(n):
            raise BenchmarkError(f"model {told.model}: is for {n} channels, but takes {info.channels}")
        fits = 1 <= told.samples_per_epoch <= SAMPLES_PER_EPOCH
        if why := info.lacks_length(told.samples_per_epoch) if fits else "an epoch has 1 to 3,000":
            raise BenchmarkError(f"model {told.model}: epochs have {told.samples_per_epoch} samples, but {why}")
    except BenchmarkError as error:
        raise BenchmarkError(
            f"{path}: cannot be used by this version: {error}. Take the version that made it ({told.sleepbench}), or "
            "another bundle"
        ) from error
