"""ULW-SleepNet with one part changed: what each part of the design is worth.

Paper: Wang, Zhou, Xu, Cong, Al-Sa'd and Raitoharju, "ULW-SleepNet", ICASSP 2026, arXiv:2602.23852. After the
description: the paper credits the parts, but publishes no variant as a network, and no size of one. All else is as in
`ulw_sleepnet`: the other layers, batch norm's momentum, dropout, Glorot-uniform kernels and zero biases. As there, the
biases of the main paths' convolutions get no gradient in training: the batch norm behind each takes them away.

| for five classes | parameters, four channels | multiply-accumulates, four channels |
|---|---|---|
| ULW-SleepNet | 13,337 | 3,498,352 |
| ULWNoSkip | 11,152 | 2,422,752 |
| ULWDenseConvs | 16,997 | 7,072,192 |
| ULWUnshared | 27,605 | 3,498,352 |
| ULWFlatten | 390,169 | 3,875,184 |

A separable convolution has no activation between its halves: it is a dense one whose kernel is a product, and the
variant with dense ones lifts this restriction alone. With one channel, nothing can be unshared.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.base import Network
from sleepbench.models.ulw_sleepnet import BIASES_BEFORE_NORM, DSSCBlock, _initialize_as_keras

N_FEATURES = 32
"""Of a channel, at each of its steps."""
SHORTENED = 4**3
"""By three blocks: of 3000 samples 47 steps are left."""


class BlockWithoutSkip(DSSCBlock):
    """The main path and its dropout alone."""

    def __init__(self, n_inputs: int, n_filters: int):
        super().__init__(n_inputs, n_filters)
        del self.skip1, self.skip2

    def forward(self, x: Tensor) -> Tensor:
        main = self.pool(functional.relu(self.bn1(self.main1(x))))
        main = self.pool(functional.relu(self.bn2(self.main2(main))))
        return self.dropout(main)


class DenseBlock(DSSCBlock):
    """Every separable convolution, those of the shortcut too, is one dense convolution with a bias."""

    def __init__(self, n_inputs: int, n_filters: int):
        super().__init__(n_inputs, n_filters)
        self.main1 = nn.Conv1d(n_inputs, n_filters, kernel_size=3, padding=1)
        self.main2 = nn.Conv1d(n_filters, n_filters, kernel_size=3, padding=1)
        self.skip1 = nn.Conv1d(n_inputs, n_filters, kernel_size=1, stride=2)
        self.skip2 = nn.Conv1d(n_filters, n_filters, kernel_size=1, stride=2)


def _blocks(block: type[DSSCBlock] = DSSCBlock) -> nn.Sequential:
    """(n, 1, 3000) -> (n, 32, 47)."""
    return nn.Sequential(block(1, 8), block(8, 16), block(16, N_FEATURES))


def _classifier(n_features: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(n_features, 64), nn.Linear(64, n_classes))


class OtherBlocks(Network):
    """ULW-SleepNet made of `block`: (batch, n_channels, 3000) microvolts -> logits (batch, n_classes).

    The signals are sampled at 100 Hz.
    """

    parameters_without_gradient_in_training = BIASES_BEFORE_NORM
    block = DSSCBlock

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.blocks = _blocks(self.block)
        self.classifier = _classifier(n_channels * N_FEATURES, n_classes)
        self.apply(_initialize_as_keras)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x.flatten(0, 1).unsqueeze(1))  # (batch * n_channels, 32, 47)
        return self.classifier(features.mean(dim=-1).reshape(x.shape[0], -1))


class ULWNoSkip(OtherBlocks):
    """No shortcut in the blocks: (batch, n_channels, 3000) microvolts -> logits (batch, n_classes)."""

    block = BlockWithoutSkip


class ULWDenseConvs(OtherBlocks):
    """Dense convolutions in place of depthwise separable ones.

    (batch, n_channels, 3000) microvolts -> logits (batch, n_classes).
    """

    parameters_without_gradient_in_training = ("main1.bias", "main2.bias")
    block = DenseBlock


class ULWUnshared(Network):
    """Separate blocks per channel: (batch, n_channels, 3000) microvolts -> logits (batch, n_classes)."""

    parameters_without_gradient_in_training = BIASES_BEFORE_NORM

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.channels = nn.ModuleList(_blocks() for _ in range(n_channels))
        self.classifier = _classifier(n_channels * N_FEATURES, n_classes)
        self.apply(_initialize_as_keras)

    def forward(self, x: Tensor) -> Tensor:
        features = [blocks(x[:, i : i + 1]).mean(dim=-1) for i, blocks in enumerate(self.channels)]
        return self.classifier(torch.cat(features, dim=-1))


class ULWFlatten(Network):
    """All steps, not their mean, enter the dense layers.

    (batch, n_channels, n_samples) microvolts -> logits (batch, n_classes).
    """

    parameters_without_gradient_in_training = BIASES_BEFORE_NORM

    def __init__(self, n_channels: int, n_classes: int = len(STAGES), n_samples: int = SAMPLES_PER_EPOCH):
        super().__init__()
        self.blocks = _blocks()
        self.classifier = _classifier(n_channels * N_FEATURES * math.ceil(n_samples / SHORTENED), n_classes)
        self.apply(_initialize_as_keras)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x.flatten(0, 1).unsqueeze(1))  # (batch * n_channels, 32, 47)
        return self.classifier(features.reshape(x.shape[0], -1))
