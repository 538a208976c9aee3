"""A bundle's networks as one ONNX file that takes microvolts, and a JSON file beside it that says what goes in and out.

The input transformation is part of the graph, and the mean over an ensemble's members; the batch, and the length of
sequences, are open. The file is held against PyTorch, in onnxruntime, before it is put in place.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, sha256_of_file, write_document
from sleepbench.deployment.bundle import Bundle
from sleepbench.deployment.description import NOT_A_DEVICE
from sleepbench.deployment.input_layer import STATISTICS, InputLayer, input_layer
from sleepbench.models.as_onnx import OPSET, as_onnx, session
from sleepbench.simulation.randomness import Randomness
from sleepbench.simulation.stages import epochs_in, simulate_stages
from sleepbench.simulation.waveforms import simulate_signals

TOLERANCE = 1e-5
"""Of the file against PyTorch: of logits in parts of the largest one, or of 1; of an ensemble's probabilities.

Where PyTorch itself is further from double precision, such as behind the logarithm of a dead channel's spectrum, twice
that: both round.
"""
SIGNALS, RECORDING, PROBABILITIES, LOGITS = "signals", "recording", "probabilities", "logits"
BATCH, LENGTH = "batch", "length"
TRACED = {BATCH: 2, LENGTH: 3}
"""Sizes of the example that is traced: of 1, a size would be taken to be always 1."""
HOW = {
    None: "every epoch alone",
    "night": "an unbroken run of epochs at once, of any length",
    "windows": "windows of {length} epochs, {half} apart; probabilities of an epoch are averaged over its windows",
    "fused": "a window of {length} epochs from every epoch; logarithms of probabilities of an epoch are averaged over "
    "its windows",
}
"""Ways of scoring a night, by a model's `inference`."""
SEED = 20260223
MOST_BYTES = 2**31 - 2**26
"""Of weights: an ONNX file in one piece has 2 GB at most."""


class Exported(nn.Module):
    """What is in the file: microvolts to probabilities, and of a single network to logits before them."""

    def __init__(self, members: list[nn.Module], transformation: InputLayer | None):
        super().__init__()
        self.members, self.transformation = nn.ModuleList(members), transformation

    def forward(self, signals: Tensor, recording: Tensor | None = None) -> tuple[Tensor, ...]:
        if self.transformation is not None:
            if recording is not None and signals.dim() == 4:
                recording = recording.unsqueeze(1)
            signals = self.transformation(signals, recording)
        logits = [member(signals) for member in self.members]
        probabilities = [one.softmax(dim=-1) for one in logits]
        if len(logits) == 1:
            return probabilities[0], logits[0]
        return (torch.stack(probabilities).mean(dim=0),)


def export(bundle: Bundle, directory: Path) -> list[Path]:
    """Write MODEL.onnx and MODEL.json to a directory, once the file does in onnxruntime what PyTorch does."""
    told = bundle.description
    network = Exported(
        [bundle.network(member) for member in range(len(bundle.members))],
        input_layer(bundle.transformation, told.samples_per_epoch),
    ).eval()
    if (size := sum(4 * one.numel() for one in network.state_dict().values())) > MOST_BYTES:
        raise BenchmarkError(
            f"{told.model}: the weights of {len(bundle.members)} members have {size:,} bytes, and an ONNX file has "
            f"{MOST_BYTES:,} at most; bundle a single fold"
        )
    paths = [directory / f"{told.model}.onnx", directory / f"{told.model}.json"]
    model = _as_onnx(network, bundle)
    with replacing(paths[0]) as temporary:
        temporary.write_bytes(model.SerializeToString())
        parity = _held_against_pytorch(temporary, network, bundle)
        paths[1].unlink(missing_ok=True)  # an older one's; it belongs to no file now
        sha256 = sha256_of_file(temporary)
    write_document(paths[1], _sheet(bundle, paths[0].name, sha256, parity))
    return paths


# ------------------------------------------------------------------------------------------------------------- the file


