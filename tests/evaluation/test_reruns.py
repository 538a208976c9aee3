"""Re-runs by others: what the file must say, and runs that agree with one or do not."""

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_reruns import RERUNS, change_matrix, runs_like
from fake_results import LABELS, RESOURCES
from scipy import stats

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import TRIAL, DataLabel
from sleepbench.evaluation import metrics
from sleepbench.evaluation.published import read_published_results
from sleepbench.evaluation.reruns import (
    COLUMNS,
    ERROR,
    NOT_DECIDABLE,
    OTHER_EPOCHS,
    OUTSIDE,
    OUTSIDE_HOLM,
    WITHIN,
    compare_with_reruns,
    judge,
    load_reruns,
    too_many,
)

PATH = RESOURCES / "reruns.yaml"
RERUN = RERUNS["sleep-edf-20"]
REAL = LABELS["sleep-edf-20"]


def compared(runs: pd.DataFrame, label: DataLabel = REAL) -> pd.DataFrame:
    return compare_with_reruns([RERUN], runs, label)


def verdict(runs: pd.DataFrame, label: DataLabel = REAL) -> tuple[str, str]:
    first = compared(runs, label).iloc[0]
    return first.verdict, first.why


def by_what(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("what")


# ----------------------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("dataset", "pooled", "mean"),
    [("sleep-edf-20", 87.07, 86.93), ("sleep-edf-78", 82.18, 82.36), ("isruc-s3", 82.08, 81.82)],
)
def test_the_committed_reruns_give_the_accuracies_that_are_known(dataset, pooled, mean):
    rerun = RERUNS[dataset]
    matrix = np.array(rerun.confusion)
    assert 100 * metrics.accuracy(matrix) == pytest.approx(pooled, abs=0.005)
    assert rerun.accuracies.mean() == pytest.approx(mean, abs=0.005) and rerun.mark == "secondary"
    # What the same people print of the same re-run, elsewhere in their repository.
    published = read_published_results(RESOURCES / "published_results.csv")
    (printed,) = published[
        (published.dataset == dataset) & published.model.str.contains("re-run of released code")
    ].itertuples()
    assert printed.epochs == matrix.sum() and printed.accuracy == pytest.approx(pooled)
    f1 = [getattr(printed, f"f1_{stage}") for stage in ("W", "N1", "N2", "N3", "REM")]
    assert f1 == pytest.approx(100 * metrics.class_f1(matrix), abs=0.006)


