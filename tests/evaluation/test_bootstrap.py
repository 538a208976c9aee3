from itertools import product

import numpy as np
import pandas as pd
import pytest
from cohort import certain, cohort
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as sk

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation import bootstrap as statistics
from sleepbench.evaluation.metrics import METRICS, accuracy, macro_f1, metric_values, summary

cells = st.integers(0, 30)
matrices = st.integers(2, 7).flatmap(lambda n: hnp.arrays(np.int64, (n, 5, 5), elements=cells))
few = {"resamples": 300}


def of_subjects(predictions: pd.DataFrame | list[pd.DataFrame]) -> pd.DataFrame:
    return statistics.per_subject_metrics(statistics.subject_confusions(predictions))


# --------------------------------------------------------------------------------------------------------- predictions


def test_subject_matrices_join_both_nights():
    predictions = cohort(3)
    subjects, confusions = statistics.subject_confusions(predictions)
    assert subjects == ["00", "01", "02"]
    for subject, confusion in zip(subjects, confusions, strict=True):
        mine = predictions[predictions.subject == subject]
        assert mine.night.nunique() == 2
        assert (confusion == sk.confusion_matrix(mine.stage, mine.predicted, labels=range(5))).all()


def test_order_of_rows_and_their_index_do_not_matter():
    predictions = cohort(3)
    shuffled = predictions.sample(frac=1, random_state=1)
    shuffled.index = np.zeros(len(shuffled), dtype=int)
    pd.testing.assert_frame_equal(of_subjects(predictions), of_subjects(shuffled), check_exact=True)


def test_people_are_told_apart_whatever_they_are_called():
    named = {"00": "1", "01": "01", "02": "b7c1-0042"}
    predictions = cohort(3)
    renamed = predictions.assign(subject=predictions.subject.map(named))
    subjects, confusions = statistics.subject_confusions(renamed)
    assert subjects == ["01", "1", "b7c1-0042"]
    assert (confusions == statistics.subject_confusions(predictions)[1][[1, 0, 2]]).all()


def test_seeds_are_stacked():
    seeds = [cohort(3, seed=seed) for seed in range(4)]
    subjects, confusions = statistics.subject_confusions(seeds)
    assert confusions.shape == (4, 3, 5, 5)
    assert (confusions[2] == statistics.subject_confusions(seeds[2])[1]).all()
    assert len(subjects) == 3


def test_seeds_tested_on_different_epochs_are_refused():
    with pytest.raises(BenchmarkError, match="seed 1 and seed 2 of 2 are of different epochs, for subject 02"):
        statistics.subject_confusions([cohort(3), cohort(3).iloc[:-5]])
    with pytest.raises(BenchmarkError, match="for subject 03"):
        statistics.subject_confusions([cohort(3), cohort(4)])
    with pytest.raises(BenchmarkError, match="no predictions of any seed"):
        statistics.subject_confusions([])


def spoiled(column: str, value: object) -> pd.DataFrame:
    """Predictions of SC4000 to SC4031, the third epoch of SC4002 spoiled."""
    predictions = cohort(2).astype({column: object if isinstance(value, str) else float})
    predictions.loc[(predictions.recording == "SC4002") & (predictions.epoch == 102), column] = value
    return predictions


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("predicted", np.nan, r"predicted is not one of 0\.\.4"),
        ("predicted", 5, r"predicted is not one of 0\.\.4"),
        ("stage", -1, r"stage is not one of 0\.\.4"),
        ("stage", 1.5, r"stage is not one of 0\.\.4"),
        ("stage", "N2", r"stage is not one of 0\.\.4"),
        ("p_N2", np.nan, r"a probability is NaN or outside 0\.\.1"),
        ("p_N2", 1.1, r"a probability is NaN or outside 0\.\.1"),
        ("p_N2", -0.1, r"a probability is NaN or outside 0\.\.1"),
        ("epoch", np.nan, "a recording, subject or epoch is empty"),
        ("epoch", 101, "the epoch is there more than once: 2 of 240"),
        ("subject", "17", "the recording belongs to more than one subject"),
    ],
)
def test_spoiled_predictions_are_refused(column, value, message):
    with pytest.raises(BenchmarkError, match=rf"cannot be used(.|\n)*{message}.*, in SC4002"):
        statistics.check_predictions(spoiled(column, value))