def inputs(bundle: Bundle, shape: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Names of the file's inputs with their shapes, for a batch and a length."""
    told = bundle.description
    axes = (BATCH, LENGTH) if told.sequence_length else (BATCH,)
    found = {SIGNALS: (*(shape[axis] for axis in axes), len(told.roles), told.samples_per_epoch)}
    if type(bundle.transformation) in STATISTICS:
        # Of sequences, one recording for each; of single epochs, each may be of another.
        found[RECORDING] = (shape[BATCH], 2, len(told.roles))
    return found


def _as_onnx(network: Exported, bundle: Bundle) -> onnx.ModelProto:
    told = bundle.description
    example = {name: torch.ones(shape) for name, shape in inputs(bundle, TRACED).items()}
    open_axes = {SIGNALS: (BATCH, LENGTH) if told.sequence_length else (BATCH,), RECORDING: (BATCH,)}
    model = as_onnx(network, example, open_axes, [PROBABILITIES, LOGITS][: 1 if len(network.members) > 1 else 2])
    for key, text in {"title": _title(bundle), "run": told.what, "warning": NOT_A_DEVICE}.items():
        model.metadata_props.add(key=key, value=text)
    return model


# --------------------------------------------------------------------------------------------------------------- parity


def _held_against_pytorch(path: Path, network: Exported, bundle: Bundle) -> dict[str, float]:
    """The largest difference of each output; BenchmarkError where it is beyond TOLERANCE.

    Probabilities of large logits are as near as these are, in parts of the largest.
    """
    running = session(path)
    names = [output.name for output in running.get_outputs()]
    largest = dict.fromkeys(names, 0.0)
    for signals in _trials(bundle):
        given = {SIGNALS: signals}
        if type(bundle.transformation) in STATISTICS:
            measured = bundle.transformation.measure(signals.reshape(-1, *signals.shape[-2:]))
            given[RECORDING] = np.broadcast_to(measured, (len(signals), *measured.shape)).copy()
        expected = _expected(network, bundle, given)
        for name, found, ours in zip(names, running.run(names, given), expected, strict=True):
            difference = _difference(name, found, ours)
            largest[name] = max(largest[name], difference)
            if difference <= TOLERANCE or (name == PROBABILITIES and LOGITS in names):
                continue
            exact = _expected(network, bundle, given, torch.float64)[names.index(name)]
            if not difference <= 2 * _difference(name, ours, exact):
                raise BenchmarkError(
                    f"{bundle.description.model}: {name} of the ONNX file differ from PyTorch's by {difference:.2g}, "
                    f"expected {TOLERANCE:g} at most; nothing is written. The versions here are torch "
                    f"{torch.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}; those of "
                    "envs/requirements.lock are tried"
                )
    return largest


def _difference(name: str, found: np.ndarray, expected: np.ndarray) -> float:
    """The largest; of logits in parts of the largest one, or of 1. NaN where a number is none."""
    scale = max(1.0, float(np.abs(expected).max())) if name == LOGITS else 1.0
    return float(np.abs(found - expected).max()) / scale


def _expected(
    network: Exported, bundle: Bundle, given: Mapping[str, np.ndarray], dtype: torch.dtype = torch.float32
) -> list[np.ndarray]:
    """What PyTorch makes of signals that NumPy transformed."""
    epochs = given[SIGNALS].reshape(-1, *given[SIGNALS].shape[-2:])
    measured = given.get(RECORDING, np.zeros((1, 2, epochs.shape[1]), np.float32))[0]
    seen = bundle.transformation(epochs, np.broadcast_to(measured, (len(epochs), *measured.shape)))
    plain = Exported(list(network.members), None)
    if dtype != torch.float32:
        plain = deepcopy(plain).to(dtype)
    with torch.inference_mode():
        return [one.numpy() for one in plain(torch.from_numpy(seen.reshape(given[SIGNALS].shape)).to(dtype))]


def _trials(bundle: Bundle) -> Iterator[np.ndarray]:
    """Signals in microvolts for the file's first input: noise, and waves of every stage; of several sizes."""
    told = bundle.description
    random = np.random.default_rng(SEED)
    length = told.sequence_length or 1
    for batch, n in ((1, 1), (3, length)) if told.sequence_length is None else ((1, 1), (2, length), (1, length + 3)):
        shape = inputs(bundle, {BATCH: batch, LENGTH: n})[SIGNALS]
        yield (30 * random.standard_normal(shape)).astype(np.float32)
        waves = _waves(int(np.prod(shape[:-2])), len(told.roles), told.samples_per_epoch)
        yield waves.reshape(shape)


def _waves(n_epochs: int, n_channels: int, n_samples: int) -> np.ndarray:
    """Epochs shaped like sleep's, spread over a simulated night; in one of them the last channel is dead."""
    randomness = Randomness(SEED, 0, 1)
    night = simulate_stages(randomness, epochs_in(1.75))
    signals = simulate_signals(randomness, night)
    epochs = signals.reshape(len(signals), len(night.true), -1).transpose(1, 0, 2)
    chosen = np.resize(np.linspace(0, len(epochs) - 1, 25).astype(int), n_epochs)
    waves = epochs[chosen][:, np.resize(np.arange(len(signals)), n_channels), :n_samples].astype(np.float32)
    if n_epochs > 1:
        waves[n_epochs // 2, -1] = 0
    return waves


# ------------------------------------------------------------------------------------------------------------ the sheet


def _title(bundle: Bundle) -> str:
    told = bundle.description
    return told.data.label.title(told.title)


def _sheet(bundle: Bundle, file: str, sha256: str, parity: Mapping[str, float]) -> dict[str, Any]:
    told = bundle.description
    shapes = inputs(bundle, {BATCH: BATCH, LENGTH: LENGTH})
    channels = [{"role": role, "label": label} for role, label in told.montage.items()]
    described: dict[str, Any] = {
        SIGNALS: {
            "shape": list(shapes[SIGNALS]),
            "type": "float32",
            "unit": "microvolts",
            "sampling_rate_hz": told.sampling_rate,
            "epoch_seconds": told.epoch_seconds,
            "seconds_of_each_epoch": told.samples_per_epoch / told.sampling_rate,
            "channels": channels,
            "transformation_in_the_graph": told.input_transformation,
        }
    }
    if RECORDING in shapes:
        rows = STATISTICS[type(bundle.transformation)]
        described[RECORDING] = {
            "shape": list(shapes[RECORDING]),
            "type": "float32",
            "unit": "microvolts",
            "rows": list(rows),
            "of": "each channel over all epochs of the recording that the signals are of",
        }
    of_outputs = [*shapes[SIGNALS][:-2], len(told.stages)]
    length = told.sequence_length or 1
    return {
        "title": _title(bundle),
        "trained_on": told.trained_on,
        "warning": NOT_A_DEVICE,
        "what": told.what,
        "model": told.model,
        "run_keys": [fold.run_key for fold in told.folds],
        "paper": told.paper,
        "licence": told.licence,
        "file": file,
        "file_sha256": sha256,
        "opset": OPSET,
        "inputs": described,
        "outputs": {name: {"shape": of_outputs, "type": "float32"} for name in parity},
        "stages": list(told.stages),
        "scoring": HOW[told.inference].format(length=length, half=length // 2),
        "largest_difference_from_pytorch": dict(parity),
        "made_by": {
            "sleepbench": told.sleepbench,
            "torch": torch.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }
