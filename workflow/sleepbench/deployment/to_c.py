"""ULW-SleepNet as C99 that takes one sample of every channel at a time: what `model export --to c` writes.

The code is `c/sleepbench.c` as it stands; the network's constants and what the header says of it are filled into the
templates beside it.
"""

import sys
import tempfile
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing_directory
from sleepbench.deployment import IN_C
from sleepbench.deployment.built import NAMES, SOURCE, needs
from sleepbench.deployment.bundle import Bundle
from sleepbench.deployment.card import model_card
from sleepbench.deployment.description import NOT_A_DEVICE
from sleepbench.deployment.quantisation import LOGITS_PER_UNIT, IntegerNetwork, quantise
from sleepbench.models.kernels.folded import FoldedNetwork, fold
from sleepbench.models.transformation import NONE

SAID = {
    32: "single-precision numbers",
    16: "W8A16: weights of 8 bits, values of 16",
    8: "INT8: weights and values of 8 bits",
}
GROUP = {32: 4, 16: 2, 8: 2}
"""Outputs that the code computes at a time, whose weights lie side by side."""
KEPT, SKIPPED = 3, 2
"""Vectors of a layer's and of a shortcut's input that are kept."""
COMMENT_WIDTH = 116
WORD = 4
"""Bytes of a sum, a logit and an index."""
TOLERANCE = 1e-5
"""Of the float form's logits against PyTorch's, in parts of the largest one, or of 1."""
TEST_EPOCHS, TEST_SEED = 2, 20_260_223
WITHOUT_RANGES = (
    "W8A16 is left out: the bundle has no ranges of activations, for the recordings of the training were not there "
    "when it was made; make it again (sleepbench model bundle RUN --output FILE) where they are"
)


@dataclass(frozen=True)
class CNetwork:
    """A network in the forms that become C.

    folded : in double precision
    integers : by bits of an activation
    logits : PyTorch's, of `made_up_epochs`, (TEST_EPOCHS, n_classes)
    """

    bundle: Bundle
    folded: FoldedNetwork
    integers: Mapping[int, IntegerNetwork]
    logits: np.ndarray

    @property
    def bits(self) -> tuple[int, ...]:
        return (32, *self.integers)


