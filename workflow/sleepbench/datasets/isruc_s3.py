"""ISRUC-Sleep, subgroup III: one night each of ten healthy people, each scored by two.

It is what the training script that ULW-SleepNet's authors released is set to. A night is N/N.rec, EDF at 200 Hz under
another name, and N/N_1.txt and N/N_2.txt, what two people scored: a line for each 30 s, 0 W, 1 N1, 2 N2, 3 N3 and
5 REM. It is had by hand alone. docs/databases/isruc-s3.md.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from sleepbench.core.errors import BenchmarkError, UnusableError
from sleepbench.core.stages import N1, N2, N3, REM, W
from sleepbench.datasets.base import KnownTotal, Recording, Signal
from sleepbench.datasets.database import DATABASES, Database, DatabaseSettings
from sleepbench.datasets.edf_montage import read_montage
from sleepbench.datasets.known_epochs import read_known_totals
from sleepbench.signals import edf

KNOWN_TOTALS = DATABASES / "isruc-s3.totals.yaml"
STAGES_BY_CODE = {"0": W, "1": N1, "2": N2, "3": N3, "5": REM}
LEFT_OUT = 30
"""Epochs at the end of each scoring that everybody who uses the set leaves out, and who counts 8,589 epochs."""
CHANNELS = {
    "eeg1": ("F4-A1",),
    "eeg2": ("O2-A1",),
    "eog": ("LOC-A2", "ROC-A1"),
    "emg": ("X1",),
    "eeg3": ("C3-A2",),
    "eeg4": ("C4-A1",),
    "eeg5": ("F3-A2",),
    "eeg6": ("O1-A2",),
    "eog_left": ("LOC-A2",),
    "eog_right": ("ROC-A1",),
    "emg_raw": ("X1",),
    "ecg": ("X2",),
}
"""By role the channel in the files, or the two whose difference it is."""
ALIASES = {
    **{f"{site}-A1": (f"{site}-M1",) for site in ("F4", "C4", "O2")},
    **{f"{site}-A2": (f"{site}-M2",) for site in ("F3", "C3", "O1")},
    "LOC-A2": ("E1-M2",),
    "ROC-A1": ("E2-M1",),
}
"""What some of the files call a channel."""


class IsrucSettings(DatabaseSettings):
    """The settings of ISRUC-S3: whose scoring is read."""

    scorer: Annotated[int, Field(ge=1, le=2)] = 1


class IsrucS3(Database):
    """Ten recordings of ten people, with the ten channels that others use."""

    printed = "ISRUC-S3"
    licence = "as its home says; no licence is in the files"
    citation = "S. Khalighi et al., Comput. Methods Programs Biomed. 124:180-192 (2016), doi:10.1016/j.cmpb.2015.10.013"
    table = "isruc-s3.csv"
    shared_source = "isruc-s3"
    terms = "what its home asks for: it is had by hand"
    by_hand = (
        "get the archives 1.rar to 10.rar of subgroup III from https://sleeptight.isr.uc.pt/ and unpack them so that "
        "1/1.rec, 1/1_1.txt and 1/1_2.txt, and so on to 10, are below data.isruc-s3.directory"
    )
    is_pinned = True
    typical_epochs = 8_589 / 10
    montage: ClassVar[Mapping[str, str]] = {
        **{role: " - ".join(labels) for role, labels in CHANNELS.items()},
        "emg": "X1, envelope",
    }

    @property
    def variant(self) -> str:
        """The second scorer; the first is whom everybody takes."""
        return "" if self.settings.scorer == 1 else f"scorer_{self.settings.scorer}"

    def check(self, recording: Recording, files: Mapping[str, Path]) -> None:
        """The signals are whole, and simulated as the dataset is."""
        header = edf.read_header(files["psg"])
        edf.check_complete(files["psg"], header)
        edf.check_has_signals(files["psg"], header)
        self.require_simulated_as_it_is(files["psg"], header.simulated)

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The channels in microvolts, the eyes as a difference too."""
        return read_montage(files["psg"], CHANNELS, roles, ALIASES)

    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """What the scorer gave, without the last 30 epochs.

        UnusableError where the two scorings are not of one length: one of them may begin elsewhere.
        """
        both = {role: read_text_scoring(files[role]) for role in ("scorer_1", "scorer_2")}
        lengths = {files[role].name: len(stages) for role, stages in both.items()}
        if len(set(lengths.values())) > 1:
            said = " and ".join(f"{name} has {n} epochs" for name, n in lengths.items())
            raise UnusableError(f"the two scorings disagree in length: {said}; nobody knows which fits the signals")
        return both[f"scorer_{self.settings.scorer}"][:-LEFT_OUT]

    def start(self, files: Mapping[str, Path]) -> datetime:
        """The start in the header."""
        return edf.read_header(files["psg"]).start

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """Oddities of the signals, whose scoring it is, and how far the two agree."""
        header = edf.read_header(files["psg"])
        said = edf.remarks(files["psg"], header, [])
        one, other = (read_text_scoring(files[role]) for role in ("scorer_1", "scorer_2"))
        agree = 100 * (one == other).mean()
        said.append(f"scored by scorer {self.settings.scorer}; the two scorers agree in {agree:.0f} %")
        said.append(f"the last {LEFT_OUT} epochs of the scoring are left out, as by everybody who uses the set")
        return said

    @property
    def known_files(self) -> Sequence[Path]:
        """Nothing is known of simulated nights, or of the second scorer."""
        return () if self.settings.simulated or self.variant else (KNOWN_TOTALS,)

    def known_totals(self) -> list[KnownTotal]:
        """As others counted them."""
        return [total for path in self.known_files for total in _totals(path)]

    def simulate(self, recording: Recording, number: int, paths: Mapping[str, Path]) -> None:
        """As `simulation.databases.isruc` writes it."""
        from sleepbench.simulation.databases.isruc import simulate_isruc

        scorers = [paths["scorer_1"], paths["scorer_2"]]
        simulate_isruc(paths["psg"], scorers, recording.id, number, self.settings.psg_hours, self.settings.seed)


def read_text_scoring(path: Path) -> np.ndarray:
    """The stages of a text file, int8 (n_epochs,), a line each; BenchmarkError for a line that is no stage."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: cannot be read as text ({error}); fetch it again") from error
    if wrong := [(number, line) for number, line in enumerate(lines, start=1) if line not in STAGES_BY_CODE]:
        number, line = wrong[0]
        raise BenchmarkError(
            f"{path}, epoch {number}: found {line[:20]!r}, expected 0 (W), 1, 2, 3 (N1 to N3) or 5 (REM): it is no "
            "scoring of ISRUC, or of another version"
        )
    if len(lines) <= LEFT_OUT:
        raise BenchmarkError(
            f"{path}: has {len(lines)} epochs, of which the last {LEFT_OUT} are left out; it is cut: fetch it again"
        )
    return np.array([STAGES_BY_CODE[line] for line in lines], dtype=np.int8)


@cache
def _totals(path: Path) -> list[KnownTotal]:
    return read_known_totals(path)


Settings, DATASET = IsrucSettings, IsrucS3
