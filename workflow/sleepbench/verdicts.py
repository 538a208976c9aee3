"""Verdicts on the published claims, from the profiles and from whatever runs on the real datasets are finished.

python -m sleepbench.verdicts; exits 1 when a testable claim is not reproduced.
"""

import json
import sys
import textwrap
from pathlib import Path

import pandas as pd

from sleepbench.config import dataset_of, load
from sleepbench.errors import BenchmarkError
from sleepbench.evaluation.claims import NOT_REPRODUCED, evaluate_claims, load_claims
from sleepbench.reporting.tables import RUN_COLUMNS, read_runs

CLAIMS = Path("workflow/resources/claims.yaml")
RESULTS = Path("results")
TEXT_WIDTH = 110


def verdicts(config: dict, claims_path: Path, results: Path) -> pd.DataFrame:
    """One row per claim (see `evaluate_claims`); a claim about a dataset is held against that dataset's runs."""
    claims = load_claims(claims_path)
    profiles = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((results / "profile").glob("*.json"))]
    rows = []
    for claim in claims:
        name = claim.test.get("dataset", next(iter(config["datasets"])))
        runs_path = results / name / "runs.csv"
        runs = read_runs(runs_path) if runs_path.exists() else pd.DataFrame(columns=[*RUN_COLUMNS, "accuracy"])
        rows.append(evaluate_claims([claim], runs, profiles, name, dataset_of(config, name).simulated))
    return pd.concat(rows, ignore_index=True)


def main() -> int:
    """Print a line per claim; 1 when one is not reproduced."""
    config = load()
    table = verdicts(config, CLAIMS, RESULTS)
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
