"""A simulated cohort as the real excerpts are: the first 5 s of each 30-s epoch of the channel Fpz-Cz.

It is there to be compared with them (`sleep_edf_excerpts`): networks of one are tested on the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from sleepbench.core.stages import EPOCH_SECONDS, SAMPLING_RATE
from sleepbench.datasets.base import SIMULATED, DataLabel, Signal
from sleepbench.datasets.simulated import SimulatedCohort, SimulatedSettings
from sleepbench.datasets.sleep_edf_excerpts import CHANNEL, N_SAMPLES

SECONDS = N_SAMPLES / SAMPLING_RATE


class SimulatedExcerpts(SimulatedCohort):
    """5 s of each epoch of simulated nights, one channel."""

    printed = "simulated, 5 s"
    montage: ClassVar[Mapping[str, str]] = {"eeg1": CHANNEL}
    trimmings: ClassVar[Sequence[str]] = ("standard",)
    samples_per_epoch = N_SAMPLES

    @property
    def label(self) -> DataLabel:
        """Simulated, and of parts of epochs."""
        warning = f"{SIMULATED}, first {SECONDS:g} s of each epoch"
        return DataLabel(self.name, self.printed, warning, simulated=True)

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The beginnings of the epochs one after the other."""
        whole = super().read_signals(files, roles)
        return {role: replace(signal, microvolts=_beginnings(signal)) for role, signal in whole.items()}

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """What these epochs are."""
        return [*super().remarks(files, roles), f"of each epoch the first {SECONDS:g} s"]


def _beginnings(signal: Signal) -> np.ndarray:
    """The first seconds of each whole epoch of a signal, one after the other."""
    samples = round(signal.rate * EPOCH_SECONDS)
    whole = signal.microvolts[: len(signal.microvolts) // samples * samples].reshape(-1, samples)
    return whole[:, : round(signal.rate * SECONDS)].reshape(-1)


Settings, DATASET = SimulatedSettings, SimulatedExcerpts