def test_predictions_that_contradict_their_probabilities_are_refused():
    predictions = certain("SC4001", [0, 1, 2], [0, 1, 2])
    predictions["predicted"] = [0, 1, 3]
    with pytest.raises(BenchmarkError, match="not the stage of the largest probability: 1 of 3 epochs, in SC4001"):
        statistics.check_predictions(predictions)
    predictions = certain("SC4001", [0, 1], [0, 1]).assign(p_W=[1, 0.5])
    with pytest.raises(BenchmarkError, match="do not add up to 1: 1 of 2"):
        statistics.check_predictions(predictions)


def test_a_tie_of_probabilities_may_be_broken_either_way():
    predictions = certain("SC4001", [0, 1], [0, 1]).assign(p_W=0.5, p_N1=0.5, p_N2=0.0, p_N3=0.0, p_REM=0.0)
    statistics.check_predictions(predictions)


def test_missing_columns_and_empty_predictions_are_refused():
    with pytest.raises(BenchmarkError, match="lack the column predicted, p_N3"):
        statistics.check_predictions(cohort(1).drop(columns=["predicted", "p_N3"]))
    with pytest.raises(BenchmarkError, match="hold no epoch"):
        statistics.check_predictions(cohort(1).iloc[:0])


def test_many_recordings_are_named_in_part():
    with pytest.raises(BenchmarkError, match=r"SC4042, … \(14 in all\)"):
        statistics.check_predictions(cohort(7).assign(p_W=2.0))


def test_per_subject_metrics_are_of_each_subject_alone():
    predictions = cohort(3)
    table = of_subjects(predictions)
    mine = predictions[predictions.subject == "01"]
    assert table.loc["01", "accuracy"] == pytest.approx(sk.accuracy_score(mine.stage, mine.predicted))
    assert table.loc["01", "cohen_kappa"] == pytest.approx(sk.cohen_kappa_score(mine.stage, mine.predicted))
    assert table.n_epochs.tolist() == [120] * 3


def test_per_subject_metrics_of_seeds_are_their_mean():
    seeds = [cohort(3, seed=seed) for seed in range(3)]
    tables = [of_subjects(of_seed)[list(METRICS)] for of_seed in seeds]
    mean = of_subjects(seeds)
    pd.testing.assert_frame_equal(mean[list(METRICS)], sum(tables) / 3)
    assert mean.n_epochs.tolist() == [120] * 3


def scikit_learns(predictions: pd.DataFrame) -> tuple[float, int]:
    """The macro-F1 of some epochs over the stages that occur, and how many these are."""
    stage, predicted = predictions.stage, predictions.predicted
    return sk.f1_score(stage, predicted, average="macro"), len({*stage, *predicted})


def test_macro_f1_is_of_the_stages_that_occur_in_a_subject():
    """Subject 00 has no N3, 01 has none but is predicted it, 02 has neither N3 nor REM, 03 all."""
    predictions = pd.concat(
        [
            certain("SC4001", [0, 1, 2, 4, 4], [0, 2, 2, 4, 0]),
            certain("SC4011", [0, 1, 2, 4, 4], [0, 2, 3, 4, 0]),
            certain("SC4021", [0, 1, 2, 2, 0], [0, 1, 2, 1, 0]),
            certain("SC4031", [0, 1, 2, 3, 4], [0, 1, 2, 3, 3]),
        ]
    )
    table = of_subjects(predictions)
    assert table.macro_f1_stages.tolist() == [4, 5, 3, 5]
    for subject, mine in predictions.groupby("subject"):
        assert tuple(table.loc[subject, ["macro_f1", "macro_f1_stages"]]) == pytest.approx(scikit_learns(mine))


