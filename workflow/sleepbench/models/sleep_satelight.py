"""SleepSatelight: convolution and self-attention over the signal and over its spectrum, then fifteen epochs' features.

Paper: Ito and Tanaka, "SleepSatelightFTC: a lightweight and interpretable deep learning model for single-channel
EEG-based sleep stage classification", IEEE Access 13, 2025, doi 10.1109/ACCESS.2025.3549436. One EEG channel at 50 Hz;
the program is defined for any number of channels. FT scores an epoch from its signal and spectrum; FTC feeds FT's last
features of fifteen epochs to a small network that scores the middle one.

Published size: one third of the parameters of networks as accurate, in the abstract. FT has 463,885 parameters for five
classes and 31.2M multiply-accumulates; FTC 1,039,153, 576,773 of them behind FT's features, and 31.8M for an epoch.

Verified: FT's outputs, training-mode outputs and gradients equal those of the authors' Keras program, ssft_tensorflow
in github.com/ttlabtuat/sleep_satelight_ftc at 0e0e6c1, on the same weights, to 1e-13 of their scale in float64 given
the same spectrum, and to 1e-6 given that of its data_loader: the tapers are kept in float32 here. Moving variances of
Keras differ by n / (n - 1) of a batch of n. Size verified: FTC's, whose part behind the features was found equal to
that of its train_2, of which no reference is kept.

That repository's PyTorch program, which its training scripts use, is another network: its first convolution runs along
an axis of length one, so that it sees one sample in place of 250, and twice the steps reach the attention (809,485
parameters). It is not followed.

The biases of a hop's linear layers and the offsets of its first batch norm, 1,280, get no gradient in training: the
batch norm behind them takes them away.

What the description leaves open and how it was decided:

- How the signal is brought to 50 Hz is not said. Here each two samples are averaged.
- Power that is not there, of a signal that stands still, counts as 1e-10 square microvolts per hertz, -100 dB.
- Keras limits the spatial filters' norm to 1 after each step; here that is a function of the weight within the forward
  pass, as for EEGNet. With one channel the batch norm behind makes the filter's size immaterial.
- The authors score no epoch within seven of a recording's ends. Here the features beyond the ends are zeros.
- Theirs trains FT first, then the rest on FT's frozen features. Here FTC is trained in one piece, on sequences of 30.
- Initial weights of FT are Keras' defaults, Glorot and zero biases, as are its batch norm's epsilon and momentum.
"""

import math
from itertools import pairwise

import torch
from scipy.signal.windows import dpss
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

SAMPLING_RATE = 50
N_SAMPLES = 1500
N_BINS = 750
POWER_FLOOR = 1e-10
N_FILTERS = 16
N_SPATIAL = 32
"""Two spatial filters for each temporal one."""
FILTER_LENGTH = 250
WIDTHS = (32, 64, 96, 128)
"""Of the steps that attention is over, before the first hop and behind each."""
DROPOUT = 0.2
N_FEATURES = 300
N_CONTEXT = 15
"""Epochs whose features decide on the middle one."""


class MultitaperSpectrum(nn.Module):
    """(..., 1500) microvolts at 50 Hz -> (..., 750), amplitudes in decibels: Thomson's method, time-bandwidth 4."""

    def __init__(self):
        super().__init__()
        tapers, concentrations = dpss(N_SAMPLES, NW=4, Kmax=8, return_ratios=True)
        concentrated = concentrations > 0.9  # seven
        weights = concentrations[concentrated] / concentrations[concentrated].sum() / SAMPLING_RATE
        sides = torch.full((N_BINS,), 2.0).index_fill(0, torch.tensor(0), 1.0)
        self.register_buffer("tapers", torch.tensor(tapers[concentrated], dtype=torch.float32), persistent=False)
        weights = torch.tensor(weights[:, None], dtype=torch.float32) * sides
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        tapered = (x - x.mean(dim=-1, keepdim=True)).unsqueeze(-2) * self.tapers
        spectra = torch.fft.rfft(tapered)[..., :N_BINS]
        power = (spectra.abs() ** 2 * self.weights).sum(dim=-2)
        return 10 / math.log(10) * power.clamp(min=POWER_FLOOR).log()


