"""The ways to run a network's inference on a CPU, for one to be timed beside the others."""

from collections.abc import Callable

import torch
from torch import Tensor

from sleepbench.models import create_model, describe
from sleepbench.models.as_onnx import as_onnx, session
from sleepbench.models.kernels.whole_network import whole_network

ENGINES = {
    "eager": "PyTorch eager",
    "fast": "the fast engine",
    "onnxruntime": "ONNX Runtime",
    "ours": "the whole network in C",
}


def inference_engines(
    name: str, n_channels: int, n_samples: int, threads: int = 1
) -> dict[str, Callable[[Tensor], object] | None]:
    """For each of ENGINES what maps signals to logits, or None where it does not apply; all have the same weights.

    `signals` are as the model's `forward` takes them, float32. The whole network in C takes one thread.
    """
    network = create_model(name, n_channels, n_samples=n_samples).eval()
    in_c = whole_network(network)
    return {
        "eager": network,
        "fast": network.forward_fast if network.has_folds() else None,
        "onnxruntime": _in_onnxruntime(network, name, n_channels, n_samples, threads),
        "ours": in_c and (lambda signals: in_c(signals.numpy())),
    }


def _in_onnxruntime(
    network: torch.nn.Module, name: str, n_channels: int, n_samples: int, threads: int
) -> Callable[[Tensor], object]:
    axes = ("batch", "length") if describe(name).sequence_length else ("batch",)
    example = {"signals": torch.zeros(*range(2, 2 + len(axes)), n_channels, n_samples)}
    model = as_onnx(network, example, {"signals": axes}, ["logits"])
    running = session(model.SerializeToString(), threads)
    return lambda signals: running.run(None, {"signals": signals.numpy()})
