"""Statistics over subjects: intervals, paired comparisons and the spread over seeds.

Everything starts from predictions: one row per test epoch of one (protocol, model, input, recipe, seed), all test
folds together, with the columns of predictions.parquet. They are reduced to one confusion matrix per subject, both
nights together, because the nights of one subject are not independent. Two kinds of metrics follow, and are named so:

- pooled: of the sum of the subjects' matrices, so that a subject weighs as many epochs as it has;
- per subject: of each subject's own matrix.

Where several seeds are given, a metric is computed for each seed and then averaged over seeds.

The macro-F1 is one and the same everywhere, pooled, of a group and of a subject: the mean F1 of the stages that were
scored or predicted there (`metrics.macro_f1`). A subject without N3 in either has a macro-F1 of four stages. The column
`macro_f1_stages` says of how many; with several seeds, the fewest of any seed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import METRICS, macro_f1_stages, metric_values, stage_counts, values_of_counts

PROBABILITIES = tuple(f"p_{stage}" for stage in STAGES)
"""Columns of the predicted probabilities, in the order of the stages' codes."""

COLUMNS = ("recording", "subject", "night", "epoch", "stage", "predicted", *PROBABILITIES)
"""Columns that predictions must have."""

SUM_TOLERANCE = 1e-3
"""How far the probabilities of an epoch may add up to something else than 1, for float32 and half precision."""

RESAMPLES = 10_000
BLOCK = 2_000_000
"""Counts of resampled subjects that are held as float64 at a time: 16 MB."""
LEVEL = 0.95

SubjectConfusions = tuple[list[str], np.ndarray]
"""Subjects, and their confusion matrices, int64 (n_subjects, 5, 5) or (n_seeds, n_subjects, 5, 5)."""


# --------------------------------------------------------------------------------------------------------- predictions


def check_predictions(predictions: pd.DataFrame) -> None:
    """Check that predictions are complete and consistent; BenchmarkError, listing the recordings, if not.

    Refused are: a missing column; no epoch at all; a stage or a predicted stage that is not one of the codes 0..4 (NaN
    among them); a probability that is NaN or outside 0..1; probabilities that do not add up to 1; a predicted stage
    that has not the largest probability; an epoch of a recording that is there twice; a recording of two subjects.
    """
    missing = [column for column in COLUMNS if column not in predictions]
    if missing:
        raise BenchmarkError(
            f"the predictions lack the column {', '.join(missing)} (columns: {', '.join(map(str, predictions))}); "
            "run the evaluation again"
        )
    if predictions.empty:
        raise BenchmarkError("the predictions hold no epoch, expected one row per test epoch; run the evaluation again")
    problems = [
        f"{problem}: {rows.sum():,} of {rows.size:,} epochs, in {_some(predictions.recording[rows].astype(str))}"
        for problem, rows in _faults(predictions)
        if rows.any()
    ]
    if problems:
        raise BenchmarkError("the predictions cannot be used; make them again:\n  " + "\n  ".join(problems))


