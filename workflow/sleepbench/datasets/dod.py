"""What the two Dreem Open Datasets have in common: DOD-H, healthy sleepers, and DOD-O, people with sleep apnoea.

A night is one HDF5 file: `signals/eeg`, `signals/eog` and `signals/emg` hold channels in microvolts at 250 Hz, and
`hypnogram` the consensus of five scorers, a code for each 30 s (-1 not scored, 0 W, 1 N1, 2 N2, 3 N3, 4 REM). What each
scorer gave is in another place, of which workflow/resources/human_scorings is a copy; it also says from which epoch to
which all of them scored. What is before and after is unknown, whoever's scoring is read.
docs/databases/dod-h.md, docs/databases/dod-o.md.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator

from sleepbench.core.errors import BenchmarkError, MissingChannelError, UnusableError, nearest
from sleepbench.core.stages import REM, STAGES, UNKNOWN
from sleepbench.datasets.base import Recording, Signal, SourceFile
from sleepbench.datasets.database import Database, DatabaseSettings
from sleepbench.datasets.sleep_edf_cassette import RESOURCES
from sleepbench.signals.stage_runs import NOT_SCORED, from_runs

SCORINGS = RESOURCES / "human_scorings" / "scorings.csv"
SCORERS = (1, 2, 3, 4, 5)
CONSENSUS = "consensus"
MICROVOLTS = {"uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6}
"""Units by name; the third is a Greek letter."""


def _scorer(value: Any) -> Any:
    if value == CONSENSUS or (type(value) is int and value in SCORERS):
        return value
    raise ValueError(f"found {value!r}, expected {CONSENSUS}, or the number of a scorer from 1 to {SCORERS[-1]}")


class DodSettings(DatabaseSettings):
    """The settings of DOD-H or DOD-O: whose scoring is read, that of all together or of one of five."""

    scorer: Annotated[str | int, BeforeValidator(_scorer)] = CONSENSUS


@dataclass(frozen=True)
class Scored:
    """What one scorer gave to a night, int8 (n_epochs,), NOT_SCORED where nothing; all scored from `first` to `end`."""

    stages: np.ndarray
    first: int
    end: int


class Dod(Database):
    """One of the two; `channels` says which channel, or difference of two, has which role."""

    channels: ClassVar[Mapping[str, Sequence[str]]]
    sleepers: ClassVar[str]
    licence = "as its home says: Zenodo 15900394 and others name different ones (MIT, CC BY 4.0); see there before use"
    citation = "A. Guillot et al., IEEE Trans. Neural Syst. Rehabil. Eng. 28(9):1955-1965 (2020)"
    terms = "what its home asks for: third parties name different licences"
    is_pinned = True

    @property
    def variant(self) -> str:
        """The scorer, where it is one of the five."""
        return "" if self.settings.scorer == CONSENSUS else f"scorer_{self.settings.scorer}"

    def recordings(self) -> list[Recording]:
        """Those of the table; a simulated night has its five scorings beside it."""
        found = [replace(one, group=self.sleepers) for one in super().recordings()]
        if not self.settings.simulated:
            return found
        names = {f"scorer_{n}": f"scorers/scorer_{n}/{{}}.json" for n in SCORERS}
        return [
            replace(one, files=(*one.files, *(SourceFile(role, name.format(one.id)) for role, name in names.items())))
            for one in found
        ]

    def check(self, recording: Recording, files: Mapping[str, Path]) -> None:
        """The file is HDF5 of this layout, and simulated as the dataset is."""
        with _opened(files["h5"]) as night:
            self.require_simulated_as_it_is(files["h5"], bool(night.attrs.get("simulated", False)))

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The channels in microvolts, and differences of two of one rate."""
        path = files["h5"]
        with _opened(path) as night:
            rates = _rates(path, night)
            names = dict.fromkeys(name for role in roles for name in self.channels[role])
            read = {name: _channel(path, night, name, rates) for name in names}
        signals = {}
        for role in roles:
            (microvolts, rate), *others = (read[name] for name in self.channels[role])
            for other, other_rate in others:
                if other_rate != rate or len(other) != len(microvolts):
                    raise UnusableError(
                        f"{path}: {' and '.join(self.channels[role])} differ in rate or length ({rate:g} and "
                        f"{other_rate:g} Hz, {len(microvolts)} and {len(other)} samples), so have no difference"
                    )
                microvolts = microvolts - other
            signals[role] = Signal(microvolts, rate)
        return signals

    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """The consensus, or one scorer's stages; before and after what all scored is unknown.

        UnusableError where the scorer's stages are not as many as the file's.
        """
        consensus, scored = _consensus(files["h5"]), self._scored(files)
        if self.variant:
            if len(scored.stages) != len(consensus):
                raise UnusableError(
                    f"{files['h5']}: its hypnogram has {len(consensus)} epochs, that of {self.variant} "
                    f"{len(scored.stages)}; nobody knows where one begins in the other"
                )
            consensus = scored.stages
        stages = np.where(consensus == NOT_SCORED, UNKNOWN, consensus).astype(np.int8)
        if scored and len(scored.stages) == len(stages):
            stages[: scored.first] = UNKNOWN
            stages[scored.end :] = UNKNOWN
        return stages

    def start(self, files: Mapping[str, Path]) -> datetime | None:
        """When the file says that it begins, in UTC."""
        with _opened(files["h5"]) as night:
            seconds = night.attrs.get("start_time")
        return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """Whose scoring it is, and how the consensus agrees with the five scorings that are known."""
        consensus, scored = _consensus(files["h5"]), self._scored(files)
        said = [f"scored by {self.variant.replace('_', ' ')}" if self.variant else "the consensus of five scorers"]
        if scored is None:
            return [*said, "no scoring of single people is known"]
        if len(scored.stages) != len(consensus):
            said.append(
                f"its hypnogram has {len(consensus)} epochs, the known scorings {len(scored.stages)}: which epochs all "
                "scored is not known, and all are taken"
            )
            return said
        outside = len(consensus) - (scored.end - scored.first)
        if outside:
            said.append(f"{outside} epochs before and after what all five scored count as unknown")
        both = (consensus != NOT_SCORED) & (scored.stages != NOT_SCORED)
        if both.any():
            share = 100 * (consensus == scored.stages)[both].mean()
            said.append(f"the consensus is the stage of scorer {self._who} in {share:.0f} % of the epochs")
        return said

    @property
    def _who(self) -> int:
        """The scorer whose stages are looked at, the first for the consensus."""
        return self.settings.scorer if self.variant else 1

    def _scored(self, files: Mapping[str, Path]) -> Scored | None:
        """What the scorer gave: from a file of the night, or from the committed scorings; None where nobody knows."""
        if f"scorer_{self._who}" in files:
            stages = read_json_scoring(files[f"scorer_{self._who}"])
            return Scored(stages, 0, len(stages))
        night = files["h5"].stem
        found = _scorings(SCORINGS).get((self.printed, night, f"scorer_{self._who}"))
        if found is None and self.variant:
            raise UnusableError(f"{SCORINGS.name}: has no scoring of {night} by {self.variant}")
        return found

    def simulate(self, recording: Recording, number: int, paths: Mapping[str, Path]) -> None:
        """As `simulation.databases.dod` writes it."""
        from sleepbench.simulation.databases.dod import simulate_dod

        scorers = [paths[f"scorer_{n}"] for n in SCORERS]
        names = list(dict.fromkeys(name for names in self.channels.values() for name in names))
        simulate_dod(paths["h5"], scorers, names, number, self.settings.psg_hours, self.settings.seed)


