"""The epochs of real hypnograms, counted again."""

from pathlib import Path

import numpy as np
import pytest
from known_epochs import count_nights, stages_of_night

from sleepbench.datasets.known_epochs import read_known_epochs, write_known_epochs
from sleepbench.datasets.recordings_table import read_recordings
from sleepbench.datasets.sleep_edf_cassette import KNOWN_EPOCHS, OFFICIAL_TABLE, STAGES_BY_TEXT
from sleepbench.signals.scoring import read_scoring
from sleepbench.signals.trimming import select_trimming

TABLE = read_recordings(OFFICIAL_TABLE)


@pytest.fixture(scope="module")
def hypnograms(shared: Path) -> Path:
    return shared / "sleep-edf" / "hypnograms"


@pytest.fixture(scope="module")
def sleep_edf_20(hypnograms: Path) -> dict[str, np.ndarray]:
    """Stages of the 39 recordings of subjects 00 to 19, as long as the signal."""
    young = [recording for recording in TABLE if recording.subject <= "19"]
    return {one.id: stages_of_night(hypnograms / one.file("scoring").name, one.id) for one in young}


def test_committed_epochs_are_those_of_the_real_hypnograms(hypnograms: Path, tmp_path: Path) -> None:
    known = {id for id, _ in read_known_epochs(KNOWN_EPOCHS)}
    write_known_epochs(count_nights(hypnograms, [one for one in TABLE if one.id in known]), tmp_path / "known.csv")
    assert (tmp_path / "known.csv").read_bytes() == KNOWN_EPOCHS.read_bytes()


def test_the_standard_trimming_of_sleep_edf_20(sleep_edf_20: dict[str, np.ndarray]) -> None:
    counts = sum(
        np.bincount(stages[select_trimming(stages, "standard")], minlength=5) for stages in sleep_edf_20.values()
    )
    assert len(sleep_edf_20) == 39
    assert counts.tolist() == [8285, 2804, 17799, 5703, 7717] and counts.sum() == 42308


def test_the_authors_trimming_of_sleep_edf_20(sleep_edf_20: dict[str, np.ndarray]) -> None:
    kept = [stages[select_trimming(stages, "authors")] for stages in list(sleep_edf_20.values())[:30]]
    folds = [sum(map(len, kept[first : first + 3])) for first in range(0, 30, 3)]
    assert folds == [3071, 4299, 3098, 3118, 2835, 3461, 3443, 2822, 3788, 2908]
    assert np.bincount(np.concatenate(kept)).tolist() == [7281, 2225, 13494, 4152, 5691]


def test_a_signal_that_outlasts_its_scoring(sleep_edf_20: dict[str, np.ndarray]) -> None:
    stages = sleep_edf_20["SC4012"]
    assert len(stages) == 2880
    assert len(select_trimming(stages, "authors")) == 2265
    assert len(select_trimming(stages, "standard")) < 1300


def test_every_real_cassette_hypnogram_covers_the_day(hypnograms: Path) -> None:
    files = sorted(hypnograms.glob("SC*.edf"))
    assert len(files) >= 54
    assert {len(read_scoring(path, STAGES_BY_TEXT)) for path in files} == {2880}
