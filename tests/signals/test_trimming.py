"""Which epochs of a night are kept, by either trimming."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import MOVEMENT, REM, UNKNOWN, W
from sleepbench.signals.trimming import TRIMMINGS, select_trimming

NIGHTS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 100)), min_size=1, max_size=12).map(
    lambda runs: np.repeat(*(np.array(column) for column in zip(*runs, strict=True))).astype(np.int8)
)


def test_trimmings_differ_where_movement_or_unknown_lie_outside_sleep() -> None:
    stages = np.repeat([W, MOVEMENT, W, 2, W, UNKNOWN], [100, 1, 100, 5, 200, 50])
    np.testing.assert_array_equal(select_trimming(stages, "standard"), np.r_[141:266])
    np.testing.assert_array_equal(select_trimming(stages, "authors"), np.r_[40:100, 101:406])


def test_standard_counts_after_removal() -> None:
    stages = np.repeat([W, UNKNOWN, W, 2, W], [100, 40, 10, 5, 10])
    np.testing.assert_array_equal(select_trimming(stages, "standard"), np.r_[50:100, 140:165])


@given(stages=NIGHTS, trimming=st.sampled_from(TRIMMINGS))
def test_trimmings_keep_all_sleep_and_only_stages_in_order(stages: np.ndarray, trimming: str) -> None:
    sleep = np.flatnonzero((stages > W) & (stages <= REM))
    assume(len(sleep))
    kept = select_trimming(stages, trimming)
    assert kept.dtype == np.int64
    assert (np.diff(kept) > 0).all()
    assert (stages[kept] <= REM).all()
    assert np.isin(sleep, kept).all()


@given(stages=NIGHTS)
def test_standard_keeps_at_most_60_of_wake_on_either_side(stages: np.ndarray) -> None:
    sleep = np.flatnonzero((stages > W) & (stages <= REM))
    assume(len(sleep))
    kept = select_trimming(stages, "standard")
    before, after = stages[: sleep[0]], stages[sleep[-1] + 1 :]
    assert (kept < sleep[0]).sum() == min(60, (before == W).sum())
    assert (kept > sleep[-1]).sum() == min(60, (after == W).sum())


@given(stages=NIGHTS)
def test_the_authors_trimming_is_everything_scored_between_its_ends(stages: np.ndarray) -> None:
    assume(((stages > W) & (stages <= REM)).any())
    not_wake = np.flatnonzero(stages != W)
    inside = np.arange(max(0, not_wake[0] - 60), min(len(stages), not_wake[-1] + 61))
    np.testing.assert_array_equal(select_trimming(stages, "authors"), inside[stages[inside] <= REM])


@given(stages=NIGHTS)
def test_trimmings_agree_when_all_is_scored(stages: np.ndarray) -> None:
    stages = stages[stages <= REM]
    assume((stages > W).any())
    np.testing.assert_array_equal(select_trimming(stages, "standard"), select_trimming(stages, "authors"))


@pytest.mark.parametrize("trimming", TRIMMINGS)
@pytest.mark.parametrize("stages", [[], [W] * 10, [W, MOVEMENT, UNKNOWN]])
def test_no_sleep(stages: list[int], trimming: str) -> None:
    with pytest.raises(BenchmarkError, match="no epoch is scored as sleep"):
        select_trimming(np.array(stages, dtype=np.int8), trimming)


def test_unknown_trimming() -> None:
    with pytest.raises(BenchmarkError, match=r"'wide'; the nearest .* \(known: authors, standard, whole\)"):
        select_trimming(np.array([0, 1, 2]), "wide")
