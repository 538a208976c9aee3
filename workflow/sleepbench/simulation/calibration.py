"""The statistics of real recordings that simulated nights are calibrated to."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from sleepbench.core.files import read_json
from sleepbench.core.stages import EPOCH_SECONDS, STAGES

STATISTICS = Path(__file__).parents[2] / "resources" / "sleep_stage_statistics.json"
EPOCHS_PER_HOUR = 3600 // EPOCH_SECONDS
EPOCHS_PER_DAY = 24 * EPOCHS_PER_HOUR
WAKE_EPOCHS = 60
"""Wake kept either side of sleep in the recordings that the statistics are of (30 min)."""

N_CHANNELS, N_BANDS = 3, 5
DELTA, _, ALPHA, SIGMA, _ = range(N_BANDS)


@dataclass(frozen=True)
class StagePowers:
    """Natural log band powers of one stage: 3 channels x 5 bands = 15 features, of z-scored channels."""

    mean: np.ndarray
    between_recording: np.ndarray
    within_recording: np.ndarray
    lag1_autocorrelation: np.ndarray


@cache
def statistics() -> dict:
    return read_json(STATISTICS)


@cache
def stage_powers() -> tuple[StagePowers, ...]:
    keys = ("mean", "between_recording_cov", "within_recording_cov", "lag1_autocorrelation")
    stages = statistics()["stages"]
    return tuple(StagePowers(*(np.array(stages[stage][key]) for key in keys)) for stage in STAGES)