def test_macro_f1_of_seeds_is_the_mean_of_each_over_its_own_stages():
    seeds = [certain("SC4001", [0, 1, 2], [0, 1, 2]), certain("SC4001", [0, 1, 2], [0, 1, 3])]
    table = of_subjects(seeds)
    assert table.macro_f1.item() == pytest.approx(np.mean([scikit_learns(of_seed)[0] for of_seed in seeds]))
    assert table.macro_f1_stages.item() == 3


def test_some_metrics_have_the_intervals_that_all_have():
    confusions = statistics.subject_confusions(cohort(5))
    other = statistics.subject_confusions(cohort(5, skill=1.5))
    wanted = ["macro_f1", "recall_N3"]
    every = statistics.bootstrap_intervals(confusions[1], **few)
    pd.testing.assert_frame_equal(
        statistics.bootstrap_intervals(confusions[1], **few, metrics=wanted), every.loc[wanted]
    )
    every = statistics.bootstrap_differences(confusions, other, **few)
    pd.testing.assert_frame_equal(
        statistics.bootstrap_differences(confusions, other, **few, metrics=wanted), every.loc[wanted]
    )


def test_resamples_are_kept_and_cannot_be_changed():
    first = statistics._resampled_counts(7, 50, 3)
    assert first is statistics._resampled_counts(7, 50, 3)
    assert (first.sum(axis=1) == 7).all() and not np.array_equal(first, statistics._resampled_counts(7, 50, 4))
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


def test_blocks_of_resamples_give_the_bytes_of_all_at_once(monkeypatch):
    many = np.random.default_rng(0).integers(0, 400, (2, 23, 5, 5))
    whole = statistics.bootstrap_intervals(many)
    weights = np.random.default_rng(0).multinomial(23, np.full(23, 1 / 23), size=statistics.RESAMPLES)
    assert np.array_equal(statistics._resampled_counts(23, statistics.RESAMPLES, 0), weights)
    statistics._resampled_counts.cache_clear()
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    pd.testing.assert_frame_equal(statistics.bootstrap_intervals(many), whole, check_exact=True)


def test_names_as_categories_give_the_same_statistics():
    predictions = cohort(3)
    coded = predictions.astype({"recording": "category", "subject": "category"})
    statistics.check_predictions(coded)
    pd.testing.assert_frame_equal(of_subjects(coded), of_subjects(predictions))
    with pytest.raises(BenchmarkError, match="belongs to more than one subject: 60 of 360 epochs, in SC4001"):
        statistics.check_predictions(coded.assign(subject=coded.subject.where(coded.index > 0, "02")))


def test_stage_a_subject_never_shows_is_undefined_there():
    predictions = pd.concat([certain("SC4001", [0, 0, 4], [0, 4, 4]), certain("SC4011", [0, 0], [0, 0])])
    table = of_subjects(predictions)
    assert table.recall_REM.tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert np.isnan(table.cohen_kappa["01"])


# ----------------------------------------------------------------------------------------------------------- bootstrap


def slow_intervals(confusions: np.ndarray, resamples: int, metric, seed: int) -> tuple[float, float]:
    """Bootstrap over subjects one resample at a time, by drawing their positions."""
    generator = np.random.default_rng(seed)
    n = len(confusions)
    values = [metric(confusions[generator.integers(0, n, n)].sum(axis=0)) for _ in range(resamples)]
    return tuple(np.quantile(values, [0.025, 0.975]))


def test_estimate_is_pooled_and_differs_from_the_mean_of_subjects():
    _, confusions = statistics.subject_confusions(cohort(4))
    confusions = confusions * np.array([1, 2, 3, 4])[:, None, None]
    table = statistics.bootstrap_intervals(confusions, **few)
    pooled = summary(confusions.sum(axis=0))
    assert table.estimate.to_dict() == {name: pooled[name] for name in METRICS}
    assert table.estimate["accuracy"] != pytest.approx(accuracy(confusions).mean(), abs=1e-3)


