"""Made-up runs as if on Sleep-EDF-20, with the fold sizes of a re-run that is known, and as near to it as is asked for.

runs_like(rerun, seeds=3, apart={4: -10.0})   # fold 4 is ten points worse in every seed
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from fake_results import LABELS, RESOURCES

from sleepbench.config.recipe import recipe_from
from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics
from sleepbench.evaluation.reruns import Rerun, load_reruns
from sleepbench.reporting.artefacts import FigureArtefact, Inputs, Table
from sleepbench.runs.runs_table import RUN_COLUMNS

RERUNS = {one.dataset: one for one in load_reruns(RESOURCES / "reruns.yaml")}
N = len(STAGES)


def confusions_by_fold(rerun: Rerun) -> np.ndarray:
    """Matrices (n_folds, 5, 5) with the sizes, correct epochs and pooled matrix of a re-run."""
    total = np.array(rerun.confusion)
    cells = np.arange(N * N).reshape(N, N)
    on = np.repeat(np.diagonal(cells), np.diagonal(total))
    off = np.repeat(cells[~np.eye(N, dtype=bool)], total[~np.eye(N, dtype=bool)])
    right, wrong = np.array(rerun.correct_by_fold), np.array(rerun.n_epochs_by_fold) - rerun.correct_by_fold
    parts = zip(np.split(on, right.cumsum()[:-1]), np.split(off, wrong.cumsum()[:-1]), strict=True)
    counts = [np.bincount(np.concatenate(pair), minlength=N * N) for pair in parts]
    return np.array(counts).reshape(-1, N, N)


def moved(matrix: np.ndarray, points: float) -> np.ndarray:
    """A matrix whose accuracy is that many points higher, or lower: epochs of a stage are called otherwise."""
    matrix, n = matrix.copy(), round(abs(points) / 100 * matrix.sum())
    while n:
        off = np.where(np.eye(N, dtype=bool), 0, matrix)
        i, j = np.unravel_index(off.argmax() if points > 0 else np.diag(np.diagonal(matrix)).argmax(), (N, N))
        source, target = ((i, j), (i, i)) if points > 0 else ((i, i), (i, (i + 1) % N))
        taken = min(n, matrix[source])
        matrix[source] -= taken
        matrix[target] += taken
        n -= taken
    return matrix


def runs_like(
    rerun: Rerun, seeds: int = 3, spread: float = 0.5, apart: Mapping[int, float] | None = None, **columns: object
) -> pd.DataFrame:
    """A table of runs of all folds and seeds, as if on the dataset of a re-run.

    spread : standard deviation over seeds of the accuracy of a fold, in points
    apart : by fold, how many points all seeds are off; columns : values of columns in every row
    """
    generator, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        for fold, matrix in enumerate(confusions_by_fold(rerun)):
            points = (apart or {}).get(fold, 0) + (spread * generator.normal() if seeds > 1 else 0)
            rows.append(run_row(rerun, seed, fold, moved(matrix, points)))
    table = pd.DataFrame(rows).assign(**columns)
    return table.reindex(columns=list(dict.fromkeys([*RUN_COLUMNS, *table])))


def run_row(rerun: Rerun, seed: int, fold: int, matrix: np.ndarray) -> dict:
    """A row of the table of runs."""
    settings = {name: value for name, value in rerun.recipe.items() if name != "name"}
    recipe = recipe_from(rerun.recipe["name"], settings)
    return {
        **{"run_key": f"key{seed}-{fold}", "dataset": rerun.dataset, "simulated": False, "protocol": rerun.protocol},
        **{"model": "ulw_sleepnet", "title": rerun.model, "input": "four", "n_channels": rerun.n_channels},
        **{"recipe": recipe.name, "recipe_settings": json.dumps(recipe.settings(), sort_keys=True)},
        **{"seed": seed, "fold": fold, "n_folds": rerun.n_folds, "selection": rerun.selection},
        **{"trimming": rerun.trimming or "standard", "n_test": matrix.sum()},
        **{"directory": f"trainings/{seed}-{fold}", "accuracy": metrics.accuracy(matrix)},
        **metrics.confusion_items(matrix),
    }


def change_matrix(runs: pd.DataFrame, fold: int, change: np.ndarray) -> pd.DataFrame:
    """The runs with a matrix (5, 5) added to that of a fold, in every seed."""
    runs = runs.copy()
    for name, value in metrics.confusion_items(change).items():
        runs.loc[runs.fold == fold, name] += value
    return runs


def inputs_of(
    artefact: Table | FigureArtefact, runs: pd.DataFrame, folder: Path, dataset: str = "sleep-edf-20"
) -> Inputs:
    """What an artefact of re-runs is built from."""
    path = folder / "runs.csv"
    runs.to_csv(path, index=False)
    return Inputs({"runs": path, "reruns": RESOURCES / "reruns.yaml"}, {}, LABELS[dataset])
