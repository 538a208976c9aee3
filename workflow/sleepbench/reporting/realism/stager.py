"""What a stager trained on thousands of real nights says of simulated ones: YASA's, where it is installed.

YASA (R. Vallat and M. P. Walker, eLife 10:e70092, 2021; BSD-3) is no requirement: `pip install yasa==0.8.1` adds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import mne
import numpy as np

from sleepbench.core.stages import SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES
from sleepbench.datasets.base import Dataset
from sleepbench.evaluation.metrics import confusion_matrix
from sleepbench.preparation.index import Index
from sleepbench.preparation.prepared import load_prepared

NIGHTS = 4
"""Nights that it stages: the first of so many subjects."""
ROLES = ("eeg1", "eog")
CODES = {"W": 0, "WAKE": 0, "N1": 1, "N2": 2, "N3": 3, "R": 4, "REM": 4}


@dataclass(frozen=True)
class StagerScores:
    """Agreement of the stager with the simulated stages: accuracy by recording, and confusion."""

    accuracy: dict[str, float]
    confusion: np.ndarray

    @property
    def pooled(self) -> float:
        """Accuracy over all epochs."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> np.ndarray:
        """Recall of each stage (5,), NaN where it does not occur."""
        with np.errstate(invalid="ignore"):
            return np.diag(self.confusion) / self.confusion.sum(axis=1)


def is_installed() -> bool:
    """Whether YASA can be imported."""
    return find_spec("yasa") is not None


def stage_nights(dataset: Dataset, index: Index, nights: int = NIGHTS) -> StagerScores:
    """Stage the first night of some subjects from Fpz-Cz and EOG, from 30 min before sleep to 30 min after."""
    firsts = [recording for recording in index.recordings if recording.night == 1][:nights]
    accuracy, confusion = {}, np.zeros((len(STAGES), len(STAGES)), dtype=np.int64)
    for recording in firsts:
        prepared = load_prepared(index.prepared[recording.id])
        kept = prepared.trimmed("standard")
        epoch, stage = prepared.epoch[kept], prepared.stage[kept]
        signals = dataset.read_signals(index.sources[recording.id], ROLES)
        first, last = epoch[0] * SAMPLES_PER_EPOCH, (epoch[-1] + 1) * SAMPLES_PER_EPOCH
        microvolts = np.array([signals[role].microvolts[first:last] for role in ROLES])
        predicted = predicted_stages(microvolts)[epoch - epoch[0]]
        own = confusion_matrix(stage, predicted)
        accuracy[recording.id] = float(np.trace(own) / own.sum())
        confusion += own
    return StagerScores(accuracy, confusion)


def predicted_stages(microvolts: np.ndarray) -> np.ndarray:
    """Stages (n_epochs,) that YASA gives an EEG and an EOG (2, n_epochs * 3000)."""
    import yasa

    info = mne.create_info(list(ROLES), SAMPLING_RATE, ["eeg", "eog"], verbose="error")
    raw = mne.io.RawArray(microvolts * 1e-6, info, verbose="error")
    hypnogram = yasa.SleepStaging(raw, eeg_name="eeg1", eog_name="eog").predict()
    names: Sequence[str] = getattr(hypnogram, "hypno", hypnogram)
    return np.array([CODES[str(name)] for name in names])
