"""Known totals: the committed numbers, also on the real hypnograms, and the check before training."""

import re
from pathlib import Path

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.recordings import first_subjects, read_recordings
from sleepbench.protocols.folds import FoldSettings, folds_document
from sleepbench.signals.totals import (
    KNOWN_EPOCHS,
    KNOWN_TOTALS,
    RECORDINGS,
    KnownTotal,
    check_totals,
    count_nights,
    read_known_epochs,
    read_known_totals,
    write_known_epochs,
)

TABLE = read_recordings(RECORDINGS)
EPOCHS = read_known_epochs()
RELEASED = FoldSettings("recording_block", "floor", False, 0, 10)
CLEAN = FoldSettings("subject", "all", True, 0, 20)


def total_of(dataset: str, window: str) -> KnownTotal:
    return next(total for total in read_known_totals() if (total.dataset, total.window) == (dataset, window))


def sum_of(recordings: list[str], window: str) -> list[int]:
    return [sum(column) for column in zip(*(EPOCHS[id, window] for id in recordings), strict=True)]


# ------------------------------------------------------------------------------------------------ the committed numbers


def test_known_epochs_are_those_of_the_real_hypnograms(shared: Path, tmp_path: Path) -> None:
    write_known_epochs(count_nights(shared / "sleep-edf" / "hypnograms", TABLE), tmp_path / "known.csv")
    assert (tmp_path / "known.csv").read_bytes() == KNOWN_EPOCHS.read_bytes()


def test_known_epochs_are_of_the_first_nights_in_the_table() -> None:
    ids = [recording.id for recording in TABLE]
    assert [id for id, window in EPOCHS if window == "standard"] == ids[:54]
    assert [id for id, window in EPOCHS if window == "released"] == ids[:45]


@pytest.mark.parametrize("dataset", ["sleep-edf-20", "sleep-edf-78"])
@pytest.mark.parametrize("window", ["standard", "released"])
def test_each_known_total_is_of_exactly_the_recordings_it_names(dataset: str, window: str) -> None:
    total = total_of(dataset, window)
    recordings = first_subjects(TABLE, 20 if dataset == "sleep-edf-20" else None)
    used = [recording.id for recording in recordings]
    if window == "released":
        used = sorted(id for fold in folds_document(dataset, recordings, RELEASED)["folds"] for id in fold["test"])
    assert total.is_of(window, used)
    assert used == [recording.id for recording in TABLE if total.first <= recording.id <= total.last]
    assert not total.is_of(window, used[1:]) and not total.is_of(window, [*used[1:], "SC4999"])


@pytest.mark.parametrize("window", ["standard", "released"])
def test_known_epochs_sum_to_the_known_totals_of_sleep_edf_20(window: str) -> None:
    total = total_of("sleep-edf-20", window)
    ids = [recording.id for recording in TABLE if total.first <= recording.id <= total.last]
    assert sum_of(ids, window) == list(total.counts)


@pytest.mark.parametrize("dataset, folds, size", [("sleep-edf-20", 10, 3), ("sleep-edf-78", 3, 15)])
def test_known_epochs_sum_to_the_known_folds(dataset: str, folds: int, size: int) -> None:
    ids = [recording.id for recording in TABLE]
    sizes = [sum(sum_of(ids[fold * size : (fold + 1) * size], "released")) for fold in range(folds)]
    assert sizes == total_of(dataset, "released").folds["epochs"][:folds]


# ------------------------------------------------------------------------------------------------------------ the check


class Prepared:
    """A folder of X.json files with the known epochs, and a fold file."""

    def __init__(self, folder: Path, n_recordings: int, settings: FoldSettings, simulated: bool = False) -> None:
        self.recordings = TABLE[:n_recordings]
        self.folds, self.output, self.simulated = folder / "folds.json", folder / "totals.json", simulated
        write_json(self.folds, folds_document("d", self.recordings, settings))
        self.paths = [folder / f"{recording.id}.json" for recording in self.recordings]
        for path in self.paths:
            windows = {
                window: self._counts(EPOCHS.get((path.stem, window), (10, 1, 1, 1, 1)))
                for window in ("standard", "released")
            }
            write_json(path, {"recording": path.stem, "simulated": simulated, "windows": windows})

    @staticmethod
    def _counts(counts: tuple[int, ...]) -> dict[str, int]:
        return {"epochs": sum(counts), **dict(zip(STAGES, counts, strict=True))}

    def change(self, id: str, window: str, **more: int) -> None:
        path = self.folds.parent / f"{id}.json"
        summary = read_json(path)
        for stage, number in more.items():
            summary["windows"][window][stage] += number
            summary["windows"][window]["epochs"] += number
        write_json(path, summary)

    def check(self, window: str, simulated: bool | None = None, **known: Path) -> dict:
        simulated = self.simulated if simulated is None else simulated
        return check_totals("d", window, self.folds, self.paths, simulated, self.output, **known)


