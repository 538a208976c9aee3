"""The main table's rows from the folds that are finished so far; nothing is written."""

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepbench.config import paths
from sleepbench.config.keys import PlannedRun
from sleepbench.config.models import Config
from sleepbench.config.plan import DatasetPlan, Plan
from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.scores import scores
from sleepbench.models import describe
from sleepbench.runs.run import RowKey, read_run
from sleepbench.runs.text import DASH, aligned, command_that_trains
from sleepbench.runs.verify import Expected, check

FINISHED, BEGUN, ABSENT, NOT_COUNTED = "finished", "running or interrupted", "absent", "not counted"


@dataclass(frozen=True)
class FoldState:
    """How far a run has come.

    why : what is known of it
    confusion : (5, 5), of a finished run; else None
    """

    run: PlannedRun
    state: str
    why: str = ""
    confusion: np.ndarray | None = None


@dataclass(frozen=True)
class Row:
    """A row of the main table that is asked for, with all of its runs.

    n_folds : how many folds it has if all are asked for
    """

    key: RowKey
    n_folds: int
    states: list[FoldState]

    @property
    def seeds(self) -> list[int]:
        """The seeds that are asked for."""
        return list(dict.fromkeys(one.run.training.seed for one in self.states))

    def finished(self, seeds: Sequence[int]) -> dict[int, list[np.ndarray]]:
        """Confusion matrices by fold, of the folds that are finished with all of `seeds`.

        Those of a fold are in the order of `seeds`.
        """
        by_fold: dict[int, list[np.ndarray]] = {}
        for one in self.states:
            if one.run.training.seed in seeds and one.state == FINISHED:
                by_fold.setdefault(one.run.training.fold, []).append(one.confusion)
        return {fold: matrices for fold, matrices in by_fold.items() if len(matrices) == len(seeds)}

    @property
    def complete(self) -> bool:
        """Whether every run is finished."""
        return all(one.state == FINISHED for one in self.states)


# ------------------------------------------------------------------------------------------------------------- reading


def asked_rows(config: Config, planned: DatasetPlan) -> list[Row]:
    """Every row that a plan has on a dataset, as far as it has come."""
    expected = Expected(config, planned.dataset, asked=True)
    by_row: dict[RowKey, list[PlannedRun]] = {}
    for run in planned.runs:
        by_row.setdefault(RowKey(run.protocol, *run.training.contender), []).append(run)
    return [
        Row(key, planned.protocols[key.protocol].n_folds, [_state(run, expected) for run in runs])
        for key, runs in by_row.items()
    ]


def _state(planned: PlannedRun, expected: Expected) -> FoldState:
    if not Path(paths.training(planned.training)).exists():
        begun = _last_of_log(planned)
        return FoldState(planned, BEGUN if begun else ABSENT, begun)
    try:
        checked = check(read_run(planned), expected)
    except BenchmarkError as error:
        return FoldState(planned, NOT_COUNTED, str(error))
    if checked.problems:
        return FoldState(planned, NOT_COUNTED, "; ".join(checked.problems))
    return FoldState(planned, FINISHED, confusion=checked.confusion)


def _last_of_log(planned: PlannedRun) -> str:
    """What the log of a fold's job says of it last; empty when no job has come to this fold."""
    fold = planned.training.fold
    own = Path(paths.log(paths.training(planned.training)))
    for log in [own, *own.parent.glob("stack-*.log")]:
        first, _, last = log.stem.partition("-")[2].partition("-")
        if not log.exists() or not (first.isdigit() and int(first) <= fold <= int(last or first)):
            continue
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        if any(line.startswith(f"fold {fold}:") for line in lines):
            minutes = max(0, time.time() - log.stat().st_mtime) / 60
            last_line = next(line for line in reversed(lines) if line.strip())
            return f"last line of its log, {minutes:.0f} min ago: {' '.join(last_line.split())}"
    return ""


