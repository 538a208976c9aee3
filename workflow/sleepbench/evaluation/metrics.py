"""Agreement of predicted with scored stages, all of it computed from the confusion matrix.

Confusion matrices of folds may be added: the metrics of the sum are the pooled metrics over the concatenated epochs.
Every metric takes one matrix, shape (5, 5), or a stack of them, shape (..., 5, 5), and gives one value for each.
"""

import numpy as np

from sleepbench.core.stages import STAGES


def confusion_matrix(stage: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Count epochs by scored stage (rows) and predicted stage (columns).

    Parameters
    ----------
    stage, predicted : integer arrays, shape (n_epochs,), codes 0..4

    Returns
    -------
    int64 array, shape (5, 5)
    """
    stage, predicted = np.asarray(stage), np.asarray(predicted)
    if stage.shape != predicted.shape or stage.ndim != 1:
        raise ValueError(f"stage {stage.shape} and predicted {predicted.shape} must be two vectors of one length")
    n = len(STAGES)
    for name, codes in (("stage", stage), ("predicted", predicted)):
        if codes.size and not (codes.min() >= 0 and codes.max() < n):
            raise ValueError(f"{name} holds codes {codes.min()}..{codes.max()}, expected 0..{n - 1}")
    return np.bincount(stage.astype(np.int64) * n + predicted, minlength=n * n).reshape(n, n)


def stage_counts(confusion: np.ndarray) -> np.ndarray:
    """Count the epochs of each stage that were hit, scored and predicted.

    A hit is an epoch predicted as scored. These counts are all that the metrics depend on.

    Returns
    -------
    (3, 5, ...) for a stack (..., 5, 5): stages come before the matrices of the stack, so that sums over stages run
    along memory. The counts of a sum of matrices are the sum of their counts.
    """
    confusion = np.asarray(confusion)
    counts = (np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2))
    return np.ascontiguousarray(np.moveaxis(np.stack(counts), -1, 1))


def class_recall(confusion: np.ndarray) -> np.ndarray:
    """Recall (sensitivity) of each stage, shape (..., 5), in 0..1; NaN for a stage that was not scored."""
    return np.moveaxis(_recall(stage_counts(confusion)), 0, -1)


def class_precision(confusion: np.ndarray) -> np.ndarray:
    """Precision of each stage, shape (..., 5), in 0..1; NaN for a stage that was not predicted."""
    return np.moveaxis(_precision(stage_counts(confusion)), 0, -1)


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each stage, shape (..., 5), in 0..1; NaN for a stage that was neither scored nor predicted."""
    return np.moveaxis(_f1(stage_counts(confusion)), 0, -1)


def accuracy(confusion: np.ndarray) -> float | np.ndarray:
    """Share of epochs whose predicted stage is the scored one; NaN without epochs."""
    return _number(_accuracy(stage_counts(confusion)))


def balanced_accuracy(confusion: np.ndarray) -> float | np.ndarray:
    """Unweighted mean of the recall of the stages that were scored; NaN without epochs.

    This is scikit-learn's `balanced_accuracy_score`.
    """
    return _number(_mean_of_defined(_recall(stage_counts(confusion))))


def macro_f1(confusion: np.ndarray) -> float | np.ndarray:
    """Unweighted mean of the F1 of the stages that were scored or predicted; NaN without epochs.

    This is scikit-learn's `f1_score(stage, predicted, average="macro")`, which takes the stages that occur in either. A
    stage that is predicted but never scored has an F1 of 0 and counts; one that is neither has no F1 and does not (over
    all five, with 0 for that one, the same predictions would get `macro_f1_stages` / 5 of this value). The definition
    is the same for a fold, a subject, a group of subjects and all epochs pooled: what differs is how many stages are
    averaged, which `macro_f1_stages` tells.
    """
    return _number(_mean_of_defined(_f1(stage_counts(confusion))))


def macro_f1_stages(confusion: np.ndarray) -> int | np.ndarray:
    """The number of stages that `macro_f1` averages, 0..5: those that were scored or predicted."""
    _, scored, predicted = stage_counts(confusion)
    number = (scored + predicted > 0).sum(axis=0)
    return int(number) if np.ndim(number) == 0 else number


def cohen_kappa(confusion: np.ndarray) -> float | np.ndarray:
    """Cohen's kappa: agreement beyond that of two independent raters with the same shares.

    NaN where it is undefined: no epochs, or one and the same stage throughout both scorings.
    """
    return _number(_kappa(stage_counts(confusion)))


def _recall(counts: np.ndarray) -> np.ndarray:
    hits, scored, _ = counts
    return _ratio(hits, scored)


def _precision(counts: np.ndarray) -> np.ndarray:
    hits, _, predicted = counts
    return _ratio(hits, predicted)


def _f1(counts: np.ndarray) -> np.ndarray:
    hits, scored, predicted = counts
    return _ratio(2 * hits, scored + predicted)


def _accuracy(counts: np.ndarray) -> np.ndarray:
    hits, scored, _ = counts
    return _ratio(hits.sum(axis=0), scored.sum(axis=0))


def _kappa(counts: np.ndarray) -> np.ndarray:
    _, scored, predicted = counts
    chance = (scored * predicted).sum(axis=0)
    expected = _ratio(chance, np.square(scored.sum(axis=0), dtype=np.float64))
    return _ratio(_accuracy(counts) - expected, 1 - expected)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) != 0)


def _mean_of_defined(scores: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(scores)
    return _ratio(np.where(defined, scores, 0).sum(axis=0), defined.sum(axis=0))


def _number(values: np.ndarray) -> float | np.ndarray:
    """A plain float for one matrix, an array for a stack."""
    return float(values) if np.ndim(values) == 0 else values


METRICS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa"),
    *(f"{kind}_{name}" for kind in ("f1", "precision", "recall") for name in STAGES),
)
"""Names of the metrics in `summary`, in the order of `metric_values`."""


def metric_values(confusion: np.ndarray) -> np.ndarray:
    """Every metric of each matrix of a stack, float64 (..., n_metrics), in the order of METRICS.

    `confusion` is (..., 5, 5).
    """
    return np.moveaxis(values_of_counts(stage_counts(confusion)), 0, -1)


def values_of_counts(counts: np.ndarray) -> np.ndarray:
    """Every metric of `stage_counts` (3, 5, ...): float64 (n_metrics, ...), in the order of METRICS."""
    f1, recall = _f1(counts), _recall(counts)
    overall = (_accuracy(counts), _mean_of_defined(recall), _mean_of_defined(f1), _kappa(counts))
    return np.concatenate([np.stack(overall), f1, _precision(counts), recall])


def summary(confusion: np.ndarray) -> dict[str, float]:
    """Every metric of one confusion matrix by name (see METRICS), and n_epochs."""
    values = metric_values(confusion).tolist()
    return {**dict(zip(METRICS, values, strict=True)), "n_epochs": int(confusion.sum())}


def confusion_items(confusion: np.ndarray) -> dict[str, int]:
    """The cells of a confusion matrix by name: confusion_W_N1 counts epochs scored W and predicted N1."""
    return {
        f"confusion_{scored}_{predicted}": int(confusion[i, j])
        for i, scored in enumerate(STAGES)
        for j, predicted in enumerate(STAGES)
    }


def confusion_from_items(items: dict[str, float]) -> np.ndarray:
    """The confusion matrix, int64 (5, 5), whose cells `confusion_items` named."""
    cells = [[items[f"confusion_{scored}_{predicted}"] for predicted in STAGES] for scored in STAGES]
    return np.array(cells).astype(np.int64)
