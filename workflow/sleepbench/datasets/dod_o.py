"""DOD-O, the Dreem Open Dataset of people with sleep apnoea: 55 scored nights, each by five people (`datasets.dod`)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from sleepbench.datasets.dod import Dod, DodSettings

WITHOUT_CONSENSUS = "5d8e93a5-d26a-436d-bc2c-e9527dc92cbf"


class DodO(Dod):
    """Mains hum at 60 Hz. One night of 56 has neither scorings nor consensus, and is left out."""

    printed = "DOD-O"
    table = "dod-o.csv"
    shared_source = "dod-o"
    sleepers = "sleep apnoea"
    by_hand = (
        "its files are in the bucket https://dreem-dod-o.s3.eu-west-3.amazonaws.com/ and at Zenodo, record 15900394"
    )
    home = "https://dreem-dod-o.s3.eu-west-3.amazonaws.com/"
    recorded_gb = 36.0
    typical_epochs = 53_236 / 55  # of the committed scorings
    channels: ClassVar[Mapping[str, Sequence[str]]] = {
        "eeg1": ("eeg/F3_M2",),
        "eeg2": ("eeg/O1_M2",),
        "eog": ("eog/EOG1", "eog/EOG2"),
        "emg": ("emg/EMG",),
        "eeg3": ("eeg/C3_M2",),
        "eeg4": ("eeg/C4_M1",),
        "emg_raw": ("emg/EMG",),
    }
    montage: ClassVar[Mapping[str, str]] = {
        **{"eeg1": "F3_M2", "eeg2": "O1_M2", "eog": "EOG1 - EOG2", "emg": "EMG, envelope"},
        **{"eeg3": "C3_M2", "eeg4": "C4_M1", "emg_raw": "EMG"},
    }

    def excluded(self) -> dict[str, str]:
        """Those of the configuration, and the night that nobody scored."""
        nobody = {WITHOUT_CONSENSUS: "five people scored every other night; this one has no scoring and no consensus"}
        mine = {recording.id for recording in self.recordings()}
        return {**{id: reason for id, reason in nobody.items() if id in mine}, **super().excluded()}


Settings, DATASET = DodSettings, DodO
