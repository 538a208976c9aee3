"""Hypnograms: annotations, stages, and the two windows, also on the real files."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from edf_files import NIGHT, patch_header, write_annotations, write_hypnogram, write_psg
from hypothesis import assume, given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import MOVEMENT, REM, UNKNOWN, W
from sleepbench.datasets.recordings import Recording, read_recordings
from sleepbench.signals.hypnogram import load_stages, read_annotations, select_window

RECORDINGS = Path(__file__).resolve().parents[2] / "workflow" / "resources" / "sleep_edf_recordings.csv"

NIGHTS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 100)), min_size=1, max_size=12).map(
    lambda runs: np.repeat(*(np.array(column) for column in zip(*runs, strict=True))).astype(np.int8)
)


@pytest.fixture(scope="module")
def hypnograms(shared: Path) -> Path:
    return shared / "sleep-edf" / "hypnograms"


@pytest.fixture(scope="module")
def sleep_edf_20(hypnograms: Path) -> dict[str, np.ndarray]:
    """Stages of the 39 recordings of subjects 00 to 19, cut to the signal."""
    recordings = [recording for recording in read_recordings(RECORDINGS) if recording.subject <= "19"]
    return {recording.id: load_stages(*_file_and_length(hypnograms, recording)) for recording in recordings}


def _file_and_length(hypnograms: Path, recording: Recording) -> tuple[Path, int]:
    """The signal ends where the last "?" begins, except in SC4012, whose signal lasts the whole 24 h."""
    path = hypnograms / recording.hypnogram
    onset = max(onset for onset, _, text in read_annotations(path) if text == "Sleep stage ?")
    return path, 2880 if recording.id == "SC4012" else round(onset / 30)


def test_standard_window_of_sleep_edf_20(sleep_edf_20: dict[str, np.ndarray]) -> None:
    counts = sum(
        np.bincount(stages[select_window(stages, "standard")], minlength=5) for stages in sleep_edf_20.values()
    )
    assert len(sleep_edf_20) == 39
    assert counts.tolist() == [8285, 2804, 17799, 5703, 7717] and counts.sum() == 42308


def test_released_window_of_sleep_edf_20(sleep_edf_20: dict[str, np.ndarray]) -> None:
    kept = [stages[select_window(stages, "released")] for stages in list(sleep_edf_20.values())[:30]]
    folds = [sum(map(len, kept[first : first + 3])) for first in range(0, 30, 3)]
    assert folds == [3071, 4299, 3098, 3118, 2835, 3461, 3443, 2822, 3788, 2908]
    assert np.bincount(np.concatenate(kept)).tolist() == [7281, 2225, 13494, 4152, 5691]


def test_signal_that_outlasts_its_scoring(sleep_edf_20: dict[str, np.ndarray]) -> None:
    stages = sleep_edf_20["SC4012"]
    assert len(stages) == 2880
    assert len(select_window(stages, "released")) == 2265
    assert len(select_window(stages, "standard")) < 1300


def test_every_real_cassette_hypnogram_covers_the_day(hypnograms: Path) -> None:
    files = sorted(hypnograms.glob("SC*.edf"))
    assert len(files) == 54
    assert {len(load_stages(path)) for path in files} == {2880}


def test_stages_by_seconds(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf", NIGHT)
    expected = np.repeat([0, 1, 2, 5, 3, 3, 4, 0, 6], [70, 2, 5, 1, 3, 3, 4, 70, 10])
    stages = load_stages(path)
    assert stages.dtype == np.int8
    np.testing.assert_array_equal(stages, expected)
    np.testing.assert_array_equal(load_stages(path, 80), expected[:80])
    padded = load_stages(path, 200)
    np.testing.assert_array_equal(padded[:168], expected)
    assert (padded[168:] == UNKNOWN).all() and len(padded) == 200


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
        read_annotations(path)


def test_no_hypnogram_at_all(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"is not a hypnogram.*plain EDF with 'EEG Fpz-Cz'"):
        read_annotations(write_psg(tmp_path / "psg.edf", 2))


def test_discontinuous_hypnogram(tmp_path: Path) -> None:
    path = patch_header(write_hypnogram(tmp_path / "h.edf"), 192, "EDF+D", 44)
    with pytest.raises(BenchmarkError, match="discontinuous"):
        read_annotations(path)


def test_truncated_hypnogram(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BenchmarkError, match=r"h\.edf: is truncated"):
        read_annotations(path)


def test_hypnogram_of_garbage(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf")
    content = path.read_bytes()
    path.write_bytes(content[:512] + b"\xff" * (len(content) - 512))
    with pytest.raises(BenchmarkError, match=r"h\.edf: its annotations cannot be read"):
        read_annotations(path)
    path.write_bytes(content[:512] + bytes(len(content) - 512))
    with pytest.raises(BenchmarkError, match=r"h\.edf: "):
        read_annotations(path)


def test_onsets_count_from_the_first_time_stamp(tmp_path: Path) -> None:
    late = write_hypnogram(tmp_path / "late.edf", NIGHT, datetime.time(16, 13, 0, 500_000))
    sound = write_hypnogram(tmp_path / "sound.edf", NIGHT)
    assert read_annotations(late) == read_annotations(sound)


def test_annotations_in_any_order(tmp_path: Path) -> None:
    path = write_hypnogram(tmp_path / "h.edf", [("W", 2), ("2", 3)])
    expected = read_annotations(path)
    first, second = b"+0\x1560\x14Sleep stage W\x14\0", b"+60\x1590\x14Sleep stage 2\x14\0"
    content = path.read_bytes()
    assert first + second in content
    path.write_bytes(content.replace(first + second, second + first))
    assert read_annotations(path) == expected


def test_absurdly_long_scoring(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "h.edf", [(0, 9_999_999_990, "Sleep stage W")])
    with pytest.raises(BenchmarkError, match=r"h\.edf: its annotations cover 1e\+10 s, expected at most 2678400"):
        load_stages(path)


@pytest.mark.parametrize("old, new", [(b"\x14\0+60", b"\x14++60"), (b"\0+60", b"\0*60"), (b"\x1590", b"\x15-9")])
def test_damaged_annotations_are_not_passed_over(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write_hypnogram(tmp_path / "h.edf", [("W", 2), ("2", 3)])
    content = path.read_bytes()
    path.write_bytes(content[:512] + content[512:].replace(old, new))
    with pytest.raises(
        BenchmarkError, match=r"h\.edf: its annotations cannot be read: in data record 1 of 1, at byte 5"
    ):
        load_stages(path)


def test_windows_differ_where_movement_or_unknown_lie_outside_sleep() -> None:
    stages = np.repeat([W, MOVEMENT, W, 2, W, UNKNOWN], [100, 1, 100, 5, 200, 50])
    np.testing.assert_array_equal(select_window(stages, "standard"), np.r_[141:266])
    np.testing.assert_array_equal(select_window(stages, "released"), np.r_[40:100, 101:406])


def test_standard_counts_after_removal() -> None:
    stages = np.repeat([W, UNKNOWN, W, 2, W], [100, 40, 10, 5, 10])
    np.testing.assert_array_equal(select_window(stages, "standard"), np.r_[50:100, 140:165])


@given(stages=NIGHTS, rule=st.sampled_from(["standard", "released"]))
def test_windows_keep_all_sleep_and_only_stages_in_order(stages: np.ndarray, rule: str) -> None:
    sleep = np.flatnonzero((stages > W) & (stages <= REM))
    assume(len(sleep))
    kept = select_window(stages, rule)
    assert kept.dtype == np.int64
    assert (np.diff(kept) > 0).all()
    assert (stages[kept] <= REM).all()
    assert np.isin(sleep, kept).all()


@given(stages=NIGHTS)
def test_standard_keeps_at_most_60_of_wake_on_either_side(stages: np.ndarray) -> None:
    sleep = np.flatnonzero((stages > W) & (stages <= REM))
    assume(len(sleep))
    kept = select_window(stages, "standard")
    before, after = stages[: sleep[0]], stages[sleep[-1] + 1 :]
    assert (kept < sleep[0]).sum() == min(60, (before == W).sum())
    assert (kept > sleep[-1]).sum() == min(60, (after == W).sum())


@given(stages=NIGHTS)
def test_released_window_is_everything_scored_between_its_ends(stages: np.ndarray) -> None:
    assume(((stages > W) & (stages <= REM)).any())
    not_wake = np.flatnonzero(stages != W)
    inside = np.arange(max(0, not_wake[0] - 60), min(len(stages), not_wake[-1] + 61))
    np.testing.assert_array_equal(select_window(stages, "released"), inside[stages[inside] <= REM])


@given(stages=NIGHTS)
def test_windows_agree_when_all_is_scored(stages: np.ndarray) -> None:
    stages = stages[stages <= REM]
    assume((stages > W).any())
    np.testing.assert_array_equal(select_window(stages, "standard"), select_window(stages, "released"))


@pytest.mark.parametrize("rule", ["standard", "released"])
@pytest.mark.parametrize("stages", [[], [W] * 10, [W, MOVEMENT, UNKNOWN]])
def test_no_sleep(stages: list[int], rule: str) -> None:
    with pytest.raises(BenchmarkError, match="no epoch is scored as sleep"):
        select_window(np.array(stages, dtype=np.int8), rule)


def test_unknown_rule() -> None:
    with pytest.raises(BenchmarkError, match="'wide', expected one of 'standard', 'released'"):
        select_window(np.array([0, 1, 2]), "wide")
