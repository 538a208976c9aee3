"""Verdicts on the published claims, from the profiles and the finished runs on the real datasets."""

import textwrap
from pathlib import Path

import pandas as pd

from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.files import read_json
from sleepbench.evaluation.claims import NOT_REPRODUCED, evaluate_claims, load_claims
from sleepbench.runs.results import read_results
from sleepbench.runs.runs_table import RUN_COLUMNS
from sleepbench.runs.text import TEXT_WIDTH
from sleepbench.runs.verify import Expected

CLAIMS = Path("workflow/resources/claims.yaml")
NO_RUNS = pd.DataFrame(columns=[*RUN_COLUMNS, "accuracy"])


def print_verdicts(config: Config, claims: Path = CLAIMS) -> int:
    """Print a line per claim; 1 when one is not reproduced, else 0."""
    table = verdicts(config, claims)
    for row in table.itertuples():
        print(f"{row.verdict.upper()}: {row.model}, {row.claim} ({row.source})")
        print(textwrap.fill(row.why, TEXT_WIDTH, initial_indent="    ", subsequent_indent="    "))
    counts = ", ".join(f"{n} {verdict}" for verdict, n in table.verdict.value_counts().items())
    print(f"\n{len(table)} claims: {counts}")
    return int((table.verdict == NOT_REPRODUCED).any())


def verdicts(config: Config, claims: Path = CLAIMS) -> pd.DataFrame:
    """One row per claim (see `evaluate_claims`); a claim about a dataset is checked against its runs.

    BenchmarkError, listing what is wrong, where the results on such a dataset are there but not whole.
    """
    profiles = [read_json(path) for path in sorted(Path(paths.PROFILES).glob("*.json"))]
    tables = []
    for claim in load_claims(claims):
        name, simulated, runs = "", False, NO_RUNS  # a count depends on no data
        if "dataset" in claim.test:
            name = claim.test["dataset"]
            simulated, runs = plan.dataset(config, name).label.simulated, finished_runs(config, name)
        tables.append(evaluate_claims([claim], runs, profiles, name, simulated))
    return pd.concat(tables, ignore_index=True)


def finished_runs(config: Config, dataset: str) -> pd.DataFrame:
    """The table of runs of a dataset, every run verified; no rows where the dataset was not run."""
    if not Path(paths.runs(dataset)).exists():
        return NO_RUNS
    return read_results(Expected(config, dataset)).table
