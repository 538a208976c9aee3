import numpy as np
import pandas as pd
import pytest
from cohort import certain, cohort
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import MOVEMENT, N1, N2, REM, STAGES, UNKNOWN, W
from sleepbench.evaluation.sleep_measures import MEASURES, agreement, measures_per_night, night_measures, place_epochs

NAN = float("nan")

YASA_MEASURES = (
    *("time_in_bed", "sleep_period_time", "total_sleep_time", "wake_after_sleep_onset", "sleep_efficiency"),
    *("sleep_maintenance_efficiency", "sleep_onset_latency", "rem_latency", *(f"minutes_{name}" for name in STAGES)),
    *("minutes_not_scored", *(f"percent_{name}" for name in STAGES[1:])),
)
YASA_KEYS = "TIB SPT TST WASO SE SME SOL Lat_REM WAKE N1 N2 N3 REM UNS %N1 %N2 %N3 %REM"
# yasa.Hypnogram(...).sleep_statistics() of YASA 0.8.1, the keys above, which it rounds to four decimals; 5 and 6 were
# given to it as UNS. Nights as (stage, epochs).
YASA_NIGHTS = {
    "gap in the middle": (
        ((0, 20), (1, 4), (2, 30), (3, 20), (6, 6), (0, 8), (2, 10), (4, 22), (0, 3), (4, 2), (1, 1), (0, 15)),
        (
            *(70.5, 53.0, 44.5, 5.5, 63.1206, 83.9623, 10.0, 49.0),
            *(23.0, 2.5, 20.0, 10.0, 12.0, 3.0, 5.618, 44.9438, 22.4719, 26.9663),
        ),
    ),
    "single epoch of sleep early on": (
        (
            *((0, 12), (1, 1), (0, 30), (1, 3), (2, 25), (3, 41), (2, 13), (5, 2), (4, 17)),
            *((0, 1), (2, 37), (4, 29), (0, 44)),
        ),
        (
            *(127.5, 99.5, 83.0, 15.5, 65.098, 83.4171, 6.0, 63.5),
            *(43.5, 2.0, 37.5, 20.5, 23.0, 1.0, 2.4096, 45.1807, 24.6988, 27.7108),
        ),
    ),
    "no sleep": (((0, 10),), (5.0, 0, 0, NAN, 0, NAN, NAN, NAN, 5.0, 0, 0, 0, 0, 0, NAN, NAN, NAN, NAN)),
    "no REM, unscored at both ends": (
        ((6, 2), (0, 1), (2, 2), (0, 1), (6, 1)),
        (3.5, 1.0, 1.0, 0, 28.5714, 100.0, 1.5, NAN, 1.0, 0, 1.0, 0, 0, 1.5, 0, 100.0, 0, 0),
    ),
    "begins with REM": (
        ((4, 1), (2, 2), (3, 1), (0, 1)),
        (2.5, 2.0, 2.0, 0, 80.0, 100.0, 0, 0, 0.5, 0, 1.0, 0.5, 0.5, 0, 0, 50.0, 25.0, 25.0),
    ),
}

nights = hnp.arrays(np.int8, st.integers(1, 80), elements=st.sampled_from([0, 0, 0, 1, 2, 3, 4, MOVEMENT, UNKNOWN]))


def night(bouts: tuple[tuple[int, int], ...]) -> np.ndarray:
    return np.concatenate([np.full(length, stage) for stage, length in bouts])


@pytest.mark.parametrize("name", YASA_NIGHTS)
def test_agrees_with_yasa(name):
    bouts, theirs = YASA_NIGHTS[name]
    assert len(theirs) == len(YASA_KEYS.split()) == len(YASA_MEASURES)
    ours = night_measures(night(bouts))
    assert [ours[measure] for measure in YASA_MEASURES] == pytest.approx(theirs, abs=6e-5, nan_ok=True)


@given(nights)
def test_measures_add_up(stages):
    m = night_measures(stages)
    assert tuple(m) == MEASURES
    assert m["time_in_bed"] == len(stages) / 2
    assert m["total_sleep_time"] + m["minutes_W"] + m["minutes_not_scored"] == m["time_in_bed"]
    assert sum(m[f"minutes_{name}"] for name in STAGES[1:]) == m["total_sleep_time"]
    assert 0 <= m["total_sleep_time"] <= m["sleep_period_time"] <= m["time_in_bed"]
    assert m["sleep_efficiency"] == pytest.approx(100 * m["total_sleep_time"] / m["time_in_bed"])
    assume(m["total_sleep_time"] > 0)
    assert sum(m[f"percent_{name}"] for name in STAGES[1:]) == pytest.approx(100)
    assert m["sleep_onset_latency"] + m["sleep_period_time"] <= m["time_in_bed"]
    assert m["total_sleep_time"] + m["wake_after_sleep_onset"] <= m["sleep_period_time"]
    if not m["minutes_not_scored"]:
        assert m["total_sleep_time"] + m["wake_after_sleep_onset"] == m["sleep_period_time"]
    if m["minutes_REM"]:
        assert m["rem_latency"] == m["sleep_onset_latency"] + m["rem_latency_from_sleep_onset"]
        assert m["rem_latency_from_sleep_onset"] >= 0


