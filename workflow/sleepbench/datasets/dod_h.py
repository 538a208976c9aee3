"""DOD-H, the Dreem Open Dataset of healthy sleepers: 25 nights of 25 people, each scored by five (`datasets.dod`)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from sleepbench.datasets.dod import Dod, DodSettings


class DodH(Dod):
    """Mains hum at 50 Hz. O1-M2 is not in the files: it is (F3-M2) - (F3-O1)."""

    printed = "DOD-H"
    table = "dod-h.csv"
    shared_source = "dod-h"
    sleepers = "healthy"
    by_hand = (
        "its files are in the bucket https://dreem-dod-h.s3.eu-west-3.amazonaws.com/ and at Zenodo, record 15900394"
    )
    home = "https://dreem-dod-h.s3.eu-west-3.amazonaws.com/"
    recorded_gb = 22.0
    typical_epochs = 24_665 / 25  # of the committed scorings
    channels: ClassVar[Mapping[str, Sequence[str]]] = {
        "eeg1": ("eeg/F3_M2",),
        "eeg2": ("eeg/F3_M2", "eeg/F3_O1"),
        "eog": ("eog/EOG1", "eog/EOG2"),
        "emg": ("emg/EMG",),
        "eeg3": ("eeg/C3_M2",),
        "emg_raw": ("emg/EMG",),
    }
    montage: ClassVar[Mapping[str, str]] = {
        **{"eeg1": "F3_M2", "eeg2": "F3_M2 - F3_O1", "eog": "EOG1 - EOG2", "emg": "EMG, envelope"},
        **{"eeg3": "C3_M2", "emg_raw": "EMG"},
    }


Settings, DATASET = DodSettings, DodH
