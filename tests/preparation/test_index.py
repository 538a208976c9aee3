"""The index of a dataset: what folds, totals, trainings and tables read of its prepared recordings."""

import csv
from pathlib import Path

import pytest
from edf_files import Nights, prepare_night, receipt_of, recording_of, write_hypnogram, write_night, write_psg

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, write_document
from sleepbench.datasets.base import Recording
from sleepbench.preparation.index import read_index, write_index
from sleepbench.preparation.prepared import load_prepared


class Prepared:
    """Two prepared nights of two people, and their index."""

    def __init__(self, folder: Path):
        self.folder, self.output = folder, folder / "results" / "recordings.json"
        first = write_night(folder)
        files = write_psg(folder / "SC4002E0-PSG.edf", 168, seed=2), write_hypnogram(folder / "SC4002EC-Hypnogram.edf")
        second = recording_of(*files)
        self.recordings = [first, Recording(second.id, "01", 2, second.files, group="young")]
        self.dataset = Nights(folder, self.recordings)
        for recording in self.recordings:
            prepare_night(folder, recording)
            write_document(self.receipt(recording.id), receipt_of(folder, recording))

    def receipt(self, id: str) -> Path:
        return self.folder / "verified" / f"{id}.json"

    def description(self, id: str) -> Path:
        return self.folder / "prepared" / f"{id}.json"

    def write(self, *ids: str):
        ids = ids or tuple(recording.id for recording in self.recordings)
        receipts = [self.receipt(recording.id) for recording in self.recordings]
        return write_index(self.dataset, [self.description(id) for id in ids], receipts, self.output)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return Prepared(tmp_path)


def test_the_index_has_all_that_is_asked_of_prepared_recordings(prepared: Prepared) -> None:
    index = prepared.write()
    assert index == read_index(prepared.output) and (index.dataset, index.simulated) == ("nights", False)
    assert [(r.id, r.subject, r.night, r.age, r.sex, r.group) for r in index.recordings] == [
        ("SC4001", "00", 1, 33, "F", None),
        ("SC4002", "01", 2, None, None, "young"),
    ]
    assert [file.sha256 for file in index.recordings[0].files] == [f.sha256 for f in prepared.recordings[0].files]
    assert index.kept("standard")["SC4001"] == {"epochs": 137, "W": 120, "N1": 2, "N2": 5, "N3": 6, "REM": 4}
    assert index.kept("authors")["SC4002"]["epochs"] == 147
    assert load_prepared(index.prepared["SC4002"]).id == "SC4002"
    assert index.sources["SC4001"]["psg"] == prepared.folder / "SC4001E0-PSG.edf"
    for name, sha256 in index.prepared["SC4001"].sha256.items():
        assert sha256_of_file(prepared.folder / "prepared" / name) == sha256
    assert set(index.prepared["SC4001"].sha256) == {
        f"SC4001.{end}" for end in ("npy", "epochs.csv", "quality.json", "json")
    }


def test_people_read_it_as_a_table(prepared: Prepared) -> None:
    prepared.write()
    with prepared.output.with_suffix(".csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["recording"], first["subject"], first["night"], first["age"]) == ("SC4001", "00", "1", "33")
    assert (second["age"], second["group"]) == ("", "young")
    assert (first["standard_epochs"], first["authors_W"]) == ("137", "130")
    assert first["psg_sha256"] == prepared.recordings[0].file("psg").sha256
    assert first["npy_sha256"] == sha256_of_file(first["signals"])


def test_the_same_recordings_give_the_same_bytes(prepared: Prepared) -> None:
    prepared.write()
    before = prepared.output.read_bytes()
    prepared.write("SC4002", "SC4001")
    assert prepared.output.read_bytes() == before


def test_a_recording_that_is_not_prepared_or_fetched(prepared: Prepared) -> None:
    with pytest.raises(BenchmarkError, match="nights: recordings that are not prepared: SC4002; prepare them"):
        prepared.write("SC4001")
    write_document(prepared.receipt("SC4002"), receipt_of(prepared.folder, prepared.recordings[0]))
    with pytest.raises(BenchmarkError, match=r"recording SC4002: no receipt of its file SC4002E0-PSG.edf; fetch it"):
        prepared.write()
    assert not prepared.output.exists()


def test_files_that_are_not_those_that_were_prepared(prepared: Prepared) -> None:
    summary = read_json(prepared.description("SC4001"))
    summary["sources"]["psg"]["sha256"] = "0" * 64
    write_document(prepared.description("SC4001"), summary)
    with pytest.raises(BenchmarkError, match=r"SC4001.json: was prepared from .*0000.*prepare it again"):
        prepared.write()


@pytest.mark.parametrize("key", ["trimmings", "simulated", "sources", "sha256", "recording"])
def test_damaged_descriptions(prepared: Prepared, key: str) -> None:
    summary = read_json(prepared.description("SC4001"))
    del summary[key]
    write_document(prepared.description("SC4001"), summary)
    with pytest.raises(BenchmarkError, match=r"SC4001.json: does not describe a prepared recording"):
        prepared.write()
    prepared.description("SC4001").unlink()
    with pytest.raises(BenchmarkError, match=r"SC4001.json: is missing; run again: its recording is prepared again"):
        prepared.write()


def test_counts_that_do_not_add_up(prepared: Prepared) -> None:
    summary = read_json(prepared.description("SC4001"))
    summary["trimmings"]["standard"]["W"] += 1
    write_document(prepared.description("SC4001"), summary)
    with pytest.raises(BenchmarkError, match=r"SC4001.json: the stages sum to 138, not to 137; prepare it again"):
        prepared.write()


def test_simulated_and_real_never_mix(prepared: Prepared) -> None:
    prepared.dataset.simulated = True
    with pytest.raises(BenchmarkError, match=r"SC4001.json: says simulated: False, but simulated: True was asked for"):
        prepared.write()


@pytest.mark.parametrize("content", [{}, {"dataset": "d", "simulated": False, "recordings": [{}]}])
def test_documents_that_are_no_index(prepared: Prepared, content: dict) -> None:
    prepared.output.parent.mkdir(parents=True)
    write_document(prepared.output, content)
    with pytest.raises(BenchmarkError, match=r"recordings.json: is no index of recordings"):
        read_index(prepared.output)
    prepared.output.unlink()
    with pytest.raises(BenchmarkError, match=r"recordings.json: the index of recordings is missing"):
        read_index(prepared.output)


def test_an_index_a_receipt_or_a_description_that_was_changed_is_named_with_what_to_do(prepared: Prepared) -> None:
    prepared.write()
    files = (
        (prepared.output, "delete it and run again"),
        (prepared.receipt("SC4001"), "delete it and run again: its recording is verified again"),
        (prepared.description("SC4001"), "delete it and run again: its recording is prepared again"),
    )
    for path, remedy in files:
        whole = path.read_bytes()
        for changed in (whole.replace(b'SC4001"', b'SC4009"', 1), whole[:100], b""):
            path.write_bytes(changed)
            with pytest.raises(BenchmarkError, match=rf"{path.name}: (was changed|is not whole).*; {remedy}$"):
                read_index(path) if path == prepared.output else prepared.write()
        path.write_bytes(whole)
    assert prepared.write() == read_index(prepared.output)
