"""Made-up smoothed predictions of synthetic runs, in the files that the smoothing job writes."""

from pathlib import Path

import pandas as pd

from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.reporting.tables.main import read_runs

CORRECTED = 100
"""Epochs from the first that are smoothed to their scored stage, in every run."""


def write_smoothed(directory: Path, runs: str | Path) -> list[str]:
    """Smooth every run of a runs table; returns the paths of their parameters."""
    paths = []
    for run in read_runs(runs).itertuples():
        table = pd.read_parquet(Path(run.directory) / run.selection / "predictions.parquet")
        table = table[["recording", "subject", "night", "epoch", "onset_s", "stage", "predicted"]]
        table.loc[: CORRECTED - 1, "predicted"] = table.stage[:CORRECTED]
        path = directory / run.run_key / "hmm.json"
        path.parent.mkdir(parents=True)
        table.to_parquet(path.with_name("predictions.parquet"), index=False)
        sign(path, run)
        paths.append(str(path))
    return paths


def sign(path: Path, run: tuple) -> None:
    """Write the parameters of a run, of the smoothed predictions as they are now."""
    document = {
        "run_key": run.run_key,
        "training_json_sha256": sha256_of_file(Path(run.directory) / "training.json"),
        "files": {"predictions.parquet": sha256_of_file(path.with_name("predictions.parquet"))},
    }
    write_json(path, document | {"initial": [0.2] * 5})


def change(path: Path, **entries: object) -> None:
    """Set entries of a run's parameters."""
    write_json(path, read_json(path) | entries)
