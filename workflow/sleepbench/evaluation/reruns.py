"""Runs beside another's re-run of the same evaluation, fold by fold (workflow/resources/reruns.yaml).

What counts as outside is said here, before any run. A re-run is one more training of each fold, so its accuracy should
lie in the 95 % prediction interval of one further training: mean ± t s sqrt(1 + 1/k) over our k seeds. The spread of a
re-run itself is not known; ours, s, stands for it. It is pooled over the folds, because that of a single fold is too
rough (with two seeds t is 12.7): this takes seeds to change all folds about as much, and trainings of different folds
to be independent. The mean of the folds has the spread of its own seeds, whatever goes together in the folds.

By chance one fold in twenty is outside. So a re-run is not reproduced where one difference is too large even so (a fold
or their mean is outside after Holm's correction over all of them), or where more folds are outside than chance would
have in one case of twenty (three of ten, if folds are independent). On made-up trainings that differ by seed alone, 6 %
are called not reproduced so, but 20 % where seeds change one of ten folds three times as much as the others. One seed
has no spread: nothing is called outside.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, ValidationError
from scipy import stats
from statsmodels.stats.multitest import multipletests

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.core.strict import Strict, problems_in
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation import metrics
from sleepbench.evaluation.claims import (
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    check_recipe,
    testable_runs,
)
from sleepbench.evaluation.published import FOLLOWABLE, MARKS, SOURCE_IS
from sleepbench.evaluation.scores import confusions

LEVEL = 0.95
WITHIN, OUTSIDE, OUTSIDE_HOLM = "within", "outside", "outside, Holm too"
NOT_DECIDABLE, OTHER_EPOCHS = "not decidable", "OTHER EPOCHS"
ERROR = "error"
"""The verdict on runs that were tested on other epochs than the re-run: nothing of them is compared."""

ALL, FOLD, MEAN, POOLED, MACRO_F1, F1, CELL = "all", "fold", "mean", "pooled", "macro_f1", "f1", "cell"
"""What a row of a comparison is about."""
COLUMNS = (
    *("dataset", "model", "protocol", "part", "what", "n_epochs", "n_epochs_theirs", "theirs", "ours", "sd_of_seeds"),
    *("difference", "allowed", "p", "p_holm", "verdict", "why", "seeds", "mark", "source", "run_keys"),
)

Count = Annotated[int, Field(ge=0)]


class Rerun(Strict):
    """A re-run of a protocol by others.

    n_epochs_by_fold, correct_by_fold : epochs of each test fold, and those predicted as scored
    confusion : epochs of all folds by scored (rows) and predicted stage
    mark : a re-run is reported by others than the authors
    trimming : None where it is not known
    """

    dataset: str
    model: str
    protocol: str
    selection: str
    n_folds: Annotated[int, Field(ge=2)]
    n_channels: Annotated[int, Field(ge=1)]
    recipe: dict[str, Any]
    mark: Literal[MARKS[1]]
    source: str
    n_epochs_by_fold: list[Annotated[int, Field(ge=1)]]
    correct_by_fold: list[Count]
    confusion: list[list[Count]]
    trimming: str | None = None

    @property
    def accuracies(self) -> np.ndarray:
        """The accuracy of each fold in percent, float64 (n_folds,)."""
        return 100 * np.array(self.correct_by_fold) / np.array(self.n_epochs_by_fold)


def load_reruns(path: str | Path) -> list[Rerun]:
    """Read reruns.yaml; BenchmarkError names the re-run, the key, and sums that do not agree."""
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BenchmarkError(f"{path}: cannot be read as YAML ({error}); correct or restore it") from error
    if not isinstance(entries, list):
        raise BenchmarkError(f"{path}: found {type(entries).__name__}, expected a list of re-runs")
    return [_rerun(f"{path}: re-run {position}", entry) for position, entry in enumerate(entries, start=1)]


def _rerun(where: str, entry: object) -> Rerun:
    try:
        rerun = Rerun.model_validate(entry)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, place))}: {text}" for place, text in problems_in(error))
        raise BenchmarkError(f"{where}: {problems}") from error
    where += f" ({rerun.dataset})"
    check_recipe(f"{where}: recipe", rerun.recipe)
    if not FOLLOWABLE.search(rerun.source):
        raise BenchmarkError(f"{where}: source is {rerun.source!r}, {SOURCE_IS}")
    for name in ("n_epochs_by_fold", "correct_by_fold"):
        if (found := len(getattr(rerun, name))) != rerun.n_folds:
            raise BenchmarkError(f"{where}: {name} has {found} numbers, expected one for each of {rerun.n_folds} folds")
    if [len(row) for row in rerun.confusion] != [len(STAGES)] * len(STAGES):
        raise BenchmarkError(f"{where}: confusion is no matrix of {len(STAGES)} by {len(STAGES)} stages")
    for fold, (right, n) in enumerate(zip(rerun.correct_by_fold, rerun.n_epochs_by_fold, strict=True)):
        if right > n:
            raise BenchmarkError(f"{where}: fold {fold} has {right:,} correct of {n:,} epochs")
    for name, found in (("n_epochs_by_fold", np.sum(rerun.confusion)), ("correct_by_fold", np.trace(rerun.confusion))):
        if (total := sum(getattr(rerun, name))) != found:
            cells = "all cells" if name == "n_epochs_by_fold" else "the diagonal"
            raise BenchmarkError(f"{where}: {name} adds up to {total:,}, but {cells} of confusion to {found:,}")
    return rerun


# ---------------------------------------------------------------------------------------------------------- comparison


def compare_with_reruns(reruns: Sequence[Rerun], runs: pd.DataFrame, label: DataLabel) -> pd.DataFrame:
    """Every re-run, and the runs on one dataset beside it where they meet its conditions.

    Parameters
    ----------
    runs : the table of runs on a dataset
    label : what its data is: nothing that carries a warning (simulated, excerpts, a trial) is compared

    Returns
    -------
    columns COLUMNS, numbers in percent. The first row of a re-run (part "all") has the verdict on it and why; rows
    follow only where runs were compared: each fold, their mean, the pooled accuracy and macro-F1, the F1 of each stage
    and each cell of the confusion matrix as a share of the scored stage. `ours` is the mean over seeds, `allowed` the
    half width of the prediction interval. Where test epochs differ, the verdict is ERROR, and the rows of the folds
    say which.
    """
    return pd.concat([_compared(one, runs, label) for one in reruns], ignore_index=True)


def _compared(rerun: Rerun, runs: pd.DataFrame, label: DataLabel) -> pd.DataFrame:
    test = rerun.model_dump()
    mine, reason = testable_runs("re-run", rerun.model, test, runs, label.dataset, label.simulated)
    if label.warning and not reason:
        mine, reason = runs[:0], f"these runs are not of whole recordings of {rerun.dataset}: {label.warning}"
    if reason:
        return _framed(rerun, [_row(ALL, "all folds", verdict=NOT_TESTABLE, why=reason)], 0, "")
    mine = mine.sort_values(["seed", "fold"])
    seeds, keys = mine.seed.nunique(), " ".join(mine.run_key)
    matrices = confusions(mine).reshape(seeds, rerun.n_folds, len(STAGES), len(STAGES))
    rows = _other_epochs(rerun, matrices) or _beside(rerun, matrices)
    return _framed(rerun, rows, seeds, keys)


def _row(part: str, what: str, **values: Any) -> dict[str, Any]:
    return {"part": part, "what": what, **values}


def _framed(rerun: Rerun, rows: list[dict[str, Any]], seeds: int, run_keys: str) -> pd.DataFrame:
    shared = {name: getattr(rerun, name) for name in ("dataset", "model", "protocol", "mark", "source")}
    table = pd.DataFrame([{**shared, "seeds": seeds, "run_keys": run_keys or None, **row} for row in rows])
    numbers = dict.fromkeys(("theirs", "ours", "sd_of_seeds", "difference", "allowed", "p", "p_holm"), float)
    counts = dict.fromkeys(("n_epochs", "n_epochs_theirs"), "Int64")
    return table.reindex(columns=list(COLUMNS)).astype({**numbers, **counts})


def _other_epochs(rerun: Rerun, matrices: np.ndarray) -> list[dict[str, Any]]:
    """Rows that say which folds, or which stages, were tested on other epochs; none where all are the same."""
    sizes, expected = matrices.sum(axis=(2, 3)), np.array(rerun.n_epochs_by_fold)
    rows, wrong = [], []
    for fold, theirs in enumerate(expected):
        found = next((n for n in sizes[:, fold] if n != theirs), theirs)
        other = OTHER_EPOCHS if found != theirs else None
        rows.append(_row(FOLD, f"fold {fold}", n_epochs=found, n_epochs_theirs=theirs, verdict=other))
        wrong += [f"fold {fold}: {found:,} instead of {theirs:,}"] if other else []
    if not wrong:
        scored, theirs = matrices.sum(axis=(1, 3)), np.sum(rerun.confusion, axis=1)
        for i, stage in enumerate(STAGES):
            found = next((n for n in scored[:, i] if n != theirs[i]), theirs[i])
            wrong += [f"scored {stage}: {found:,} instead of {theirs[i]:,}"] if found != theirs[i] else []
    if not wrong:
        return []
    why = f"tested on other epochs than the re-run, so nothing is compared: {'; '.join(wrong)}"
    first = _row(ALL, "all folds", verdict=ERROR, why=why, n_epochs=sizes[0].sum(), n_epochs_theirs=expected.sum())
    return [first, *rows]


def _beside(rerun: Rerun, matrices: np.ndarray) -> list[dict[str, Any]]:
    """The rows of a comparison; `matrices` are our confusion matrices, (n_seeds, n_folds, 5, 5)."""
    theirs, ours = rerun.accuracies, 100 * metrics.accuracy(matrices)
    theirs_pooled, pooled = np.array(rerun.confusion), matrices.sum(axis=1)
    judged = judge(np.append(theirs, theirs.mean()), ours)
    n_epochs, total = rerun.n_epochs_by_fold, sum(rerun.n_epochs_by_fold)
    rows = [
        _row(FOLD, f"fold {fold}", **_sizes(n), **_numbers(theirs[fold], ours[:, fold]), **judged.loc[fold])
        for fold, n in enumerate(n_epochs)
    ]
    mean = _numbers(theirs.mean(), ours.mean(axis=1))
    rows.append(_row(MEAN, "mean of the folds", **_sizes(total), **mean, **judged.iloc[-1]))
    for part, what, metric in ((POOLED, "pooled", metrics.accuracy), (MACRO_F1, "macro-F1", metrics.macro_f1)):
        rows.append(_row(part, what, **_sizes(total), **_numbers(100 * metric(theirs_pooled), 100 * metric(pooled))))
    f1, our_f1 = 100 * metrics.class_f1(theirs_pooled), 100 * metrics.class_f1(pooled)
    scored = theirs_pooled.sum(axis=1)
    for i, stage in enumerate(STAGES):
        rows.append(_row(F1, f"F1 of {stage}", **_sizes(scored[i]), **_numbers(f1[i], our_f1[:, i])))
    share, our_share = (100 * m / m.sum(axis=-1, keepdims=True) for m in (theirs_pooled, pooled))
    for i, j in np.ndindex(share.shape):
        what = f"{STAGES[i]} as {STAGES[j]}"
        rows.append(_row(CELL, what, **_sizes(scored[i]), **_numbers(share[i, j], our_share[:, i, j])))
    verdict, why = _verdict(rows[: rerun.n_folds + 1], len(matrices))
    return [_row(ALL, "all folds", verdict=verdict, why=why, **_sizes(total)), *rows]


def _sizes(n_epochs: int) -> dict[str, int]:
    """Compared are the same epochs."""
    return {"n_epochs": n_epochs, "n_epochs_theirs": n_epochs}


def _numbers(theirs: float, ours: np.ndarray) -> dict[str, float]:
    """A number of theirs beside ours of each seed."""
    spread = ours.std(ddof=1) if len(ours) > 1 else np.nan
    return {"theirs": theirs, "ours": ours.mean(), "sd_of_seeds": spread, "difference": ours.mean() - theirs}


def judge(theirs: np.ndarray, ours: np.ndarray) -> pd.DataFrame:
    """Which accuracies of a re-run are outside what one further training of ours would give.

    Parameters
    ----------
    theirs : (n_folds + 1,), that of each fold and their mean; ours : (n_seeds, n_folds), same unit

    Returns
    -------
    columns allowed, p, p_holm, verdict (see the head of this module), one row per number of `theirs`; with one seed no
    numbers, and NOT_DECIDABLE
    """
    k, n_folds = ours.shape
    if k == 1:
        return pd.DataFrame(
            {"allowed": np.nan, "p": np.nan, "p_holm": np.nan, "verdict": [NOT_DECIDABLE] * len(theirs)}
        )
    pooled, of_means = np.sqrt(ours.var(axis=0, ddof=1).mean()), ours.mean(axis=1).std(ddof=1)
    freedom = np.append(np.full(n_folds, n_folds * (k - 1)), k - 1)
    error = np.append(np.full(n_folds, pooled), of_means) * np.sqrt(1 + 1 / k)
    difference = np.append(ours.mean(axis=0), ours.mean()) - theirs
    # Seeds that agree to the digit leave no error, and any difference is outside.
    ratio = np.divide(difference, error, out=np.where(np.isclose(difference, 0), 0, np.inf), where=error > 0)
    p = 2 * stats.t.sf(np.abs(ratio), freedom)
    p_holm = multipletests(p, method="holm")[1]
    verdict = np.where(p_holm < 1 - LEVEL, OUTSIDE_HOLM, np.where(p < 1 - LEVEL, OUTSIDE, WITHIN))
    allowed = stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    return pd.DataFrame({"allowed": allowed, "p": p, "p_holm": p_holm, "verdict": verdict})


def too_many(n_folds: int) -> int:
    """The number of folds outside that chance would reach in less than one case of twenty, if folds are independent."""
    return int(stats.binom.isf(1 - LEVEL, n_folds, 1 - LEVEL)) + 1


def _verdict(rows: list[dict[str, Any]], seeds: int) -> tuple[str, str]:
    """The verdict on a re-run and why, from the rows of its folds and of their mean."""
    folds, mean = rows[:-1], rows[-1]
    if seeds == 1:
        ends = [pick(folds, key=lambda row: row["difference"]) for pick in (min, max)]
        return NOT_TESTABLE, (
            "one seed has no spread, so that no fold can be called outside: run this protocol with more seeds; "
            f"{_printed(mean)}; furthest apart: {' and '.join(map(_printed, ends))}"
        )
    outside = [row for row in folds if row["verdict"] != WITHIN]
    held = [row["what"] for row in rows if row["verdict"] == OUTSIDE_HOLM]
    most = too_many(len(folds)) - 1
    expected = (1 - LEVEL) * len(folds)
    why = f"{len(outside)} of {len(folds)} folds outside ({expected:.1f} expected, up to {most} by chance)"
    why += f": {'; '.join(map(_printed, outside))}" if outside else ""
    why += f"; {_printed(mean)}, {WITHIN if mean['verdict'] == WITHIN else OUTSIDE} ± {mean['allowed']:.1f}"
    why += f"; outside after Holm's correction: {', '.join(held) or 'none'}; {seeds} seeds"
    return (NOT_REPRODUCED if held or len(outside) > most else REPRODUCED), why


def _printed(row: dict[str, Any]) -> str:
    return f"{row['what']} {row['ours']:.1f} against {row['theirs']:.1f}"
