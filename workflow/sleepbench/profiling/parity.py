"""How near a network is to another program of it: its authors', or a named independent one.

A reference file, in workflow/resources/parity, keeps what the other program gave: outputs in evaluation and, without
dropout, in training, and of the gradient of their weighted sum by every parameter the norm and a projection. Weights,
input and projections are drawn from the file's seed and need not be kept. `tools/parity` makes these files.
"""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.models import create_model, describe
from sleepbench.models.registry import reference_files

TOLERANCES = {"float64": 1e-5, "float32": 1e-4}
"""How near outputs must be to be called equal, relative to the scale of theirs, by the other program's precision."""
MADE_BY = ("authors", "independent")

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]

# ------------------------------------------------------------------------------------------------------------- drawing


def uniform(seed: int, name: str, shape: Shape, low: float, high: float) -> np.ndarray:
    """Float64 values from a generator of the name's own.

    What is drawn for one name depends on no other. Only `Generator.random` is used, whose stream is the least likely
    to change.
    """
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
    return low + (high - low) * generator.random(shape)


def drawn_state(shapes: Mapping[str, Shape], seed: int) -> Arrays:
    """Weights for a `state_dict`, such that signals neither vanish nor grow.

    Matrices and kernels: uniform with variance 1 / (all axes but the first). Moving variances are in (0.5, 2), vectors
    and scales of norms in (0.5, 1.5) where they are named "weight" or "scale", all others in (-0.3, 0.3).
    """
    drawn = {}
    for name, shape in shapes.items():
        last = name.rsplit(".", 1)[-1]
        if last == "running_var":
            drawn[name] = uniform(seed, name, shape, 0.5, 2.0)
        elif len(shape) == 1 or last in ("scale", "offset"):
            drawn[name] = uniform(seed, name, shape, *((0.5, 1.5) if last in ("weight", "scale") else (-0.3, 0.3)))
        elif last != "num_batches_tracked":
            bound = min(1.0, (3 / np.prod(shape[1:])) ** 0.5)  # a limit of norms at 1 does not act
            drawn[name] = uniform(seed, name, shape, -bound, bound)
    return drawn


