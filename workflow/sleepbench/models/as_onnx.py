"""A network as an ONNX model, by PyTorch's exporter, with some axes of its inputs open; and a model ready to run."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnxscript import opset20 as op
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.open_length import CUT_TO, EVENED

OPSET = 20


def as_onnx(
    network: nn.Module,
    example: Mapping[str, Tensor],
    open_axes: Mapping[str, Sequence[str]],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """A network in evaluation mode as ONNX, in single precision, checked for form but not yet for what it computes.

    Parameters
    ----------
    example : the network's arguments under the names that they are to have; an axis that is open has more than 1, or
        it would be taken to be always 1
    open_axes : for each argument the names of its first axes, which are open, such as ("batch", "length")
    outputs : names of what the network returns; they begin with the same axes as the first argument
    """
    names = {name for axes in open_axes.values() for name in axes}
    dims = {name: torch.export.Dim(name) for name in names}
    try:
        with _quiet(), _pools_of_any_length(network), torch.no_grad():
            traced = torch.export.export(
                network,
                tuple(example.values()),
                dynamic_shapes=tuple({i: dims[axis] for i, axis in enumerate(open_axes[name])} for name in example),
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=True,  # on lengths in a U-Net, which nobody can prove
            )
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                input_names=list(example),
                output_names=list(outputs),
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise BenchmarkError(
            f"{type(network).__name__}: PyTorch {torch.__version__} cannot make ONNX of this network: {error}"
        ) from error
    model = program.model_proto
    _strip(model)
    first = open_axes[next(iter(example))]
    for value, axes in (
        *((one, open_axes[one.name]) for one in model.graph.input),
        *((one, first) for one in model.graph.output),
    ):
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            axis.dim_param = name
    onnx.checker.check_model(model, full_check=True)
    return model


def session(model: str | Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A model, or its file, ready to run on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _strip(model: onnx.ModelProto) -> None:
    """Take away what tells of the program that was traced: it is as large as a small network's weights."""
    model.ClearField("metadata_props")
    waiting = [model.graph, *model.functions]
    while waiting:
        part = waiting.pop()
        named: list = list(part.node)
        if isinstance(part, onnx.GraphProto):
            part.ClearField("value_info")
            named += [*part.input, *part.output, *part.initializer]
        for one in (part, *named):
            one.ClearField("doc_string")
            one.ClearField("metadata_props")
        for attribute in (attribute for node in part.node for attribute in node.attribute):
            waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _evened(x):
    """`open_length.evened` in ONNX."""
    odd = op.Mod(op.Shape(x, start=-1), op.Constant(value_ints=[2]))
    pads = op.Concat(odd, op.Constant(value_ints=[0]), axis=0)
    return op.Pad(x, pads, None, op.Constant(value_ints=[-1]))


def _cut_to(x, like):
    """`open_length.cut_to` in ONNX."""
    length = op.Shape(like, start=-1)
    first = op.Div(op.Sub(op.Shape(x, start=-1), length), op.Constant(value_ints=[2]))
    return op.Slice(x, first, op.Add(first, length), op.Constant(value_ints=[-1]))


def _spectrum(x, dim: Sequence[int], normalization: int, onesided: bool):
    """A Fourier transform of real numbers along the last axis.

    In double precision: where onnxruntime's length is no power of two, it is ten times less exact than PyTorch's, which
    shows in the logarithm of a small power beside a large one.
    """
    if len(dim) != 1 or normalization:
        raise NotImplementedError(f"a Fourier transform along {dim} with normalization {normalization}")
    exact = op.Unsqueeze(op.Cast(x, to=onnx.TensorProto.DOUBLE), op.Constant(value_ints=[-1]))
    return op.Cast(op.DFT(exact, None, op.Constant(value_int=dim[0]), onesided=onesided), to=onnx.TensorProto.FLOAT)


TRANSLATIONS = {EVENED: _evened, CUT_TO: _cut_to, torch.ops.aten._fft_r2c.default: _spectrum}


class _MaxPool(nn.Module):
    """`nn.MaxPool1d` as the pool of a picture: PyTorch takes the length of the former's input for fixed."""

    def __init__(self, pool: nn.MaxPool1d):
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        pool = self.pool
        sizes = (1, pool.kernel_size), (1, pool.stride), (0, pool.padding)
        return functional.max_pool2d(x.unsqueeze(-2), *sizes, ceil_mode=pool.ceil_mode).squeeze(-2)


@contextmanager
def _pools_of_any_length(network: nn.Module) -> Iterator[None]:
    pools = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if type(child) is nn.MaxPool1d
    ]
    for parent, name, pool in pools:
        setattr(parent, name, _MaxPool(pool))
    try:
        yield
    finally:
        for parent, name, pool in pools:
            setattr(parent, name, pool)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that it does without, and of its own deprecations."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
