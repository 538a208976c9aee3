"""Real EEG of Sleep-EDF-20 in excerpts: the first 5 s of each 30-s epoch of the channel Fpz-Cz.

They are in the repository AttnSleep-EEG-5s, 39 files .npz, one a recording, with the epochs of the
usual window, 30 min of wake around sleep. That an excerpt is the first 5 s is the word of its README; every sample
lies on the digital grid of the EDF file, and the stages are those of the official hypnograms. Nothing measured on them
can be compared with a result on whole epochs.
"""

import csv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLING_RATE, STAGES
from sleepbench.datasets.base import EXCERPTS, DataLabel, Dataset, KnownTotal, Recording, Signal, SourceFile
from sleepbench.datasets.known_epochs import read_known_epochs, read_known_totals
from sleepbench.datasets.recordings_table import read_recordings
from sleepbench.datasets.sleep_edf_cassette import (
    KNOWN_EPOCHS,
    KNOWN_TOTALS,
    OFFICIAL_TABLE,
    RESOURCES,
    SUBJECTS_FROM,
    cassette_person,
)

FILES = RESOURCES / "sleep_edf_excerpts.csv"
"""Name, SHA-256 and bytes of each recording's file."""
FOLDER = "edf_true_5s_npz"
"""Where the files lie in the repository."""
CHANNEL, N_SAMPLES = "EEG Fpz-Cz", 500


class SleepEdfExcerpts(Dataset):
    """5 s of each epoch of Sleep-EDF-20, one channel."""

    printed = "Sleep-EDF-20, 5 s"
    licence = "signals ODC-By 1.0 (Sleep-EDF Expanded), files MIT (github.com/swapnil5053/AttnSleep-EEG-5s)"
    citation = (
        "B. Kemp et al., IEEE Trans. Biomed. Eng. 47(9):1185-1194 (2000); "
        "A. L. Goldberger et al., Circulation 101(23) (2000); github.com/swapnil5053/AttnSleep-EEG-5s at cde8b3995c"
    )
    montage: ClassVar[Mapping[str, str]] = {"eeg1": CHANNEL}
    trimmings: ClassVar[Sequence[str]] = ("standard",)
    samples_per_epoch = N_SAMPLES
    shared_source = "sleep-edf-20-5s"
    subjects_from = SUBJECTS_FROM
    known_files = (KNOWN_TOTALS, KNOWN_EPOCHS)

    @property
    def label(self) -> DataLabel:
        """A kind of its own; trainings that end early, or not of all folds, are said as well."""
        cut = [f"{self.training_epochs} training epochs"] if self.training_epochs else []
        cut += ["not all folds"] if self.only_folds else []
        return DataLabel(self.name, self.printed, "; ".join([EXCERPTS, *cut]))

    def person(self, recording: Recording) -> str:
        """They are the people of the whole recordings."""
        return cassette_person(recording)

    def recordings(self) -> list[Recording]:
        """Subjects, nights, ages and sexes are those of the official table."""
        files = _files(FILES)
        official = [recording for recording in read_recordings(OFFICIAL_TABLE) if recording.id in files]
        return [replace(recording, files=(files[recording.id],)) for recording in official]

    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        """From the repository at the configured commit, checked by SHA-256."""
        from sleepbench.datasets.download import fetch_files  # here, because parsing the workflow downloads nothing

        return fetch_files(recording, directory, self.source_settings.base_url, FOLDER)

    def locate(self, file: str, directory: Path) -> Path:
        """In the directory, or in the repository's own folder there."""
        below = directory / FOLDER / file
        return below if below.exists() and not (directory / file).exists() else directory / file

    def check(self, recording: Recording, files: Mapping[str, Path]) -> None:
        """The file holds excerpts of this channel and a stage for each."""
        _read(files["excerpts"])

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The excerpts one after the other."""
        excerpts, _ = _read(files["excerpts"])
        return {role: Signal(excerpts.reshape(-1).astype(np.float64), float(SAMPLING_RATE)) for role in roles}

    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """As the files code them, which is as `core.stages` does."""
        _, stages = _read(files["excerpts"])
        return stages.astype(np.int8)

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """What these epochs are."""
        return [f"of each epoch the first {N_SAMPLES / SAMPLING_RATE:g} s, and no epoch outside the usual window"]

    def known_totals(self) -> list[KnownTotal]:
        """Those of the whole epochs."""
        return read_known_totals(KNOWN_TOTALS)

    def known_epochs(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """Those of the whole epochs."""
        return read_known_epochs(KNOWN_EPOCHS)


@cache
def _files(path: Path) -> dict[str, SourceFile]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            row["id"]: SourceFile("excerpts", row["file"], row["sha256"], int(row["bytes"]))
            for row in csv.DictReader(file)
        }


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Excerpts in microvolts, float32 (n, 500), and stages (n,); BenchmarkError where the file holds anything else.

    Its members that are pickles are never read.
    """
    try:
        with np.load(path, allow_pickle=False) as members:
            excerpts, stages, rate, label = (members[name] for name in ("x", "y", "fs", "ch_label"))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BenchmarkError(f"{path}: is no file of excerpts ({error}); fetch it again") from error
    found = f"{excerpts.dtype} {excerpts.shape} at {rate} Hz of {str(label)!r}, stages {stages.dtype} {stages.shape}"
    is_right = excerpts.dtype == np.float32 and excerpts.shape == (len(stages), N_SAMPLES, 1) and stages.ndim == 1
    if not (is_right and float(rate) == SAMPLING_RATE and str(label) == CHANNEL and stages.dtype.kind in "iu"):
        raise BenchmarkError(
            f"{path}: holds {found}; expected float32 (n, {N_SAMPLES}, 1) at {SAMPLING_RATE} Hz of {CHANNEL!r} and n "
            "stages; fetch it again"
        )
    if unknown := sorted(set(stages.tolist()) - set(range(len(STAGES)))):
        raise BenchmarkError(f"{path}: has the stages {unknown}, expected 0 to {len(STAGES) - 1}; fetch it again")
    return excerpts[..., 0], stages


DATASET = SleepEdfExcerpts
