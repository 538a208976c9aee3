"""The table of runs: one row per run, verified where it is made and trusted after that."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sleepbench.config.made import require_as_made
from sleepbench.config.recipe import recipe_from
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.scores import CONFUSION
from sleepbench.runs.run import RowKey, Run
from sleepbench.training.keys import chosen

ROW = RowKey._fields
"""What tells the measured rows of the main table apart: a protocol and a contender."""

IDENTITY = (*ROW, "seed", "fold")
"""What tells the runs on one dataset apart."""

RUN_COLUMNS = (
    *("run_key", "dataset", "simulated", "protocol", "model", "title", "input", "n_channels", "recipe", "seed"),
    *("fold", "n_folds", "only_folds", "selection", "trimming", "training_epochs", "trained_epochs"),
    *("recipe_settings", "tuned_learning_rate", "n_train", "n_validation", "n_test", "selected_epoch"),
    *("directory", *CONFUSION),
)

TEXTS = ("run_key", "git_commit", "directory", "only_folds", *ROW, "title")
"""Columns that stay text even where all of their characters are digits."""

SAME_IN_A_ROW = ("n_folds", "selection", "trimming", "training_epochs", "recipe_settings", "n_channels")
"""Settings that all runs of a row share: their mean would mean nothing otherwise."""


def read_runs(path: str | Path) -> pd.DataFrame:
    """Read a table of runs.

    BenchmarkError when it is missing, not as it was made, no such table or lacks a column.
    """
    require_as_made([path])
    try:
        runs = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: not there: the experiment is not finished, or was never started") from error
    except ValueError as error:
        raise BenchmarkError(f"{path}: is no table of runs ({error}); delete it and run again") from error
    if missing := [column for column in RUN_COLUMNS if column not in runs]:
        raise BenchmarkError(f"{path}: the runs table lacks {', '.join(missing)}; delete it and run again")
    return runs.assign(only_folds=runs.only_folds.fillna(""))


def write_runs(runs: pd.DataFrame, path: str | Path) -> None:
    """Write a table of runs, whole or not at all."""
    with replacing(path) as temporary:
        runs.to_csv(temporary, index=False)


def row_of(run: Run, metrics: Mapping[str, float], only_folds: Iterable[int]) -> dict[str, Any]:
    """The row of a run, by name of column; `only_folds` are the folds that are asked for, none for all."""
    training, record = run.training, run.record
    recipe = recipe_from(training.recipe, {k: v for k, v in run.settings["recipe"].items() if k != "name"})
    return {
        "run_key": run.key,
        "dataset": training.dataset,
        "simulated": record["provenance"]["simulated"],
        "protocol": run.protocol,
        "model": training.model,
        "title": run.title,
        "input": training.input,
        "n_channels": len(run.settings["channels"]),
        "recipe": training.recipe,
        "seed": training.seed,
        "fold": training.fold,
        "n_folds": run.n_folds,
        "only_folds": " ".join(map(str, only_folds)),
        "selection": run.selection,
        "trimming": training.trimming,
        "training_epochs": recipe.training_epochs,
        "trained_epochs": record["runs"]["last"]["training_epoch"],
        "recipe_settings": json.dumps(recipe.settings(), sort_keys=True),
        "tuned_learning_rate": tuned_learning_rate(record),
        **{f"n_{part}": n for part, n in record["n_epochs"].items()},
        "directory": str(run.directory),
        "git_commit": record["provenance"]["git_commit"],
        "device": record["environment"]["device"],
        **metrics,
    }


def tuned_learning_rate(record: Mapping[str, Any]) -> float | None:
    """The learning rate that a training was tuned to, of its training.json; None for one that was not tuned."""
    taken = chosen(record.get("tuning", []))
    return taken["learning_rate"] if taken else None


def complete_runs(runs: pd.DataFrame, label: DataLabel) -> pd.DataFrame:
    """The runs on one dataset; BenchmarkError if they are incomplete or inconsistent.

    Refused are: no run at all; a run that is missing, is there twice or has other settings than the other runs of its
    row; a table that disagrees with `label` on whether the signals are simulated.
    """
    chosen = runs[runs.dataset == label.dataset]
    if chosen.empty:
        found = ", ".join(sorted(runs.dataset.unique())) or "none"
        raise BenchmarkError(
            f"the runs table holds no run on {label.dataset} (datasets there: {found}); run the training first"
        )
    if (chosen.simulated.astype(bool) != label.simulated).any():
        raise BenchmarkError(
            f"the runs table says simulated: {bool(chosen.simulated.iloc[0])} of {label.dataset}, but simulated: "
            f"{label.simulated} was asked for; correct the configuration or make the runs table again"
        )
    if problems := [*_duplicates(chosen), *_missing_folds(chosen), *_mixed_settings(chosen)]:
        raise BenchmarkError(
            f"the runs on {label.dataset} cannot be summarised; finish or remove these runs:\n  "
            + "\n  ".join(problems)
        )
    return chosen


def _named(values: tuple, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _duplicates(runs: pd.DataFrame) -> Iterator[str]:
    for values, same in runs.groupby(list(IDENTITY), sort=False):
        if len(same) > 1:
            yield f"{_named(values, IDENTITY)}: there {len(same)} times (runs {', '.join(same.run_key)})"


def _missing_folds(runs: pd.DataFrame) -> Iterator[str]:
    for values, group in runs.groupby(list(IDENTITY[:-1]), sort=False):
        n_folds = int(group.n_folds.max())
        # A trial asks for some of the folds only; its tables say how many of how many.
        asked = [int(fold) for fold in group.only_folds.iloc[0].split()] or range(n_folds)
        if missing := sorted(set(asked) - set(group.fold)):
            yield f"{_named(values, IDENTITY[:-1])}: fold {', '.join(map(str, missing))} of {n_folds} missing"


def _mixed_settings(runs: pd.DataFrame) -> Iterator[str]:
    for values, group in runs.groupby(list(ROW), sort=False):
        for setting in SAME_IN_A_ROW:
            if group[setting].nunique() > 1:
                found = ", ".join(map(str, group[setting].unique()))
                yield f"{_named(values, ROW)}: {setting} differs between runs ({found})"
