"""The numbers of the demo: tests/reference/demo, from one machine.

Run keys and the sentences that hold them are left out, as are latencies.

    python tests/workflow/demo_numbers.py [results/simulated] [--write]

says where a finished demo differs, or with --write takes its numbers as the new reference: where a change of the code
is meant to change them. On another processor or PyTorch the rounding of a training differs, and with it some predicted
stages: then only what does not depend on it can be compared.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd

OF_BOARDS = ("wearable-time", "wearable-memory")
"""Claims whose numbers need an emulator, which few machines have."""
REFERENCE = Path(__file__).parents[1] / "reference" / "demo"


def stages_differing(results: Path) -> list[str]:
    """Runs whose test epochs, scored stages or people are not those of the reference, and those that are missing."""
    reference = pd.read_parquet(REFERENCE / "stages.parquet")
    problems = []
    for run, expected in reference.groupby("run", observed=True):
        path = results / "trainings" / run / "predictions.parquet"
        if not path.exists():
            problems.append(f"{run}: is missing")
            continue
        found = pd.read_parquet(path)
        for name in ("recording", "subject", "night", "epoch", "onset_s", "stage"):
            if found[name].astype(str).tolist() != expected[name].astype(str).tolist():
                problems.append(f"{run}: {name} differs")
    return problems


def predictions_differing(results: Path) -> list[str]:
    """Runs whose predicted stages or probabilities are not those of the reference to the last bit."""
    problems = []
    for expected in pd.read_csv(REFERENCE / "predictions.csv").itertuples():
        path = results / "trainings" / expected.run / "predictions.parquet"
        if not path.exists():
            problems.append(f"{expected.run}: is missing")
            continue
        found = pd.read_parquet(path)
        probabilities = np.ascontiguousarray(found.filter(regex="^p_").to_numpy(np.float32))
        if hashlib.sha256(found.predicted.to_numpy(np.int8).tobytes()).hexdigest() != expected.stages_sha256:
            problems.append(f"{expected.run}: other stages are predicted")
        elif hashlib.sha256(probabilities.tobytes()).hexdigest() != expected.probabilities_sha256:
            problems.append(f"{expected.run}: probabilities differ")
    return problems


def tables_differing(results: Path) -> list[str]:
    """Cells of tables and statistics that are not those of the reference, value for value."""
    return [
        problem
        for kind in ("statistics", "tables")
        for path in sorted((REFERENCE / kind).glob("*.csv"))
        for problem in _differing(path, results / kind / path.name)
    ]


def _differing(reference: Path, path: Path) -> list[str]:
    where = f"{path.parent.name}/{path.name}"
    if not path.exists():
        return [f"{where}: is missing"]
    expected, found = (pd.read_csv(file, dtype=str, keep_default_na=False) for file in (reference, path))
    if path.stem == "claims":
        found = found[~found.id.isin(OF_BOARDS)].reset_index(drop=True)
    if missing := [name for name in expected if name not in found]:
        return [f"{where}: lacks the columns {', '.join(missing)}"]
    if len(expected) != len(found):
        return [f"{where}: has {len(found)} rows, expected {len(expected)}"]
    return [
        f"{where}, row {row + 1}: {name} is {found[name][row]!r}, expected {expected[name][row]!r}"
        for name in expected
        for row in range(len(expected))
        if not _same(found[name][row], expected[name][row])
    ]


def _same(found: str, expected: str) -> bool:
    """Equal as text, or as numbers: a whole number may be written with a decimal."""
    if found == expected:
        return True
    try:
        return float(found) == float(expected)
    except ValueError:
        return False


def write_reference(results: Path) -> None:
    """Take the numbers of a finished demo in place of those that are there."""
    stages, hashes = [], []
    for path in sorted((results / "trainings").rglob("predictions.parquet")):
        found = pd.read_parquet(path)
        run = str(path.parent.relative_to(results / "trainings"))
        of_epochs = found[["recording", "subject", "night", "epoch", "onset_s", "stage"]]
        stages.append(of_epochs.assign(run=run))
        probabilities = np.ascontiguousarray(found.filter(regex="^p_").to_numpy(np.float32))
        hashes.append(
            {
                "run": run,
                "epochs": len(found),
                "stages_sha256": hashlib.sha256(found.predicted.to_numpy(np.int8).tobytes()).hexdigest(),
                "probabilities_sha256": hashlib.sha256(probabilities.tobytes()).hexdigest(),
            }
        )
    together = pd.concat(stages, ignore_index=True)
    texts = ["run", "recording", "subject"]
    together[texts] = together[texts].astype("category")
    together.to_parquet(REFERENCE / "stages.parquet", index=False, compression="zstd")
    pd.DataFrame(hashes).to_csv(REFERENCE / "predictions.csv", index=False)
    for kind in ("statistics", "tables"):
        for path in sorted((REFERENCE / kind).glob("*.csv")):
            columns = pd.read_csv(path, nrows=0).columns
            found = pd.read_csv(results / kind / path.name, dtype=str, keep_default_na=False)
            if path.stem == "claims":
                found = found[~found.id.isin(OF_BOARDS)]
            found[list(columns)].to_csv(path, index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare a finished demo with the reference, or make it that.")
    parser.add_argument("results", nargs="?", type=Path, default=Path("results/simulated"))
    parser.add_argument("--write", action="store_true", help="take its numbers as the new reference")
    options = parser.parse_args()
    if options.write:
        write_reference(options.results)
    differences = [f(options.results) for f in (stages_differing, predictions_differing, tables_differing)]
    differences = [line for lines in differences for line in lines]
    print("\n".join(differences) or f"{options.results}: every prediction and every number is that of the reference")
    sys.exit(bool(differences))