def test_agrees_with_scipy_and_with_a_loop():
    _, confusions = statistics.subject_confusions(cohort(10))
    table = statistics.bootstrap_intervals(confusions)
    for name, metric in (("accuracy", accuracy), ("macro_f1", macro_f1)):
        theirs = stats.bootstrap(
            (np.arange(len(confusions)),),
            lambda drawn, axis, metric=metric: metric(confusions[drawn].sum(axis=axis - 2)),
            n_resamples=10_000,
            method="percentile",
            rng=np.random.default_rng(5),
        ).confidence_interval
        width = theirs.high - theirs.low
        slow = slow_intervals(confusions, 4000, metric, 7)
        assert [table.low[name], table.high[name]] == pytest.approx([theirs.low, theirs.high], abs=0.05 * width)
        assert [table.low[name], table.high[name]] == pytest.approx(slow, abs=0.08 * width)


def test_equal_chances_give_the_interval_of_a_binomial():
    """Subjects all right or all wrong: the number of right ones drawn is binomial."""
    confusions = np.zeros((40, 5, 5), dtype=np.int64)
    confusions[:20, 0, 0] = confusions[20:, 0, 2] = 10
    table = statistics.bootstrap_intervals(confusions)
    expected = stats.binom(40, 0.5).ppf([0.025, 0.975]) / 40
    assert table.loc["accuracy", ["low", "high"]].tolist() == pytest.approx(expected, abs=0.026)
    assert table.low["accuracy"] < table.estimate["accuracy"] < table.high["accuracy"]


