"""Cut one night's files into epochs: signals by role, stages, and the night's signal quality.

Signals are in microvolts at 100 Hz.
"""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from sleepbench.core.errors import BenchmarkError, UnusableError
from sleepbench.core.files import replacing, sha256_of_file, write_document
from sleepbench.core.stages import EPOCH_SECONDS, MOVEMENT, SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES, UNKNOWN
from sleepbench.datasets.base import Dataset, Recording, Signal, with_checksums
from sleepbench.preparation.cut import NightSignals, cut_night
from sleepbench.preparation.measure import NIGHT_STAGES
from sleepbench.preparation.prepared import DESCRIPTION, EPOCH_COLUMNS, EPOCHS, QUALITY
from sleepbench.preparation.rates import EMG_FROM_HZ, envelope, resampled
from sleepbench.signals.trimming import AROUND_SLEEP, TRIMMINGS, select_trimming

EPOCHS_PER_BLOCK = 256
"""Epochs that are cut, resampled and written at once: 3 MB of output a channel."""


def prepare_recording(dataset: Dataset, receipt: Mapping[str, Any], output: str | Path) -> dict[str, Any]:
    """Cut one night into epochs and write them with a description; return the description.

    Written are X.npy (`output`), X.epochs.csv, X.quality.json and X.json; what is returned is the content of X.json.

    `receipt` is what `dataset.fetch` returned of the recording. Kept are the epochs of all trimmings, so
    that a protocol chooses its own without reading the files again. Signals at 100 Hz are cut; at any other rate the
    whole signal is resampled without aliases (`preparation.rates`). An envelope, a role of
    `dataset.resampled_by_epoch` (a 1-Hz EMG), and what holds only the beginnings of epochs, is resampled epoch by epoch
    by Fourier's method, as ULW-SleepNet's released program does. X.quality.json describes the whole night, its channels
    as they were recorded. Each file appears whole or not at all, X.json last.

    Where the dataset `leaves_out` what cannot be used, such as a recording without a channel of the montage, its files
    hold no epoch, and "excluded", why.
    BenchmarkError when a checksum differs, the files are not the recording's, a channel cannot be read, or the night
    has no sleep, or voltages that no electrode gives; what is merely implausible is among the oddities handled.
    """
    output = Path(output)
    (recording,) = with_checksums([dataset.recording(receipt["recording"])], {receipt["recording"]: receipt})
    files = {file.role: Path(receipt[file.role]["path"]) for file in recording.files}
    for file in recording.files:
        _check_checksum(files[file.role], file.sha256, dataset)
    dataset.check(recording, files)

    try:
        recorded = dataset.read_signals(files, list(dataset.montage))
        scored = dataset.read_stages(files)
    except UnusableError as error:
        if not dataset.leaves_out:
            raise
        return _leave_out(dataset, recording, files, str(error), output)
    signals = {role: envelope(one, 1.0) if role in dataset.enveloped else one for role, one in recorded.items()}
    cut = cut_night(_first(files), dataset.montage, signals, dataset.samples_per_epoch)
    n_epochs, seconds = cut.n_epochs, cut.seconds
    stages = _as_long_as_signals(scored, n_epochs)
    kept = _kept_by_trimming(dataset, files, stages)
    epochs = np.unique(np.concatenate(list(kept.values())))
    measured = cut.measure()
    start = dataset.start(files)
    night = {
        "recording": recording.id,
        "subject": recording.subject,
        "night": recording.night,
        "simulated": dataset.label.simulated,
        "start": start.isoformat() if start else None,
        "psg_seconds": seconds,
        "epochs_in_night": n_epochs,
        "trimmings": {trimming: _counts(stages[chosen]) for trimming, chosen in kept.items()},
    }
    quality = night | {
        "stages": dict(zip(NIGHT_STAGES, np.bincount(stages, minlength=UNKNOWN + 1).tolist(), strict=True)),
        "hypnogram": [[stage, len(list(run))] for stage, run in groupby(stages.tolist())],
        "channels": {role: {"label": label, **measured[role]} for role, label in dataset.montage.items()},
        "handled": [
            *dataset.remarks(files, list(dataset.montage)),
            *_handled(stages, len(scored)),
            *_rate_remarks(dataset, recorded, cut),
            *cut.remarks(measured),
        ],
    }
    with replacing(output) as temporary:
        signals_sha256 = _write_signals(temporary, output, _at_100_hz(dataset, cut), epochs)
        # Without its JSON a prepared recording does not load: old and new files are never read together.
        for suffix in (DESCRIPTION, QUALITY):
            output.with_suffix(suffix).unlink(missing_ok=True)
    table, quality_file = output.with_suffix(EPOCHS), output.with_suffix(QUALITY)
    _write_epochs(table, stages, epochs, kept)
    write_document(quality_file, quality)
    summary = night | {
        "roles": list(dataset.montage),
        "channels": list(dataset.montage.values()),
        "unit": "uV",
        "sampling_rate_hz": SAMPLING_RATE,
        "samples_per_epoch": dataset.samples_per_epoch,
        "epochs_kept": len(epochs),
        "sources": _sources(recording, files),
        "sha256": {
            output.name: signals_sha256,
            **{path.name: sha256_of_file(path) for path in (table, quality_file)},
        },
    }
    write_document(output.with_suffix(DESCRIPTION), summary)
    return summary


