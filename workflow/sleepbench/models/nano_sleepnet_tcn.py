"""NanoSleepNet-TCN: NanoSleepNet's epoch features, refined by dilated convolutions across epochs.

Paper: Liu, Zhang and Wei, "NanoSleepNet-TCN: a compact temporal model for on-device single-channel EEG sleep staging",
2026 (submitted; known from github.com/guisongliu/Nano-SleepNet). One EEG channel, sequences of 10. The authors tell of
a model that sees what follows an epoch and of a causal one, for online use, that does not.

Published size: 17.10K parameters, 67.04M FLOPs for ten epochs, of the causal one 6.84M for an online prediction. 17,098
parameters and, for ten epochs, 33.52M multiply-accumulates for five classes; the published FLOPs are twice the
multiply-accumulates, online those of encoding one epoch, refining ten cached ones and classifying one.

Verified: outputs, training-mode outputs and gradients equal those of the authors' program, that repository at effa368,
both models, on the same weights, to 1e-13 of their scale in float64.

What the description alone does not say, and the program settles:

- The model that is not causal sees up to seven epochs on either side; a sequence has zeros around it. A night is
  scored in overlapping windows of the training length; the authors' windows do not overlap.
- The causal one has its zeros on the left alone. An epoch sees itself and up to nine before it, as the authors cache
  the features of ten: of a run longer than that, each epoch is refined as the last of ten.
- Dropout, 0.1, stands at the end of each dilated block.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults, theirs too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.nano_sleepnet import N_FEATURES, EpochEncoder
from sleepbench.models.open_length import is_open

N_CONTEXT = 32
N_CACHED = 10
"""Epochs whose features an online prediction of the causal model refines, its own the last of them."""


class _CausalConv1d(nn.Conv1d):
    """(n, n_inputs, length) -> (n, n_outputs, length): a step sees itself and what is before it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


def _pointwise(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(n_inputs, n_outputs, kernel_size=1, bias=False), nn.BatchNorm1d(n_outputs))


def _dilated_block(dilation: int, causal: bool) -> nn.Sequential:
    settings = {"kernel_size": 3, "dilation": dilation, "groups": N_CONTEXT, "bias": False}
    depthwise = (
        _CausalConv1d(N_CONTEXT, N_CONTEXT, **settings)
        if causal
        else nn.Conv1d(N_CONTEXT, N_CONTEXT, padding=dilation, **settings)
    )
    return nn.Sequential(
        depthwise, nn.BatchNorm1d(N_CONTEXT), nn.GELU(), _pointwise(N_CONTEXT, N_CONTEXT), nn.GELU(), nn.Dropout(0.1)
    )


class NanoSleepNetTCN(Network):
    """(batch, length, 1, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    causal = False

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.encoder = EpochEncoder(n_channels)
        self.context = nn.Sequential(
            _pointwise(N_FEATURES, N_CONTEXT),
            nn.GELU(),
            *(_dilated_block(dilation, self.causal) for dilation in (1, 2, 4)),
            _pointwise(N_CONTEXT, N_FEATURES),
        )
        self.classifier = nn.Linear(N_FEATURES, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x.flatten(0, 1)).reshape(*x.shape[:2], N_FEATURES).transpose(1, 2)
        return self.classifier(self._refined(features).transpose(1, 2))

    def _refined(self, features: Tensor) -> Tensor:
        """(batch, 64, length) to the same shape."""
        return functional.gelu(self.context(features) + features)


class NanoSleepNetTCNCausal(NanoSleepNetTCN):
    """(batch, length, 1, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes), none from a later epoch."""

    causal = True

    def _refined(self, features: Tensor) -> Tensor:
        length = features.shape[-1]
        if is_open(length):
            return self._refined_at_any_length(features)
        first = super()._refined(features[..., :N_CACHED])
        if length <= N_CACHED:
            return first
        return torch.cat((first, self._refined_as_last(features[..., 1:], length - N_CACHED)), dim=-1)

    def _refined_at_any_length(self, features: Tensor) -> Tensor:
        """Each epoch as one of the first ten, which nothing behind them changes, or else as the last of ten."""
        length = features.shape[-1]
        first = super()._refined(functional.pad(features, (0, N_CACHED))[..., :N_CACHED])
        later = self._refined_as_last(functional.pad(features, (N_CACHED - 1, 0)), length)
        is_first = torch.arange(length, device=features.device) < N_CACHED
        return torch.where(is_first, functional.pad(first, (0, length))[..., :length], later)

    def _refined_as_last(self, features: Tensor, n: int) -> Tensor:
        """Each of the last `n` epochs as the last of ten: (batch, 64, n + 9) -> (batch, 64, n)."""
        cached = features.unfold(-1, N_CACHED, 1)  # (batch, 64, n, 10)
        last = super()._refined(cached.transpose(1, 2).flatten(0, 1))[..., -1]  # (batch * n, 64)
        return last.reshape(-1, n, N_FEATURES).transpose(1, 2)
