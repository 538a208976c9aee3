"""Scored stages: annotations on the grid, and what is refused."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from edf_files import NIGHT, patch_header, write_annotations, write_hypnogram, write_psg

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.sleep_edf_cassette import STAGES_BY_TEXT
from sleepbench.signals import scoring


def annotations_of(path: Path) -> list:
    return scoring.read_annotations(path, STAGES_BY_TEXT)


def stages_of(path: Path) -> np.ndarray:
    return scoring.read_scoring(path, STAGES_BY_TEXT)


def test_stages_by_seconds(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf", NIGHT)
    expected = np.repeat([0, 1, 2, 5, 3, 3, 4, 0, 6], [70, 2, 5, 1, 3, 3, 4, 70, 10])
    stages = stages_of(path)
    assert stages.dtype == np.int8
    np.testing.assert_array_equal(stages, expected)


def test_the_database_says_what_its_texts_mean(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "h.edf", [(0, 60, "awake"), (60, 30, "REM")])
    np.testing.assert_array_equal(scoring.read_scoring(path, {"awake": 0, "REM": 4}), [0, 0, 4])
    with pytest.raises(BenchmarkError, match="'REM' at 60 s is not a known stage; the known ones are 'awake'"):
        scoring.read_scoring(path, {"awake": 0})


@pytest.mark.parametrize(
    "annotations, message",
    [
        (
            [(0, 30, "Sleep stage W"), (30, 30, "Sleep stage 5")],
            "'Sleep stage 5' at 30 s is not a known stage.*stage W",
        ),
        ([(0, 30, "Sleep stage W"), (30, 30, "Lights off")], "'Lights off' at 30 s is not a known stage"),
        ([(0, 45, "Sleep stage W")], "'Sleep stage W' at 0 s lasting 45 s is not on the 30-s grid"),
        ([(0, 30, "Sleep stage W"), (31, 30, "Sleep stage 1")], "at 31 s lasting 30 s is not on the 30-s grid"),
        ([(0, 30, "Sleep stage W"), (30.5, 30, "Sleep stage 1")], "at 30.5 s lasting 30 s is not on the 30-s grid"),
        ([(0, None, "Sleep stage W")], "has duration None"),
        ([(0, 0, "Sleep stage W")], "has duration 0"),
        ([(0, 30, "Sleep stage W"), (60, 30, "Sleep stage 1")], "gap between 'Sleep stage W', which ends at 30 s"),
        ([(0, 60, "Sleep stage W"), (30, 30, "Sleep stage 1")], "overlap between .* and 'Sleep stage 1' at 30 s"),
        ([(30, 30, "Sleep stage W")], "gap between 'start of the file'.* and 'Sleep stage W' at 30 s"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, annotations: list, message: str) -> None:
    path = write_annotations(tmp_path / "SC4001EC-Hypnogram.edf", annotations)
    with pytest.raises(BenchmarkError, match=f"SC4001EC-Hypnogram.edf: .*{message}"):
        annotations_of(path)


def test_no_hypnogram_at_all(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"is not a hypnogram.*plain EDF with 'EEG Fpz-Cz'"):
        annotations_of(write_psg(tmp_path / "psg.edf", 2))


def test_discontinuous_hypnogram(tmp_path: Path) -> None:
    path = patch_header(write_hypnogram(tmp_path / "h.edf"), 192, "EDF+D", 44)
    with pytest.raises(BenchmarkError, match="discontinuous"):
        annotations_of(path)


def test_truncated_hypnogram(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BenchmarkError, match=r"h\.edf: is truncated"):
        annotations_of(path)


def test_hypnogram_of_garbage(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf")
    content = path.read_bytes()
    path.write_bytes(content[:512] + b"\xff" * (len(content) - 512))
    with pytest.raises(BenchmarkError, match=r"h\.edf: its annotations cannot be read"):
        annotations_of(path)
    path.write_bytes(content[:512] + bytes(len(content) - 512))
    with pytest.raises(BenchmarkError, match=r"h\.edf: "):
        annotations_of(path)


def test_onsets_count_from_the_first_time_stamp(tmp_path: Path) -> None:
    late = write_hypnogram(tmp_path / "late.edf", NIGHT, datetime.time(16, 13, 0, 500_000))
    sound = write_hypnogram(tmp_path / "sound.edf", NIGHT)
    assert annotations_of(late) == annotations_of(sound)


def test_annotations_in_any_order(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf", [("W", 2), ("2", 3)])
    expected = annotations_of(path)
    first, second = b"+0\x1560\x14Sleep stage W\x14\0", b"+60\x1590\x14Sleep stage 2\x14\0"
    content = path.read_bytes()
    assert first + second in content
    path.write_bytes(content.replace(first + second, second + first))
    assert annotations_of(path) == expected


def test_absurdly_long_scoring(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "h.edf", [(0, 9_999_999_990, "Sleep stage W")])
    with pytest.raises(BenchmarkError, match=r"h\.edf: its annotations cover 1e\+10 s, expected at most 2678400"):
        stages_of(path)


@pytest.mark.parametrize("old, new", [(b"\x14\0+60", b"\x14++60"), (b"\0+60", b"\0*60"), (b"\x1590", b"\x15-9")])
def test_damaged_annotations_are_not_passed_over(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write_hypnogram(tmp_path / "h.edf", [("W", 2), ("2", 3)])
    content = path.read_bytes()
    path.write_bytes(content[:512] + content[512:].replace(old, new))
    with pytest.raises(
        BenchmarkError, match=r"h\.edf: its annotations cannot be read: in data record 1 of 1, at byte 5"
    ):
        stages_of(path)