def _faults(predictions: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """What can be wrong with an epoch, and for each whether it is, bool (n_epochs,)."""
    stage, predicted = (_numbers(predictions[name]) for name in ("stage", "predicted"))
    bad_stage, bad_predicted = (~np.isin(codes, np.arange(len(STAGES))) for codes in (stage, predicted))
    probability = probabilities(predictions)
    bad_probability = ~((probability >= 0) & (probability <= 1)).all(axis=0)
    bad_sum = ~bad_probability & (np.abs(probability.sum(axis=0) - 1) > SUM_TOLERANCE)
    chosen = np.where(bad_predicted, 0, predicted).astype(np.int64)
    below = probability[chosen, np.arange(chosen.size)] < probability.max(axis=0)
    recording, subject = (pd.factorize(predictions[name])[0] for name in ("recording", "subject"))
    epoch = predictions.epoch.reset_index(drop=True)
    return [
        ("stage is not one of 0..4", bad_stage),
        ("predicted is not one of 0..4", bad_predicted),
        ("a recording, subject or epoch is empty", (recording < 0) | (subject < 0) | epoch.isna().to_numpy()),
        ("a probability is NaN or outside 0..1", bad_probability),
        ("the probabilities do not add up to 1", bad_sum),
        ("predicted is not the stage of the largest probability", ~(bad_predicted | bad_probability) & below),
        (
            "the epoch is there more than once",
            pd.DataFrame({"recording": recording, "epoch": epoch}).duplicated(keep=False).to_numpy(),
        ),
        ("the recording belongs to more than one subject", _of_two_subjects(recording, subject)),
    ]


def _of_two_subjects(recording: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Whether each epoch's recording has epochs of more than one subject, bool (n_epochs,).

    `recording` and `subject` are integer codes, one per epoch (n_epochs,); -1 stands for none.
    """
    known = (recording >= 0) & (subject >= 0)
    # One place more than there are recordings: the last, -1, is that of epochs without one.
    subject_of = np.full(recording.max() + 2, -1)
    subject_of[recording[known]] = subject[known]
    of_two = np.zeros(subject_of.size, dtype=bool)
    of_two[recording[known & (subject != subject_of[recording])]] = True
    return of_two[recording]


def _some(names: Iterable[str]) -> str:
    """The first ten names, and how many there are."""
    distinct = sorted(set(names))
    more = f", … ({len(distinct)} in all)" if len(distinct) > 10 else ""
    return ", ".join(distinct[:10]) + more


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """The predicted probabilities, float64 (5, n_epochs)."""
    return np.stack([_numbers(predictions[name]) for name in PROBABILITIES])


def _numbers(column: pd.Series) -> np.ndarray:
    """A column as float64, NaN where it holds no number."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def subject_confusions(predictions: pd.DataFrame | Sequence[pd.DataFrame], check: bool = True) -> SubjectConfusions:
    """Subjects in ascending order, and the confusion matrix of each.

    A matrix is over all epochs of the subject, both nights together.

    Parameters
    ----------
    predictions : of one seed, or a sequence with those of several seeds
    check : whether `check_predictions` is still to be asked

    Returns
    -------
    Subjects as text, and int64 (n_subjects, 5, 5) for one seed, (n_seeds, n_subjects, 5, 5) for a sequence;
    rows are scored stages, columns predicted ones. BenchmarkError as `check_predictions`, and where seeds were not
    tested on the same epochs.
    """
    if isinstance(predictions, pd.DataFrame):
        return _subject_confusions(predictions, check)
    by_seed = [_subject_confusions(of_seed, check) for of_seed in predictions]
    if not by_seed:
        raise BenchmarkError("there are no predictions of any seed, expected those of one seed or more")
    (subjects, first), *others = by_seed
    for position, (theirs, confusions) in enumerate(others, start=2):
        differing = set(subjects) ^ set(theirs)
        if not differing:
            scored_alike = (confusions.sum(axis=2) == first.sum(axis=2)).all(axis=1)
            differing = {subject for subject, alike in zip(subjects, scored_alike, strict=True) if not alike}
        if differing:
            raise BenchmarkError(
                f"the predictions of seed 1 and seed {position} of {len(by_seed)} are of different epochs, for subject "
                f"{_some(differing)}; seeds can be averaged only over the same test epochs: run them again"
            )
    return subjects, np.stack([confusions for _, confusions in by_seed])


def _subject_confusions(predictions: pd.DataFrame, check: bool) -> SubjectConfusions:
    if check:
        check_predictions(predictions)
    number, found = pd.factorize(predictions.subject)
    rank, subjects = pd.factorize(pd.Series(found).astype(str), sort=True)
    n = len(STAGES)
    stage, predicted = (predictions[name].to_numpy(dtype=np.int64) for name in ("stage", "predicted"))
    counts = np.bincount((rank[number] * n + stage) * n + predicted, minlength=len(subjects) * n * n)
    return list(subjects), counts.reshape(-1, n, n)


def per_subject_metrics(confusions: SubjectConfusions) -> pd.DataFrame:
    """Every metric of each subject's own epochs; of several seeds, the mean over seeds.

    A metric that is undefined in a subject (the recall of a stage it never shows), in any seed, is NaN there. The
    macro-F1 is defined in every subject: it is the mean over the stages that the subject was scored or predicted in.

    Parameters
    ----------
    confusions : what `subject_confusions` returns

    Returns
    -------
    One row per subject (the index, text), with the columns METRICS, macro_f1_stages and n_epochs.
    """
    subjects, matrices = confusions
    by_seed = matrices.reshape(-1, *matrices.shape[-3:])
    table = pd.DataFrame(metric_values(by_seed).mean(axis=0), index=pd.Index(subjects, name="subject"), columns=METRICS)
    return table.assign(macro_f1_stages=macro_f1_stages(by_seed).min(axis=0), n_epochs=by_seed[0].sum(axis=(1, 2)))


# ----------------------------------------------------------------------------------------------------------- bootstrap


def bootstrap_intervals(
    confusions: np.ndarray,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Percentile bootstrap intervals of the pooled metrics, over subjects.

    Each resample draws as many subjects as there are, with replacement, each with all of its nights (Efron & Tibshirani
    1993, chapter 13); the pooled metrics are computed again from the sum of the drawn matrices. The interval runs from
    the (1 - level) / 2 to the (1 + level) / 2 quantile. It tells how the metrics would vary over other subjects, not
    over other trainings: seeds are not resampled, every resample averages over all of them.

    Parameters
    ----------
    confusions : (n_subjects, 5, 5), or (n_seeds, n_subjects, 5, 5), the same subjects in every seed
    resamples : number of resamples
    seed : of the resampling; the same seed and number of subjects give the same resamples
    level : the share of resamples within the interval
    metrics : those that are wanted

    Returns
    -------
    One row per metric (the index): `estimate`, of the subjects as they are; `low` and `high`; `undefined`, the
    resamples in which the metric is undefined in any seed (none of the drawn subjects has the stage), which the
    interval leaves out; `n_subjects`. With one subject only there is nothing to resample, and with an undefined
    estimate nothing to enclose: low and high are NaN. The macro-F1 of a resample is of the stages that its subjects
    were scored or predicted in, as the estimate is of those of all subjects.
    """
    by_seed = _checked(confusions)
    _check_options(resamples, level)
    weights = _resampled_counts(by_seed.shape[1], resamples, seed)
    estimate, resampled = _pooled(by_seed), _pooled(by_seed, weights)
    return _interval_table(estimate, resampled, level, by_seed.shape[1], metrics)


def bootstrap_differences(
    first: SubjectConfusions,
    second: SubjectConfusions,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    metrics: Sequence[str] = METRICS,
) -> pd.DataFrame:
    """Percentile bootstrap intervals of pooled metrics, `second` minus `first`, paired by subject.

    Both are what `subject_confusions` returns, of two models or of two protocols, each of one seed or of several. A
    resample draws subjects once and takes the matrices of both from the same draw, so that what makes a subject easy
    or hard for both cancels out. Drawn are the subjects of either: one that only the other was tested on contributes a
    matrix of zeros, and where two protocols keep different nights or epochs of a subject each contributes its own.

    Returns
    -------
    One row per metric (the index, `metrics`): `first`, `second`, their pooled metrics; `estimate`, second - first; and
    `low`, `high`, `undefined`, `n_subjects` as in `bootstrap_intervals`; `n_shared`, the subjects of both.
    """
    _check_options(resamples, level)
    subjects = sorted({*first[0], *second[0]})
    one, other = (_placed(subjects, *confusions) for confusions in (first, second))
    weights = _resampled_counts(len(subjects), resamples, seed)
    before, after = _pooled(one), _pooled(other)
    resampled = _pooled(other, weights) - _pooled(one, weights)
    table = _interval_table(after - before, resampled, level, len(subjects), metrics)
    wanted = _places(metrics)
    table.insert(0, "first", before[wanted])
    table.insert(1, "second", after[wanted])
    return table.assign(n_shared=len({*first[0]} & {*second[0]}))


def _checked(confusions: np.ndarray) -> np.ndarray:
    """Matrices as (n_seeds, n_subjects, 5, 5)."""
    confusions, n = np.asarray(confusions), len(STAGES)
    if confusions.ndim not in (3, 4) or confusions.shape[-2:] != (n, n) or 0 in confusions.shape:
        raise BenchmarkError(
            f"confusion matrices of shape {confusions.shape} were found, expected (n_subjects, {n}, {n}) or "
            f"(n_seeds, n_subjects, {n}, {n}) with at least one subject; take them from subject_confusions"
        )
    return confusions.reshape(-1, *confusions.shape[-3:])


def _placed(subjects: list[str], theirs: Sequence[str], confusions: np.ndarray) -> np.ndarray:
    """Matrices (n_seeds, n_subjects, 5, 5) of `subjects`, zeros for those that are not `theirs`."""
    by_seed = _checked(confusions)
    if len(theirs) != by_seed.shape[1] or len(set(theirs)) != len(theirs):
        raise BenchmarkError(
            f"{len(theirs)} subjects, {len(set(theirs))} of them distinct, were found with {by_seed.shape[1]} "
            "confusion matrices, expected one matrix per subject; take both from subject_confusions"
        )
    placed = np.zeros((len(by_seed), len(subjects), *by_seed.shape[2:]), dtype=by_seed.dtype)
    placed[:, [subjects.index(subject) for subject in theirs]] = by_seed
    return placed


def _check_options(resamples: int, level: float) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise BenchmarkError(
            f"{resamples} resamples at level {level} were asked for, expected at least 1 resample and a level between "
            "0 and 1; correct the call"
        )


@lru_cache(maxsize=8)
def _resampled_counts(n_subjects: int, resamples: int, seed: int) -> np.ndarray:
    """How often each subject is drawn in each resample, uint16 (resamples, n_subjects), read-only.

    They are kept, as the same subjects are drawn for every model and protocol: 100 MB for 5,000 subjects.
    """
    generator, equally = np.random.default_rng(seed), np.full(n_subjects, 1 / n_subjects)
    # uint16: a subject would have to be drawn 65,536 times. The generator goes from resample to resample, so that
    # blocks of them are the same as all at once.
    counts = np.empty((resamples, n_subjects), np.uint16)
    for block in _blocks(resamples, n_subjects):
        counts[block] = generator.multinomial(n_subjects, equally, size=len(counts[block]))
    counts.flags.writeable = False
    return counts


def _blocks(resamples: int, n_subjects: int) -> Iterator[slice]:
    """Resamples in blocks of at most BLOCK counts, or of one resample."""
    rows = max(1, BLOCK // n_subjects)
    return (slice(start, start + rows) for start in range(0, resamples, rows))


def _pooled(by_seed: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Pooled metrics, mean over seeds.

    `by_seed` is (n_seeds, n_subjects, 5, 5). Without weights of the subjects: (n_metrics,); with weights (resamples,
    n_subjects): (n_metrics, resamples).
    """
    counts = stage_counts(by_seed)
    if weights is None:
        return values_of_counts(counts.sum(axis=-1)).mean(axis=-1)
    flat = counts.reshape(-1, counts.shape[-1]).astype(np.float64)
    # float64, in which the product is exact up to 2**53 epochs, and far faster than in whole numbers
    drawn = np.hstack([flat @ weights[block].astype(np.float64).T for block in _blocks(*weights.shape)])
    return values_of_counts(drawn.reshape(*counts.shape[:3], -1)).mean(axis=1)


def _places(metrics: Sequence[str]) -> list[int]:
    return [METRICS.index(name) for name in metrics]


def _interval_table(
    estimate: np.ndarray, resampled: np.ndarray, level: float, n_subjects: int, metrics: Sequence[str]
) -> pd.DataFrame:
    """The intervals of `metrics`, from the estimates and the resamples of all metrics.

    `estimate` is (n_metrics,) and `resampled` (n_metrics, resamples), both in the order of METRICS.
    """
    estimate, resampled = estimate[_places(metrics)], resampled[_places(metrics)]
    undefined = np.isnan(resampled).sum(axis=1)
    low, high = np.full((2, len(metrics)), np.nan)
    for i, values in enumerate(resampled):
        if n_subjects > 1 and undefined[i] < values.size and not np.isnan(estimate[i]):
            defined = values[~np.isnan(values)] if undefined[i] else values
            low[i], high[i] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    columns = {"estimate": estimate, "low": low, "high": high, "undefined": undefined, "n_subjects": n_subjects}
    return pd.DataFrame(columns, index=pd.Index(metrics, name="metric"))


# -------------------------------------------------------------------------------------------------- seeds and subjects


def seed_spread(confusions: np.ndarray) -> pd.DataFrame:
    """Spread of the pooled metrics over seeds.

    Parameters
    ----------
    confusions : (n_seeds, n_subjects, 5, 5); (n_subjects, 5, 5) is one seed

    Returns
    -------
    One row per metric (the index, METRICS): `mean`, `sd` (with n - 1; NaN for one seed), `min`, `max`, `n_seeds`. All
    are NaN where the metric is undefined in any seed.
    """
    values = metric_values(_checked(confusions).sum(axis=1))
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.nan
    spread = {"mean": values.mean(axis=0), "sd": sd, "min": values.min(axis=0), "max": values.max(axis=0)}
    return pd.DataFrame({**spread, "n_seeds": len(values)}, index=pd.Index(METRICS, name="metric"))


# --------------------------------------------------------------------------------------------------------- comparisons


def paired_comparisons(per_subject: Mapping[str, pd.Series], metric: str, reference: str | None = None) -> pd.DataFrame:
    """Compare models pairwise over subjects by Wilcoxon's signed-rank test, with Holm's correction.

    Differences are second - first, so a positive effect says that the second is better. They are rounded to 12
    decimals, so that rounding errors neither make nor break a tie. Differences of zero are left out, as in Wilcoxon's
    test as first described. The p value is two-sided and exact up to 50 differences, with ties up to 13; beyond that by
    the normal approximation. From n differences no exact p below 2^(1-n) can come: fewer than 6 can never
    fall below 0.05, so `smallest_p` stands beside each p.

    Parameters
    ----------
    per_subject : by name, one metric of each subject, indexed by subject: a column of `per_subject_metrics`
    metric : its name, for the result's column `metric`
    reference : compare the others to this one; without it, every pair, in the order of `per_subject`

    Returns
    -------
    One row per pair: metric, first, second; `n_subjects`, whose metric is defined in both; `n_undefined`, the others,
    left out; `n_zero`, those without a difference; `median_difference` (zeros among them); `statistic`, the smaller
    rank sum; `p`, 1 where no difference is left; `p_holm`, corrected for all rows of this table; `smallest_p`;
    `rank_biserial`, the matched-pairs rank-biserial correlation (Kerby 2014): the rank sum of the positive less that of
    the negative differences, by their total, in -1..1, and 0 where no difference is left. No rows for fewer than two
    names. BenchmarkError where the names cover different subjects.
    """
    _check_same_subjects(per_subject)
    if reference is not None and reference not in per_subject:
        raise BenchmarkError(
            f"the reference is {reference!r}, expected one of {', '.join(map(repr, per_subject))}; correct the call"
        )
    others = [name for name in per_subject if name != reference]
    pairs = combinations(others, 2) if reference is None else ((reference, name) for name in others)
    rows = [
        {"metric": metric, "first": a, "second": b, **_signed_rank((per_subject[b] - per_subject[a]).to_numpy(float))}
        for a, b in pairs
    ]
    columns = ["metric", "first", "second", *_signed_rank(np.zeros(1))]
    table = pd.DataFrame(rows, columns=columns)
    corrected = multipletests(table.p.to_numpy(), method="holm")[1] if rows else []
    table.insert(columns.index("p") + 1, "p_holm", corrected)
    return table


def _check_same_subjects(per_subject: Mapping[str, pd.Series]) -> None:
    everyone = {subject for values in per_subject.values() for subject in values.index}
    problems = []
    for name, values in per_subject.items():
        missing = everyone - {*values.index}
        if missing:
            problems.append(f"{name} lacks subject {_some(map(str, missing))}")
        if values.index.has_duplicates:
            problems.append(
                f"{name} has more than once subject {_some(map(str, values.index[values.index.duplicated()]))}"
            )
    if problems:
        raise BenchmarkError(
            "a paired comparison needs the same subjects, each once, for every name; compare those tested on the same "
            "recordings:\n  " + "\n  ".join(problems)
        )


def _signed_rank(differences: np.ndarray) -> dict[str, float]:
    """Wilcoxon's signed-rank test of paired differences, (n_subjects,), and what goes with it."""
    defined = np.round(differences[~np.isnan(differences)], 12)
    nonzero = defined[defined != 0]
    ranks = stats.rankdata(np.abs(nonzero))
    positive, total = ranks[nonzero > 0].sum(), ranks.sum()
    return {
        "n_subjects": defined.size,
        "n_undefined": differences.size - defined.size,
        "n_zero": defined.size - nonzero.size,
        "median_difference": float(np.median(defined)) if defined.size else np.nan,
        "statistic": float(min(positive, total - positive)),
        "p": float(stats.wilcoxon(nonzero).pvalue) if nonzero.size else 1.0,
        "smallest_p": min(1.0, 2.0 ** (1 - nonzero.size)),
        "rank_biserial": float((2 * positive - total) / total) if nonzero.size else 0.0,
    }