def _leave_out(
    dataset: Dataset, recording: Recording, files: Mapping[str, Path], reason: str, output: Path
) -> dict[str, Any]:
    """Write the files of a recording that is left out: without an epoch, and with the reason."""
    for path in files.values():
        reason = reason.replace(str(path), path.name)
    print(f"{recording.id} is left out of {dataset.name}: {reason}", flush=True)
    table, quality_file = output.with_suffix(EPOCHS), output.with_suffix(QUALITY)
    none = np.empty(0, np.int64)
    empty = NightSignals(_first(files), dataset.montage, {}, dataset.samples_per_epoch, 0, 0.0)
    with replacing(output) as temporary:
        signals_sha256 = _write_signals(temporary, output, empty, none)
        for suffix in (DESCRIPTION, QUALITY):
            output.with_suffix(suffix).unlink(missing_ok=True)
    _write_epochs(table, none, none, dict.fromkeys(TRIMMINGS, none))
    left_out = {
        "recording": recording.id,
        "subject": recording.subject,
        "night": recording.night,
        "simulated": dataset.label.simulated,
        "excluded": reason,
    }
    write_document(quality_file, left_out)
    written = {path.name: sha256_of_file(path) for path in (table, quality_file)}
    summary = left_out | {"sources": _sources(recording, files), "sha256": {output.name: signals_sha256, **written}}
    write_document(output.with_suffix(DESCRIPTION), summary)
    return summary


def _sources(recording: Recording, files: Mapping[str, Path]) -> dict[str, Any]:
    """What a recording was prepared from."""
    return {file.role: {"file": files[file.role].name, "sha256": file.sha256} for file in recording.files}


def _is_resampled_whole(dataset: Dataset, role: str, signal: Signal) -> bool:
    """Whether a signal is resampled as a whole, without aliases: not where it is cut, or resampled by epoch."""
    by_epoch = role in (*dataset.enveloped, *dataset.resampled_by_epoch)
    return signal.rate != SAMPLING_RATE and not by_epoch and dataset.samples_per_epoch == SAMPLES_PER_EPOCH


def _at_100_hz(dataset: Dataset, cut: NightSignals) -> NightSignals:
    """The night with the signals that are cut into epochs."""
    signals = {
        role: resampled(one, SAMPLING_RATE) if _is_resampled_whole(dataset, role, one) else one
        for role, one in cut.signals.items()
    }
    return replace(cut, signals=signals)


def _rate_remarks(dataset: Dataset, recorded: Mapping[str, Signal], cut: NightSignals) -> list[str]:
    """What a user may want to know of what is made of signals of other rates."""
    said, whole = [], {}
    for role, label in dataset.montage.items():
        rate = recorded[role].rate
        if role in dataset.enveloped:
            made = f"the root mean square of each second, above {EMG_FROM_HZ:g} Hz"
            said.append(f"{label} is made of a signal of {rate:g} Hz: {made}")
        elif _is_resampled_whole(dataset, role, cut.signals[role]):
            whole.setdefault(rate, []).append(label)
    said += [
        f"recorded at {rate:g} Hz and resampled to {SAMPLING_RATE} Hz: {', '.join(labels)}"
        for rate, labels in whole.items()
    ]
    done = {label for labels in whole.values() for label in labels}
    rest = {r: label for r, label in dataset.montage.items() if label not in done and r not in dataset.enveloped}
    return said + replace(cut, montage=rest).rate_remarks()


