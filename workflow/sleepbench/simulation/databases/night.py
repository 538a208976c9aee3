"""A simulated night with the channels of a full polysomnogram, at any rate, and how EDF files of it are written."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording
from scipy.signal import resample_poly

from sleepbench.core.files import replacing
from sleepbench.core.stages import EPOCH_SECONDS, SAMPLING_RATE
from sleepbench.simulation.randomness import Part, Randomness, person
from sleepbench.simulation.stages import epochs_in, simulate_stages
from sleepbench.simulation.waveforms import simulate_signals, simulate_slow_signals

FIRST_DATE = datetime.date(2000, 1, 1)
NOISE_UV, ECG_UV = 2.0, 300.0
MIXED = {"eeg3": 0.75, "eeg4": 0.6, "eeg5": 0.4, "eeg6": 0.25}
"""By role, how much of a further EEG derivation is the first one's; the rest is the second one's."""


@dataclass(frozen=True)
class Night:
    """A simulated night.

    true, scored : stage of each epoch, int8 (n_epochs,): as it was, and as it was scored, with movement and unknown
    signals : by role, microvolts, float64 (n_samples,) at `rate` Hz
    age, sex : of the sleeper
    """

    true: np.ndarray
    scored: np.ndarray
    signals: Mapping[str, np.ndarray]
    rate: int
    start: datetime.datetime
    age: int
    sex: str


def simulate(subject: int, night: int, psg_hours: float, seed: int, rate: int) -> Night:
    """A night of a subject, numbered from 0, with every role that a montage may have."""
    randomness = Randomness(seed, subject, night)
    stages = simulate_stages(randomness, epochs_in(psg_hours))
    eeg1, eeg2, eog = resample_poly(
        simulate_signals(randomness, stages).astype(np.float64), rate, SAMPLING_RATE, axis=1
    )
    envelope = simulate_slow_signals(randomness, stages)[1]
    random = randomness.stream(Part.HEADER)
    minutes = int(22.5 * 60 + 30 * random.standard_normal())

    def noise() -> np.ndarray:
        return NOISE_UV * random.standard_normal(len(eeg1))

    seconds = np.arange(len(eeg1)) / rate
    muscle = np.interp(seconds, np.arange(len(envelope)) + 0.5, envelope)
    signals = {
        "eeg1": eeg1,
        "eeg2": eeg2,
        "eog": eog,
        **{role: share * eeg1 + (1 - share) * eeg2 + noise() for role, share in MIXED.items()},
        "eog_left": eog / 2 + noise(),
        "eog_right": -eog / 2 + noise(),
        "emg_raw": muscle * random.standard_normal(len(eeg1)),
        "ecg": ECG_UV * np.exp(-(((seconds * 1.1) % 1 - 0.5) ** 2) / 0.001),
    }
    date = FIRST_DATE + datetime.timedelta(days=7 * subject + night)
    start = datetime.datetime.combine(date, datetime.time()) + datetime.timedelta(minutes=minutes)
    return Night(stages.true, stages.scored, signals, rate, start, *person(seed, subject))


def another_scorer(night: Night, number: int, seed: int, subject: int, disagreement: float = 0.12) -> np.ndarray:
    """The stages that another person gives: some epochs get a stage that is near their own, int8 (n_epochs,)."""
    random = np.random.default_rng([seed, subject, number])
    scored = night.true.copy()
    changed = random.random(len(scored)) < disagreement
    near = np.roll(scored, random.choice([-1, 1]))
    return np.where(changed, near, scored)


@dataclass(frozen=True)
class EdfChannel:
    """A channel of an EDF file: its label, the values and how they are stored."""

    label: str
    values: np.ndarray
    rate: int
    limit: float
    unit: str = "uV"
    prefiltering: str = ""


def write_edf(path: Path, night: Night, channels: Sequence[EdfChannel], record_seconds: float, name: str) -> None:
    """Write a PSG as EDF; its header says that it is simulated."""
    signals = []
    for channel in channels:
        physical = (-channel.limit, channel.limit)
        digital = np.rint((channel.values + channel.limit) / (2 * channel.limit) * 65535 - 32768)
        signals.append(
            EdfSignal.from_digital(
                np.clip(digital, -32768, 32767).astype(np.int16),
                channel.rate,
                label=channel.label,
                physical_dimension=channel.unit,
                physical_range=physical,
                digital_range=(-32768, 32767),
                prefiltering=channel.prefiltering,
            )
        )
    with replacing(path) as temporary:
        Edf(signals, data_record_duration=record_seconds, **_header(night, name)).write(temporary)


def write_scoring(path: Path, night: Night, annotations: Sequence[EdfAnnotation], name: str) -> None:
    """Write a scoring as EDF+ of annotations alone."""
    with replacing(path) as temporary:
        Edf([], annotations=list(annotations), **_header(night, name)).write(temporary)


def bouts(labels: np.ndarray, first: int = 0) -> list[EdfAnnotation]:
    """An annotation for each run of equal labels, from the epoch `first` on."""
    borders = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    borders = borders[borders > first]
    starts, ends = np.r_[first, borders], np.r_[borders, len(labels)]
    return [
        EdfAnnotation(float(start * EPOCH_SECONDS), float((end - start) * EPOCH_SECONDS), str(labels[start]))
        for start, end in zip(starts, ends, strict=True)
    ]


def _header(night: Night, name: str) -> dict[str, object]:
    return {
        "patient": Patient(sex=night.sex, name=f"Simulated_{name}", additional=(f"{night.age}yr",)),
        "recording": Recording(startdate=night.start.date(), additional=("simulated",)),
        "starttime": night.start.time(),
    }
