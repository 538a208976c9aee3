"""The sleep-cassette recordings of Sleep-EDF Expanded 1.0.0.

They are nights of healthy people at home, scored by the rules of Rechtschaffen and Kales (R&K). Sleep-EDF-20 is the
first 20 subjects, Sleep-EDF-78 all of them. A night is a PSG, plain EDF of a day, and a hypnogram, EDF+ of annotations
that cover 24 h; the first six characters of both names are the recording.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.shipped import shipped
from sleepbench.core.stages import EPOCH_SECONDS, MOVEMENT, N1, N2, N3, REM, UNKNOWN, W
from sleepbench.core.strict import Strict
from sleepbench.datasets.base import SIMULATED, TRIAL, DataLabel, Dataset, KnownTotal, Recording, Signal, Storage
from sleepbench.datasets.known_epochs import read_known_epochs, read_known_totals
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.signals import edf
from sleepbench.signals.scoring import read_scoring

RESOURCES = shipped("resources")
OFFICIAL_TABLE = RESOURCES / "sleep_edf_recordings.csv"
KNOWN_TOTALS = RESOURCES / "known_totals.yaml"
KNOWN_EPOCHS = RESOURCES / "known_epochs.csv"

SUBJECTS_FROM = "SC-subjects.xls, the official table of the cassette study (healthy people, 1987 to 1991)"
FOLDER = "sleep-cassette"
"""Where the files lie under the base URL, and in a copy of the whole database."""

STAGES_BY_TEXT = {
    "Sleep stage W": W,
    "Sleep stage 1": N1,
    "Sleep stage 2": N2,
    "Sleep stage 3": N3,
    "Sleep stage 4": N3,  # Rechtschaffen and Kales' stage 4; the AASM manual joins it with 3
    "Sleep stage R": REM,
    "Movement time": MOVEMENT,
    "Sleep stage ?": UNKNOWN,
}
"""The annotation texts and their stages."""

PRINTED = {20: "Sleep-EDF-20", 78: "Sleep-EDF-78"}
"""By the number of subjects; fewer than these are a trial."""


class CassetteFiles(Dataset):
    """Nights whose files look like those of Sleep-EDF's cassette recordings."""

    printed = "Sleep-EDF"
    licence = "Open Data Commons Attribution License 1.0 (ODC-By 1.0)"
    citation = (
        "B. Kemp et al., IEEE Trans. Biomed. Eng. 47(9):1185-1194 (2000); "
        "A. L. Goldberger et al., Circulation 101(23) (2000)"
    )
    montage: ClassVar[Mapping[str, str]] = {
        "eeg1": "EEG Fpz-Cz",
        "eeg2": "EEG Pz-Oz",
        "eog": "EOG horizontal",
        "emg": "EMG submental",
    }
    resampled_by_epoch: ClassVar[Sequence[str]] = ("eeg1", "eeg2", "eog", "emg")  # of which the EMG alone is at 1 Hz

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The channels with the roles' labels, in microvolts."""
        stored = {signal.label: signal for signal in edf.read_header(files["psg"]).signals}
        channels = edf.open_channels(files["psg"], [self.montage[role] for role in roles])
        return {
            role: Signal(*channels[label], storage_of(stored[label]))
            for role in roles
            for label in [self.montage[role]]
        }

    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """R&K's stages 3 and 4 are N3."""
        return read_scoring(files["scoring"], STAGES_BY_TEXT)

    def check(self, recording: Recording, files: Mapping[str, Path]) -> None:
        """PSG and hypnogram are whole, belong together, and are simulated as the dataset is."""
        headers = {role: edf.read_header(files[role]) for role in ("psg", "scoring")}
        edf.check_complete(files["psg"], headers["psg"])
        edf.check_has_signals(files["psg"], headers["psg"])
        names = {path.name[: len(recording.id)] for path in files.values()}
        if names != {recording.id}:
            raise BenchmarkError(
                f"{files['psg']} and {files['scoring']}: are not a pair of recording {recording.id}: both names must "
                "begin with it"
            )
        if headers["psg"].start != headers["scoring"].start:
            raise BenchmarkError(
                f"{files['scoring']}: begins at {headers['scoring'].start}, its PSG {files['psg'].name} at "
                f"{headers['psg'].start}; they must begin together"
            )
        for role, header in headers.items():
            self._check_simulated(files[role], header)

    def start(self, files: Mapping[str, Path]) -> datetime:
        """The start in the PSG's header."""
        return edf.read_header(files["psg"]).start

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """Oddities of both files, and the length of data records where it is not an epoch."""
        header = edf.read_header(files["psg"])
        said = edf.remarks(files["psg"], header, [self.montage[role] for role in roles])
        said += edf.remarks(files["scoring"], edf.read_header(files["scoring"]), [])
        if header.record_seconds != EPOCH_SECONDS:
            said.append(f"data records last {header.record_seconds:g} s; epochs are placed by seconds")
        return said

    def _check_simulated(self, path: Path, header: edf.EdfHeader) -> None:
        """Refuse simulated files in a real dataset and real files in a simulated one.

        BenchmarkError then, so that no result can be mistaken for one of the other kind.
        """
        if header.simulated and not self.label.simulated:
            raise BenchmarkError(
                f"{path}: holds simulated signals (its header says so), but the dataset {self.name} is not marked as "
                "simulated, so results on it would look like results on Sleep-EDF; put the real file there, or set "
                "simulated: true and a table of its own for a rehearsal"
            )
        if self.label.simulated and not header.simulated:
            raise BenchmarkError(
                f"{path}: the dataset {self.name} is marked as simulated, but the file's header does not say "
                "'simulated'; give real files to a dataset that is not simulated, or simulate it again"
            )


