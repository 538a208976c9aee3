"""Small EDF files of nights like Sleep-EDF's, and a dataset of them, for tests and tools."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edfio
import numpy as np

from sleepbench.core.files import sha256_of_file
from sleepbench.datasets.base import DataLabel, Recording, SourceFile
from sleepbench.datasets.sleep_edf_cassette import CassetteFiles
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.preparation.prepared import (
    DESCRIPTION,
    EPOCHS,
    SIGNALS,
    PreparedFiles,
    PreparedRecording,
    load_prepared,
)

CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental")
RATES = (100, 100, 100, 1)
DATE = datetime.date(1989, 4, 24)
TIME = datetime.time(16, 13, 0)

NIGHT = ("W", 70), ("1", 2), ("2", 5), ("Movement time", 1), ("3", 3), ("4", 3), ("R", 4), ("W", 70), ("?", 10)
"""Stages and epochs of a short night: 168 epochs, the last ten unscored."""

Runs = Sequence[tuple[str, int]]


def write_psg(
    path: Path,
    n_epochs: int,
    units: Sequence[str] = ("uV",) * 4,
    labels: Sequence[str] = CHANNELS,
    rates: Sequence[int] = RATES,
    record_seconds: int = 30,
    time: datetime.time = TIME,
    seed: int = 0,
) -> Path:
    """Write a plain EDF of noise within ±192 of its unit, `n_epochs` of 30 s long."""
    random = np.random.default_rng(seed)
    signals = [
        edfio.EdfSignal(
            random.uniform(-192, 192, n_epochs * 30 * rate),
            rate,
            label=label,
            physical_dimension=unit,
            physical_range=(-192, 192),
            digital_range=(-2048, 2047),
        )
        for label, unit, rate in zip(labels, units, rates, strict=True)
    ]
    recording = edfio.Recording(startdate=DATE)
    edfio.Edf(signals, recording=recording, starttime=time, data_record_duration=record_seconds).write(path)
    return path


def write_hypnogram(path: Path, runs: Runs = NIGHT, time: datetime.time = TIME) -> Path:
    """Write an EDF+ hypnogram of runs (stage, epochs), one after the other from 0 s."""
    annotations, onset = [], 0
    for stage, epochs in runs:
        text = stage if " " in stage else f"Sleep stage {stage}"
        annotations.append(edfio.EdfAnnotation(onset, epochs * 30, text))
        onset += epochs * 30
    return write_annotations(path, annotations, time)


def write_annotations(
    path: Path, annotations: Sequence[tuple[float, float | None, str]], time: datetime.time = TIME
) -> Path:
    """Write an EDF+ file of annotations only."""
    recording = edfio.Recording(startdate=DATE)
    edfio.Edf(
        [], recording=recording, starttime=time, annotations=[edfio.EdfAnnotation(*a) for a in annotations]
    ).write(path)
    return path


def recording_of(psg: Path, hypnogram: Path) -> Recording:
    """The recording that two files make up, named by the first six characters of the PSG."""
    files = (SourceFile(role, path.name, sha256_of_file(path)) for role, path in (("psg", psg), ("scoring", hypnogram)))
    return Recording(psg.name[:6], "00", 1, tuple(files), 33, "F")


def receipt_of(folder: Path, recording: Recording) -> dict[str, Any]:
    """What a dataset says when it has fetched a recording into a folder, whatever lies there."""
    files = {
        file.role: {"path": str(folder / file.name), "bytes": file.n_bytes, "sha256": file.sha256}
        for file in recording.files
    }
    return {"recording": recording.id, **files}


class Nights(CassetteFiles):
    """A dataset of recordings whose files lie in a folder."""

    printed = "Nights"

    def __init__(
        self, folder: Path, recordings: Sequence[Recording], simulated: bool = False, montage: Mapping | None = None
    ):
        super().__init__("nights", None)
        self.folder, self.known, self.simulated = folder, sorted(recordings), simulated
        if montage is not None:
            self.montage = montage

    @property
    def label(self) -> DataLabel:
        return DataLabel(self.name, self.printed, simulated=self.simulated)

    def recordings(self) -> list[Recording]:
        return self.known

    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        return receipt_of(directory, recording)


def prepare_night(folder: Path, recording: Recording, **options: Any) -> dict[str, Any]:
    """Prepare a recording whose files lie in a folder, into prepared/ID.npy there."""
    output = folder / "prepared" / f"{recording.id}.npy"
    return prepare_recording(Nights(folder, [recording], **options), receipt_of(folder, recording), output)


def files_of(signals: Path) -> PreparedFiles:
    """The files of a prepared recording as an index lists them, with the hashes that they have now."""
    listed = [signals.with_suffix(suffix) for suffix in (SIGNALS, EPOCHS, DESCRIPTION)]
    sha256 = {file.name: sha256_of_file(file) for file in listed}
    return PreparedFiles(signals.with_name("recordings.json"), signals, sha256)


def load_night(signals: Path) -> PreparedRecording:
    """A prepared recording, by its .npy."""
    return load_prepared(files_of(signals))


def write_night(folder: Path, runs: Runs = NIGHT, n_epochs: int | None = None, **psg: object) -> Recording:
    """Write SC4001E0-PSG.edf and SC4001EC-Hypnogram.edf; the PSG is as long as the hypnogram unless told."""
    hypnogram = write_hypnogram(folder / "SC4001EC-Hypnogram.edf", runs)
    n_epochs = sum(epochs for _, epochs in runs) if n_epochs is None else n_epochs
    return recording_of(write_psg(folder / "SC4001E0-PSG.edf", n_epochs, **psg), hypnogram)


def patch_header(path: Path, offset: int, field: str, width: int) -> Path:
    """Overwrite a field of the header."""
    content = bytearray(path.read_bytes())
    content[offset : offset + width] = field.encode("latin-1").ljust(width)
    path.write_bytes(content)
    return path