# ------------------------------------------------------------------------------------------------------------ printing


def report(config: Config, plan: Plan, dataset: str) -> str:
    """The rows so far of a dataset of a plan, and the folds that are not finished."""
    rows = asked_rows(config, plan.datasets[dataset])
    n_complete = sum(row.complete for row in rows)
    title = Expected(config, dataset).label.title("Main results so far")
    lines = [title, "", *_table(rows), "", *(line for row in rows for line in _unfinished_lines(row))]
    lines += [f"Not trained: {skipped}" for skipped in plan.skipped]
    command, tables = command_that_trains(config, dataset), Path(paths.table(dataset, "any")).parent
    if n_complete < len(rows):
        lines.append(
            f"UNFINISHED: {n_complete} of {len(rows)} rows are complete. Rows of fewer folds are printed here only and "
            f"are in no table of {tables}."
        )
        lines.append(f"`{command}` resumes; finished folds are kept.")
    else:
        where = f"are in {tables}" if Path(paths.runs(dataset)).exists() else f"are made by `{command}`"
        lines.append(f"All {len(rows)} rows are complete; the tables {where}.")
    return "\n".join(lines)


def _cells(row: Row, seeds: Sequence[int], label: str) -> tuple[str, ...]:
    by_fold = row.finished(seeds)
    mark = f"{len(by_fold)} of {row.n_folds} folds"
    names = (row.key.protocol, describe(row.key.model).title, f"{row.key.input}, {row.key.recipe}", label, mark)
    if not by_fold:
        return (*names, *[DASH] * 4)
    fold_and_seed = [(fold, seed) for fold in by_fold for seed in seeds]
    matrices = np.array([matrix for matrices in by_fold.values() for matrix in matrices])
    numbers = scores(*zip(*fold_and_seed, strict=True), matrices)
    sd = numbers["accuracy_sd_of_folds"]
    mean = f"{numbers['accuracy_mean_of_folds']:.1f}" + ("" if np.isnan(sd) else f" ± {sd:.1f}")
    kappa = numbers["cohen_kappa"]
    pooled = (f"{numbers['accuracy']:.1f}", f"{numbers['macro_f1']:.1f}", DASH if np.isnan(kappa) else f"{kappa:.3f}")
    return (*names, mean, *pooled)


def _table(rows: Iterable[Row]) -> list[str]:
    cells = []
    for row in rows:
        n = len(row.seeds)
        cells.append(_cells(row, row.seeds, f"all {n}" if n > 1 else str(row.seeds[0])))
        if n > 1 and not row.complete:
            cells += [_cells(row, [seed], str(seed)) for seed in row.seeds]
    header = ("Protocol", "Model", "Input, recipe", "Seed", "Finished", "By fold", "Acc.", "MF1", "Kappa")
    return aligned(header, cells, left=5)


def _numbers(folds: Iterable[int]) -> str:
    """Numbers of folds, with runs of three and more as a range: "0, 3-7"."""
    parts = []
    for _, group in itertools.groupby(enumerate(sorted(folds)), lambda item: item[1] - item[0]):
        run = [number for _, number in group]
        parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
    return ", ".join(parts)


def _unfinished_lines(row: Row) -> list[str]:
    """The folds of a row that are not finished, by seed, those with the same reason together."""
    by_place: dict[str, dict[str, list[int]]] = {}
    for one in row.states:
        if one.state != FINISHED:
            key = one.run.training
            place = f"  seed {key.seed}, in {paths.training(key, fold=False)}"
            reason = f"{one.state}{one.why and f' ({one.why})'}"
            by_place.setdefault(place, {}).setdefault(reason, []).append(key.fold)
    lines = []
    for place, by_reason in by_place.items():
        lines += [place, *(f"    fold {_numbers(folds)}: {reason}" for reason, folds in by_reason.items())]
    return [str(row.key), *lines] if lines else []
