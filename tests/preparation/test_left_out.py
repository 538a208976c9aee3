"""Recordings that are left out: the reason goes with them, from preparation or the configuration to every table."""

from pathlib import Path

import numpy as np
import pytest
from edf_files import Nights, receipt_of, recording_of, write_hypnogram, write_night, write_psg

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document
from sleepbench.datasets.base import Dataset, Recording, SourceSettings
from sleepbench.preparation.index import Index, write_index
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.preparation.quality import epochs_in_trimmings, gather_qualities
from sleepbench.preparation.totals import check_totals
from sleepbench.protocols.audit import audit_document, write_fold_file
from sleepbench.protocols.folds import FoldSettings
from sleepbench.reporting.tables import audit

FOLDS = FoldSettings("subject", "kept", validation_subjects=False, seed=0, n_folds=2)


class Lenient(Nights):
    """Nights of which one may lack a channel."""

    leaves_out = True


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four nights of four people; the second has no EMG."""
    first = write_night(tmp_path)
    nights = [Recording(first.id, "a", 1, first.files)]
    for number, who in enumerate("bcd", start=2):
        psg = write_psg(tmp_path / f"SC400{number}E0-PSG.edf", 168, seed=number)
        found = recording_of(psg, write_hypnogram(tmp_path / f"SC400{number}EC-Hypnogram.edf"))
        if who == "b":
            psg.write_bytes(psg.read_bytes().replace(b"EMG submental", b"EMG leg      "))
            found = recording_of(psg, tmp_path / found.file("scoring").name)
        nights.append(Recording(found.id, who, 1, found.files))
    return Lenient(tmp_path, nights)


def indexed(dataset: Dataset, folder: Path) -> Index:
    """The nights prepared and listed, but for those that the configuration leaves out."""
    prepared, receipts = [], []
    for recording in dataset.used():
        receipts.append(folder / "verified" / f"{recording.id}.json")
        write_document(receipts[-1], receipt_of(folder, recording))
        prepared.append(folder / "prepared" / f"{recording.id}.json")
        prepare_recording(dataset, receipt_of(folder, recording), prepared[-1].with_suffix(".npy"))
    return write_index(dataset, prepared, receipts, folder / "recordings.json")


def test_the_reason_is_in_the_index_the_folds_the_totals_the_audit_and_its_table(dataset, tmp_path: Path) -> None:
    dataset.source_settings = SourceSettings(exclude={"SC4003": "fell out of bed"})
    index = indexed(dataset, tmp_path)
    assert [one.id for one in index.recordings] == ["SC4001", "SC4004"] and list(index.excluded) == ["SC4002", "SC4003"]
    assert index.excluded["SC4002"].startswith("SC4002E0-PSG.edf: has no channel 'EMG submental'")
    assert index.excluded["SC4003"] == "fell out of bed"
    folds = tmp_path / "folds.json"
    document = write_fold_file("d", index.recordings, FOLDS, folds, excluded=index.excluded)
    assert document["excluded"] == index.excluded == document["audit"]["recordings_excluded"]
    totals = check_totals(dataset, "standard", folds, index.path, tmp_path / "totals.json")
    assert totals["excluded"] == index.excluded and "left out: SC4002 (SC4002E0-PSG.edf: has no" in totals["reason"]
    row = audit_document(document, index.kept("standard"))
    said = audit.audit_row(dict.fromkeys(audit.ORDER, "x") | row)
    assert said["recordings_excluded"] == 2 and "SC4003: fell out of bed" in said["excluded"]


def test_a_recording_without_a_channel_has_files_without_an_epoch(dataset, tmp_path: Path) -> None:
    index = indexed(dataset, tmp_path)
    assert np.load(tmp_path / "prepared" / "SC4002.npy").shape == (0, len(dataset.montage), 3000)
    qualities = sorted((tmp_path / "prepared").glob("*.quality.json"))
    assert len(qualities) == 4
    assert gather_qualities(qualities, index.recordings, simulated=False).recording.tolist() == [
        *("SC4001", "SC4003", "SC4004"),
    ]
    assert {id for id, _ in epochs_in_trimmings(qualities, simulated=False)} == {"SC4001", "SC4003", "SC4004"}


def test_other_folds_than_the_committed_are_made_where_other_recordings_are_left_out(dataset, tmp_path: Path) -> None:
    committed = tmp_path / "committed.json"
    write_fold_file("d", dataset.recordings(), FOLDS, committed)
    rest = [one for one in dataset.recordings() if one.id != "SC4002"]
    document = write_fold_file("d", rest, FOLDS, tmp_path / "folds.json", committed, {"SC4002": "no EMG"})
    assert "SC4002" not in document["subjects"]
    with pytest.raises(BenchmarkError, match="others would not get the same folds"):
        write_fold_file("d", rest, FOLDS, tmp_path / "x.json", committed)


def test_nothing_is_made_where_every_recording_is_left_out(dataset, tmp_path: Path) -> None:
    dataset.source_settings = SourceSettings(exclude=dict.fromkeys(["SC4001", "SC4003", "SC4004"], "tired"))
    with pytest.raises(
        BenchmarkError, match=r"every recording is left out, expected one or more: SC4001: tired; SC4002:"
    ):
        indexed(dataset, tmp_path)


def test_a_dataset_that_does_not_allow_for_it_refuses_the_file(dataset, tmp_path: Path) -> None:
    strict = Nights(tmp_path, dataset.recordings())
    with pytest.raises(BenchmarkError, match="has no channel 'EMG submental'"):
        indexed(strict, tmp_path)