@given(matrices, st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_intervals_are_ordered_within_range_and_repeatable(confusions, seed):
    table = statistics.bootstrap_intervals(confusions, seed=seed, **few)
    defined = table.dropna()
    assert (defined.low <= defined.high).all()
    assert defined.drop("cohen_kappa", errors="ignore")[["low", "high"]].stack().between(0, 1).all()
    each = metric_values(confusions)[:, 0]
    assert (
        np.isnan(each).any()
        or each.min() - 1e-9 <= table.low["accuracy"] <= table.high["accuracy"] <= each.max() + 1e-9
    )
    pd.testing.assert_frame_equal(table, statistics.bootstrap_intervals(confusions, seed=seed, **few))


@given(matrices, st.permutations(range(5)))
@settings(max_examples=20)
def test_names_of_stages_do_not_matter(confusions, order):
    table = statistics.bootstrap_intervals(confusions, **few)
    renamed = statistics.bootstrap_intervals(confusions[:, order][:, :, order], **few)
    overall = ["accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa"]
    pd.testing.assert_frame_equal(renamed.loc[overall], table.loc[overall])


@given(hnp.arrays(np.int64, (5, 5), elements=cells), st.integers(2, 6))
@settings(max_examples=20)
def test_identical_subjects_have_intervals_without_width(confusion, n):
    table = statistics.bootstrap_intervals(np.stack([confusion] * n), **few)
    assert table.low.to_numpy() == pytest.approx(table.estimate.to_numpy(), nan_ok=True)
    assert table.high.to_numpy() == pytest.approx(table.estimate.to_numpy(), nan_ok=True)


@given(matrices, st.permutations(range(7)))
@settings(max_examples=20)
def test_order_of_subjects_leaves_the_estimate_as_it_is(confusions, order):
    order = [i for i in order if i < len(confusions)]
    table, permuted = (statistics.bootstrap_intervals(c, **few) for c in (confusions, confusions[order]))
    pd.testing.assert_series_equal(table.estimate, permuted.estimate)


@given(matrices)
@settings(max_examples=20)
def test_a_stage_that_is_nowhere_changes_no_other(confusions):
    confusions[:, 4] = confusions[:, :, 4] = 0
    table = statistics.bootstrap_intervals(confusions, **few)
    absent = table.loc[["f1_REM", "precision_REM", "recall_REM"]]
    assert absent[["estimate", "low", "high"]].isna().all(axis=None)
    assert (absent.undefined == 300).all()
    four = confusions[:, :4, :4].sum(axis=0)
    if four.sum() and table.undefined["macro_f1"] == 0:
        stage, predicted = (np.repeat(codes.ravel(), four.ravel()) for codes in np.indices((4, 4)))
        assert table.estimate["macro_f1"] == pytest.approx(sk.f1_score(stage, predicted, average="macro"))


def test_resamples_without_a_stage_are_counted_and_left_out():
    confusions = np.zeros((4, 5, 5), dtype=np.int64)
    confusions[:, 0, 0] = 10
    confusions[0, 4, 4] = 5
    table = statistics.bootstrap_intervals(confusions)
    # The one subject with REM is drawn in none of four draws with probability (3/4)^4.
    assert table.undefined["recall_REM"] / 10_000 == pytest.approx(0.75**4, abs=0.02)
    assert table.loc["recall_REM", ["low", "high"]].tolist() == [1, 1]
    assert table.undefined["accuracy"] == 0


def test_one_subject_has_no_interval():
    _, confusions = statistics.subject_confusions(cohort(1))
    table = statistics.bootstrap_intervals(confusions, **few)
    assert table[["low", "high"]].isna().all(axis=None)
    assert table.estimate.notna().all()
    assert (table.n_subjects == 1).all()


def test_estimate_of_seeds_is_their_mean():
    _, confusions = statistics.subject_confusions([cohort(6, seed=seed) for seed in range(3)])
    table = statistics.bootstrap_intervals(confusions, **few)
    expected = np.mean([metric_values(of_seed.sum(axis=0)) for of_seed in confusions], axis=0)
    assert table.estimate.to_numpy() == pytest.approx(expected)
    same = statistics.bootstrap_intervals(np.stack([confusions[0]] * 3), **few)
    pd.testing.assert_frame_equal(same, statistics.bootstrap_intervals(confusions[0], **few))


def test_a_wider_level_gives_a_wider_interval():
    _, confusions = statistics.subject_confusions(cohort(6))
    narrow, wide = (statistics.bootstrap_intervals(confusions, level=level, **few) for level in (0.5, 0.99))
    assert (wide.low <= narrow.low).all()
    assert (wide.high >= narrow.high).all()


@pytest.mark.parametrize("options", [{"level": 95}, {"level": 0}, {"resamples": 0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(BenchmarkError, match="at least 1 resample and a level between 0 and 1"):
        statistics.bootstrap_intervals(np.ones((3, 5, 5), dtype=int), **options)


@pytest.mark.parametrize("shape", [(5, 5), (0, 5, 5), (3, 5, 4), (1, 1, 3, 5, 5)])
def test_matrices_of_another_shape_are_refused(shape):
    with pytest.raises(BenchmarkError, match="take them from subject_confusions"):
        statistics.bootstrap_intervals(np.ones(shape, dtype=int))


def test_difference_from_itself_is_zero_and_swapping_turns_it_round():
    weak, strong = (statistics.subject_confusions(cohort(8, skill=skill)) for skill in (1.5, 2.5))
    same = statistics.bootstrap_differences(weak, weak, **few)
    assert (same[["estimate", "low", "high"]] == 0).all(axis=None)
    there, back = (statistics.bootstrap_differences(*pair, **few) for pair in ((weak, strong), (strong, weak)))
    assert there.low["accuracy"] > 0
    for one, other in (("estimate", "estimate"), ("low", "high"), ("first", "second")):
        sign = 1 if one == "first" else -1
        assert there[one].to_numpy() == pytest.approx(sign * back[other].to_numpy())
    assert there.estimate.to_numpy() == pytest.approx((there.second - there["first"]).to_numpy())


def test_pairing_narrows_the_interval_of_a_difference():
    first, second = (statistics.subject_confusions(cohort(12, skill=skill)) for skill in (2.0, 2.3))
    paired = statistics.bootstrap_differences(first, second).loc["accuracy"]
    alone = [statistics.bootstrap_intervals(confusions).loc["accuracy"] for _, confusions in (first, second)]
    assert paired.high - paired.low < np.hypot(*[interval.high - interval.low for interval in alone])


def test_difference_draws_from_the_subjects_of_either():
    subjects, confusions = statistics.subject_confusions(cohort(6))
    table = statistics.bootstrap_differences((subjects[:4], confusions[:4]), (subjects[2:], confusions[2:]), **few)
    assert table.n_subjects.unique() == [6]
    assert table.n_shared.unique() == [2]
    assert table["first"]["accuracy"] == accuracy(confusions[:4].sum(axis=0))
    padded = confusions.copy()
    padded[4:] = 0
    same = statistics.bootstrap_differences((subjects, padded), (subjects[2:], confusions[2:]), **few)
    assert same.low.to_numpy() == pytest.approx(table.low.to_numpy())


def test_difference_may_be_of_different_numbers_of_seeds():
    one = statistics.subject_confusions(cohort(4))
    several = statistics.subject_confusions([cohort(4), cohort(4)])
    assert (statistics.bootstrap_differences(one, several, **few)[["low", "high"]] == 0).all(axis=None)


def test_difference_needs_a_matrix_per_subject():
    subjects, confusions = statistics.subject_confusions(cohort(3))
    for wrong in (subjects[:2], ["00", "00", "01"]):
        with pytest.raises(BenchmarkError, match="expected one matrix per subject"):
            statistics.bootstrap_differences((wrong, confusions), (subjects, confusions))


# -------------------------------------------------------------------------------------------------- seeds and subjects


def test_spread_over_seeds():
    _, confusions = statistics.subject_confusions([cohort(3, seed=seed) for seed in range(4)])
    table = statistics.seed_spread(confusions)
    values = pd.Series([accuracy(of_seed.sum(axis=0)) for of_seed in confusions])
    expected = [values.mean(), values.std(), values.min(), values.max(), 4]
    assert table.loc["accuracy"].tolist() == pytest.approx(expected)
    one = statistics.seed_spread(confusions[0])
    assert one.sd.isna().all()
    assert one.loc["accuracy", ["mean", "min", "max"]].tolist() == [values[0]] * 3


# --------------------------------------------------------------------------------------------------------- comparisons


def series(values: list[float]) -> pd.Series:
    """A metric of subjects 00, 01, …"""
    return pd.Series(values, index=[f"{i:02d}" for i in range(len(values))])


@pytest.mark.parametrize("n", [7, 30, 78])
def test_comparison_agrees_with_scipy(n):
    generator = np.random.default_rng(n)
    first, second = generator.normal(0.8, 0.05, size=(2, n))
    row = statistics.paired_comparisons({"a": series(first), "b": series(second)}, "accuracy").iloc[0]
    theirs = stats.wilcoxon(second, first)
    assert (row.statistic, row.p, row.p_holm) == pytest.approx((theirs.statistic, theirs.pvalue, theirs.pvalue))
    assert row.median_difference == pytest.approx(np.median(second - first))
    assert (row["first"], row.second, row.metric, row.n_subjects, row.n_zero) == ("a", "b", "accuracy", n, 0)


tenths = st.integers(-6, 6).map(lambda tenth: tenth / 10)


@given(st.lists(tenths, min_size=1, max_size=6))
@settings(max_examples=20)
def test_small_p_values_are_exact_with_ties_and_zeros(differences):
    """Against all signs that the differences might have had."""
    row = statistics.paired_comparisons(
        {"a": series([0.3] * len(differences)), "b": series([0.3 + d for d in differences])}, "accuracy"
    ).iloc[0]
    nonzero = np.array([d for d in differences if d])
    assert row.n_zero == len(differences) - len(nonzero)
    assert row.p >= row.smallest_p - 1e-12
    if not nonzero.size:
        assert (row.p, row.rank_biserial, row.smallest_p) == (1, 0, 1)
        return
    ranks = stats.rankdata(np.abs(nonzero))
    sums = np.array([ranks @ signs for signs in product((-1, 1), repeat=len(nonzero))])
    observed = ranks @ np.sign(nonzero)
    assert row.p == pytest.approx((np.abs(sums) >= abs(observed) - 1e-9).mean())
    assert row.rank_biserial == pytest.approx(observed / ranks.sum())


def test_effect_has_the_sign_of_the_better_one():
    better, worse = series(np.linspace(0.8, 0.9, 6)), series(np.linspace(0.7, 0.75, 6))
    row = statistics.paired_comparisons({"worse": worse, "better": better}, "accuracy").iloc[0]
    assert row.rank_biserial == 1
    assert row.p == row.smallest_p == 2**-5
    row = statistics.paired_comparisons({"better": better, "worse": worse}, "accuracy").iloc[0]
    assert row.rank_biserial == -1


def test_holm_corrects_over_the_pairs():
    generator = np.random.default_rng(3)
    values = {
        name: series(generator.normal(level, 0.05, 20)) for name, level in zip("abc", (0.7, 0.72, 0.8), strict=True)
    }
    table = statistics.paired_comparisons(values, "macro_f1")
    assert list(zip(table["first"], table.second, strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    ordered = table.sort_values("p")
    expected = np.minimum(1, np.maximum.accumulate(ordered.p.to_numpy() * [3, 2, 1]))
    assert ordered.p_holm.to_numpy() == pytest.approx(expected)
    against = statistics.paired_comparisons(values, "macro_f1", reference="b")
    assert list(zip(against["first"], against.second, strict=True)) == [("b", "a"), ("b", "c")]


def test_a_metric_that_is_undefined_in_a_subject_leaves_it_out():
    values = {"a": series([0.1, 0.2, np.nan, 0.4]), "b": series([0.2, 0.4, 0.5, 0.4])}
    row = statistics.paired_comparisons(values, "cohen_kappa").iloc[0]
    assert (row.n_subjects, row.n_undefined, row.n_zero) == (3, 1, 1)
    nothing = statistics.paired_comparisons({"a": series([np.nan]), "b": series([1.0])}, "cohen_kappa").iloc[0]
    assert (nothing.n_subjects, nothing.p, nothing.p_holm) == (0, 1, 1)


def test_rounding_errors_make_no_difference():
    row = statistics.paired_comparisons({"a": series([0.3, 0.7]), "b": series([0.1 + 0.2, 0.7])}, "accuracy").iloc[0]
    assert (row.n_zero, row.p) == (2, 1)


def test_subjects_are_paired_by_name_not_by_place():
    values = series(np.linspace(0.5, 0.9, 8))
    row = statistics.paired_comparisons({"a": values, "b": values[::-1]}, "accuracy").iloc[0]
    assert (row.n_zero, row.p) == (8, 1)


def test_one_name_alone_makes_no_rows():
    table = statistics.paired_comparisons({"a": series([0.5])}, "accuracy")
    assert table.empty
    assert "p_holm" in table


def test_different_subjects_are_refused():
    values = series([0.5, 0.6, 0.7])
    with pytest.raises(BenchmarkError, match="b lacks subject 01, 02"):
        statistics.paired_comparisons({"a": values, "b": values[:1]}, "accuracy")
    with pytest.raises(BenchmarkError, match="b has more than once subject 00"):
        statistics.paired_comparisons({"a": values, "b": pd.concat([values, values[:1]])}, "accuracy")
    with pytest.raises(BenchmarkError, match="the reference is 'c', expected one of 'a', 'b'"):
        statistics.paired_comparisons({"a": values, "b": values}, "accuracy", reference="c")
