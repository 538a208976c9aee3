"""Made-up signals, and a stack of folds on them: what is timed and compared without any recording.

Nothing here needs a configuration, nor what checks one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from sleepbench.core.stages import EPOCH_SECONDS, SAMPLES_PER_EPOCH
from sleepbench.models import create_model, describe
from sleepbench.preparation.prepared import PreparedRecording
from sleepbench.training.epochs import EpochSet
from sleepbench.training.stack import Stack
from sleepbench.training.timing import Timing

if TYPE_CHECKING:
    from sleepbench.config.recipe import Recipe

NIGHT = 1024
"""Epochs of the made-up night that is trained on."""
STAGE_SHARES = (0.2, 0.07, 0.42, 0.13, 0.18)


def silent(line: str) -> None:
    """The timed trainings report to nobody."""


def made_up_night(
    n_channels: int, n_epochs: int | None = None, n_samples: int = SAMPLES_PER_EPOCH
) -> PreparedRecording:
    """An unbroken night of white noise, by default of NIGHT epochs, every epoch kept by every trimming."""
    random, n_epochs = np.random.default_rng(0), n_epochs or NIGHT
    index, kept = np.arange(n_epochs), np.ones(n_epochs, bool)
    return PreparedRecording(
        id="made up",
        subject="made up",
        night=1,
        roles=tuple(f"signal {number}" for number in range(n_channels)),
        signals=20 * random.standard_normal((n_epochs, n_channels, n_samples), np.float32),
        epoch=index,
        onset_s=EPOCH_SECONDS * index,
        stage=random.choice(len(STAGE_SHARES), n_epochs, p=STAGE_SHARES).astype(np.int8),
        standard=kept,
        authors=kept,
    )


def made_up_epochs(night: PreparedRecording, n: int) -> EpochSet:
    """So many epochs: the night again and again, each time as if it were another recording."""
    length = len(night.stage)
    row = np.arange(n) % length
    recordings = (night,) * max(1, math.ceil(n / length))
    return EpochSet(
        recordings, tuple(range(len(night.roles))), np.arange(n) // length, row, night.stage[row].astype(np.int64)
    )


def made_up_stack(
    model: str,
    recipe: Recipe,
    n_channels: int,
    n_folds: int,
    device: torch.device,
    steps: int,
    n_epochs: int | None = None,
) -> Stack:
    """A stack on a made-up night of `n_epochs`, with a training epoch of so many steps; its validation set is empty.

    Its tables are filled again after each training epoch.
    """
    night = made_up_night(n_channels, n_epochs)
    sets = {
        "train": made_up_epochs(night, steps * recipe.batch_size),
        "validation": made_up_epochs(night, 0),
        "test": made_up_epochs(night, len(night.stage)),
    }
    network = create_model(model, n_channels).to(device)
    return Stack(network, recipe, [sets] * n_folds, 0, describe(model), Timing(), silent)
