"""Count the epochs of Sleep-EDF's recordings on their real hypnograms.

The counts are workflow/resources/known_epochs.csv.

python tools/known_epochs.py HYPNOGRAMS counts those whose hypnogram is in a folder; no PSG is needed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sleepbench.core.stages import EPOCH_SECONDS, STAGES, UNKNOWN
from sleepbench.datasets.base import Recording
from sleepbench.datasets.known_epochs import Counts, write_known_epochs
from sleepbench.datasets.recordings_table import read_recordings
from sleepbench.datasets.sleep_edf_cassette import KNOWN_EPOCHS, OFFICIAL_TABLE, STAGES_BY_TEXT, SleepEdfCassette
from sleepbench.signals.scoring import read_annotations, read_scoring
from sleepbench.signals.trimming import select_trimming

OUTLASTING = {"SC4012": 2880}
"""Epochs of the signals that outlast their scoring; the other signals end where the last "Sleep stage ?" begins."""
LAST_AUTHORS = "SC4222"
"""The last recording whose count by the authors' trimming is known by itself.

That trimming depends on where the signal ends. Without the signal its end is inferred from the hypnogram, and counts
made so are known to be right only as far as they add up to published ones: in Sleep-EDF-20, and in the first three
folds of the protocol `released` on Sleep-EDF-78. The standard trimming does not depend on it, unless a signal ends
within half an hour of sleep.
"""


def stages_of_night(hypnogram: Path, recording: str) -> np.ndarray:
    """Stages of a real hypnogram, as long as its signal, without reading the signal."""
    scored = read_scoring(hypnogram, STAGES_BY_TEXT)
    unknown = [
        onset for onset, _, text in read_annotations(hypnogram, STAGES_BY_TEXT) if STAGES_BY_TEXT[text] == UNKNOWN
    ]
    n_epochs = OUTLASTING.get(recording, round(max(unknown) / EPOCH_SECONDS) if unknown else len(scored))
    return scored[:n_epochs]


def count_nights(hypnograms: Path, recordings: Sequence[Recording]) -> dict[tuple[str, str], Counts]:
    """(recording, trimming) -> epochs by stage, of the recordings whose hypnogram is in the folder."""
    counts = {}
    for recording in sorted(recordings):
        path = Path(hypnograms) / recording.file("scoring").name
        if path.exists():
            stages = stages_of_night(path, recording.id)
            for trimming in SleepEdfCassette.trimmings:
                if trimming == "standard" or recording.id <= LAST_AUTHORS:
                    kept = stages[select_trimming(stages, trimming)]
                    counts[recording.id, trimming] = tuple(np.bincount(kept, minlength=len(STAGES)).tolist())
    return counts


if __name__ == "__main__":
    write_known_epochs(count_nights(Path(sys.argv[1]), read_recordings(OFFICIAL_TABLE)), KNOWN_EPOCHS)