@given(nights, st.integers(0, 20))
def test_wake_before_and_after_moves_only_what_counts_from_the_beginning(stages, extra):
    before = night_measures(stages)
    after = night_measures(np.concatenate([np.full(extra, W), stages, np.full(2 * extra, W)]))
    for name in ("sleep_onset_latency", "rem_latency"):
        assert after[name] == pytest.approx(before[name] + extra / 2, nan_ok=True)
    assert after["time_in_bed"] == before["time_in_bed"] + 1.5 * extra
    unmoved = set(MEASURES) - {"sleep_onset_latency", "rem_latency", "time_in_bed", "sleep_efficiency", "minutes_W"}
    for name in unmoved:
        assert after[name] == pytest.approx(before[name], nan_ok=True)


def test_epochs_of_another_length():
    minutes = night_measures(np.array([W, N1, N2, REM, W]), epoch_seconds=60)
    assert (minutes["time_in_bed"], minutes["total_sleep_time"], minutes["rem_latency"]) == (5, 3, 3)


@pytest.mark.parametrize("stages", [[], [0, 7], [0, -1], [0, NAN], [[0, 1]]])
def test_bad_stages_are_refused(stages):
    with pytest.raises(BenchmarkError, match=r"expected one or more epochs in a row with codes 0\.\.4"):
        night_measures(np.array(stages))


def test_missing_epochs_are_not_scored():
    placed = place_epochs(np.array([13, 10, 11]), np.array([2, 0, 1]))
    assert placed.tolist() == [0, 1, UNKNOWN, 2]


def test_measures_of_a_night_with_missing_epochs():
    table = certain("SC4071", [0, 0, 1, 2, 2, 0, 4, 0], [0, 1, 1, 2, 2, 2, 4, 0])
    # The fourth and fifth epoch are gone: a movement.
    table = table.drop(index=[3, 4]).sample(frac=1, random_state=0)
    row = measures_per_night(table).iloc[0]
    assert (row.recording, row.subject, row.night) == ("SC4071", "07", 1)
    assert row.scored_time_in_bed == row.predicted_time_in_bed == 4
    assert row.scored_minutes_not_scored == row.predicted_minutes_not_scored == 1
    assert (row.scored_total_sleep_time, row.predicted_total_sleep_time) == (1, 2)
    assert (row.scored_sleep_onset_latency, row.predicted_sleep_onset_latency) == (1, 0.5)
    assert (row.scored_rem_latency, row.scored_rem_latency_from_sleep_onset) == (3, 2)
    assert (row.scored_wake_after_sleep_onset, row.predicted_wake_after_sleep_onset) == (0.5, 0)


def test_one_row_per_recording():
    table = measures_per_night(cohort(3).sample(frac=1, random_state=0))
    assert table.recording.tolist() == ["SC4001", "SC4002", "SC4011", "SC4012", "SC4021", "SC4022"]
    assert list(table.columns[3:]) == [f"{which}_{name}" for which in ("scored", "predicted") for name in MEASURES]


def test_perfect_predictions_agree_without_spread():
    predictions = pd.concat([certain(f"SC40{i}1", [0, 1, 2, 4, 0], [0, 1, 2, 4, 0]) for i in (10, 11, 12)])
    table = agreement(measures_per_night(predictions))
    assert (table[["bias", "sd", "low", "high"]] == 0).all(axis=None)
    assert (table.n_nights == 3).all()


def test_bias_and_limits_by_hand():
    measures = pd.DataFrame(
        {f"{scoring}_{name}": [0.0] * 3 for scoring in ("scored", "predicted") for name in MEASURES}
    )
    measures["scored_total_sleep_time"] = [400, 420, 440]
    measures["predicted_total_sleep_time"] = [401, 423, 445]
    row = agreement(measures).loc["total_sleep_time"]
    assert row.tolist() == pytest.approx([3, 0, 420, 423, 3, 2, 3 - 1.96 * 2, 3 + 1.96 * 2])


def test_nights_without_a_measure_are_left_out_and_counted():
    right, no_rem = [0, 1, 2, 4, 0], [0, 1, 2, 2, 0]
    predictions = pd.concat([certain("SC4001", right, right), certain("SC4002", right, no_rem)])
    table = agreement(measures_per_night(predictions))
    row = table.loc["rem_latency_from_sleep_onset"]
    assert (row.n_nights, row.n_undefined, row.bias) == (1, 1, 0)
    assert row[["sd", "low", "high"]].isna().all()
    assert table.n_undefined["minutes_REM"] == 0
    assert table.bias["minutes_REM"] == -0.25
    asleep_never = agreement(measures_per_night(certain("SC4001", right, [0] * 5)))
    assert asleep_never.loc["sleep_onset_latency", ["n_nights", "n_undefined"]].tolist() == [0, 1]
    assert asleep_never.loc["sleep_onset_latency", ["scored", "predicted", "bias", "sd", "low", "high"]].isna().all()
    assert asleep_never.bias["total_sleep_time"] == -1.5


def test_measures_of_another_origin_are_refused():
    with pytest.raises(BenchmarkError, match="lack the column scored_total_sleep_time"):
        agreement(measures_per_night(cohort(1)).drop(columns="scored_total_sleep_time"))


def test_spoiled_predictions_are_refused():
    with pytest.raises(BenchmarkError, match=r"predicted is not one of 0\.\.4"):
        measures_per_night(cohort(1).assign(predicted=np.nan))
