"""Nights as the Haaglanden database has them: 256 Hz, AASM texts, one annotation an epoch, lights among them."""

from pathlib import Path

from edfio import EdfAnnotation

from sleepbench.core.stages import EPOCH_SECONDS, N1, N2, N3, REM, W
from sleepbench.simulation.databases.night import EdfChannel, simulate, write_edf, write_scoring

RATE, RECORD_SECONDS, LIMIT_UV = 256, 1, 3000.0
LABELS = {
    **{"EEG F4-M1": "eeg1", "EEG C4-M1": "eeg3", "EEG O2-M1": "eeg2", "EEG C3-M2": "eeg4"},
    **{"EMG chin": "emg_raw", "EOG E1-M2": "eog_left", "EOG E2-M2": "eog_right", "ECG": "ecg"},
}
TEXTS = {W: "Sleep stage W", N1: "Sleep stage N1", N2: "Sleep stage N2", N3: "Sleep stage N3", REM: "Sleep stage R"}
LIGHTS = (("Lights off@@EEG F4-A1", 16.25), ("Lights on@@EEG Fpz-Cz", -40.5))
"""Texts, and seconds from the beginning, or from the end."""


def simulate_hmc(psg: Path, scoring: Path, name: str, subject: int, psg_hours: float, seed: int) -> None:
    """Write the PSG (EDF) and its scoring (EDF+) of a night, of which every epoch is scored."""
    one = simulate(subject, 1, psg_hours, seed, RATE)
    channels = [EdfChannel(label, one.signals[role], RATE, LIMIT_UV) for label, role in LABELS.items()]
    write_edf(psg, one, channels, RECORD_SECONDS, name)
    end = len(one.true) * EPOCH_SECONDS
    annotations = [EdfAnnotation(at if at > 0 else end + at, 0.0, text) for text, at in LIGHTS]
    annotations += [EdfAnnotation(i * 30.0, 30.0, TEXTS[stage]) for i, stage in enumerate(one.true.tolist())]
    write_scoring(scoring, one, sorted(annotations, key=lambda one: one.onset), name)