def _check_checksum(path: Path, expected: str, dataset: Dataset) -> None:
    """The file is there and has the bytes that it is known by."""
    if not path.is_file():
        raise BenchmarkError(f"{path}: does not exist; fetch it first: sleepbench data fetch --datasets {dataset.name}")
    if (found := sha256_of_file(path)) != expected:
        raise BenchmarkError(
            f"{path}: its SHA-256 is {found}, expected {expected} ({path.stat().st_size} bytes); "
            f"sleepbench data verify --datasets {dataset.name} says how to get the right one"
        )


def _as_long_as_signals(scored: np.ndarray, n_epochs: int) -> np.ndarray:
    """Stages cut to the signals; an epoch that they have beyond the scoring is unscored, hence unknown."""
    stages = np.full(n_epochs, UNKNOWN, dtype=np.int8)
    stages[: len(scored)] = scored[:n_epochs]
    return stages


def _kept_by_trimming(dataset: Dataset, files: Mapping[str, Path], stages: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of the epochs that each trimming keeps; none where it cannot be applied to the dataset."""
    try:
        return {
            trimming: select_trimming(stages, trimming) if trimming in dataset.trimmings else np.empty(0, np.int64)
            for trimming in TRIMMINGS
        }
    except BenchmarkError as error:
        scoring = files.get("scoring", _first(files))
        raise BenchmarkError(f"{scoring}: in the {len(stages)} epochs of {_first(files).name} {error}") from error


def _first(files: Mapping[str, Path]) -> Path:
    """The file that stands for the recording in messages."""
    return next(iter(files.values()))


def _counts(stages: np.ndarray) -> dict[str, int]:
    """Epochs in all and per stage."""
    per_stage = np.bincount(stages, minlength=len(STAGES)).tolist()
    return {"epochs": len(stages), **dict(zip(STAGES, per_stage, strict=True))}


def _handled(stages: np.ndarray, n_scored: int) -> list[str]:
    """What a reader of the numbers may want to know about this night's scoring."""
    notes = []
    if n_scored < len(stages):
        notes.append(f"the signal outlasts the hypnogram by {len(stages) - n_scored} epochs, which count as unknown")
    if n_scored > len(stages):
        notes.append(f"the hypnogram outlasts the signal by {n_scored - len(stages)} epochs, which are cut")
    for code, name in ((MOVEMENT, "movement"), (UNKNOWN, "unknown")):
        if count := int((stages == code).sum()):
            notes.append(f"{count} epochs within the signal are {name}")
    return notes


def _write_signals(temporary: Path, output: Path, cut: NightSignals, epochs: np.ndarray) -> str:
    """Write the kept epochs as a standard .npy, block by block; return its SHA-256."""
    shape = (len(epochs), len(cut.montage), cut.n_samples)
    try:
        with temporary.open("w+b") as file:
            # Plain writes, not a writable memory map, which a full disk would end with SIGBUS instead of an error.
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(epochs), EPOCHS_PER_BLOCK):
                file.write(cut.epochs(epochs[start : start + EPOCHS_PER_BLOCK]).data)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchmarkError(
            f"{output}: cannot be written ({error.strerror}); it needs {4 * np.prod(shape)} bytes in {output.parent}: "
            "make room there and run again"
        ) from error


def _write_epochs(path: Path, stages: np.ndarray, epochs: np.ndarray, kept: Mapping[str, np.ndarray]) -> None:
    """Write the table of kept epochs."""
    in_trimmings = [np.isin(epochs, kept[trimming]).astype(int) for trimming in AROUND_SLEEP]
    columns = [epochs, epochs * EPOCH_SECONDS, stages[epochs], *in_trimmings]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EPOCH_COLUMNS)
        writer.writerows(np.stack(columns, axis=1).tolist())
