"""What the databases beside Sleep-EDF's cassette have in common: a committed table, a home, and simulated nights.

The simulated nights of a database are written as its real files are: names, labels, rates, scorings. They stand in
where the real ones are not at hand, and everything made of them says so.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, sha256_of_json
from sleepbench.core.stages import EPOCH_SECONDS
from sleepbench.core.strict import Strict
from sleepbench.datasets.base import DataLabel, Dataset, Recording, simulated_person
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import RESOURCES
from sleepbench.datasets.written import fetch_written
from sleepbench.signals.trimming import TRIMMINGS

SIMULATION = Path(__file__).parents[1] / "simulation"
DATABASES = RESOURCES / "databases"
"""The tables of recordings, one a database; docs/databases has a page on each."""


class DatabaseSettings(Strict):
    """The settings of a database.

    subjects : the first so many, in ascending order; all where it is not given
    simulated : nights that are written as the real ones are, in place of these
    psg_hours, seed : of simulated nights
    """

    subjects: Annotated[int, Field(ge=1)] | None = None
    simulated: bool = False
    psg_hours: Annotated[float, Field(ge=1, le=12)] = 2.0
    seed: Annotated[int, Field(ge=0)] = 1


class Database(Dataset):
    """A database whose recordings are in a committed table.

    table : below resources/databases
    folder : where the files lie below the base URL, and in a copy of the whole database
    by_hand : where people get the files
    home : the address of its files, which data.SOURCE.base_url replaces; None where they are had by hand alone
    is_pinned : whether files are pinned at first use, because nobody publishes their SHA-256
    """

    table: ClassVar[str]
    folder: ClassVar[str] = ""
    home: ClassVar[str | None] = None
    by_hand: ClassVar[str]
    is_pinned: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    enveloped: ClassVar[Sequence[str]] = ("emg",)
    trimmings: ClassVar[Sequence[str]] = TRIMMINGS

    def __init__(self, name: str, settings: Any, source_settings: Any = None):
        super().__init__(name, settings, source_settings)
        if settings.simulated:
            self.typical_epochs, self.recorded_gb = settings.psg_hours * 3600 / EPOCH_SECONDS, None

    @property
    def files_source(self) -> str:
        """Simulated nights never lie beside real ones, unless a rehearsal names them so."""
        return self.name if self.settings.simulated else super().files_source

    @property
    def label(self) -> DataLabel:
        """A whole database has its name in print, a part of it is a trial, simulated nights are simulated."""
        printed = f"{self.printed}, {self.variant.replace('_', ' ')}" if self.variant else self.printed
        if self.settings.simulated:
            warning = f"SIMULATED data in the format of {printed} – not a result on {printed}"
            return DataLabel(self.name, f"simulated {printed}", warning, simulated=True)
        if self.settings.subjects is not None:
            warning = f"TRIAL on {self.settings.subjects} subjects of {printed} – not a result on {printed}"
            return DataLabel(self.name, f"{printed}, trial", warning)
        return DataLabel(self.name, printed)

    @property
    def base_url(self) -> str | None:
        """Where files are downloaded from: as configured, else from its home; simulated ones as configured alone."""
        configured = self.source_settings
        is_said = "base_url" in configured.model_fields_set or self.settings.simulated
        return configured.base_url if is_said else self.home

    def recordings(self) -> list[Recording]:
        """Those of the table's first subjects; nothing is known of simulated files."""
        chosen = first_subjects(_table(DATABASES / self.table), self.settings.subjects)
        return [_without_checksums(one) for one in chosen] if self.settings.simulated else chosen

    def person(self, recording: Recording) -> str:
        """Simulated people are those of their seed and number, whatever files their nights are written to."""
        if self.settings.simulated:
            return simulated_person(self.settings.seed, self._number(recording))
        return super().person(recording)

    def known_ids(self) -> list[str]:
        """All recordings of the table."""
        return [recording.id for recording in _table(DATABASES / self.table)]

    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        """Simulated files are written, unless a server has them; real ones come from their home, or by hand."""
        from sleepbench.datasets.download import fetch_files  # here, because parsing the workflow downloads nothing

        base_url = self.base_url
        if self.settings.simulated and not base_url:
            home = Path(directory) / self.folder
            return fetch_written(recording, home, self._made_by(), partial(self._write, recording))
        try:
            return fetch_files(
                self.with_known_checksums(recording, directory),
                directory,
                base_url,
                self.folder,
                pin=self.is_pinned or self.settings.simulated,
            )
        except BenchmarkError as error:
            if base_url:
                raise
            raise BenchmarkError(f"{error}. {self.printed}: {self.by_hand}") from error

    def write_home(self, directory: Path) -> None:
        """Write what the home of the database has besides recordings, beside simulated ones."""

    def with_known_checksums(self, recording: Recording, directory: Path) -> Recording:
        """The recording with what is known of its files' SHA-256 beyond the table."""
        return recording

    def locate(self, file: str, directory: Path) -> Path:
        """In the directory, or in the database's own folder there."""
        below = directory / self.folder / file
        return below if below.exists() and not (directory / file).exists() else directory / file

    def how_to_restore(self, directory: Path) -> str:
        """Fetched again, or by hand."""
        if self.base_url or self.settings.simulated:
            return f"run `sleepbench data fetch --datasets {self.name}`, which gets what is missing"
        return f"{super().how_to_restore(directory)}; {self.by_hand}"

    @abstractmethod
    def simulate(self, recording: Recording, number: int, paths: Mapping[str, Path]) -> None:
        """Write the files of a simulated night, by role; `number` is the subject's among all, from 0."""

    def require_simulated_as_it_is(self, path: Path, simulated: bool) -> None:
        """BenchmarkError where a file is simulated and the dataset real, or the other way round."""
        if simulated and not self.settings.simulated:
            raise BenchmarkError(
                f"{path}: holds simulated signals, but the dataset {self.name} is not marked as simulated, "
                f"so results on it would look like results on {self.printed}; put the real file there"
            )
        if self.settings.simulated and not simulated:
            raise BenchmarkError(
                f"{path}: the dataset {self.name} is marked as simulated, but the file is not; give real files "
                "to a dataset that is not simulated, or simulate it again"
            )

    def _write(self, recording: Recording, paths: Mapping[str, Path]) -> None:
        for path in paths.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        self.simulate(recording, self._number(recording), paths)

    def _number(self, recording: Recording) -> int:
        """The subject's among all of the table, from 0."""
        return sorted({one.subject for one in _table(DATABASES / self.table)}).index(recording.subject)

    def _made_by(self) -> str:
        """A hash of what decides the bytes of a simulated night, besides which it is."""
        code = [sha256_of_file(path) for path in sorted(SIMULATION.rglob("*.py"))]
        return sha256_of_json([self.settings.psg_hours, self.settings.seed, code])


@cache
def _table(path: Path) -> list[Recording]:
    return read_recordings(path)


def _without_checksums(recording: Recording) -> Recording:
    files = (replace(file, sha256=None, n_bytes=None) for file in recording.files)
    return replace(recording, files=tuple(files))
