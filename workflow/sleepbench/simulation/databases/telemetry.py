"""Nights as Sleep-EDF's telemetry recordings have them: an EMG of 100 Hz, and scorings that may begin late."""

from pathlib import Path

import numpy as np

from sleepbench.core.stages import MOVEMENT, N1, N2, N3, REM, UNKNOWN, W
from sleepbench.simulation.databases.night import EdfChannel, bouts, simulate, write_edf, write_scoring

RATE, RECORD_SECONDS = 100, 10
TEXTS = {
    **{W: "Sleep stage W", N1: "Sleep stage 1", N2: "Sleep stage 2", N3: "Sleep stage 3", REM: "Sleep stage R"},
    **{MOVEMENT: "Movement time", UNKNOWN: "Sleep stage W"},
}
LATE_EPOCHS = (0, 25, 0, 1, 18, 0, 25)
"""Where scorings begin, in turn: seven of the twelve real ones at hand begin 30 to 750 s into the night."""


def simulate_telemetry(
    psg: Path, scoring: Path, name: str, subject: int, night: int, psg_hours: float, seed: int
) -> None:
    """Write the PSG (EDF) and the hypnogram (EDF+) of a night; the hypnogram ends with the last scored epoch."""
    one = simulate(subject, night, psg_hours, seed, RATE)
    labels = {"EEG Fpz-Cz": "eeg1", "EEG Pz-Oz": "eeg2", "EOG horizontal": "eog", "EMG submental": "emg_raw"}
    channels = [EdfChannel(label, one.signals[role], RATE, 1000.0) for label, role in labels.items()]
    marker = np.zeros(len(one.scored) * 30 * 10)
    channels.append(EdfChannel("Marker", marker, 10, 1.0, ""))
    write_edf(psg, one, channels, RECORD_SECONDS, name)
    texts = np.array([TEXTS[stage] for stage in one.scored.tolist()])
    deep = np.flatnonzero(one.scored == N3)
    texts[deep[deep % 7 < 3]] = "Sleep stage 4"
    write_scoring(scoring, one, bouts(texts, LATE_EPOCHS[(2 * subject + night) % len(LATE_EPOCHS)]), name)
