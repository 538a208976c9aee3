"""Nights as the Dreem Open Datasets have them: HDF5 at 250 Hz, a consensus, and five scorings as JSON."""

import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

import h5py
import numpy as np

from sleepbench.core.files import replacing, write_text
from sleepbench.simulation.databases.night import Night, another_scorer, simulate

RATE = 250
NOT_SCORED, N_CODES = -1, 5
EYES = {"EOG1": "eog_left", "EOG2": "eog_right"}
SITES = {
    **{"F3_M2": "eeg1", "C3_M2": "eeg3", "C4_M1": "eeg4", "O1_M2": "eeg2", "F4_M1": "eeg5", "O2_M1": "eeg6"},
    **{"EMG": "emg_raw", "ECG": "ecg", **EYES},
}
"""By channel, the role of its signal; one that is between two sites is the difference of theirs."""


def simulate_dod(
    h5: Path, scorers: Sequence[Path], channels: Sequence[str], subject: int, psg_hours: float, seed: int
) -> None:
    """Write a night's file and what each scorer gave; `channels` are named as "eeg/F3_M2".

    The first and last scorers leave out the first epochs, as some people do; the consensus is the commonest stage.
    """
    night = simulate(subject, 1, psg_hours, seed, RATE)
    given = []
    for number, path in enumerate(scorers, start=1):
        stages = another_scorer(night, number, seed, subject)
        if number in (1, len(scorers)):
            stages[: 2 * number] = NOT_SCORED
        given.append(stages)
        write_text(path, json.dumps(stages.tolist()))
    votes = np.array([(np.array(given) == code).sum(axis=0) for code in range(N_CODES)])
    description = [{"path": f"signals/{channel}", "fs": RATE, "unit": "uV"} for channel in channels]
    with replacing(h5) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["record_id"] = h5.stem
        file.attrs["description"] = json.dumps(description)
        file.attrs["start_time"] = int(night.start.replace(tzinfo=UTC).timestamp())
        file.attrs["simulated"] = True
        file["hypnogram"] = votes.argmax(axis=0).astype(np.int64)
        for channel in channels:
            file[f"signals/{channel}"] = _signal(night, channel.split("/")[1]).astype(np.float32)
        for group in file["signals"].values():
            group.attrs["fs"], group.attrs["unit"] = RATE, "µV"


def _signal(night: Night, channel: str) -> np.ndarray:
    """The signal of a channel; F3_O1 is (F3_M2) - (O1_M2)."""
    if channel in SITES:
        return night.signals[SITES[channel]]
    one, other = channel.split("_")
    found = {name.split("_")[0]: role for name, role in SITES.items()}
    return night.signals[found[one]] - night.signals[found[other]]
