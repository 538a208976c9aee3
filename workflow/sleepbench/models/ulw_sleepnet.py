"""ULW-SleepNet: depthwise separable convolutions with strided shortcuts, shared by all channels.

Paper: Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, "ULW-SleepNet", ICASSP 2026, arXiv:2602.23852 [P].
Released code: github.com/wzw999/ULW-SLEEPNET at ff5839b, Apache-2.0, Keras 2 [C]. Rewritten here, checked against
that network run in float64 [V]. [I] marks what is inferred.

Verified: outputs, in training and not, and gradients equal those of that network on the same weights (1e-14 of their
scale in float64, with four channels).

Published size: 13.3K parameters, 7.89M FLOPs [P]. They fit four channels only: 13,337 parameters and 3,498,352
multiply-accumulates [V]; 7.89M is the TensorFlow profiler's count without AddV2 [V]. The four are EEG Fpz-Cz,
EEG Pz-Oz, EOG horizontal and EMG submental [I, from a line the released preparation script has commented out].

The 112 biases of the main paths' convolutions get no gradient in training: the batch norm behind each takes them away.

Where the released code, which this file follows, says more than the paper's abstract or something else:

- An L2 penalty of 1e-3 on the kernels is written down but never reaches the loss [V]; there is none here.
- Keras updates the moving statistics twice a training step, because TimeDistributed runs the nested network a second
  time to compute its mask [V]. The momentum 0.99 thus acts as 0.99 squared.
- The layer of 64 units has no activation [C], so that the classifier is linear in the pooled features.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.kernels.fused import BatchNorm, conv_norm_relu_pool, dropout, join

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 1 - 0.99**2
"""Weight of the batch in PyTorch's running statistics: Keras momentum 0.99, applied twice a step."""

BIASES_BEFORE_NORM = ("main1.pointwise.bias", "main2.pointwise.bias")
"""Endings of the names in every block."""


