"""Sleep-EDF's cassette recordings: which they are, what they are called, and what is known of them."""

import csv
from pathlib import Path

import pytest
from edf_files import write_night
from file_server import serving

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import SIMULATED, TRIAL, Dataset, SourceSettings
from sleepbench.datasets.recordings_table import write_recordings


def opened(subjects: int, name: str = "d", base_url: str | None = None, **settings: object) -> Dataset:
    definition = {"reader": "sleep_edf_cassette", "subjects": subjects, **settings}
    return open_dataset(name, definition, {"sleep-edf": SourceSettings(base_url=base_url)})


@pytest.mark.parametrize("subjects, recordings, last", [(2, 4, "SC4012"), (20, 39, "SC4192"), (78, 153, "SC4822")])
def test_the_first_subjects_of_the_official_table(subjects: int, recordings: int, last: str) -> None:
    found = opened(subjects).recordings()
    assert (len(found), found[-1].id, len({one.subject for one in found})) == (recordings, last, subjects)
    assert [file.role for file in found[0].files] == ["psg", "scoring"] and (found[0].age, found[0].sex) == (33, "F")


def test_more_subjects_than_there_are() -> None:
    with pytest.raises(BenchmarkError, match="100 subjects are asked for, but the table of recordings holds 78"):
        opened(100).recordings()


def test_numbers_say_what_they_are_of() -> None:
    whole = opened(20).label
    assert (whole.name, whole.warning, whole.title("Ladder")) == ("Sleep-EDF-20", "", "Ladder, Sleep-EDF-20")
    assert opened(78).label.name == "Sleep-EDF-78"
    trial = opened(2).label
    assert (trial.name, trial.title("Ladder")) == ("trial", f"Ladder ({TRIAL})") and not trial.simulated
    assert (opened(40, "middle").label.name, opened(40).label.warning) == ("middle", "")


def test_a_rehearsal_has_a_table_of_its_own_and_is_simulated(tmp_path: Path) -> None:
    write_recordings(tmp_path / "table.csv", opened(1).recordings())
    rehearsal = opened(1, table=str(tmp_path / "table.csv"), simulated=True)
    assert rehearsal.recordings() == opened(1).recordings()
    assert (rehearsal.label.name, rehearsal.label.warning, rehearsal.label.simulated) == ("simulated", SIMULATED, True)
    assert rehearsal.known_totals() == [] and rehearsal.known_epochs() == {} and rehearsal.known_files == ()


def test_what_is_known_comes_from_files_that_are_named() -> None:
    dataset = opened(20)
    assert [path.name for path in dataset.known_files] == ["known_totals.yaml", "known_epochs.csv"]
    assert len(dataset.known_totals()) == 4 and len(dataset.known_epochs()) == 99


def test_files_come_from_the_folder_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    recording = write_night(tmp_path)
    files = {file.name: (tmp_path / file.name).read_bytes() for file in recording.files}
    with serving(files) as server:
        receipt = opened(1, base_url=server.base_url).fetch(recording, tmp_path / "raw")
    assert receipt["psg"]["path"] == str(tmp_path / "raw" / "SC4001E0-PSG.edf")
    assert {request.name for request in server.requests} == set(files)


def test_files_are_found_where_a_copy_of_the_database_has_them(tmp_path: Path) -> None:
    (tmp_path / "sleep-cassette").mkdir()
    recording = write_night(tmp_path / "sleep-cassette")
    dataset = opened(1)
    assert dataset.fetch(recording, tmp_path)["scoring"]["path"].endswith("sleep-cassette/SC4001EC-Hypnogram.edf")
    name = recording.file("psg").name
    assert dataset.locate(name, tmp_path) == tmp_path / "sleep-cassette" / name
    assert dataset.locate("absent.edf", tmp_path) == tmp_path / "absent.edf"


def test_what_to_do_where_nothing_can_be_fetched(tmp_path: Path) -> None:
    message = "missing, and there is no address to fetch from; put them into .* or .*/sleep-cassette, or set base_url"
    with pytest.raises(BenchmarkError, match=message):
        opened(1).fetch(opened(1).recordings()[0], tmp_path)


def test_sizes_are_those_of_the_files_with_these_checksums(shared: Path) -> None:
    with (shared / "sleep-edf" / "sleep-edfx-sizes.csv").open(newline="", encoding="utf-8") as file:
        sizes = {row["sha256"]: int(row["bytes"]) for row in csv.DictReader(file)}
    files = [file for recording in opened(78).recordings() for file in recording.files]
    assert len(files) == 306 and all(file.n_bytes == sizes[file.sha256] for file in files)
    for path in (shared / "sleep-edf" / "hypnograms").glob("SC*.edf"):
        assert path.stat().st_size == next(file.n_bytes for file in files if file.name == path.name)
