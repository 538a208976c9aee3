"""What the benchmark needs of a database: its recordings, signals by role, stages and label.

A database is one file in this package with a `Dataset`; everything that knows its file names, labels, scoring texts,
addresses and totals is in that file. docs/adding-a-dataset.md shows one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from pydantic import AfterValidator, Field

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.files import read_document, write_document
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.core.strict import Strict
from sleepbench.signals.trimming import AROUND_SLEEP

ROLES = (
    *("eeg1", "eeg2", "eog", "emg"),
    *("eeg3", "eeg4", "eeg5", "eeg6", "eog_left", "eog_right", "emg_raw", "ecg"),
)
"""What a channel is to a network, whatever a database calls it: two EEG derivations, eye movements, chin muscles.

The others are of databases that have more: further EEG derivations, single eyes, the EMG as it was recorded where `emg`
is its envelope, the heart.
"""

SIMULATED = "SIMULATED data – not a result on Sleep-EDF"
TRIAL = "TRIAL on a few nights of Sleep-EDF – shows that the path works, not a benchmark result"
EXCERPTS = "REAL EEG, first 5 s of each epoch: not comparable with results on 30-s epochs"
"""Warnings that stand behind every title."""


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file of a recording as it should be.

    `sha256` is in hexadecimal; it and `n_bytes` are None where they are not known.
    """

    role: str
    name: str
    sha256: str | None = None
    n_bytes: int | None = None


@dataclass(frozen=True, order=True)
class Recording:
    """One night of one person. Recordings sort by their id.

    id : any text that can be a file name
    subject : who it is of; recordings with the same subject are of one person
    night : its number among the subject's, from 1
    files : its files, by role
    age, sex, group : age in years, "F" or "M", and whatever else divides the people of a database; None: not known
    condition : whatever divides the nights of one person, such as what they were given before it; None: nothing does
    """

    id: str
    subject: str
    night: int
    files: tuple[SourceFile, ...] = ()
    age: int | None = None
    sex: str | None = None
    group: str | None = None
    condition: str | None = None

    def file(self, role: str) -> SourceFile:
        """The file with this role."""
        return next(file for file in self.files if file.role == role)


@dataclass(frozen=True)
class Storage:
    """How a recorder stored a channel: microvolts = gain * stored integer + offset.

    Stored integers range from `low` to `high`.
    """

    gain: float
    offset: float
    low: int
    high: int


