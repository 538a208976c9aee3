"""Table: verdicts on published claims."""

from collections.abc import Callable

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.evaluation.claims import evaluate_claims, load_claims
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import measured_here
from sleepbench.reporting.reading import read_runs
from sleepbench.reporting.rendering import Column, shown, text


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per claim, from the runs table and the profiles."""
    claims, label = load_claims(inputs.path("claims")), inputs.label
    profiles = [read_json(path) for path in inputs.paths("profiles")]
    deployments = [read_json(path) for path in inputs.paths("deployment")]
    return evaluate_claims(claims, read_runs(inputs), profiles, label.dataset, label.simulated, deployments)


def in_unit(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a number of a claim in the claim's unit."""
    return lambda row: shown(row[name], ".1f" if row["unit"] == "%" else ",.0f")


def tolerance(row: pd.Series) -> str:
    """The tolerance of a claim; that of a percentage is in points."""
    return f"± {row['tolerance']:.2f}" if row["unit"] == "%" else f"± {row['tolerance']:,.0f}"


def note(row: pd.Series) -> str:
    """Why a verdict is what it is."""
    runs = "" if pd.isna(row["run_keys"]) else f"; {measured_here(row['run_keys'].split())}"
    return f"{row['why']}{runs}. Unit: {row['unit']}. Source: {row['source']}. Tolerance: {row['justification']}"


ARTEFACT = Table(
    name="claims",
    place=30,
    heading="Published claims",
    caption=(
        "A claim is reproduced if our number lies within the tolerance of the published one; it gets a verdict only if "
        "its own dataset, protocol, folds, channels and every setting of its recipe were run. Accuracies are compared "
        "as the mean of the fold accuracies; the pooled accuracy stands beside it. Parameters and operations do not "
        "depend on the data. Of real-time monitoring on wearables no number is published: that an epoch takes less "
        "time than it lasts, by an estimate, that the network fits a small device, and that fewer bits keep its stages "
        "are held against limits of ours."
    ),
    inputs=("claims", "runs", "profiles", "deployment"),
    build=build,
    columns=(
        Column("Model", text("model"), "left"),
        Column("Claim", text("claim"), "left"),
        Column("Published", text("printed"), sort_by="published"),
        Column("Tolerance", tolerance, sort_by="tolerance"),
        Column("Ours", in_unit("ours"), sort_by="ours"),
        Column("Ours, pooled", in_unit("ours_pooled"), sort_by="ours_pooled"),
        Column("Mark", text("mark"), "left"),
        Column("Verdict", text("verdict"), "left"),
    ),
    note=note,
    row_keys=("id",),
    in_summary=True,
)