def test_the_standard_total_of_sleep_edf_20(tmp_path: Path) -> None:
    result = Prepared(tmp_path, 39, CLEAN).check("standard")
    assert result == read_json(tmp_path / "totals.json")
    assert result["known"] is True and result["verdict"] == "as known"
    assert result["found"] == result["expected"]
    assert result["found"] == {"epochs": 42308, "W": 8285, "N1": 2804, "N2": 17799, "N3": 5703, "REM": 7717}
    assert list(result["found_by_recording"]) == result["recordings"]
    nights = result["found_by_recording"].values()
    assert {name: sum(night[name] for night in nights) for name in result["found"]} == result["found"]
    assert len(result["recordings"]) == result["recordings_known_by_themselves"] == 39
    assert "known_totals.yaml" in result["source"] and "39 real hypnograms" in result["source"]


def test_the_released_total_is_of_the_recordings_that_are_tested(tmp_path: Path) -> None:
    result = Prepared(tmp_path, 39, RELEASED).check("released")
    assert len(result["recordings"]) == 30 and result["found"]["epochs"] == 32843


def test_other_sets_are_held_against_the_sum_of_their_recordings(tmp_path: Path) -> None:
    result = Prepared(tmp_path, 4, FoldSettings("subject", "all", False, 0, 2)).check("standard")
    assert result["known"] is True and result["found"]["epochs"] == 841 + 1127 + 1103 + 1186
    assert "known_epochs.csv" in result["source"]


def test_a_night_that_differs_is_named(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 39, CLEAN)
    prepared.change("SC4011", "standard", N1=-1, W=3)
    with pytest.raises(BenchmarkError, match="d, window standard: the 39 prepared recordings do not hold") as caught:
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
    prepared.change("SC4151", "released", W=100)
    with pytest.raises(BenchmarkError, match="fold 9, SC4141 to SC4151: 3008 epochs, expected 2908"):
        prepared.check("released")


def test_a_total_that_differs_where_no_known_night_does(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="recordings that are known by themselves are all as known") as caught:
        Prepared(tmp_path, 153, RELEASED).check("released")
    message = str(caught.value)
    assert "the 45 recordings that" in message and "of these 105 recordings nothing is known by themselves" in message
    assert re.search(r"SC4231 found +\d+", message) and re.search(r"difference +-?\d+", message)
    assert "fold 3, " in message and "fold 2, " not in message


def test_where_nothing_is_known_the_result_says_so(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 60, FoldSettings("subject", "all", False, 0, 10))
    result = prepared.check("standard")
    assert result["known"] is False and "expected" not in result
    assert result["reason"] == "no total is known of these 60 recordings in the standard window"
    assert result["verdict"] == "not testable; the 54 recordings known by themselves are as known"
    prepared.change("SC4021", "standard", REM=1)
    with pytest.raises(BenchmarkError, match=r"no total is known[\s\S]*SC4021 expected"):
        prepared.check("standard")


def test_nothing_is_known_of_simulated_recordings(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 39, CLEAN, simulated=True)
    prepared.change("SC4011", "standard", N1=-1)
    result = prepared.check("standard")
    assert (result["known"], result["reason"]) == (False, "simulated")
    with pytest.raises(BenchmarkError, match=r"SC4001.json: says simulated: True, but simulated: False"):
        prepared.check("standard", simulated=False)


def test_prepared_files_that_are_wrong(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 4, FoldSettings("subject", "all", False, 0, 2))
    with pytest.raises(BenchmarkError, match=r"SC4001.json: does not describe a prepared recording with a window 'al"):
        prepared.check("all")
    last = prepared.paths.pop()
    with pytest.raises(BenchmarkError, match="the folds use recordings that are not prepared: SC4012"):
        prepared.check("standard")
    prepared.paths.append(last)
    summary = read_json(last)
    summary["windows"]["standard"]["W"] += 1
    write_json(last, summary)
    with pytest.raises(BenchmarkError, match=r"SC4012.json: the stages sum to 1187, not to 1186"):
        prepared.check("standard")
    last.unlink()
    with pytest.raises(BenchmarkError, match=r"SC4012.json: does not describe"):
        prepared.check("standard")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("epochs: 42308", "epochs: 42309", "counts and folds sum to .42308., not to 42309"),
        ("2908]", "2909]", r"counts and folds sum to .32843, 32844., not to 32843"),
        ("  window: standard\n", "", "not a known total .KeyError.'window'"),
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