class SpatialConv(nn.Conv2d):
    """(n, 16, n_channels, time) -> (n, 32, 1, time), filters over the channels with a norm of at most 1."""

    def __init__(self, n_channels: int):
        super().__init__(N_FILTERS, N_SPATIAL, (n_channels, 1), groups=N_FILTERS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        limited = torch.renorm(self.weight, p=2, dim=0, maxnorm=1.0)
        return functional.conv2d(x, limited, groups=self.groups)


class StepNorm(nn.BatchNorm1d):
    """(n, time, n_features) to the same shape: each feature over all steps; epsilon and momentum as in Keras."""

    def __init__(self, n_features: int):
        super().__init__(n_features, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class SelfAttention(nn.Module):
    """(n, time, n_features) to the same shape; one head, products not scaled."""

    def __init__(self, n_features: int):
        super().__init__()
        for name in ("query", "key", "value", "output"):
            self.add_module(name, nn.Linear(n_features, n_features, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.query(x) @ self.key(x).transpose(1, 2)).softmax(dim=-1)
        return self.output(weights @ self.value(x))


class Hop(nn.Module):
    """(n, time, n_inputs) -> (n, time / 4, n_outputs), time / 4 rounded down."""

    def __init__(self, n_inputs: int, n_outputs: int, first: bool):
        super().__init__()
        self.skip = nn.Identity() if first else nn.Linear(n_inputs, n_inputs)
        self.attention = nn.Sequential(SelfAttention(n_inputs), StepNorm(n_inputs), nn.Dropout(DROPOUT))
        self.widened = nn.Sequential(
            nn.Linear(n_inputs, n_outputs), StepNorm(n_outputs), nn.ReLU(), nn.Dropout(DROPOUT)
        )
        self.pool = nn.AvgPool1d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.widened(self.skip(x) + self.attention(x))
        return self.pool(x.transpose(1, 2)).transpose(1, 2)


class Stream(nn.Module):
    """(n, n_channels, length) -> (n, length / 256 * 128), step by step; length / 4 is rounded down at each pool."""

    def __init__(self, n_channels: int):
        super().__init__()
        left = (FILTER_LENGTH - 1) // 2
        self.embedding = nn.Sequential(
            nn.ZeroPad2d((left, FILTER_LENGTH - 1 - left, 0, 0)),
            nn.Conv2d(1, N_FILTERS, (1, FILTER_LENGTH), bias=False),
            SpatialConv(n_channels),
            nn.BatchNorm2d(N_SPATIAL, eps=1e-3, momentum=0.01),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.AvgPool2d((1, 4)),
        )
        self.hops = nn.Sequential(*(Hop(*widths, first=i == 0) for i, widths in enumerate(pairwise(WIDTHS))))

    def forward(self, x: Tensor) -> Tensor:
        steps = self.embedding(x.unsqueeze(1)).squeeze(2).transpose(1, 2)  # (n, length / 4, 32)
        return self.hops(steps).flatten(1)


TAKEN_AWAY = ("skip.bias", "attention.1.bias", "widened.0.bias")
"""Endings of the names of the offsets that the batch norm behind `widened` takes away."""


class EpochEncoder(nn.Module):
    """(n, n_channels, 3000) microvolts at 100 Hz -> (n, 300)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.spectrum = MultitaperSpectrum()
        self.time = Stream(n_channels)  # 1500 -> 375 -> 93 -> 23 -> 5
        self.frequency = Stream(n_channels)  # 750 -> 187 -> 46 -> 11 -> 2
        self.features = nn.Linear((5 + 2) * WIDTHS[-1], N_FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(-1, (N_SAMPLES, 2)).mean(dim=-1)
        return self.features(torch.cat((self.time(x), self.frequency(self.spectrum(x))), dim=-1))


class SleepSatelightFT(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    parameters_without_gradient_in_training = TAKEN_AWAY

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.encoder = EpochEncoder(n_channels)
        self.classifier = nn.Linear(N_FEATURES, n_classes)
        self.apply(_initialize_as_keras)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.encoder(x))


class SleepSatelightFTC(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    parameters_without_gradient_in_training = TAKEN_AWAY

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.encoder = EpochEncoder(n_channels)
        self.encoder.apply(_initialize_as_keras)
        self.context = nn.Conv1d(N_FEATURES, 128, N_CONTEXT, padding=N_CONTEXT // 2)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(128, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        context = functional.relu(self.context(features.transpose(1, 2))).transpose(1, 2)
        return self.classifier(self.dropout(context))


def _initialize_as_keras(module: nn.Module) -> None:
    if isinstance(module, SpatialConv):  # Keras takes the filters for inputs, their number for each for outputs
        limit = (6 / (module.weight.shape[2] * (N_FILTERS + N_SPATIAL // N_FILTERS))) ** 0.5
        nn.init.uniform_(module.weight, -limit, limit)
    elif isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