def export(bundle: Bundle, directory: Path) -> list[Path]:
    """Write a bundle's network as C, with what it was measured to need; the files."""
    network = c_network(bundle)
    check_directory(directory, c_files(network, ""))
    if not network.integers:
        print(WITHOUT_RANGES, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as scratch:
        write_c(network, Path(scratch, "c"), "")
        told = bundle.description
        measured = needs(Path(scratch, "c"), network.bits, (len(told.roles), told.samples_per_epoch), Path(scratch))
    write_c(network, directory, measured)
    return sorted(directory.iterdir())


def c_network(bundle: Bundle, bits: Sequence[int] = (16,)) -> CNetwork:
    """A bundle's network in single precision, and in integers of so many bits where its ranges are known.

    BenchmarkError where the bundle is of another architecture, of several folds, or of transformed signals.
    """
    told = bundle.description
    where = f"bundle of run {told.run_key}"
    if told.model != IN_C:
        raise BenchmarkError(
            f"{where}: is of {told.model}; C is written for {IN_C} alone, whose layers need no more than three "
            "steps of their input; take --to onnx"
        )
    if (n := len(bundle.members)) != 1:
        raise BenchmarkError(
            f"{where}: has the networks of {n} folds, C is written of one: make a bundle without --all-folds"
        )
    if bundle.transformation != NONE:
        raise BenchmarkError(
            f"{where}: its network sees signals that are transformed ({', '.join(told.input_transformation)}); C takes "
            "networks of microvolts as they are"
        )
    folded, ranges = fold(bundle.network()), told.activation_ranges
    return CNetwork(
        bundle,
        folded,
        {n: quantise(folded, ranges, n, told.samples_per_epoch) for n in bits} if ranges else {},
        _logits(bundle, made_up_epochs(len(told.roles), told.samples_per_epoch)),
    )


def write_c(network: CNetwork, directory: Path, measured: str) -> None:
    """Write the directory, whole or not at all; `measured` says RAM and flash in the header.

    BenchmarkError where files of somebody else lie there.
    """
    files = c_files(network, measured)
    check_directory(directory, files)
    directory = directory.absolute()  # "." has no name
    directory.parent.mkdir(parents=True, exist_ok=True)
    with replacing_directory(directory) as partial:
        for name, text in files.items():
            (partial / name).write_text(text, encoding="utf-8")


def check_directory(directory: Path, files: Collection[str]) -> None:
    """BenchmarkError where a directory cannot be replaced by one with these files without losing others."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise BenchmarkError(f"{directory}: is a file, expected a directory to write to; name another")
    built = {
        f"{name}-{bits}{suffix}" for bits in NAMES for name, suffix in (("sleepbench", ".o"), ("sleepbench_test", ""))
    }
    if others := sorted({path.name for path in directory.iterdir()} - {*files, *built}):
        raise BenchmarkError(
            f"{directory}: holds other files ({', '.join(others[:5])}), and what is written takes the directory's "
            "place: name one that is not there yet"
        )


def c_files(network: CNetwork, measured: str) -> dict[str, str]:
    """All files by name."""
    told = network.bundle.description
    about = {
        "what": _comment(told.what),
        "trained_on": _comment(told.trained_on[:1].upper() + told.trained_on[1:]),
        "not_a_device": NOT_A_DEVICE,
    }
    files = {
        "sleepbench.h": _render(
            "sleepbench.h.jinja",
            **about,
            forms={bits: SAID[bits] for bits in network.bits},
            n_channels=len(told.roles),
            n_samples=told.samples_per_epoch,
            rate=told.sampling_rate,
            stages=told.stages,
            montage={role: _comment(label) for role, label in told.montage.items()},
            measured=_comment(measured),
            logits_per_unit=LOGITS_PER_UNIT,
            n_features=network.folded.head.shape[2],
            n_kept=_places(network.folded)[1],
            state_bytes={bits: state_bytes(network.folded, bits) for bits in NAMES},
        ),
        "sleepbench.c": (SOURCE / "sleepbench.c").read_text(encoding="utf-8"),
        "sleepbench_test.c": (SOURCE / "sleepbench_test.c").read_text(encoding="utf-8"),
        "sleepbench_test_vector.h": _test_vector(network),
        "Makefile": _render("Makefile.jinja", bits=network.bits),
        "MODEL_CARD.md": model_card(told),
    }
    for bits in network.bits:
        constants = network.folded.astype(np.float32) if bits == 32 else network.integers[bits]
        files[f"sleepbench_{NAMES[bits]}.h"] = _weights(constants, bits, about, _steps(told.samples_per_epoch))
    return files


# -------------------------------------------------------------------------------------------------------------- weights


def _weights(network: FoldedNetwork | IntegerNetwork, bits: int, about: Mapping[str, str], n_steps: int) -> str:
    arrays, blocks = [], []
    places, _ = _places(network)
    for number, (block, place) in enumerate(zip(network.blocks, places, strict=True), start=1):
        convolutions = []
        for layer, conv in enumerate((block.main1, block.main2), start=1):
            name = f"BLOCK{number}_MAIN{layer}"
            n_outputs, n_inputs = conv.pointwise.shape
            arrays += [(f"{name}_DEPTHWISE", conv.depthwise), (f"{name}_POINTWISE", _grouped(conv.pointwise, bits))]
            arrays.append((f"{name}_BIAS", conv.bias))
            if bits != 32:
                arrays.append((f"{name}_MULTIPLIER", conv.multiplier))
            is_rectified = layer == 2
            mask = hex(2**bits - 1) if is_rectified else "-1"
            convolutions.append({"name": name, "n_inputs": n_inputs, "n_outputs": n_outputs, "mask": mask})
        name = f"BLOCK{number}"
        blocks.append({"name": name, "main": convolutions, **place})
        kinds = ("pooled_multiplier", "output_multiplier", "shortcut_multiplier") if bits != 32 else ()
        arrays.append((f"{name}_SHORTCUT", _grouped(block.shortcut, bits)))
        for kind in ("shortcut_bias", *kinds):
            arrays.append((f"{name}_{kind.upper()}", getattr(block, kind)))
    kinds = ("head", "head_bias") if bits == 32 else ("head", "head_bias", "head_multiplier")
    arrays += [(kind.upper(), getattr(network, kind)) for kind in kinds]
    of_integers = (
        {} if bits == 32 else {"per_microvolt": _number(network.per_microvolt), "head_shift": network.head_shift}
    )
    return _render(
        "weights.h.jinja",
        **about,
        bits=bits,
        form=SAID[bits],
        n_steps=n_steps,
        arrays=[(_type(array), name, _shape(array), _values(array)) for name, array in arrays],
        blocks=blocks,
        **of_integers,
    )


def _grouped(matrix: np.ndarray, bits: int) -> np.ndarray:
    """A matrix (n_outputs, n_inputs) as the code reads it: (n_outputs / GROUP, n_inputs, GROUP)."""
    return matrix.reshape(-1, GROUP[bits], matrix.shape[1]).transpose(0, 2, 1)


def _places(network: FoldedNetwork | IntegerNetwork) -> tuple[list[dict[str, int]], int]:
    """Where the vectors that a block keeps begin among those of a channel, and how many values there are in all."""
    places, n = [], 0
    for block in network.blocks:
        n_filters, n_inputs = block.shortcut.shape
        skipped = n + KEPT * n_inputs
        pooled = skipped + SKIPPED * n_inputs
        places.append({"input": n, "skipped": skipped, "pooled": pooled})
        n = pooled + KEPT * n_filters
    return places, n


def state_bytes(network: FoldedNetwork, bits: int) -> int:
    """Bytes of sleepbench_state: sums, kept values, and of the last epoch its stage and logits."""
    kept = -(-_places(network)[1] * bits // 8 // WORD) * WORD
    n_stages, n_channels, n_features = network.head.shape
    return n_channels * (n_features * WORD + kept) + (2 + n_stages) * WORD


def _steps(n_samples: int) -> int:
    """Steps that three blocks leave of an epoch."""
    for _ in range(3):
        n_samples = -(-n_samples // 4)
    return n_samples


def _type(array: np.ndarray) -> str:
    return {"float32": "float", "int8": "int8_t", "int32": "int32_t"}[str(array.dtype)]


def _shape(array: np.ndarray) -> str:
    return "".join(f"[{n}]" for n in array.shape)


def _values(array: np.ndarray) -> str:
    """Rows in braces, however many axes there are."""
    if array.ndim == 1:
        return ", ".join(map(_number, array))
    return ",\n".join(f"{{{_values(row)}}}" for row in array)


def _number(value: np.generic) -> str:
    """A constant of C that is the same number."""
    if isinstance(value, np.float32):
        text = f"{value:.9g}"
        return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
    return str(int(value))


# ---------------------------------------------------------------------------------------------------------- test vector


def made_up_epochs(n_channels: int, n_samples: int) -> np.ndarray:
    """The epochs that sleepbench_test.c makes: float32 (TEST_EPOCHS, n_channels, n_samples) in microvolts."""
    random, epochs = TEST_SEED, np.zeros((TEST_EPOCHS, n_channels, n_samples), np.float32)
    for channel in epochs.reshape(-1, n_samples):
        value = 0
        for t in range(n_samples):
            random = (random * 1664525 + 1013904223) % 2**32
            value += (random >> 20) - 2048 - int(value / 8)  # C divides towards zero
            channel[t] = value / 16
    return epochs


def _logits(bundle: Bundle, epochs: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return bundle.network()(torch.from_numpy(bundle.prepare(epochs))).double().numpy()


def _test_vector(network: CNetwork) -> str:
    told = network.bundle.description
    epochs = made_up_epochs(len(told.roles), told.samples_per_epoch)
    return _render(
        "test_vector.h.jinja",
        logits=network.logits,
        seed=TEST_SEED,
        tolerance=f"{TOLERANCE * max(1, np.abs(network.logits).max()):.3g}",
        steps={bits: integers(epochs) for bits, integers in network.integers.items()},
    )


# ------------------------------------------------------------------------------------------------------------ templates


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(SOURCE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = lambda text: textwrap.fill(text, COMMENT_WIDTH)
    environment.filters["rows"] = lambda array: ",\n".join(_rows(array))
    return environment.get_template(template).render(**values)


def _rows(array: np.ndarray) -> Iterator[str]:
    for row in array:
        yield f"    {{{', '.join(repr(value.item()) for value in row)}}}"


def _comment(text: str) -> str:
    """Text for within a comment: it cannot end it."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())
