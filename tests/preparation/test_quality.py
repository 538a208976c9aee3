"""Quality files: read, gathered into one table, and the files that are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from edf_files import CHANNELS, prepare_night, write_night

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, write_document
from sleepbench.datasets.base import Recording
from sleepbench.datasets.sleep_edf_cassette import STAGES_BY_TEXT
from sleepbench.preparation.quality import (
    epochs_in_trimmings,
    gather_qualities,
    read_qualities,
    read_quality,
    stages_of,
)
from sleepbench.signals.scoring import read_scoring


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    recording = write_night(tmp_path)
    prepare_night(tmp_path, recording)
    return recording


@pytest.fixture
def path(tmp_path: Path, recording: Recording) -> Path:
    return tmp_path / "prepared" / "SC4001.quality.json"


def change(path: Path, **values: object) -> Path:
    write_document(path, read_document(path) | values)
    return path


def test_the_hypnogram_comes_back(path: Path, recording: Recording) -> None:
    stages = stages_of(read_quality(path))
    assert stages.dtype == np.int8
    np.testing.assert_array_equal(
        stages, read_scoring(path.parents[1] / recording.file("scoring").name, STAGES_BY_TEXT)
    )


def test_one_row_per_recording(path: Path, recording: Recording) -> None:
    table = gather_qualities([path], [recording], simulated=False)
    quality = json.loads(path.read_text())
    (row,) = table.to_dict("records")
    people = {"recording": "SC4001", "subject": "00", "night": 1, "age": 33, "sex": "F"}
    night = {"hours": 1.4, "epochs": 168, "W": 140, "movement": 1, "unknown": 10, "standard": 137, "authors": 147}
    assert row.items() >= (people | night).items()
    assert list(table)[:5] == list(people)
    for channel, measured in zip(CHANNELS, quality["channels"].values(), strict=True):
        assert row[f"flat {channel}"] == 0 and row[f"clipped {channel}"] == measured["clipped_share"]
        assert row[f"q01_uv {channel}"] == measured["quantiles_uv"]["1"] < row[f"q99_uv {channel}"]
    assert row["handled"] == 3 and row["sentences"] == "; ".join(quality["handled"])


def test_rows_are_in_order_of_recording(path: Path, recording: Recording) -> None:
    later = path.with_name("SC4002.quality.json")
    later.write_bytes(path.read_bytes())
    change(later, recording="SC4002")
    assert [quality["recording"] for quality in read_qualities([later, path], False)] == ["SC4001", "SC4002"]
    with pytest.raises(BenchmarkError, match="quality files of SC4002, which are not among the 1 recordings"):
        gather_qualities([later, path], [recording], simulated=False)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"recording": "SC4001"}'])
def test_damaged_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: is .*; delete it and run again: its recording is"):
        read_quality(path)


def test_a_changed_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"W": 140', b'"W": 141', 1))
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: was changed since it was written: .* delete it"):
        read_quality(path)


@pytest.mark.parametrize(
    "values",
    [
        {"hypnogram": []},
        {"hypnogram": [[7, 168]]},
        {"hypnogram": [[0, 0], [0, 168]]},
        {"hypnogram": [[0, 168, 1]]},
        {"channels": {"eeg1": {}}},
        {"trimmings": {}},
        {"handled": None},
    ],
)
def test_wrong_content(path: Path, values: dict) -> None:
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: does not describe a night .*again"):
        read_quality(change(path, **values))


@pytest.mark.parametrize("values", [{"hypnogram": [[0, 168]]}, {"epochs_in_night": 167}])
def test_contradictions(path: Path, values: dict) -> None:
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: its hypnogram has .* but its counts are"):
        read_quality(change(path, **values))


def test_files_that_do_not_belong_together(path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no quality file"):
        read_qualities([], False)
    with pytest.raises(BenchmarkError, match="SC4001 was given twice"):
        read_qualities([path, path], False)
    with pytest.raises(BenchmarkError, match="says simulated: False, but simulated: True was asked for"):
        read_qualities([path], True)
    other = path.with_name("SC4002.quality.json")
    other.write_bytes(path.read_bytes())
    channels = json.loads(path.read_text())["channels"]
    del channels["emg"]
    change(other, recording="SC4002", channels=channels)
    with pytest.raises(BenchmarkError, match=r"SC4002.quality.json: has the channels .*, others have"):
        read_qualities([path, other], False)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: is missing"):
        read_quality(path)


def test_epochs_that_trimmings_keep(path: Path) -> None:
    epochs = epochs_in_trimmings([path], simulated=False)
    assert {key: len(kept) for key, (kept, _) in epochs.items()} == {
        ("SC4001", "standard"): 137,
        ("SC4001", "authors"): 147,
        ("SC4001", "whole"): 0,
    }
    kept, stages = epochs["SC4001", "standard"]
    np.testing.assert_array_equal(stages, stages_of(read_quality(path))[kept])
    assert epochs_in_trimmings([], simulated=False) == {}


def test_what_is_not_known_of_a_night_stays_empty(path: Path, recording: Recording) -> None:
    channels = json.loads(path.read_text())["channels"]
    channels["eeg1"]["clipped_share"] = None
    change(path, start=None, channels=channels)
    (row,) = gather_qualities([path], [recording], simulated=False).to_dict("records")
    assert row["start"] == "" and np.isnan(row["clipped EEG Fpz-Cz"]) and row["clipped EEG Pz-Oz"] >= 0