class Samples(Protocol):
    """Samples that need not be in memory: slices of them are float64 arrays."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, part: slice) -> np.ndarray:
        """Some of them, in a row."""


@dataclass(frozen=True)
class Signal:
    """A channel as it was recorded, in microvolts at its own sampling rate.

    `microvolts` is float64 (n_samples,), or gives slices of it; `rate` is in Hz, `storage` is None where it is not
    known.
    """

    microvolts: np.ndarray | Samples
    rate: float
    storage: Storage | None = None

    def parts(self, n: int, end: int | None = None) -> Iterator[np.ndarray]:
        """The samples, or those before `end`, as arrays of at most `n`."""
        end = len(self.microvolts) if end is None else end
        for start in range(0, end, n):
            yield self.microvolts[start : min(start + n, end)]


@dataclass(frozen=True)
class DataLabel:
    """What the numbers made from a dataset are called wherever they are printed.

    dataset : its name in the configuration
    name : as printed, for a column "Data"
    warning : stands behind every title; empty for whole recordings of a database
    simulated : whether signals are made up
    """

    dataset: str
    name: str
    warning: str = ""
    simulated: bool = False

    @property
    def comparable(self) -> bool:
        """Whether the numbers are of whole recordings of a database, so that published ones may stand beside them."""
        return not self.warning

    def title(self, text: str) -> str:
        """A title that says which data the numbers are of."""
        return f"{text} ({self.warning})" if self.warning else f"{text}, {self.name}"


def _address(value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise ValueError(f"found {value!r}, expected an address that starts with http:// or https://, or null")
    return value


class SourceSettings(Strict):
    """Where the files of a source are kept, and where they are downloaded from.

    `directory` None: among the results. `base_url` None: nothing is downloaded. `exclude`: recordings that are left
    out, each with the reason, which the audit, the totals and the tables give.
    """

    directory: Annotated[str, Field(min_length=1)] | None = None
    base_url: Annotated[str | None, AfterValidator(_address)] = None
    exclude: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)


@dataclass(frozen=True)
class KnownTotal:
    """What is known of the epochs of some recordings: `number` of them, from `first` to `last`.

    counts : epochs of W, N1, N2, N3, REM; folds : unit, n_folds and the epochs of each test fold, or None
    """

    dataset: str
    trimming: str
    first: str
    last: str
    number: int
    counts: tuple[int, ...]
    folds: Mapping[str, Any] | None
    source: str
    verified: str

    def covers(self, trimming: str, recordings: Sequence[str]) -> bool:
        """Whether it is the total of these recordings: as many as there are from first to last, within them."""
        return (
            trimming == self.trimming
            and len(recordings) == self.number
            and all(self.first <= recording <= self.last for recording in recordings)
        )


class Dataset(ABC):
    """A database, or a part of it, as the configuration's `datasets` name one.

    name : in the configuration
    settings : what the configuration says of it, the module's `Settings`
    source_settings : where its files are
    source : where what is made of them lies below results/data; datasets that are parts of one database share it
    printed : its name in prose
    montage : role -> label of the channel in the files; the roles that are prepared, in this order
    enveloped : roles of which the envelope is taken, once a second, as Sleep-EDF's cassette recorder stored its EMG
    resampled_by_epoch : roles whose signals are resampled epoch by epoch by Fourier's method, as ULW-SleepNet's
        released program does it, and as envelopes are; all others as a whole, without aliases
    leaves_out : whether a recording that cannot be used, such as one without a channel of the montage, is left out,
        with the reason; else it is refused
    trimmings : the rules of `signals.trimming` that can be applied to its nights
    samples_per_epoch : of an epoch as it is prepared, at 100 Hz; fewer than 3000 where the signals are only the
        beginnings of epochs, one after the other
    licence, citation : of the data; terms : what whoever downloads it accepts besides the licence
    recorded_gb, typical_epochs : gigabytes of all its files, and the scored epochs of one recording on average; for
        estimates alone, None where nobody knows
    subjects_from : where it says who its subjects are, as a phrase
    """

    printed: ClassVar[str]
    licence: ClassVar[str]
    terms: ClassVar[str] = "nothing"
    citation: ClassVar[str]
    montage: ClassVar[Mapping[str, str]]
    enveloped: ClassVar[Sequence[str]] = ()
    resampled_by_epoch: ClassVar[Sequence[str]] = ()
    leaves_out: ClassVar[bool] = False
    trimmings: ClassVar[Sequence[str]] = AROUND_SLEEP
    samples_per_epoch: ClassVar[int] = SAMPLES_PER_EPOCH
    shared_source: ClassVar[str | None] = None
    recorded_gb: float | None = None
    typical_epochs: float | None = None
    subjects_from: ClassVar[str] = "the table of its recordings"
    known_files: Sequence[Path] = ()
    """The committed files that `known_totals` and `known_epochs` read."""
    training_epochs: int | None = None
    only_folds: Sequence[int] | None = None
    """Where the configuration has trainings end early, or not of all folds: for the label."""

    def __init__(self, name: str, settings: Any, source_settings: SourceSettings | None = None):
        self.name, self.settings = name, settings
        self.source_settings = source_settings or SourceSettings()

    @property
    def files_source(self) -> str:
        """Its section of the configuration's `data`, and where its files lie below results/data."""
        return self.shared_source or self.name

    @property
    def variant(self) -> str:
        """Of several readings of the same files, such as other scorers, which one; empty for the usual one."""
        return ""

    @property
    def source(self) -> str:
        """Where what is made of its files lies below results/data: apart for each reading of them."""
        return f"{self.files_source}-{self.variant}" if self.variant else self.files_source

    @property
    def label(self) -> DataLabel:
        """What it is called where numbers are printed."""
        return DataLabel(self.name, self.printed)

    def directory(self, default: str | Path) -> Path:
        """The directory of its files: that of the configuration, or `default`; ~ is the home directory."""
        return Path(self.source_settings.directory or default).expanduser()

    def locate(self, file: str, directory: Path) -> Path:
        """Where a file with this name is, or where it is missing."""
        return directory / file

    def excluded(self) -> dict[str, str]:
        """The recordings that the configuration leaves out, with the reasons; BenchmarkError where one is unknown."""
        asked, mine = self.source_settings.exclude, {recording.id for recording in self.recordings()}
        others = [id for id in asked if id not in mine]
        if others and (unknown := [id for id in others if id not in self.known_ids()]):
            raise BenchmarkError(
                f"data.{self.files_source}.exclude: no recording of {self.name} is '{unknown[0]}'; "
                f"{nearest(unknown[0], self.known_ids())}"
            )
        return {id: reason for id, reason in asked.items() if id in mine}

    def known_ids(self) -> list[str]:
        """The recordings of the whole database, of which a dataset may be a part."""
        return [recording.id for recording in self.recordings()]

    def used(self) -> list[Recording]:
        """Its recordings but those that the configuration leaves out."""
        excluded = self.excluded()
        return [recording for recording in self.recordings() if recording.id not in excluded]

    def recording(self, id: str) -> Recording:
        """The recording with this id; BenchmarkError when there is none."""
        recordings = self.recordings()
        if (found := next((one for one in recordings if one.id == id), None)) is None:
            raise BenchmarkError(f"{self.name}: recording {id} is not among its {len(recordings)} recordings")
        return found

    def person(self, recording: Recording) -> str:
        """Who a recording is of, by a name that the person has in every dataset."""
        return f"{self.shared_source or self.name} {recording.subject}"

    @abstractmethod
    def recordings(self) -> list[Recording]:
        """All recordings, in ascending order; known before any of their files is there."""

    @abstractmethod
    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        """Make sure that a recording's files are below `directory` with the right content.

        Returns {"recording": id, role of a file: {"path", "bytes", "sha256"}, ...}. BenchmarkError where the files
        cannot be had.
        """

    @abstractmethod
    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The signals with these roles, each at its own rate; `files` are a recording's, by their roles."""

    @abstractmethod
    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """The scored stage of each 30-s epoch from the signals' beginning, int8, as `core.stages` codes them.

        They may be fewer or more than the signals last for.
        """

    def check(self, recording: Recording, files: Mapping[str, Path]) -> None:  # noqa: B027
        """BenchmarkError when the files are not those of the recording, beyond their checksums."""

    def start(self, files: Mapping[str, Path]) -> datetime | None:
        """When the signals begin; None where the files do not say."""
        return None

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """A sentence for each oddity of the files that was handled and that a user may want to know."""
        return []

    def to_accept(self) -> str:
        """How large the files are, and what whoever gets them accepts; empty of simulated nights."""
        if self.label.simulated or (self.recorded_gb is None and self.terms == Dataset.terms):
            return ""
        size = "" if self.recorded_gb is None else f", {self.recorded_gb:g} GB"
        return f"{self.name}: {self.printed}{size}; licence: {self.licence}; to accept besides: {self.terms}"

    def known_totals(self) -> list[KnownTotal]:
        """What is known of the epochs of recordings together."""
        return []

    def known_epochs(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """What is known of single recordings: (recording, trimming) -> epochs of W, N1, N2, N3, REM."""
        return {}

    def how_to_restore(self, directory: Path) -> str:
        """What a user does about files that are missing, as part of a sentence."""
        if self.source_settings.base_url or self.label.simulated:
            return f"run `sleepbench data fetch --datasets {self.name}`, which gets what is missing"
        return f"put what is missing into {directory}, or set data.{self.files_source}.base_url"


def simulated_person(seed: int, number: int) -> str:
    """A made-up person: the same seed and number make the same one, whatever files the nights are written to."""
    return f"simulated person {number} of seed {seed}"


def write_receipt(path: str | Path, receipt: Mapping[str, Any]) -> None:
    """Keep what `Dataset.fetch` returned of a recording."""
    write_document(path, receipt)


def read_receipt(path: str | Path) -> dict[str, Any]:
    """Read a receipt; BenchmarkError when it is missing, damaged or of something else."""
    receipt = read_document(path, "delete it and run again: its recording is verified again")
    if "recording" not in receipt:
        raise BenchmarkError(f"{path}: is no receipt of a recording; delete it and run again")
    return receipt


def with_checksums(recordings: Sequence[Recording], receipts: Mapping[str, Mapping[str, Any]]) -> list[Recording]:
    """Recordings with the SHA-256 and size of each file filled in from their receipts.

    `receipts` are those of the fetched files, by recording id. BenchmarkError where a receipt is missing, or of another
    file than is known.
    """
    return [_with_checksums(recording, receipts.get(recording.id)) for recording in recordings]


def _with_checksums(recording: Recording, receipt: Mapping[str, Any] | None) -> Recording:
    files = []
    for file in recording.files:
        if receipt is None or file.role not in receipt:
            raise BenchmarkError(f"recording {recording.id}: no receipt of its file {file.name}; fetch it again")
        found = receipt[file.role]
        if file.sha256 not in (None, found["sha256"]):
            raise BenchmarkError(
                f"recording {recording.id}: its receipt is of a file {file.name} with SHA-256 {found['sha256']}, "
                f"expected {file.sha256}; fetch it again"
            )
        files.append(replace(file, sha256=found["sha256"], n_bytes=found["bytes"]))
    return replace(recording, files=tuple(files))
