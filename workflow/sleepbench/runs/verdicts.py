"""Verdicts on the published claims, from the profiles and from whatever runs on the real datasets are finished.

python -m sleepbench.runs.verdicts; exits 1 when a testable claim is not reproduced.
"""

import sys
import textwrap
from pathlib import Path

import pandas as pd

from sleepbench.config.load import dataset_of, load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.evaluation.claims import NOT_REPRODUCED, evaluate_claims, load_claims
from sleepbench.reporting.tables.main import RUN_COLUMNS
from sleepbench.runs.results import read_results

CLAIMS = Path("workflow/resources/claims.yaml")
TEXT_WIDTH = 110
NO_RUNS = pd.DataFrame(columns=[*RUN_COLUMNS, "accuracy"])


def verdicts(config: dict, claims_path: Path, root: Path = Path()) -> pd.DataFrame:
    """One row per claim (see `evaluate_claims`); a claim about a dataset is held against its runs below `root`.

    Raises BenchmarkError, listing what is wrong, where the results on such a dataset are there but not whole.
    """
    claims = load_claims(claims_path)
    profiles = [read_json(path) for path in sorted((root / "results" / "profile").glob("*.json"))]
    tables = []
    for claim in claims:
        name, simulated, runs = "", False, NO_RUNS  # a count depends on no data
        if "dataset" in claim.test:
            name = claim.test["dataset"]
            simulated = dataset_of(config, name).simulated
            runs = finished_runs(root, name, simulated)
        tables.append(evaluate_claims([claim], runs, profiles, name, simulated))
    return pd.concat(tables, ignore_index=True)


def finished_runs(root: Path, dataset: str, simulated: bool) -> pd.DataFrame:
    """The runs table of a dataset with every file of its runs checked; no rows where the dataset was not run."""
    if not (root / "results" / dataset / "runs.csv").exists():
        return NO_RUNS
    return read_results(root, dataset, simulated).runs


def main() -> int:
    """Print a line per claim; 1 when one is not reproduced."""
    table = verdicts(load(), CLAIMS)
    for row in table.itertuples():
        print(f"{row.verdict.upper()}: {row.model}, {row.claim} ({row.source})")
        print(textwrap.indent(textwrap.fill(row.why, TEXT_WIDTH), "    "))
    failed = int((table.verdict == NOT_REPRODUCED).sum())
    counts = ", ".join(f"{n} {verdict}" for verdict, n in table.verdict.value_counts().items())
    print(f"\n{len(table)} claims: {counts}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")
