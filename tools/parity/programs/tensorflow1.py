"""TensorFlow 1 by what TensorFlow 2 has of it, with float64 for float32 and parts of contrib."""

import os

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import tensorflow
from variables import Arrays, Shape, Variables, View, positions

v1 = tensorflow.compat.v1
v1.disable_v2_behavior()
v1.logging.set_verbosity(v1.logging.ERROR)  # it says of almost everything that it is old
warnings.simplefilter("ignore")
tensorflow.config.threading.set_intra_op_parallelism_threads(1)
tensorflow.config.threading.set_inter_op_parallelism_threads(1)
TENSORFLOW = f"compat.v1 of TensorFlow {tensorflow.__version__}"
vars(np).update(int=int, float=float)  # NumPy had these


class _TensorFlow1(ModuleType):
    """compat.v1, but for what is set here."""

    def __getattr__(self, name: str) -> Any:
        return getattr(v1, name)


def _by_example(logits: list, targets: list, weights: list, name: str | None = None) -> Any:
    losses = v1.nn.sparse_softmax_cross_entropy_with_logits(logits=logits[0], labels=targets[0])
    return losses * v1.cast(weights[0], v1.float64)


def _constant(value: Any, dtype: Any = None, *others: Any, **named: Any) -> Any:
    return v1.constant(value, dtype or (v1.float64 if isinstance(value, float) else None), *others, **named)


CELLS = {name: getattr(v1.nn.rnn_cell, name) for name in ("LSTMCell", "DropoutWrapper", "GRUCell", "MultiRNNCell")}
CELLS["LSTMStateTuple"] = v1.nn.rnn_cell.LSTMStateTuple
tf = _TensorFlow1("tensorflow")
vars(tf).update(
    float32=v1.float64,
    get_variable=lambda name, shape=None, dtype=None, **named: v1.get_variable(
        name, shape, dtype or v1.float64, **named
    ),
    random_normal=lambda shape, mean=0.0, stddev=1.0, dtype=None, **named: v1.random_normal(
        shape, mean, stddev, dtype or v1.float64, **named
    ),
    constant=_constant,
    ones=lambda shape, dtype=None: v1.ones(shape, dtype or v1.float64),
    cast=lambda x, dtype, **named: v1.cast(x, v1.float64 if dtype == "float" else dtype, **named),
    contrib=SimpleNamespace(
        legacy_seq2seq=SimpleNamespace(sequence_loss_by_example=_by_example),
        layers=SimpleNamespace(),
        rnn=SimpleNamespace(**CELLS),
    ),
)
vars(tf)["compat"] = SimpleNamespace(v1=tf)
CONTRIB = ("contrib", "contrib.rnn", "contrib.layers", "contrib.metrics", "contrib.slim")


def run(name: str, path: Path, replaced: Mapping[str, str] | None = None) -> ModuleType:
    """A module of theirs to which this is TensorFlow; `replaced`: text by what stands in its place."""
    text = path.read_text(encoding="utf-8")
    for found, instead in (replaced or {}).items():
        if found not in text:
            raise ValueError(f"{path}: no {found!r} in it, which is to be replaced")
        text = text.replace(found, instead)
    before = {one: sys.modules.get(one) for one in ("tensorflow", *(f"tensorflow.{part}" for part in CONTRIB))}
    for one in before:
        sys.modules[one] = tf if one == "tensorflow" else ModuleType(one)
        if one != "tensorflow":
            vars(sys.modules[one]).update(CELLS)
    module = sys.modules[name] = ModuleType(name)
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    finally:
        for one, was in before.items():
            sys.modules.pop(one)
            if was is not None:
                sys.modules[one] = was
    return module


