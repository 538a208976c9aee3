"""What the benchmark needs of a database: its recordings, their signals by role, their stages, and what to call it.

A database is one file in this package with a `Dataset`; everything that knows its file names, labels, scoring texts,
addresses and totals is in that file. docs/adding-a-dataset.md shows one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

ROLES = ("eeg1", "eeg2", "eog", "emg")
"""What a channel is to a network, whatever a database calls it: two EEG derivations, eye movements, chin muscles."""

SIMULATED = "SIMULATED data – not a result on Sleep-EDF"
TRIAL = "TRIAL on a few nights of Sleep-EDF – shows that the path works, not a benchmark result"
"""Warnings of labels: what stands behind every title of numbers that are no result of a database."""


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file of a recording as it should be: `sha256` in hexadecimal and `n_bytes`, None where nobody knows."""

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
    """

    id: str
    subject: str
    night: int
    files: tuple[SourceFile, ...] = ()
    age: int | None = None
    sex: str | None = None
    group: str | None = None

    def file(self, role: str) -> SourceFile:
        """The file with this role."""
        return next(file for file in self.files if file.role == role)


@dataclass(frozen=True)
class Signal:
    """A channel as it was recorded: microvolts, float64 (n_samples,), at `rate` Hz."""

    microvolts: np.ndarray
    rate: float


@dataclass(frozen=True)
class DataLabel:
    """What the numbers made from a dataset are called wherever they are printed.

    dataset : its name in the configuration
    name : as printed, for a column "Data"
    warning : stands behind every title; empty for whole recordings of a database
    simulated : whether signals are made up, so that no published claim gets a verdict
    """

    dataset: str
    name: str
    warning: str = ""
    simulated: bool = False

    def title(self, text: str) -> str:
        """A title that says which data the numbers are of."""
        return f"{text} ({self.warning})" if self.warning else f"{text}, {self.name}"


class Dataset(ABC):
    """A database, or a part of it, as the configuration's `datasets` name one.

    name : in the configuration
    source : where its files lie below results/data; datasets that are parts of one database share it
    label : what it is called where numbers are printed
    montage : role -> label of the channel in the files; the roles that are prepared, in this order
    trimmings : the rules of `signals.trimming` that can be applied to its nights
    licence, citation : of the data
    """

    licence: ClassVar[str]
    citation: ClassVar[str]

    name: str
    source: str
    label: DataLabel
    montage: Mapping[str, str]
    trimmings: Sequence[str] = ("standard", "authors")

    @abstractmethod
    def recordings(self) -> list[Recording]:
        """All recordings, in ascending order; known before any of their files is there."""

    @abstractmethod
    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        """Make a recording's files present and right below `directory`; BenchmarkError where they cannot be had.

        Returns {"recording": id, role of a file: {"path", "bytes", "sha256"}, ...}.
        """

    @abstractmethod
    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The signals with these roles, each at its own rate; `files` are a recording's, by their roles."""

    @abstractmethod
    def read_stages(self, files: Mapping[str, Path], n_epochs: int) -> np.ndarray:
        """The scored stage of each 30-s epoch of the signals, int8 (n_epochs,), as `core.stages` codes them."""
