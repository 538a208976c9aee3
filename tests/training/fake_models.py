"""Models small enough to be trained in milliseconds, and their entries for the registry."""

import numpy as np
import torch
from torch import Tensor, nn

from sleepbench.config.recipe import Recipe, recipe_from
from sleepbench.models.base import Network
from sleepbench.models.registry import ModelInfo
from sleepbench.models.transformation import Robust


class Amplitudes(nn.Module):
    """(..., n_channels, 3000) -> (..., 8)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.linear = nn.Linear(n_channels, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x.std(dim=-1).clamp(min=1e-6).log()))


class OfEpochs(Network):
    """(batch, n_channels, 3000) -> (batch, n_classes); sequences too, epoch by epoch."""

    def __init__(self, n_channels: int, n_classes: int = 5):
        super().__init__()
        self.amplitudes = Amplitudes(n_channels)
        self.classifier = nn.Linear(8, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.amplitudes(x))

    def l2_parameters(self) -> list[str]:
        return ["classifier.weight"]


class OfSequences(Network):
    """(batch, length, n_channels, 3000) -> (batch, length, n_classes); an epoch's logits depend on the others."""

    def __init__(self, n_channels: int, n_classes: int = 5):
        super().__init__()
        self.amplitudes = Amplitudes(n_channels)
        self.context = nn.GRU(8, 8, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(16, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.context(self.amplitudes(x))[0])


class Carrying(OfSequences):
    """A state goes through the night; what is measured of the training set, and a norm, come before."""

    def __init__(self, n_channels: int, n_classes: int = 5):
        super().__init__(n_channels, n_classes)
        self.norm = nn.BatchNorm1d(8)
        self.context = nn.GRU(8, 8, batch_first=True)
        self.classifier = nn.Linear(8, n_classes)
        self.register_buffer("loudest", torch.zeros(()))

    def measure_input(self, epochs) -> None:
        self.loudest.fill_(max(x.abs().max() for x in epochs))

    def encode_epochs(self, x: Tensor) -> Tensor:
        return self.norm(self.amplitudes(x))

    def forward_from(self, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        encoded = self.encode_epochs(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        context, last = self.context(encoded, None if state is None else state[0].unsqueeze(0))
        return self.classifier(context), (last.squeeze(0),)

    def classify_encoded(self, encoded: Tensor) -> Tensor:
        return self.classifier(self.context(encoded)[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_from(x, None)[0]


class Centroids:
    """An estimator: the stage whose mean log amplitude is nearest."""

    def __init__(self, n_channels: int, n_classes: int = 5):
        self.n_classes = n_classes

    def fit(self, signals, stage: np.ndarray, seed: int) -> None:
        self.seed = seed
        amplitude = self._amplitude(signals(np.arange(len(stage))))
        self.centroids = np.array([amplitude[stage == k].mean() if k in stage else 1e9 for k in range(self.n_classes)])

    def predict_proba(self, signals: np.ndarray) -> np.ndarray:
        near = np.exp(-np.minimum(np.abs(self._amplitude(signals)[:, None] - self.centroids), 50))
        return near / near.sum(axis=1, keepdims=True)

    def _amplitude(self, signals: np.ndarray) -> np.ndarray:
        return np.log(signals.std(axis=(1, 2)))


def entry(name: str, architecture: str, **fields: object) -> ModelInfo:
    return ModelInfo(
        name=name, title=name, module="fake_models", architecture=architecture, paper="none",
        published_roles=("eeg1",), **fields,
    )  # fmt: skip


ENTRIES = (
    entry("of_epochs", "OfEpochs"),
    entry("of_windows", "OfSequences", sequence_length=5, inference="windows"),
    entry("without_context", "OfEpochs", sequence_length=5, inference="windows"),
    entry("of_nights", "OfSequences", sequence_length=5, inference="night"),
    entry("carrying", "Carrying", sequence_length=5, inference="night"),
    entry("fusing", "Carrying", sequence_length=5, inference="fused"),
    entry("centroids", "Centroids", kind="estimator"),
    entry("scaled", "OfEpochs", input_transformation=Robust(clip=3)),
)

ULW_RECIPE = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "amsgrad": True,
    "epsilon": 1e-7,
    "schedule": "cosine_restarts",
    "first_cycle_steps": 10,
    "cycle_multiplier": 2,
    "batch_size": 32,
    "training_epochs": 50,
}
CONSTANT_RECIPE = {"learning_rate": 2e-4, "schedule": "constant", "batch_size": 128, "training_epochs": 3}
"""Settings of two recipes: the optimizer and schedule of the released program, and a plain one."""


def recipe_of(settings: dict, name: str = "r") -> Recipe:
    return recipe_from(name, settings)
