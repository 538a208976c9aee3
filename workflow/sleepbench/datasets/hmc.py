"""The sleep staging database of the Haaglanden Medisch Centrum (HMC), version 1.1.

They are nights of people who were sent to a sleep centre, scored by the rules of the AASM in epochs of 30 s. A night is
a PSG, EDF at 256 Hz, and its scoring, EDF+ of annotations; annotations of the lights lie between them. PhysioNet
publishes the SHA-256 of all files in a list, which is fetched first and kept. docs/databases/hmc.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, write_text
from sleepbench.core.stages import N1, N2, N3, REM, UNKNOWN, W
from sleepbench.datasets.base import Recording, Signal, SourceFile
from sleepbench.datasets.database import Database, DatabaseSettings
from sleepbench.datasets.edf_montage import read_montage
from sleepbench.signals import edf
from sleepbench.signals.scoring import read_scoring, scoring_remarks

CHECKSUMS = "SHA256SUMS.txt"
"""The list of the whole database, beside the folder of the recordings."""
STAGES_BY_TEXT = {
    **{"Sleep stage W": W, "Sleep stage N1": N1, "Sleep stage N2": N2, "Sleep stage N3": N3, "Sleep stage R": REM},
    "Sleep stage ?": UNKNOWN,
}
IGNORED = ("Lights off", "Lights on")
"""What annotations that say no stage begin with; "@@" and the name of a channel, any of many, are behind it."""
CHANNELS = {
    "eeg1": ("EEG F4-M1",),
    "eeg2": ("EEG O2-M1",),
    "eog": ("EOG E1-M2", "EOG E2-M2"),
    "emg": ("EMG chin",),
    "eeg3": ("EEG C4-M1",),
    "eeg4": ("EEG C3-M2",),
    "emg_raw": ("EMG chin",),
}
"""By role the channel in the files, or the two whose difference it is."""


class Hmc(Database):
    """151 recordings, one of each person."""

    printed = "HMC"
    licence = "Creative Commons Attribution 4.0 (CC BY 4.0)"
    citation = (
        "D. Alvarez-Estevez, R. M. Rijsman, PLoS ONE 16(8):e0256111 (2021); Haaglanden Medisch Centrum sleep staging "
        "database 1.1, PhysioNet; A. L. Goldberger et al., Circulation 101(23) (2000)"
    )
    table = "hmc.csv"
    folder = "recordings"
    home = "https://physionet-open.s3.amazonaws.com/hmc-sleep-staging/1.1/"
    by_hand = "its files are at https://physionet.org/content/hmc-sleep-staging/1.1/"
    is_pinned = True
    recorded_gb = 15.7
    typical_epochs = 137_243 / 151  # scored epochs, as others count them
    montage: ClassVar[Mapping[str, str]] = {
        **{role: " - ".join(labels) for role, labels in CHANNELS.items()},
        "emg": "EMG chin, envelope",
    }

    def with_known_checksums(self, recording: Recording, directory: Path) -> Recording:
        """Those of PhysioNet's list, which is fetched where it is not there, and kept: it is pinned at first use."""
        from sleepbench.datasets.download import fetch_files, read_checksums

        base_url = self.base_url
        if not (base_url or (Path(directory) / CHECKSUMS).exists()):
            return recording
        whole = Recording("list of checksums", "", 1, (SourceFile("list", CHECKSUMS),))
        listed = read_checksums(Path(fetch_files(whole, directory, base_url, pin=True)["list"]["path"]))
        known = {name.rsplit("/", 1)[-1]: sha256 for name, sha256 in listed.items()}
        if missing := [file.name for file in recording.files if file.name not in known]:
            raise BenchmarkError(
                f"{Path(directory) / CHECKSUMS}: does not list {' and '.join(missing)}, expected the list of version "
                "1.1: it is of another version; move it away, and set base_url to the folder of version 1.1"
            )
        return replace(recording, files=tuple(replace(file, sha256=known[file.name]) for file in recording.files))

    def write_home(self, directory: Path) -> None:
        """PhysioNet's list of checksums."""
        files = sorted((directory / self.folder).glob("*.edf"))
        lines = (f"{sha256_of_file(path)} {self.folder}/{path.name}\n" for path in files)
        write_text(directory / CHECKSUMS, "".join(lines))

    def check(self, recording: Recording, files: Mapping[str, Path]) -> None:
        """Both files are whole, belong together, and are simulated as the dataset is."""
        headers = {role: edf.read_header(path) for role, path in files.items()}
        edf.check_complete(files["psg"], headers["psg"])
        edf.check_has_signals(files["psg"], headers["psg"])
        for role, header in headers.items():
            self.require_simulated_as_it_is(files[role], header.simulated)
        if headers["psg"].start != headers["scoring"].start:
            raise BenchmarkError(
                f"{files['scoring']}: begins at {headers['scoring'].start}, its PSG {files['psg'].name} at "
                f"{headers['psg'].start}; they must begin together"
            )

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The channels in microvolts, the eyes as the difference of two."""
        return read_montage(files["psg"], CHANNELS, roles)

    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """By the rules of the AASM; what nobody scored is unknown."""
        return read_scoring(files["scoring"], STAGES_BY_TEXT, IGNORED, may_have_gaps=True)

    def start(self, files: Mapping[str, Path]) -> datetime:
        """The start in the PSG's header."""
        return edf.read_header(files["psg"]).start

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """Oddities of both files, and of the scoring."""
        labels = list(dict.fromkeys(label for role in roles for label in CHANNELS[role]))
        said = edf.remarks(files["psg"], edf.read_header(files["psg"]), labels)
        said += edf.remarks(files["scoring"], edf.read_header(files["scoring"]), [])
        return said + scoring_remarks(files["scoring"], STAGES_BY_TEXT, IGNORED)

    def simulate(self, recording: Recording, number: int, paths: Mapping[str, Path]) -> None:
        """As `simulation.databases.hmc` writes it."""
        from sleepbench.simulation.databases.hmc import simulate_hmc

        settings = self.settings
        simulate_hmc(paths["psg"], paths["scoring"], recording.id, number, settings.psg_hours, settings.seed)


Settings, DATASET = DatabaseSettings, Hmc