def read_json_scoring(path: Path) -> np.ndarray:
    """The stages of a file of the scorers, int8 (n_epochs,); BenchmarkError where it is no list of -1 to 4."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: is no scoring ({error}); fetch it again") from error
    if not isinstance(found, list) or any(type(code) is not int or not NOT_SCORED <= code <= REM for code in found):
        raise BenchmarkError(f"{path}: is no list of whole numbers from {NOT_SCORED} to {REM}; fetch it again")
    return np.array(found, dtype=np.int8)


@cache
def _scorings(path: Path) -> dict[tuple[str, str, str], Scored]:
    """The committed scorings, by database, night and scorer."""
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["database"], row["night"], row["scorer"]): Scored(
                from_runs(row["stages"]), int(row["first"]), int(row["end"])
            )
            for row in csv.DictReader(file)
        }


@contextmanager
def _opened(path: Path) -> Any:
    """An HDF5 file; BenchmarkError where it is none, or is not whole."""
    import h5py  # here, because parsing the workflow reads no file

    try:
        with h5py.File(path, "r") as night:
            yield night
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read as HDF5 ({error}); move it away and fetch it again") from error


def _consensus(path: Path) -> np.ndarray:
    """The hypnogram of a file, int8 (n_epochs,), NOT_SCORED where nobody knows."""
    with _opened(path) as night:
        if "hypnogram" not in night:
            raise UnusableError(f"{path}: has no dataset 'hypnogram', only {', '.join(night)}: no consensus is in it")
        found = np.asarray(night["hypnogram"])
    if found.ndim != 1 or not np.isin(found, np.arange(NOT_SCORED, len(STAGES))).all():
        raise BenchmarkError(
            f"{path}: its hypnogram is {found.dtype} {found.shape} with the codes {np.unique(found)[:9]}, expected one "
            f"whole number from {NOT_SCORED} to {len(STAGES) - 1} for each 30 s; it is of another version"
        )
    return found.astype(np.int8)


def _rates(path: Path, night: Any) -> dict[str, float]:
    """The rate of each channel in Hz by its path, from the file's description; from its group where that is silent."""
    try:
        described = json.loads(night.attrs["description"]) if "description" in night.attrs else []
        rates = {one["path"].strip("/"): float(one["fs"]) for one in described}
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"{path}: its description says no rate of a channel ({error!r}), expected a list of 'path' and 'fs'; it is "
            "of another version"
        ) from error
    for name, group in night.get("signals", {}).items():
        if "fs" in group.attrs:
            rates |= {f"signals/{name}/{one}": float(group.attrs["fs"]) for one in group if one not in rates}
    return rates


def _channel(path: Path, night: Any, name: str, rates: Mapping[str, float]) -> tuple[np.ndarray, float]:
    """A channel in microvolts, and its rate in Hz."""
    place = f"signals/{name}"
    if place not in night:
        known = [f"{group}/{one}" for group, channels in night.get("signals", {}).items() for one in channels]
        raise MissingChannelError(f"{path}: has no channel '{name}'; {nearest(name, known)}")
    if place not in rates:
        raise BenchmarkError(f"{path}, channel '{name}': nothing says its rate (fs); it is of another version")
    unit = night[place].parent.attrs.get("unit", "uV")
    unit = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
    if unit not in MICROVOLTS:
        raise BenchmarkError(f"{path}, channel '{name}': its unit is {unit!r}, expected {', '.join(MICROVOLTS)}")
    return MICROVOLTS[unit] * np.asarray(night[place], dtype=np.float64), rates[place]