def drawn_input(shape: Shape, seed: int, amplitude: float) -> np.ndarray:
    """A slow wave on noise, in float32's precision: uniform values, those of one in ten interpolated."""
    fast = uniform(seed, "input", shape, -1, 1)
    knots = uniform(seed, "slow input", (*shape[:-1], (shape[-1] - 1) // 10 + 2), -1, 1)
    at = np.arange(shape[-1]) / 10
    low = at.astype(int)
    slow = knots[..., low] * (1 - at + low) + knots[..., low + 1] * (at - low)
    return (amplitude * (slow + 0.5 * fast)).astype(np.float32).astype(np.float64)


def output_weights(shape: Shape, seed: int) -> np.ndarray:
    """The weights of the sum of outputs whose gradient is taken."""
    return uniform(seed, "weights of outputs", shape, -1, 1)


def norms_and_projections(gradients: Mapping[str, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each gradient, in the order of names, the norm and the product with a drawn array."""
    names = sorted(gradients)
    norms = [np.linalg.norm(gradients[name]) for name in names]
    directions = {name: uniform(seed, f"projection {name}", gradients[name].shape, -1, 1) for name in names}
    return np.array(norms), np.array([(gradients[name] * directions[name]).sum() for name in names])


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the largest of theirs."""
    scale = np.abs(theirs).max()
    return float(np.abs(ours - theirs).max() / (scale or 1.0))


# ---------------------------------------------------------------------------------------------------- reference files


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What another program gave.

    source : the repository at a commit, "github.com/OWNER/NAME at COMMIT"
    by : "authors" of the model's paper, or "independent"
    remark : what of that program was set in another way; empty: nothing
    seed, shape, amplitude : of weights and input; the input is signals, or of SeqSleepNet standardised spectra
    output_carried : of a second input, the first with its epochs in reverse order, from the state after the first
    """

    model: str
    source: str
    framework: str
    precision: str
    by: str
    remark: str = ""
    seed: int
    shape: Shape
    amplitude: float
    output: np.ndarray
    output_training: np.ndarray
    gradient_names: tuple[str, ...]
    gradient_norms: np.ndarray
    gradient_projections: np.ndarray
    output_carried: np.ndarray | None = None

    @property
    def n_channels(self) -> int:
        """Of the network that is compared."""
        return self.shape[-2] if self.shape[-1] == SAMPLES_PER_EPOCH else self.shape[-3]

    def write(self, path: Path) -> None:
        """Keep it; BenchmarkError where a field is not one of those known."""
        self._check(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **{key: value for key, value in asdict(self).items() if value is not None})

    def _check(self, path: Path) -> None:
        for field, known in (("precision", TOLERANCES), ("by", MADE_BY)):
            if getattr(self, field) not in known:
                raise BenchmarkError(f"{path}: {field} is {getattr(self, field)!r}, expected {' or '.join(known)}")


def read_reference(path: Path) -> Reference:
    """A reference file; BenchmarkError where it is damaged, or a field is missing, unknown or wrong."""
    try:
        with np.load(path) as arrays:
            found = {name: array.tolist() if array.ndim == 0 else array for name, array in arrays.items()}
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise BenchmarkError(
            f"{path}: is no whole reference file ({error}); restore it with git checkout -- {path}"
        ) from error
    optional = {"remark", "output_carried"}
    known = {field.name for field in fields(Reference)}
    if wrong := (found.keys() - known) | (known - found.keys() - optional):
        raise BenchmarkError(f"{path}: {', '.join(sorted(wrong))} missing or unknown; make it with tools/parity")
    found["shape"] = tuple(int(n) for n in found["shape"])
    found["gradient_names"] = tuple(str(name) for name in found["gradient_names"])
    reference = Reference(**found)
    reference._check(path)
    return reference


# ---------------------------------------------------------------------------------------------------------- a network


class Program:
    """A PyTorch network as something that takes weights and gives outputs; all arrays are NumPy's."""

    def __init__(self, module: nn.Module, dtype: torch.dtype = torch.float64):
        self.module, self.dtype = module.to(dtype), dtype

    def shapes(self) -> dict[str, Shape]:
        """Of its weights, moving statistics among them, by name."""
        return {name: tuple(tensor.shape) for name, tensor in self.module.state_dict().items()}

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Take these weights; what is not among them stays."""
        own = self.module.state_dict()
        self.module.load_state_dict(own | {name: torch.as_tensor(array) for name, array in state.items()})

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Logits in evaluation."""
        self.module.eval()
        with torch.no_grad():
            return self._forward(self._tensor(x)).double().numpy()

    def trained(self, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, Arrays, Arrays]:
        """Logits in training without dropout, gradients of sum(logits * weights), moving statistics."""
        self.module.train()
        self.module.zero_grad()
        with without_dropout(self.module):
            outputs = self._forward(self._tensor(x))
        (outputs * self._tensor(weights)).sum().backward()
        gradients = {
            name: (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).double().numpy()
            for name, parameter in self.module.named_parameters()
        }
        statistics = {name: b.double().numpy().copy() for name, b in self.module.named_buffers() if "running" in name}
        return outputs.detach().double().numpy(), gradients, statistics

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array).to(self.dtype)

    def _forward(self, x: Tensor) -> Tensor:
        return self.module(x)


class Ours(Program):
    """A registered network; SeqSleepNet is also given spectra, which its authors compute in MATLAB."""

    def __init__(self, model: str, n_channels: int, dtype: torch.dtype = torch.float64):
        super().__init__(create_model(model, n_channels), dtype)
        self.model = model
        if model == "seq_sleepnet":
            from sleepbench.models.seq_sleepnet import triangles

            self.module.filter_bank.triangles = triangles().to(dtype)  # not rounded to float32 before

    def carried(self, x: np.ndarray) -> np.ndarray:
        """Logits in evaluation of x with its epochs in reverse order, from the state after x."""
        self.module.eval()
        first = self._tensor(x)
        with torch.no_grad():
            _, state = self.module.forward_from(first, None)
            return self.module.forward_from(first.flip(1), state)[0].double().numpy()

    def _forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] == SAMPLES_PER_EPOCH:
            return self.module(x)
        return self.module.classify_encoded(self.module.encode_spectra(x.flatten(0, 1)).unflatten(0, x.shape[:2]))


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """All rates of dropout 0, those of attention and recurrent layers too."""
    kinds = {"p": nn.modules.dropout._DropoutNd, "dropout": (nn.MultiheadAttention, nn.RNNBase)}
    rates = [
        (part, name, getattr(part, name))
        for part in module.modules()
        for name, kind in kinds.items()
        if isinstance(part, kind)
    ]
    for part, name, _ in rates:
        setattr(part, name, 0.0)
    try:
        yield
    finally:
        for part, name, rate in rates:
            setattr(part, name, rate)


# ---------------------------------------------------------------------------------------------------------- comparing


def compare(reference: Reference) -> dict[str, float]:
    """How far our network is from a reference, relative to the scale of theirs.

    `outputs`, `outputs_training`; `gradients`: norms and projections of all of them, relative to the largest; and
    `outputs_carried` where there are such.
    """
    ours = Ours(reference.model, reference.n_channels)
    x = drawn_input(reference.shape, reference.seed, reference.amplitude)
    ours.load(drawn_state(ours.shapes(), reference.seed))
    found = {"outputs": relative(ours.outputs(x), reference.output)}
    if reference.output_carried is not None:
        found["outputs_carried"] = relative(ours.carried(x), reference.output_carried)
    outputs, gradients, _ = ours.trained(x, output_weights(reference.output.shape, reference.seed))
    found["outputs_training"] = relative(outputs, reference.output_training)
    if sorted(gradients) != list(reference.gradient_names):
        raise BenchmarkError(f"{reference.model}: its parameters are not those of its reference file; make it again")
    norms, projections = norms_and_projections(gradients, reference.seed)
    found["gradients"] = max(
        relative(norms, reference.gradient_norms), relative(projections, reference.gradient_projections)
    )
    return found


def parity(model: str) -> dict[str, Any]:
    """What is known of a model, with the differences from every other program of it that is kept."""
    info = describe(model)
    against = []
    for path in reference_files(model):
        reference = read_reference(path)
        said = {key: getattr(reference, key) for key in ("source", "framework", "precision", "by", "remark")}
        against.append({"file": path.name, "n_channels": reference.n_channels, **said, **compare(reference)})
    return {
        **{"model": model, "title": info.title, "kind": info.kind, "verified": info.verified, "differs": info.differs},
        "against": against,
    }


def write_parity(model: str, output: str | Path) -> None:
    """Hold a model against its reference files and write the differences as JSON."""
    found = parity(model)
    write_json(output, found)
    print(found)
