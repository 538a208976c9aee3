"""Quality files: read, gathered into one table, and the files that are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from edf_files import CHANNELS, write_night

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.recordings import Recording, write_recordings
from sleepbench.signals.hypnogram import load_stages
from sleepbench.signals.prepare import prepare_recording
from sleepbench.signals.quality import gather_qualities, read_qualities, read_quality, stages_of


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    recording = write_night(tmp_path)
    files = tmp_path / recording.psg, tmp_path / recording.hypnogram
    prepare_recording(recording, *files, CHANNELS, tmp_path / "SC4001.npy")
    write_recordings(tmp_path / "recordings.csv", [recording])
    return recording


@pytest.fixture
def path(tmp_path: Path, recording: Recording) -> Path:
    return tmp_path / "SC4001.quality.json"


def change(path: Path, **values: object) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return path


def test_the_hypnogram_comes_back(path: Path, recording: Recording) -> None:
    stages = stages_of(read_quality(path))
    assert stages.dtype == np.int8
    np.testing.assert_array_equal(stages, load_stages(path.parent / recording.hypnogram))


def test_one_row_per_recording(path: Path) -> None:
    table = gather_qualities([path], path.parent / "recordings.csv", simulated=False)
    quality = json.loads(path.read_text())
    (row,) = table.to_dict("records")
    people = {"recording": "SC4001", "subject": "00", "night": 1, "age": 33, "sex": "F"}
    night = {"hours": 1.4, "epochs": 168, "W": 140, "movement": 1, "unknown": 10, "standard": 137, "released": 147}
    assert row.items() >= (people | night).items()
    assert list(table)[:5] == list(people)
    for channel in CHANNELS:
        measured = quality["channels"][channel]
        assert row[f"flat {channel}"] == 0 and row[f"clipped {channel}"] == measured["clipped_share"]
        assert row[f"q01_uv {channel}"] == measured["quantiles_uv"]["1"] < row[f"q99_uv {channel}"]
    assert row["handled"] == 3 and row["sentences"] == "; ".join(quality["handled"])


def test_rows_are_in_order_of_recording(path: Path) -> None:
    later = path.with_name("SC4002.quality.json")
    later.write_bytes(path.read_bytes())
    change(later, recording="SC4002")
    assert [quality["recording"] for quality in read_qualities([later, path], False)] == ["SC4001", "SC4002"]
    with pytest.raises(BenchmarkError, match="recording SC4002 is not in the table"):
        gather_qualities([later, path], path.parent / "recordings.csv", simulated=False)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"recording": "SC4001"}'])
def test_damaged_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: does not describe a night .*again"):
        read_quality(path)


@pytest.mark.parametrize(
    "values",
    [
        {"hypnogram": []},
        {"hypnogram": [[7, 168]]},
        {"hypnogram": [[0, 0], [0, 168]]},
        {"hypnogram": [[0, 168, 1]]},
        {"channels": {"EEG Fpz-Cz": {}}},
        {"windows": {}},
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
    del channels["EMG submental"]
    change(other, recording="SC4002", channels=channels)
    with pytest.raises(BenchmarkError, match=r"SC4002.quality.json: has the channels .*, others have"):
        read_qualities([path, other], False)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"SC4001.quality.json: missing"):
        read_quality(path)
