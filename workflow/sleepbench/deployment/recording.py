"""A recording as a bundle's networks take it, by the code that prepares recordings for training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, SAMPLES_PER_EPOCH
from sleepbench.datasets.base import Signal
from sleepbench.datasets.sleep_edf_cassette import storage_of
from sleepbench.deployment.channels import choose_channels
from sleepbench.deployment.description import Description
from sleepbench.preparation.cut import NightSignals, cut_night
from sleepbench.preparation.rates import EMG_FROM_HZ, PASSBAND, envelope, has_muscles, resampled
from sleepbench.signals import edf

EPOCHS_PER_BLOCK = 32
SLOWEST_HZ = 32.0
"""Of a channel of the brain or the eyes: spindles reach 16 Hz."""


@dataclass(frozen=True)
class Recording:
    """A PSG that is to be scored.

    channels : the file's label for each role
    night : its signals at the rates that are cut into epochs
    n_samples : that a network sees of each epoch, the first ones
    measured : what each channel is like as it was recorded, by role
    handled : sentences on what was handled
    """

    path: Path
    start: datetime
    seconds: float
    simulated: bool
    channels: Mapping[str, str]
    night: NightSignals
    n_samples: int
    measured: Mapping[str, Mapping[str, Any]]
    handled: list[str]

    @property
    def n_epochs(self) -> int:
        """Whole epochs."""
        return self.night.n_epochs

    def blocks(self) -> Iterator[np.ndarray]:
        """All epochs in order, some at once: float32 (n, n_channels, n_samples) in microvolts."""
        for start in range(0, self.n_epochs, EPOCHS_PER_BLOCK):
            chosen = np.arange(start, min(start + EPOCHS_PER_BLOCK, self.n_epochs))
            yield self.night.epochs(chosen)[..., : self.n_samples]

    def channel(self, role: str) -> np.ndarray:
        """All epochs of one channel, float32 (n_epochs, 1, n_samples)."""
        alone = replace(self.night, montage={role: self.night.montage[role]})
        return np.concatenate(list(replace(self, night=alone).blocks()))


def open_recording(path: str | Path, told: Description, mapping: Mapping[str, str] | None = None) -> Recording:
    """Check a PSG and find the channels of a bundle's roles; `mapping` names labels by role.

    BenchmarkError, as preparation has them (docs/hostile-edf.md), for a file that is damaged, unfinished or
    discontinuous, a role without a channel, impossible voltages; and for no whole epoch, nothing but flat channels,
    or an EEG or EOG below 32 Hz.
    """
    path = Path(path)
    header = edf.read_header(path)
    _check_finished(path, header)
    edf.check_has_signals(path, header)
    chosen = choose_channels(path, header, told.montage, mapping or {})
    stored = {role: edf.find_channel(path, header, label) for role, label in chosen.items()}
    recorded = {
        role: Signal(edf.StoredSamples(path, header, one), header.rate(one), storage_of(one))
        for role, one in stored.items()
    }
    _check_rates(path, recorded, chosen)
    unchanged = [role for role, signal in recorded.items() if _is_as_in_training(signal, told, role)]
    changed = {role: _at_rate(recorded[role], chosen[role], told, role) for role in chosen if role not in unchanged}
    used = recorded | {role: signal for role, (signal, _) in changed.items()}
    said = [remark for _, remark in changed.values()]
    # At a rate that cuts samples in two an epoch is looked at as it is resampled.
    measurable = {role: one if one.rate * EPOCH_SECONDS % 1 == 0 else used[role] for role, one in recorded.items()}
    whole = cut_night(path, chosen, measurable, SAMPLES_PER_EPOCH)
    if not whole.n_epochs:
        raise BenchmarkError(
            f"{path}: lasts {header.seconds:g} s, expected at least one whole epoch of {EPOCH_SECONDS} s; there is "
            "nothing to score"
        )
    measured = whole.measure()
    if all(one["flat_share"] == 1 for one in measured.values()):
        raise BenchmarkError(
            f"{path}: {', '.join(chosen.values())} do not change in any epoch: they hold no signal, so there is "
            "nothing to score; name channels with a signal by --map ROLE=LABEL"
        )
    handled = [
        *edf.remarks(path, header, list(chosen.values())),
        *([f"{path.name} says in its header that its signals are simulated"] if header.simulated else []),
        *_names(told, chosen),
        *said,
        *replace(whole, montage={role: chosen[role] for role in unchanged}).rate_remarks(),
        *whole.remarks(measured),
        *_of_each_epoch(told),
    ]
    night = replace(whole, signals=used)
    return Recording(
        path, header.start, header.seconds, header.simulated, chosen, night, told.samples_per_epoch, measured, handled
    )


def _check_finished(path: Path, header: edf.EdfHeader) -> None:
    """The file is whole, in the words of preparation, and what else to do where it is of the wrong size."""
    try:
        edf.check_complete(path, header)
    except BenchmarkError as error:
        size = header.header_bytes + header.n_records * header.record_bytes
        if path.stat().st_size == size:
            raise
        raise BenchmarkError(
            f"{error}. If it is still being recorded or copied, score it when that is done, or its samples as they "
            "arrive (--stream)"
        ) from error


def _check_rates(path: Path, recorded: Mapping[str, Signal], chosen: Mapping[str, str]) -> None:
    for role, signal in recorded.items():
        if role.startswith(("eeg", "eog")) and signal.rate < SLOWEST_HZ:
            raise BenchmarkError(
                f"{path}: {chosen[role]} is recorded at {signal.rate:g} Hz, expected at least {SLOWEST_HZ:g} Hz for "
                f"{role}: what tells stages apart is not in it; name another channel by --map {role}=LABEL"
            )


def _of_each_epoch(told: Description) -> list[str]:
    """That only the beginnings of epochs are looked at, where it is so."""
    if told.samples_per_epoch == SAMPLES_PER_EPOCH:
        return []
    seconds = told.samples_per_epoch / told.sampling_rate
    return [f"of each epoch the first {seconds:g} s are looked at, as the model was trained"]


def _names(told: Description, chosen: Mapping[str, str]) -> list[str]:
    """Which channels are not called as those of the training were."""
    return [
        f"{label} is taken for {role}, which was {told.montage[role]} in training"
        for role, label in chosen.items()
        if label != told.montage[role]
    ]


def _is_as_in_training(signal: Signal, told: Description, role: str) -> bool:
    """Whether preparation takes a signal as it is: at the network's rate, or at the low one that the training had.

    A slow channel of the training, such as an EMG's envelope at 1 Hz, is resampled epoch by epoch, as there.
    """
    of_training = told.recorded_at.get(role)
    if of_training is None:  # nobody knows; so slow a channel is an envelope
        return signal.rate == told.sampling_rate or signal.rate <= 1
    return signal.rate == (of_training if of_training < told.sampling_rate else told.sampling_rate)


def _at_rate(signal: Signal, label: str, told: Description, role: str) -> tuple[Signal, str]:
    """A signal of another rate as preparation takes it, and what was done."""
    rate, of_training = told.sampling_rate, told.recorded_at.get(role, told.sampling_rate)
    if role == "emg" and of_training < min(signal.rate, rate):
        above = f" above {EMG_FROM_HZ:g} Hz" if has_muscles(signal) else ""
        return envelope(signal, of_training), (
            f"{label} is recorded at {signal.rate:g} Hz; taken is its envelope at {of_training:g} Hz (root mean "
            f"square{above}), which the model was trained on"
        )
    if signal.rate < rate:
        how = f", so nothing is in it above {signal.rate / 2:g} Hz"
    else:
        how = f" behind a low-pass filter of {PASSBAND * rate / 2:g} to {rate / 2:g} Hz"
    return resampled(signal, rate), f"{label} is recorded at {signal.rate:g} Hz and resampled to {rate} Hz{how}"
