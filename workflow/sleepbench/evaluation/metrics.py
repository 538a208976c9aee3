"""Agreement of predicted with scored stages, all of it computed from the confusion matrix.

Confusion matrices of folds may be added: the metrics of the sum are the pooled metrics over the concatenated epochs.
"""

import numpy as np

from sleepbench.stages import STAGES


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


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of each stage, shape (5,), in 0..1; NaN for a stage that was neither scored nor predicted."""
    scored_plus_predicted = confusion.sum(axis=0) + confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 2 * np.diag(confusion) / np.where(scored_plus_predicted > 0, scored_plus_predicted, np.nan)


def accuracy(confusion: np.ndarray) -> float:
    """Share of epochs whose predicted stage is the scored one; NaN without epochs."""
    n_epochs = confusion.sum()
    return float(np.trace(confusion) / n_epochs) if n_epochs else float("nan")


def macro_f1(confusion: np.ndarray) -> float:
    """Unweighted mean of the F1 of the stages that were scored or predicted, as scikit-learn's `f1_score` takes it."""
    scores = class_f1(confusion)
    return float(np.nanmean(scores)) if not np.isnan(scores).all() else float("nan")


def cohen_kappa(confusion: np.ndarray) -> float:
    """Cohen's kappa: agreement beyond that of two independent raters with the same shares.

    NaN where it is undefined: no epochs, or one and the same stage throughout both scorings.
    """
    n_epochs = confusion.sum()
    if not n_epochs:
        return float("nan")
    expected = float(confusion.sum(axis=0) @ confusion.sum(axis=1)) / float(n_epochs) ** 2
    return float("nan") if expected == 1 else (accuracy(confusion) - expected) / (1 - expected)


METRICS = ("accuracy", "macro_f1", "cohen_kappa", *(f"f1_{name}" for name in STAGES))
"""Names of the metrics in `summary`."""


def summary(confusion: np.ndarray) -> dict[str, float]:
    """Every metric of a confusion matrix by name (see METRICS), and n_epochs."""
    values = (accuracy(confusion), macro_f1(confusion), cohen_kappa(confusion), *map(float, class_f1(confusion)))
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
