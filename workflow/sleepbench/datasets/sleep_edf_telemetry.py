"""The sleep-telemetry recordings of Sleep-EDF Expanded 1.0.0.

They are nights in hospital of people who fall asleep badly, one after temazepam and one after a placebo, scored by the
rules of Rechtschaffen and Kales. Home, licence and texts are those of the cassette recordings (`sleep_edf_cassette`);
the people are others. What differs: scorings that begin up to 750 s into the night, and an EMG as it was recorded, at
100 Hz, where the cassette's recorder stored its envelope once a second. docs/databases/sleep-edf-st.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from sleepbench.datasets.base import Recording, Signal
from sleepbench.datasets.database import DATABASES, Database, DatabaseSettings
from sleepbench.datasets.edf_montage import read_montage
from sleepbench.datasets.known_epochs import read_known_epochs
from sleepbench.datasets.sleep_edf_cassette import STAGES_BY_TEXT, CassetteFiles
from sleepbench.signals.scoring import read_scoring, scoring_remarks

EMG = "EMG submental"
KNOWN_EPOCHS = DATABASES / "sleep-edf-st.epochs.csv"


class SleepEdfTelemetry(Database, CassetteFiles):
    """The 44 recordings of 22 people."""

    printed = "Sleep-EDF-ST"
    table = "sleep-edf-st.csv"
    folder = "sleep-telemetry"
    subjects_from = "ST-subjects.xls, the official table of the telemetry study (temazepam, 1994)"
    home = "https://physionet-open.s3.amazonaws.com/sleep-edfx/1.0.0/"
    by_hand = "its files are at https://physionet.org/files/sleep-edfx/1.0.0/sleep-telemetry/"
    recorded_gb = 1.12
    resampled_by_epoch: ClassVar[Sequence[str]] = ()
    montage: ClassVar[Mapping[str, str]] = {**CassetteFiles.montage, "emg": f"{EMG}, envelope", "emg_raw": EMG}

    def read_signals(self, files: Mapping[str, Path], roles: Sequence[str]) -> dict[str, Signal]:
        """The channels in microvolts; of the EMG preparation takes the envelope."""
        return read_montage(
            files["psg"], {role: (EMG if role == "emg" else self.montage[role],) for role in roles}, roles
        )

    def read_stages(self, files: Mapping[str, Path]) -> np.ndarray:
        """Placed by seconds from the start of the night; what comes before the scoring is unknown."""
        return read_scoring(files["scoring"], STAGES_BY_TEXT, may_have_gaps=True)

    def remarks(self, files: Mapping[str, Path], roles: Sequence[str]) -> list[str]:
        """Oddities of both files, and of the scoring."""
        channels = [role for role in roles if role != "emg"]
        return [*super().remarks(files, channels), *scoring_remarks(files["scoring"], STAGES_BY_TEXT)]

    @property
    def known_files(self) -> Sequence[Path]:
        """Nothing is known of simulated nights."""
        return () if self.settings.simulated else (KNOWN_EPOCHS,)

    def known_epochs(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """As counted on twelve real hypnograms."""
        return {} if self.settings.simulated else read_known_epochs(KNOWN_EPOCHS)

    def simulate(self, recording: Recording, number: int, paths: Mapping[str, Path]) -> None:
        """As `simulation.databases.telemetry` writes it."""
        from sleepbench.simulation.databases.telemetry import simulate_telemetry

        of_night = recording.id, number, recording.night, self.settings.psg_hours, self.settings.seed
        simulate_telemetry(paths["psg"], paths["scoring"], *of_night)


Settings, DATASET = DatabaseSettings, SleepEdfTelemetry
