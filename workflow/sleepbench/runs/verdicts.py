"""Verdicts on the published claims and on re-runs by others, from the finished runs on the real datasets.

Those on sizes are from the profiles.
"""

import textwrap
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pandas as pd

from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.files import read_document, read_json
from sleepbench.core.shipped import shipped
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.claims import NOT_REPRODUCED, evaluate_claims, load_claims
from sleepbench.evaluation.reruns import ALL, CELL, ERROR, Rerun, compare_with_reruns, load_reruns
from sleepbench.runs.results import read_results
from sleepbench.runs.runs_table import RUN_COLUMNS
from sleepbench.runs.text import DASH, TEXT_WIDTH, aligned
from sleepbench.runs.verify import Expected

CLAIMS = shipped("resources") / "claims.yaml"
RERUNS = shipped("resources") / "reruns.yaml"
NO_RUNS = pd.DataFrame(columns=[*RUN_COLUMNS, "accuracy"])
Runs = Callable[[str], pd.DataFrame]
"""The verified runs on a dataset, by its name."""


def print_verdicts(config: Config, claims: Path = CLAIMS, reruns: Path = RERUNS) -> int:
    """Print a line per claim, and each re-run by others with our runs beside it.

    1 when one is not reproduced, or cannot be compared because of other test epochs, else 0.
    """
    runs = cache(partial(finished_runs, config))  # verified once
    table = verdicts(config, claims, runs)
    for row in table.itertuples():
        _print_verdict(row.verdict, f"{row.model}, {row.claim} ({row.source})", row.why)
    print(f"\n{len(table)} claims: {_counted(table)}")
    compared = beside_reruns(config, load_reruns(reruns), runs)
    for _, rows in compared.groupby("dataset", sort=False):
        print()
        _print_rerun(rows)
    return int((pd.concat([table, compared]).verdict.isin([NOT_REPRODUCED, ERROR])).any())


def _print_verdict(verdict: str, what: str, why: str) -> None:
    print(f"{verdict.upper()}: {what}")
    print(textwrap.fill(why, TEXT_WIDTH, initial_indent="    ", subsequent_indent="    "))


def _counted(table: pd.DataFrame) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in table.verdict.value_counts().items())


def _print_rerun(rows: pd.DataFrame) -> None:
    """The verdict on a re-run and, where it was compared, numbers by fold and stage and cells of the matrix."""
    first = rows.iloc[0]
    what = f"{first.model}, re-run by others on {first.dataset}, protocol {first.protocol}"
    _print_verdict(first.verdict, f"{what} ({first.mark}: {first.source})", first.why)
    if rows.ours.isna().all():
        return
    header = ["", "epochs", "theirs", "ours", "SD of seeds", "difference", "within", "verdict"]
    lines = [
        [
            *(row.what, f"{row.n_epochs:,}", *map(_number, (row.theirs, row.ours, row.sd_of_seeds))),
            *(f"{row.difference:+z.2f}", DASH if pd.isna(row.allowed) else f"± {row.allowed:.2f}"),
            DASH if pd.isna(row.verdict) else row.verdict,
        ]
        for row in rows[~rows.part.isin((ALL, CELL))].itertuples()
    ]
    cells = rows[rows.part == CELL].difference.to_numpy().reshape(len(STAGES), -1)
    matrix = [[stage, *(f"{cell:+z.2f}" for cell in line)] for stage, line in zip(STAGES, cells, strict=True)]
    for line in aligned(header, lines, 1):
        print(f"    {line}")
    print("    Confusion, ours minus theirs, in points of the scored stage (rows):")
    for line in aligned(["", *STAGES], matrix, 1):
        print(f"    {line}")


def _number(value: float) -> str:
    return DASH if pd.isna(value) else f"{value:.2f}"


def beside_reruns(config: Config, reruns: list[Rerun], runs: Runs) -> pd.DataFrame:
    """Each re-run with the runs on its dataset (see `compare_with_reruns`)."""
    tables = []
    for one in reruns:
        known = one.dataset in config.datasets
        label = plan.dataset(config, one.dataset).label if known else DataLabel(one.dataset, one.dataset)
        tables.append(compare_with_reruns([one], runs(one.dataset) if known else NO_RUNS, label))
    return pd.concat(tables, ignore_index=True)


def verdicts(config: Config, claims: Path = CLAIMS, finished: Runs | None = None) -> pd.DataFrame:
    """One row per claim (see `evaluate_claims`); a claim about a dataset is checked against its runs.

    `finished` gives them; None: they are read. BenchmarkError, listing what is wrong, where the results on such a
    dataset are there but not whole.
    """
    finished = finished or partial(finished_runs, config)
    profiles = [read_json(path) for path in sorted(Path(paths.PROFILES).glob("*.json"))]
    deployments = [read_document(path) for path in sorted(Path().glob(paths.deployment("*")))]
    tables = []
    for claim in load_claims(claims):
        name, simulated, runs = "", False, NO_RUNS  # a count depends on no data
        if "dataset" in claim.test:
            name = claim.test["dataset"]
            simulated, runs = plan.dataset(config, name).label.simulated, finished(name)
        tables.append(evaluate_claims([claim], runs, profiles, name, simulated, deployments))
    return pd.concat(tables, ignore_index=True)


def finished_runs(config: Config, dataset: str) -> pd.DataFrame:
    """The table of runs of a dataset, every run verified; no rows where the dataset was not run."""
    if not Path(paths.runs(dataset)).exists():
        return NO_RUNS
    return read_results(Expected(config, dataset)).table