class SeparableConv(nn.Module):
    """Keras' SeparableConv1D: a depthwise convolution without bias, then a pointwise one with bias.

    The padding is "same".
    """

    def __init__(self, n_inputs: int, n_outputs: int, kernel_size: int, stride: int = 1):
        super().__init__()
        self.depthwise = nn.Conv1d(
            n_inputs, n_inputs, kernel_size, stride, padding=kernel_size // 2, groups=n_inputs, bias=False
        )
        self.pointwise = nn.Conv1d(n_inputs, n_outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class DSSCBlock(nn.Module):
    """One block: (n, n_inputs, time) -> (n, n_filters, time / 4), rounded up at each of the two halvings.

    The main path convolves and pools twice. The shortcut, which has neither norm nor activation, sees every fourth
    sample.
    """

    def __init__(self, n_inputs: int, n_filters: int):
        super().__init__()
        self.main1 = SeparableConv(n_inputs, n_filters, kernel_size=3)
        self.bn1 = nn.BatchNorm1d(n_filters, BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM)
        self.main2 = SeparableConv(n_filters, n_filters, kernel_size=3)
        self.bn2 = nn.BatchNorm1d(n_filters, BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM)
        self.pool = nn.MaxPool1d(2, ceil_mode=True)  # an odd length is padded on the right with -inf, as in Keras
        self.skip1 = SeparableConv(n_inputs, n_filters, kernel_size=1, stride=2)
        self.skip2 = SeparableConv(n_filters, n_filters, kernel_size=1, stride=2)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        main = self.pool(functional.relu(self.bn1(self.main1(x))))
        main = self.pool(functional.relu(self.bn2(self.main2(main))))
        skip = self.skip2(self.skip1(x))
        return self.dropout(main + skip)


class ULWSleepNet(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes).

    Trainable parameters: 5,145 + 2,048 per channel, for five classes.
    """

    parameters_without_gradient_in_training = BIASES_BEFORE_NORM
    time_distributed = ("block1", "block2", "block3")  # what the released network applies to each channel

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.block1 = DSSCBlock(1, 8)
        self.block2 = DSSCBlock(8, 16)
        self.block3 = DSSCBlock(16, 32)
        self.dropout = nn.Dropout(0.3)
        self.dense64 = nn.Linear(n_channels * 32, 64)
        self.output = nn.Linear(64, n_classes)
        self.apply(_initialize_as_keras)

    def forward(self, x: Tensor) -> Tensor:
        # Channels are folded into the batch: they share the weights, and batch norm's statistics are over all of them.
        signals = x.flatten(0, 1).unsqueeze(1)  # (batch * n_channels, 1, 3000)
        features = self.block3(self.block2(self.block1(signals)))  # lengths 3000 -> 750 -> 188 -> 47
        features = features.mean(dim=-1).reshape(x.shape[0], -1)  # (batch, n_channels * 32), channel by channel
        return self.output(self.dense64(self.dropout(features)))

    def forward_folds(self, state: Mapping[str, Tensor], x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Logits of several networks: (n_folds, batch, n_channels, 3000) -> (n_folds, batch, n_classes)."""
        n_folds, n_epochs = x.shape[:2]
        features = x.flatten(1, 2).unsqueeze(1)  # (n_folds, 1, batch * n_channels, 3000)
        exact = state["dense64.weight"].dtype  # that of the signals may be bfloat16
        of_signals = None if counted is None else counted.to(exact).repeat_interleave(x.shape[2], dim=1)
        for name in ("block1", "block2", "block3"):
            block = self.get_submodule(name)
            features = _block_folds(block, _under(f"{name}.", state), features, of_signals)
        pooled = features.mean(dim=-1, dtype=exact).mT.reshape(n_folds, n_epochs, -1)
        dropped = dropout(pooled, self.dropout.p, self.training)
        hidden = torch.baddbmm(state["dense64.bias"].unsqueeze(1), dropped, state["dense64.weight"].mT)
        return torch.baddbmm(state["output.bias"].unsqueeze(1), hidden, state["output.weight"].mT)


def _block_folds(block: DSSCBlock, state: Mapping[str, Tensor], x: Tensor, counted: Tensor | None) -> Tensor:
    """`block.forward` of several networks at once.

    (n_folds, n_inputs, n, time) -> (n_folds, n_filters, n, time / 4), rounded up at each of the two halvings.
    """
    main = x
    for conv, norm in (("main1", "bn1"), ("main2", "bn2")):
        main = conv_norm_relu_pool(
            main,
            _composed_kernel(state, conv),
            state[f"{conv}.pointwise.bias"],
            BatchNorm(
                **{key: state[f"{norm}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")},
                epsilon=BATCH_NORM_EPSILON,
                momentum=BATCH_NORM_MOMENTUM,
            ),
            block.training,
            counted,
        )
        if block.training:
            state[f"{norm}.num_batches_tracked"].add_(1 if counted is None else counted.any(dim=1))
    # The shortcut is linear: one map of every fourth sample.
    first, second = (_composed_kernel(state, conv).squeeze(-1) for conv in ("skip1", "skip2"))
    offset = torch.baddbmm(
        state["skip2.pointwise.bias"].unsqueeze(-1), second, state["skip1.pointwise.bias"].unsqueeze(-1)
    )
    return join(main, x, torch.bmm(second, first), offset.squeeze(-1), block.dropout.p, block.training)


def _composed_kernel(state: Mapping[str, Tensor], conv: str) -> Tensor:
    """The dense kernel (n_folds, n_outputs, n_inputs, kernel_size) equal to a separable convolution."""
    return state[f"{conv}.pointwise.weight"] * state[f"{conv}.depthwise.weight"].transpose(1, 2)


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _initialize_as_keras(module: nn.Module) -> None:
    """Glorot-uniform kernels and zero biases.

    Keras takes a depthwise kernel (k, n, 1) to have fans n k and k; PyTorch has them the other way round. Glorot's
    limit depends on their sum alone, so the draws agree in distribution.
    """
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def load_keras_weights(model: ULWSleepNet, weights: Mapping[str, np.ndarray]) -> None:
    """Copy the weights and moving statistics of the Keras network, in Keras' order of axes, into `model`.

    Names are "block1.main1.depthwise_kernel", "block1.bn1.moving_mean", "dense64.kernel" and so on. BenchmarkError,
    with the model left as it was, when an array is missing, unknown or of another shape.
    """
    slots = dict(_keras_slots(model))
    missing, unknown = sorted(slots.keys() - weights.keys()), sorted(weights.keys() - slots.keys())
    if missing or unknown:
        raise BenchmarkError(
            f"Keras weights for {type(model).__name__}: "
            f"missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        )
    for name, slot in slots.items():
        if np.shape(weights[name]) != tuple(slot.shape):
            raise BenchmarkError(
                f"Keras weights for {type(model).__name__}: {name} has shape {np.shape(weights[name])}, "
                f"expected {tuple(slot.shape)}"
            )
    with torch.no_grad():
        for name, slot in slots.items():
            slot.copy_(torch.as_tensor(np.asarray(weights[name])))


def _keras_slots(model: ULWSleepNet) -> Iterator[tuple[str, Tensor]]:
    """Every weight under its Keras name, as a view with Keras' order of axes."""
    for name, module in model.named_modules():
        if isinstance(module, SeparableConv):
            yield f"{name}.depthwise_kernel", module.depthwise.weight.permute(2, 0, 1)  # (kernel, inputs, 1)
            yield f"{name}.pointwise_kernel", module.pointwise.weight.permute(2, 1, 0)  # (1, inputs, outputs)
            yield f"{name}.bias", module.pointwise.bias
        elif isinstance(module, nn.BatchNorm1d):
            yield f"{name}.gamma", module.weight
            yield f"{name}.beta", module.bias
            yield f"{name}.moving_mean", module.running_mean
            yield f"{name}.moving_variance", module.running_var
        elif isinstance(module, nn.Linear):
            yield f"{name}.kernel", module.weight.T
            yield f"{name}.bias", module.bias
