"""What is tried first for a network on nights of another database, by name.

scaled : each channel of a recording is brought to the median and the interquartile range that the channel has in the
    network's training recordings, their mean over these. The statistics of the recording are its own.
adabn : the statistics of the batch norms are those of the recording itself, all of its epochs together (Li et al.,
    arXiv:1603.04779). Transductive: the recording is looked at as a whole before any of it is scored.
finetuned_1, finetuned_3, finetuned_5 : training goes on with the scored nights of so many of its people, who are not
    tested. The only one that needs scored nights from there.

Nobody's stages but those of the people of `finetuned_` decide anything.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sleepbench.config.recipe import Recipe
from sleepbench.cross.names import ADABN, FINETUNED, SCALED
from sleepbench.models.base import Estimator, Network
from sleepbench.models.registry import ModelInfo
from sleepbench.models.transformation import InputTransformation, Robust, Standard, StandardEpoch
from sleepbench.training.epochs import EpochSet
from sleepbench.training.loop import train
from sleepbench.training.sequences import Batch, inference_batches

IN_OWN_UNITS = (Standard, StandardEpoch, Robust)
"""Transformations by which a network sees every recording in units of its own."""
AT_ONCE = 256
"""Epochs that are normed together; each batch is spread over the whole night."""
RECIPE = Recipe(
    name="fine_tuning", learning_rate=1e-4, schedule="constant", batch_size=32, training_epochs=10, clip_norm=1.0
)
"""A tenth of the usual learning rate, for ten passes; set before any result was looked at, and the last pass counts."""
LEAST_TESTED = 2
"""People that must be left to be tested; of one there is no interval."""


def subjects_of(remedy: str) -> int:
    """How many people a remedy is trained on."""
    return int(remedy.removeprefix(FINETUNED)) if remedy.startswith(FINETUNED) else 0


def lacks(remedy: str, info: ModelInfo, model: Network | Estimator, n_subjects: int) -> str:
    """Why a remedy is not defined for a model on so many people; empty where it is."""
    if remedy == SCALED and isinstance(info.input_transformation, IN_OWN_UNITS):
        return f"{info.title} sees every recording in units of its own already"
    if remedy != SCALED and not isinstance(model, nn.Module):
        return f"{info.title} is no network"
    if remedy == ADABN and not norms_of(model):
        return f"{info.title} has no batch norms with statistics"
    if (n := subjects_of(remedy)) and n_subjects - n < LEAST_TESTED:
        return f"of {n_subjects} people too few are left to be tested"
    return ""


def draw_subjects(subjects: Sequence[str], n: int, seed: int = 0) -> list[str]:
    """The people that are trained on, in the order of a draw: those of a smaller `n` are among those of a larger."""
    order = np.random.default_rng(seed).permutation(len(subjects))
    return [sorted(subjects)[i] for i in order[:n]]


# -------------------------------------------------------------------------------------------------------------- scaled


@dataclass(frozen=True)
class Rescaled(InputTransformation):
    """A recording's channels with the centre and scale of others, then as the network's own transformation has them.

    centre, scale : of each channel; own : for networks that see microvolts, so that it has nothing to measure
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    own: InputTransformation

    def measure(self, signals: np.ndarray) -> np.ndarray:
        """Median and interquartile range of each channel."""
        return Robust().measure(signals)

    def __call__(self, signals: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """Signals (n, n_channels, n_samples) with `centre` and `scale`; a channel that never changes is at `centre`."""
        centre, scale = (np.array(values, np.float32)[:, None] for values in (self.centre, self.scale))
        found_centre, found_scale = (measured[:, i, :, None] for i in range(2))
        found_scale = np.where(found_scale > 0, found_scale, np.float32(1))
        scaled = (signals - found_centre) / found_scale * scale + centre
        return self.own(scaled, np.zeros_like(measured))


def spread_of(epochs: EpochSet) -> np.ndarray:
    """Median and interquartile range of each channel over the epochs of one recording, float32 (2, n_channels)."""
    (recording,) = epochs.recordings
    return Robust().measure(recording.signals[epochs.row][:, list(epochs.channels)])


def rescaled(epochs: EpochSet, spread: np.ndarray, like: Sequence[np.ndarray]) -> EpochSet:
    """A recording with the mean of the spreads of others, where its own is `spread`."""
    centre, scale = np.mean(like, axis=0).tolist()
    transformation = Rescaled(tuple(centre), tuple(scale), epochs.transformation)
    return replace(epochs, transformation=transformation, measured={epochs.recordings[0].id: spread})


# --------------------------------------------------------------------------------------------------------------- adabn


def norms_of(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms that keep statistics."""
    return [one for one in model.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]


@torch.no_grad()
def with_norms_of(model: Network, epochs: EpochSet, info: ModelInfo) -> Network:
    """A copy of a network whose batch norms have the statistics of a recording.

    They are the mean over batches that are each spread over the whole night, each batch normed by its own on the way.
    """
    adapted = copy.deepcopy(model).eval()
    for norm in norms_of(adapted):
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    device = next(adapted.parameters()).device
    for batch in _spread_batches(epochs, info):
        adapted(torch.from_numpy(epochs.signals(batch.epochs)).to(device))
    return adapted.eval()


def _spread_batches(epochs: EpochSet, info: ModelInfo) -> list[Batch]:
    """All epochs, single ones or sequences, in batches of equal size but for one that are spread over the night."""
    length = info.sequence_length
    together = inference_batches(epochs, length, "windows" if length else None, len(epochs))[0].epochs
    n_batches = max(1, len(together) * (length or 1) // AT_ONCE)
    return [Batch(together[i::n_batches], np.ones(together[i::n_batches].shape, bool)) for i in range(n_batches)]


# ----------------------------------------------------------------------------------------------------------- finetuned


def finetuned(
    model: Network, epochs: EpochSet, seed: int, engine: str, info: ModelInfo, report: Callable[[str], None]
) -> Network:
    """A copy of a network that was trained further on some people's epochs, all of them by `RECIPE`."""
    tuned = copy.deepcopy(model)
    first = np.flatnonzero(epochs.recording == 0)
    # The loop tests after each pass; on a recording of the training, so that nobody's stages are looked at.
    columns = ("recording", "row", "stage")
    of_first = {name: getattr(epochs, name)[first] for name in columns}
    shown = replace(epochs, recordings=epochs.recordings[:1], **of_first)
    nothing = replace(epochs, recordings=(), **{name: np.empty(0, np.int64) for name in columns})
    sets: Mapping[str, EpochSet] = {"train": epochs, "validation": nothing, "test": shown}
    train(tuned, RECIPE, dict(sets), seed, engine, info, report)
    return tuned