def test_fold_sizes_and_stages_are_those_of_the_released_protocol_here():
    totals = yaml.safe_load((RESOURCES / "known_totals.yaml").read_text(encoding="utf-8"))
    known = {one["dataset"]: one for one in totals if "folds" in one}
    assert set(known) == {"sleep-edf-20", "sleep-edf-78"}
    for dataset, total in known.items():
        assert RERUNS[dataset].n_epochs_by_fold == total["folds"]["epochs"]
        assert np.sum(RERUNS[dataset].confusion, axis=1).tolist() == total["counts"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mark": "published"}, "mark: found 'published'"),
        ({"source": "a repository"}, "source is 'a repository', expected one that can be followed"),
        ({"recipe": "ulw"}, "recipe: found 'ulw', expected a mapping"),
        ({"recipe": {"name": "ulw", "batchsize": 32}}, "recipe: batchsize: unknown key"),
        ({"folds": 10}, "unknown key 'folds'"),
        ({"correct_by_fold": RERUN.correct_by_fold[:9]}, "correct_by_fold has 9 numbers, expected one for each of 10"),
        ({"correct_by_fold": [9999, *RERUN.correct_by_fold[1:]]}, "fold 0 has 9,999 correct of 3,071 epochs"),
        ({"correct_by_fold": [2730, *RERUN.correct_by_fold[1:]]}, "adds up to 28,596, but the diagonal of confusion"),
        ({"n_epochs_by_fold": [3072, *RERUN.n_epochs_by_fold[1:]]}, "adds up to 32,844, but all cells of confusion"),
        ({"confusion": RERUN.confusion[:4]}, "confusion is no matrix of 5 by 5 stages"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_rerun_and_the_key(tmp_path, changed, message):
    path = tmp_path / "reruns.yaml"
    path.write_text(yaml.safe_dump([RERUN.model_dump() | changed]), encoding="utf-8")
    with pytest.raises(BenchmarkError) as error:
        load_reruns(path)
    assert f"{path}: re-run 1" in str(error.value) and message in str(error.value)


def test_a_file_that_is_no_list_or_not_there_is_named(tmp_path):
    path = tmp_path / "reruns.yaml"
    with pytest.raises(BenchmarkError, match="cannot be read as YAML"):
        load_reruns(path)
    path.write_text("dataset: sleep-edf-20\n", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="found dict, expected a list of re-runs"):
        load_reruns(path)


# ------------------------------------------------------------------------------------------------ runs that are like it


def test_runs_that_agree_reproduce_it():
    table = compared(runs_like(RERUN))
    assert tuple(table) == COLUMNS and len(table) == 1 + 10 + 1 + 2 + 5 + 25
    assert table.verdict[0] == "reproduced" and table.why[0].startswith("0 of 10 folds outside (0.5 expected")
    folds = table[table.part == "fold"]
    assert (folds.n_epochs == RERUN.n_epochs_by_fold).all() and (folds.verdict == WITHIN).all()
    assert folds.theirs.to_numpy() == pytest.approx(RERUN.accuracies)
    assert len(table.run_keys[0].split()) == 30 and (table.seeds == 3).all()


def test_a_run_that_is_the_same_has_no_difference_anywhere():
    table = compared(runs_like(RERUN, seeds=1)).iloc[1:]
    assert table.difference.to_numpy() == pytest.approx(0, abs=1e-9) and table.sd_of_seeds.isna().all()
    named = by_what(table)
    assert named.theirs["mean of the folds"] == pytest.approx(86.9255, abs=1e-4)
    assert named.theirs["F1 of N1"] == pytest.approx(47.826, abs=1e-3)
    assert named.theirs["N1 as REM"] == pytest.approx(100 * 438 / 2225)


def test_one_fold_that_is_ten_points_off_is_found_and_named():
    table = compared(runs_like(RERUN, apart={4: -10.0}))
    assert table.verdict[0] == "not reproduced"
    assert "1 of 10 folds outside" in table.why[0] and "fold 4 79.0 against 89.1" in table.why[0]
    named = by_what(table)
    assert named.verdict["fold 4"] == OUTSIDE_HOLM and named.difference["fold 4"] == pytest.approx(-10, abs=0.5)
    assert (named.verdict[[f"fold {i}" for i in range(10) if i != 4]] == WITHIN).all()


def test_many_folds_that_are_a_little_off_are_found_though_none_of_them_is_by_itself():
    said, why = verdict(runs_like(RERUN, apart=dict.fromkeys(range(10), -1.0)))
    assert said == "not reproduced" and "outside after Holm's correction: none" in why


def test_shifted_cells_are_shown_as_shares_of_the_scored_stage():
    change = np.zeros((5, 5), dtype=int)
    change[1, 0], change[1, 4] = -89, 89  # 4 % of the 2,225 epochs of N1, and no change in accuracy
    runs = runs_like(RERUN, seeds=1)
    whole = runs.fold[runs["confusion_N1_W"] >= 89].iloc[0]
    named = by_what(compared(change_matrix(runs, whole, change)))
    assert named.difference["N1 as W"] == pytest.approx(-4.0) and named.difference["N1 as REM"] == pytest.approx(4.0)
    assert named.difference["pooled"] == 0 and named.difference["N1 as N1"] == 0
    assert named.difference["F1 of REM"] < 0 < named.difference["F1 of W"]


def test_a_fold_of_another_size_is_named_and_nothing_is_compared():
    runs = change_matrix(runs_like(RERUN), 3, np.diag([0, 0, -5, 0, 0]))
    table = compared(runs)
    assert table.verdict[0] == ERROR and "fold 3: 3,113 instead of 3,118" in table.why[0]
    assert table.verdict[table.what == "fold 3"].item() == OTHER_EPOCHS
    assert table.verdict[1:].notna().sum() == 1 and table.ours.isna().all() and table.difference.isna().all()


def test_folds_of_the_right_size_with_other_stages_are_not_compared_either():
    said, why = verdict(change_matrix(runs_like(RERUN), 0, np.diag([0, 0, -5, 5, 0])))
    assert said == ERROR and "scored N2: 13,489 instead of 13,494; scored N3: 4,157 instead of 4,152" in why


def test_one_seed_shows_differences_and_calls_no_fold_outside():
    table = compared(runs_like(RERUN, seeds=1, apart={4: -10.0}))
    assert table.verdict[0] == "not testable here" and "one seed has no spread" in table.why[0]
    assert "fold 4 79.1 against 89.1" in table.why[0]
    assert set(table.verdict[table.part == "fold"]) == {NOT_DECIDABLE} and table.allowed.isna().all()


@pytest.mark.parametrize(
    ("runs", "label", "why"),
    [
        (runs_like(RERUN), LABELS["simulated"], "these runs are on simulated signals"),
        (runs_like(RERUN), DataLabel("sleep-edf-20", "simulated", "SIMULATED", True), "on simulated signals"),
        (runs_like(RERUN, simulated=True), REAL, "no run of ULW-SleepNet"),
        (runs_like(RERUN), DataLabel("sleep-edf-20", "excerpts", "REAL EEG, first 5 s"), "not of whole recordings"),
        (runs_like(RERUN), DataLabel("sleep-edf-20", "trial", TRIAL), "not of whole recordings of sleep-edf-20: TRIAL"),
        (runs_like(RERUN), DataLabel("sleep-edf-20-5s", "x"), "on sleep-edf-20-5s; the re-run is about sleep-edf-20"),
        (runs_like(RERUN, protocol="clean"), REAL, "no run of ULW-SleepNet with protocol released"),
        (runs_like(RERUN, n_channels=1), REAL, "recipe ulw, 4 channels"),
        (runs_like(RERUN, selection="last"), REAL, "run with the selection last; the re-run needs best_test"),
        (runs_like(RERUN, trimming="standard"), REAL, "run with the trimming standard; the re-run needs authors"),
        (runs_like(RERUN, recipe_settings='{"training_epochs": 3}'), REAL, "the recipe 'ulw' differs"),
        (runs_like(RERUN).query("fold < 3"), REAL, "9 runs, not each of 10 folds once for 3 seed(s)"),
        (runs_like(RERUN)[:0], REAL, "no run of ULW-SleepNet"),
    ],
)
def test_what_was_not_run_under_its_conditions_is_not_compared(runs, label, why):
    table = compared(runs, label)
    assert len(table) == 1 and table.verdict[0] == "not testable here" and why in table.why[0]
    assert table[["theirs", "ours", "difference"]].isna().all(axis=None) and table.run_keys.isna().all()


# ------------------------------------------------------------------------------------------------------------ the rule


def test_the_interval_is_that_of_one_further_training():
    ours = np.array([[80.0, 90.0], [82.0, 94.0], [81.0, 92.0]])
    judged = judge(np.array([81.0, 92.0, 86.5]), ours)
    pooled = np.sqrt((1.0 + 4.0) / 2)  # of 2 folds times 3 - 1 seeds
    assert judged.allowed[:2].to_numpy() == pytest.approx(stats.t.ppf(0.975, 4) * pooled * np.sqrt(4 / 3))
    assert judged.allowed[2] == pytest.approx(stats.t.ppf(0.975, 2) * np.std([85, 88, 86.5], ddof=1) * np.sqrt(4 / 3))
    assert judged.p.to_numpy() == pytest.approx(1)
    at_the_end = judge(np.array([81.0 + judged.allowed[0], 92.0, 86.5]), ours)
    assert at_the_end.p[0] == pytest.approx(0.05)


def test_seeds_that_agree_to_the_digit_allow_no_difference():
    ours = np.full((2, 3), 80.0)
    assert judge(np.full(4, 80.0), ours).verdict.tolist() == [WITHIN] * 4
    assert judge(np.array([80.0, 80.0, 80.1, 80.0]), ours).verdict.tolist() == [WITHIN, WITHIN, OUTSIDE_HOLM, WITHIN]


def test_how_many_folds_are_too_many():
    for n, limit in ((10, 3), (20, 4)):
        assert too_many(n) == limit
        assert stats.binom.sf(limit - 1, n, 0.05) < 0.05 <= stats.binom.sf(limit - 2, n, 0.05)


def test_one_more_training_is_seldom_called_another(monkeypatch):
    monkeypatch.setattr(
        "gc.collect", lambda: 0
    )  # statsmodels' multipletests collects at each call: a fifth of a second
    generator, alarms, outside = np.random.default_rng(0), 0, 0
    for _ in range(150):
        theirs, ours = 85 + generator.normal(size=10), 85 + generator.normal(size=(3, 10))
        found = judge(np.append(theirs, theirs.mean()), ours).verdict
        outside += found[:10].isin([OUTSIDE, OUTSIDE_HOLM]).sum()
        alarms += OUTSIDE_HOLM in set(found) or found[:10].ne(WITHIN).sum() >= too_many(10)
    assert 0.03 < outside / 1500 < 0.07 and alarms / 150 < 0.12
