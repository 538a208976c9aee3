"""Scores of a contender under a protocol, over folds and seeds and pooled, from the runs table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics

CONFUSION = tuple(metrics.confusion_items(np.zeros((len(STAGES), len(STAGES)))))
"""The columns of the runs table that hold a run's confusion matrix, row by row."""
F1 = tuple(f"f1_{stage}" for stage in STAGES)


def confusions(runs: pd.DataFrame) -> np.ndarray:
    """The confusion matrix of each run, int64 (n_runs, 5, 5)."""
    return runs[list(CONFUSION)].to_numpy().astype(np.int64).reshape(-1, len(STAGES), len(STAGES))


def scores(fold: Sequence[int], seed: Sequence[int], matrices: np.ndarray) -> dict[str, float]:
    """Accuracies over folds and seeds, and pooled metrics, in percent but for kappa.

    `matrices` (n_runs, 5, 5) are the confusion matrices of runs with these folds and seeds. Pooled is what is computed
    of the sum over folds; with several seeds, the mean over seeds, and the fewest stages of the macro-F1 of any seed.
    """
    seed = np.asarray(seed)
    accuracy = pd.DataFrame({"fold": fold, "seed": seed, "accuracy": metrics.accuracy(matrices)})
    by_fold, by_seed = (accuracy.groupby(unit).accuracy.mean() for unit in ("fold", "seed"))
    sums = np.array([matrices[seed == one].sum(axis=0) for one in by_seed.index])
    each_seed = [metrics.summary(matrix) for matrix in sums]
    pooled = pd.DataFrame(each_seed).mean(skipna=False)
    return {
        "accuracy_mean_of_folds": 100 * by_fold.mean(),
        "accuracy_sd_of_folds": 100 * by_fold.std(ddof=1),
        "accuracy_sd_of_seeds": 100 * by_seed.std(ddof=1),
        "accuracy": 100 * pooled["accuracy"],
        "macro_f1": 100 * pooled["macro_f1"],
        "cohen_kappa": pooled["cohen_kappa"],
        **{name: 100 * pooled[name] for name in F1},
        "macro_f1_stages": int(metrics.macro_f1_stages(sums).min()),
        "n_epochs": each_seed[0]["n_epochs"],
    }