class Graph(Variables):
    """A network in a graph of its own; a subclass builds it in `build` and says what is fed to it.

    build : sets `logits`, by whether it trains, each (n, 5) or of the shape of the outputs
    fed : what is fed, by whether it trains
    """

    logits: dict[bool, Any]

    def __init__(self, shape: Shape):
        self.shape, self.graph = shape, v1.Graph()
        with self.graph.as_default():
            self.build()
            self.session = v1.Session(config=v1.ConfigProto(allow_soft_placement=True))
            self.session.run(v1.global_variables_initializer())
            self.variables = {one.name.removesuffix(":0"): one for one in v1.global_variables()}
            self.trainable = {one.name.removesuffix(":0"): one for one in v1.trainable_variables()}

    def build(self) -> None:
        """Build the network."""
        raise NotImplementedError

    def fed(self, x: np.ndarray, training: bool) -> dict:
        """What is fed for an input."""
        raise NotImplementedError

    def values(self) -> Arrays:
        """All variables."""
        return self.session.run(self.variables)

    def assign(self, values: Arrays) -> None:
        """Set all variables."""
        for name, variable in self.variables.items():
            variable.load(values[name], self.session)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Logits in evaluation."""
        return self._shaped(self.session.run(self.logits[False], self.fed(x, False)))

    def trained(self, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, Arrays, Arrays]:
        """Logits in training without dropout, and gradients; what changes moving statistics is not run."""
        logits, known = self.logits[True], list(self.trainable)
        with self.graph.as_default():
            total = v1.reduce_sum(logits * weights.reshape(v1.shape(logits).eval(self.fed(x, True), self.session)))
            wanted = v1.gradients(total, list(self.trainable.values()))
        wanted = [v1.convert_to_tensor(one) if isinstance(one, v1.IndexedSlices) else one for one in wanted]
        outputs, gradients = self.session.run([logits, wanted], self.fed(x, True))
        return self._shaped(outputs), self.seen(dict(zip(known, gradients, strict=True))), {}

    def _shaped(self, outputs: np.ndarray) -> np.ndarray:
        return np.reshape(outputs, (*self.shape[: 1 if len(self.shape) == 3 else 2], -1))


def viewed(variable: str, shape: Shape, how: Callable[[np.ndarray], np.ndarray]) -> View:
    """A view of one variable, by what is done to its array."""
    return View((variable,), how(positions(shape)[0]))


def from_time_major(*branches: Shape) -> Callable[[np.ndarray], np.ndarray]:
    """Of an array (inputs, ...) whose inputs are branches of (steps, channels): channels first."""

    def reordered(array: np.ndarray) -> np.ndarray:
        ends = np.cumsum([steps * channels for steps, channels in branches])[:-1]
        parts = zip(np.split(array, ends), branches, strict=True)
        return np.concatenate([part.reshape(*branch, -1).swapaxes(0, 1).reshape(part.shape) for part, branch in parts])

    return reordered


def lstm(
    scope: str, shapes: Mapping[str, Shape], inputs: Callable[[np.ndarray], np.ndarray] = lambda array: array
) -> dict[str, View]:
    """Views of an LSTMCell with peepholes as PyTorch has an LSTM: input, forget, cell, output gate.

    TensorFlow's are in the order input, cell, forget, output, and to the forget gate's bias it adds 1.
    """
    n_hidden = shapes[f"{scope}/w_i_diag"][0]

    def gates(array: np.ndarray) -> np.ndarray:
        enter, new, forget, leave = np.split(array, 4, axis=-1)
        return np.concatenate([enter, forget, new, leave], axis=-1)

    def part(rows: slice, how: Callable[[np.ndarray], np.ndarray]) -> View:
        kernel = positions(shapes[f"{scope}/kernel"])[0]
        return View((f"{scope}/kernel",), gates(how(kernel[rows])).T)

    bias = viewed(f"{scope}/bias", shapes[f"{scope}/bias"], gates)
    peepholes = tuple(f"{scope}/w_{gate}_diag" for gate in "ifo")
    return {
        f"{scope}.weight_ih": part(slice(None, -n_hidden), inputs),
        f"{scope}.weight_hh": part(slice(-n_hidden, None), lambda array: array),
        f"{scope}.bias": View(bias.variables, bias.positions, np.repeat([0.0, 1.0, 0.0, 0.0], n_hidden)),
        f"{scope}.peephole": View(peepholes, np.stack(positions(*(shapes[one] for one in peepholes)))),
    }
