"""What is known of Sleep-EDF's epochs: the committed numbers agree, and files that do not are refused."""

from pathlib import Path

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import KnownTotal
from sleepbench.datasets.known_epochs import read_known_epochs, read_known_totals
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import KNOWN_EPOCHS, KNOWN_TOTALS, OFFICIAL_TABLE
from sleepbench.protocols.folds import FoldSettings, folds_document

TABLE = read_recordings(OFFICIAL_TABLE)
EPOCHS = read_known_epochs(KNOWN_EPOCHS)
RELEASED = FoldSettings("recording_block", "dropped", False, 0, 10)


def total_of(dataset: str, trimming: str) -> KnownTotal:
    totals = read_known_totals(KNOWN_TOTALS)
    return next(total for total in totals if (total.dataset, total.trimming) == (dataset, trimming))


def sum_of(recordings: list[str], trimming: str) -> list[int]:
    return [sum(column) for column in zip(*(EPOCHS[id, trimming] for id in recordings), strict=True)]


def test_known_epochs_are_of_the_first_nights_in_the_table() -> None:
    ids = [recording.id for recording in TABLE]
    assert [id for id, trimming in EPOCHS if trimming == "standard"] == ids[:54]
    assert [id for id, trimming in EPOCHS if trimming == "authors"] == ids[:45]


@pytest.mark.parametrize("dataset", ["sleep-edf-20", "sleep-edf-78"])
@pytest.mark.parametrize("trimming", ["standard", "authors"])
def test_each_known_total_is_of_exactly_the_recordings_it_names(dataset: str, trimming: str) -> None:
    total = total_of(dataset, trimming)
    recordings = first_subjects(TABLE, 20 if dataset == "sleep-edf-20" else None)
    used = [recording.id for recording in recordings]
    if trimming == "authors":
        used = sorted(id for fold in folds_document(dataset, recordings, RELEASED)["folds"] for id in fold["test"])
    assert total.covers(trimming, used)
    assert used == [recording.id for recording in TABLE if total.first <= recording.id <= total.last]
    assert not total.covers(trimming, used[1:]) and not total.covers(trimming, [*used[1:], "SC4999"])


@pytest.mark.parametrize("trimming", ["standard", "authors"])
def test_known_epochs_sum_to_the_known_totals_of_sleep_edf_20(trimming: str) -> None:
    total = total_of("sleep-edf-20", trimming)
    ids = [recording.id for recording in TABLE if total.first <= recording.id <= total.last]
    assert sum_of(ids, trimming) == list(total.counts)


@pytest.mark.parametrize("dataset, folds, size", [("sleep-edf-20", 10, 3), ("sleep-edf-78", 3, 15)])
def test_known_epochs_sum_to_the_known_folds(dataset: str, folds: int, size: int) -> None:
    ids = [recording.id for recording in TABLE]
    sizes = [sum(sum_of(ids[fold * size : (fold + 1) * size], "authors")) for fold in range(folds)]
    assert sizes == total_of(dataset, "authors").folds["epochs"][:folds]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("epochs: 42308", "epochs: 42309", "counts and folds sum to .42308., not to 42309"),
        ("2908]", "2909]", r"counts and folds sum to .32843, 32844., not to 32843"),
        ("  trimming: standard\n", "", "not a known total .KeyError.'trimming'"),
    ],
)
def test_known_totals_must_add_up(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "known_totals.yaml"
    path.write_text(KNOWN_TOTALS.read_text().replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=f"known_totals.yaml: .*{message}"):
        read_known_totals(path)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("841,188", "841,189", "line 2: the stages sum to 842, not to 841"),
        ("841,188", "841,x", "line 2: not counts of epochs"),
        ("epochs,W", "n,W", "the columns are"),
    ],
)
def test_known_epochs_must_add_up(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "known_epochs.csv"
    path.write_text(KNOWN_EPOCHS.read_text().replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=f"known_epochs.csv.*{message}"):
        read_known_epochs(path)
