"""The check of prepared recordings against what is known of their epochs, before training."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from edf_files import receipt_of

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, write_document
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel, Recording
from sleepbench.datasets.known_epochs import read_known_epochs
from sleepbench.datasets.recordings_table import read_recordings
from sleepbench.datasets.sleep_edf_cassette import KNOWN_EPOCHS, OFFICIAL_TABLE, SleepEdfCassette, SleepEdfSettings
from sleepbench.preparation.index import write_index
from sleepbench.preparation.totals import check_totals
from sleepbench.protocols.folds import FoldSettings, folds_document
from sleepbench.signals.trimming import TRIMMINGS

TABLE = read_recordings(OFFICIAL_TABLE)
EPOCHS = read_known_epochs(KNOWN_EPOCHS)
RELEASED = FoldSettings("recording_block", "dropped", False, 0, 10)
CLEAN = FoldSettings("subject", "kept", True, 0, 20)


class Prepared:
    """An index of recordings with the known epochs, and a fold file."""

    def __init__(self, folder: Path, n_recordings: int, settings: FoldSettings, simulated: bool = False) -> None:
        chosen = Chosen("d", SleepEdfSettings(subjects=78), None)
        chosen.chosen, chosen.simulated = TABLE[:n_recordings], simulated
        self.dataset, self.folder = chosen, folder
        self.output = folder / "totals.json"
        self.paths, self.receipts = [], []
        write_document(folder / "folds.json", folds_document("d", chosen.chosen, settings))
        for recording in chosen.chosen:
            kept = {
                trimming: self._counts(EPOCHS.get((recording.id, trimming), (10, 1, 1, 1, 1))) for trimming in TRIMMINGS
            }
            self.paths.append(folder / f"{recording.id}.json")
            summary = {"recording": recording.id, "simulated": simulated, "trimmings": kept, "sha256": {}}
            sources = {file.role: {"file": file.name, "sha256": file.sha256} for file in recording.files}
            write_document(self.paths[-1], summary | {"sources": sources})
            self.receipts.append(folder / f"{recording.id}.receipt.json")
            write_document(self.receipts[-1], receipt_of(folder, recording))

    @staticmethod
    def _counts(counts: tuple[int, ...]) -> dict[str, int]:
        return {"epochs": sum(counts), **dict(zip(STAGES, counts, strict=True))}

    def change(self, id: str, trimming: str, **more: int) -> None:
        path = self.folder / f"{id}.json"
        summary = read_document(path)
        for stage, number in more.items():
            summary["trimmings"][trimming][stage] += number
            summary["trimmings"][trimming]["epochs"] += number
        write_document(path, summary)

    def check(self, trimming: str) -> dict:
        write_index(self.dataset, self.paths, self.receipts, self.folder / "recordings.json")
        return check_totals(
            self.dataset, trimming, self.folder / "folds.json", self.folder / "recordings.json", self.output
        )


class Chosen(SleepEdfCassette):
    """Some recordings of Sleep-EDF, with all that is known of it."""

    chosen: Sequence[Recording] = ()
    simulated = False

    @property
    def label(self) -> DataLabel:
        return DataLabel(self.name, "chosen", simulated=self.simulated)

    def recordings(self) -> list[Recording]:
        return list(self.chosen)


def test_the_standard_total_of_sleep_edf_20(tmp_path: Path) -> None:
    result = Prepared(tmp_path, 39, CLEAN).check("standard")
    assert result == read_document(tmp_path / "totals.json")
    assert result["known"] is True and result["verdict"] == "as known"
    assert result["found"] == result["expected"]
    assert result["found"] == {"epochs": 42308, "W": 8285, "N1": 2804, "N2": 17799, "N3": 5703, "REM": 7717}
    assert list(result["found_by_recording"]) == result["recordings"]
    nights = result["found_by_recording"].values()
    assert {name: sum(night[name] for night in nights) for name in result["found"]} == result["found"]
    assert len(result["recordings"]) == result["recordings_known_by_themselves"] == 39
    assert "DeepSleepNet" in result["source"] and "39 real hypnograms" in result["source"]


def test_the_authors_total_is_of_the_recordings_that_are_tested(tmp_path: Path) -> None:
    result = Prepared(tmp_path, 39, RELEASED).check("authors")
    assert len(result["recordings"]) == 30 and result["found"]["epochs"] == 32843


def test_other_sets_are_checked_against_the_sum_of_their_recordings(tmp_path: Path) -> None:
    result = Prepared(tmp_path, 4, FoldSettings("subject", "kept", False, 0, 2)).check("standard")
    assert result["known"] is True and result["found"]["epochs"] == 841 + 1127 + 1103 + 1186
    assert result["source"] == "the sum of its recordings, each of which is known by itself"


def test_a_night_that_differs_is_named(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 39, CLEAN)
    prepared.change("SC4011", "standard", N1=-1, W=3)
    with pytest.raises(BenchmarkError, match="d, trimming standard: the 39 prepared recordings do not hold") as caught:
        prepared.check("standard")
    lines = [line.split() for line in str(caught.value).splitlines()]
    assert ["found", "42310", "8288", "2803", "17799", "5703", "7717"] in lines
    assert ["expected", "42308", "8285", "2804", "17799", "5703", "7717"] in lines
    assert ["SC4011", "found", "1105", *map(str, (160, 108, 562, 105, 170))] in lines
    assert ["SC4011", "expected", "1103", *map(str, (157, 109, 562, 105, 170))] in lines
    assert "SC4012" not in str(caught.value) and "Nothing is trained on them" in str(caught.value)
    assert not prepared.output.exists()


def test_differences_that_cancel_out_are_found(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 39, CLEAN)
    prepared.change("SC4011", "standard", N1=-1)
    prepared.change("SC4021", "standard", N1=1)
    with pytest.raises(BenchmarkError, match=r"SC4011 found[\s\S]*SC4021 found"):
        prepared.check("standard")


def test_a_fold_that_differs_is_named(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 39, RELEASED)
    prepared.change("SC4151", "authors", W=100)
    with pytest.raises(BenchmarkError, match="fold 9, SC4141 to SC4151: 3008 epochs, expected 2908"):
        prepared.check("authors")


def test_a_total_that_differs_where_no_known_night_does(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="recordings that are known by themselves are all as known") as caught:
        Prepared(tmp_path, 153, RELEASED).check("authors")
    message = str(caught.value)
    assert "the 45 recordings that" in message and "of these 105 recordings nothing is known by themselves" in message
    assert re.search(r"SC4231 found +\d+", message) and re.search(r"difference +-?\d+", message)
    assert "fold 3, " in message and "fold 2, " not in message


def test_where_nothing_is_known_the_result_says_so(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 60, FoldSettings("subject", "kept", False, 0, 10))
    result = prepared.check("standard")
    assert result["known"] is False and "expected" not in result
    assert result["reason"] == "no total is known of these 60 recordings with the standard trimming"
    assert result["verdict"] == "not testable; the 54 recordings known by themselves are as known"
    prepared.change("SC4021", "standard", REM=1)
    with pytest.raises(BenchmarkError, match=r"no total is known[\s\S]*SC4021 expected"):
        prepared.check("standard")


def test_nothing_is_known_of_simulated_recordings(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 39, CLEAN, simulated=True)
    prepared.change("SC4011", "standard", N1=-1)
    result = prepared.check("standard")
    assert (result["known"], result["reason"]) == (False, "simulated")
    prepared.dataset.simulated = False
    with pytest.raises(BenchmarkError, match=r"SC4001.json: says simulated: True, but simulated: False"):
        prepared.check("standard")


def test_recordings_and_trimmings_that_are_not_prepared(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 4, FoldSettings("subject", "kept", False, 0, 2))
    with pytest.raises(BenchmarkError, match="the trimming is 'all'; the nearest"):
        prepared.check("all")
    prepared.dataset.chosen = TABLE[:3]
    with pytest.raises(
        BenchmarkError, match=r"recordings.json: the folds use recordings that are not prepared: SC4012"
    ):
        prepared.check("standard")
