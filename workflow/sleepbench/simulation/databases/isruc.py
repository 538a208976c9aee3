"""Nights as ISRUC-S3 has them: EDF at 200 Hz called .rec, and two scorings as text, in which 5 is REM."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sleepbench.core.files import write_text
from sleepbench.simulation.databases.night import EdfChannel, another_scorer, simulate, write_edf

RATE, RECORD_SECONDS, LIMIT_UV = 200, 1, 1000.0
LABELS = {
    **{"LOC-A2": "eog_left", "ROC-A1": "eog_right", "F3-A2": "eeg5", "C3-A2": "eeg3", "O1-A2": "eeg6"},
    **{"F4-A1": "eeg1", "C4-A1": "eeg4", "O2-A1": "eeg2", "X1": "emg_raw", "X2": "ecg"},
}
CODES = np.array([0, 1, 2, 3, 5])
"""Of W, N1, N2, N3 and REM."""


def simulate_isruc(psg: Path, scorers: Sequence[Path], name: str, subject: int, psg_hours: float, seed: int) -> None:
    """Write the signals of a night and what two people scored."""
    night = simulate(subject, 1, psg_hours, seed, RATE)
    channels = [EdfChannel(label, night.signals[role], RATE, LIMIT_UV) for label, role in LABELS.items()]
    edf = psg.with_suffix(".edf")
    write_edf(edf, night, channels, RECORD_SECONDS, name)
    edf.replace(psg)
    for number, path in enumerate(scorers, start=1):
        stages = another_scorer(night, number, seed, subject, disagreement=0.08 * number)
        write_text(path, "".join(f"{code}\n" for code in CODES[stages].tolist()))