class SleepEdfSettings(Strict):
    """The settings of the dataset: how many subjects, taken in ascending order.

    A rehearsal has simulated files under the real names, listed in a table of its own.
    """

    subjects: Annotated[int, Field(ge=1)]
    table: str = str(OFFICIAL_TABLE)
    simulated: bool = False


class SleepEdfCassette(CassetteFiles):
    """The first subjects of Sleep-EDF's cassette recordings."""

    shared_source = "sleep-edf"
    subjects_from = SUBJECTS_FROM

    def __init__(self, name: str, settings: SleepEdfSettings, source_settings: Any = None):
        super().__init__(name, settings, source_settings)
        self.table = Path(settings.table)
        official = self.table.resolve() == OFFICIAL_TABLE.resolve()
        if official == settings.simulated:
            raise BenchmarkError(
                f"datasets.{name}: table {settings.table} with simulated: {str(settings.simulated).lower()}; a "
                "rehearsal has a table of its own and simulated: true, the official table has simulated: false"
            )

    @property
    def label(self) -> DataLabel:
        """Whole datasets have a name in print; a few nights are a trial, a rehearsal is simulated."""
        if self.settings.simulated:
            return DataLabel(self.name, "simulated", SIMULATED, simulated=True)
        if self.settings.subjects < min(PRINTED):
            return DataLabel(self.name, "trial", TRIAL)
        return DataLabel(self.name, PRINTED.get(self.settings.subjects, self.name))

    def person(self, recording: Recording) -> str:
        """By the number in the official table; people of a rehearsal are nobody else's."""
        return super().person(recording) if self.settings.simulated else cassette_person(recording)

    def recordings(self) -> list[Recording]:
        """Those of the table; BenchmarkError where it has fewer subjects."""
        return first_subjects(_table(self.table), self.settings.subjects)

    def known_ids(self) -> list[str]:
        """All recordings of the table."""
        return [recording.id for recording in _table(self.table)]

    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        """From PhysioNet or a mirror, checked by the official SHA-256."""
        from sleepbench.datasets.download import fetch_files  # here, because parsing the workflow downloads nothing

        return fetch_files(recording, directory, self.source_settings.base_url, FOLDER)

    def locate(self, file: str, directory: Path) -> Path:
        """In the directory, or in the database's own folder there."""
        below = directory / FOLDER / file
        return below if below.exists() and not (directory / file).exists() else directory / file

    @property
    def known_files(self) -> Sequence[Path]:
        """Nothing is known of simulated nights."""
        return () if self.settings.simulated else (KNOWN_TOTALS, KNOWN_EPOCHS)

    def known_totals(self) -> list[KnownTotal]:
        """As published, counted again as far as hypnograms were at hand."""
        return [] if self.settings.simulated else read_known_totals(KNOWN_TOTALS)

    def known_epochs(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """As counted on real hypnograms."""
        return {} if self.settings.simulated else read_known_epochs(KNOWN_EPOCHS)


def cassette_person(recording: Recording) -> str:
    """A subject of the cassette recordings by the number in the official table."""
    return f"SC subject {recording.subject}"


@cache
def _table(path: Path) -> list[Recording]:
    return read_recordings(path)


def storage_of(signal: edf.EdfSignal) -> Storage:
    """How a channel of an EDF file is stored, in microvolts."""
    gain, offset = signal.scale
    unit = edf.MICROVOLTS[signal.dimension]
    return Storage(gain * unit, offset * unit, signal.digital_min, signal.digital_max)


Settings, DATASET = SleepEdfSettings, SleepEdfCassette
