"""Table: a network in fewer bits: what it keeps of its quality, and what it costs."""

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import Column, number, shown, text

COLUMNS = (
    *("model", "form", "title", "ranges", "accuracy", "macro_f1", "cohen_kappa", "loss", "agreement"),
    *("target_accuracy", "meets_target", "probability_difference", "weight_bytes", "latency_us", "latency_p90_us"),
    *("epochs", "calibration_epochs", "hardware", "skipped", "run_keys"),
)


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per form of the network; of one that was skipped, why."""
    rows = []
    for path in inputs.paths("deployment"):
        found = read_json(path)
        accuracy = next(row["accuracy"] for row in found["forms"] if row["form"] == "pytorch")
        said = {"model": found["title"], "target_accuracy": found["target"] * accuracy, "run_keys": found["run_key"]}
        said |= {name: found[name] for name in ("calibration_epochs", "hardware")}
        rows += [said | row | {"loss": accuracy - row.get("accuracy", float("nan"))} for row in found["forms"]]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def percent(name: str):
    """Cells that show a share in percent."""
    return lambda row: shown(100 * row[name], "z.1f")


def verdict(row: pd.Series) -> str:
    """Whether the quality target is met, or that the form was skipped."""
    if not pd.isna(row["skipped"]):
        return "skipped"
    return "met" if row["meets_target"] else "missed"


def note(row: pd.Series) -> str:
    """Ranges, or why a row was skipped; and what was measured where."""
    if not pd.isna(row["skipped"]):
        return f"skipped: {row['skipped']}"
    ranges = (
        ""
        if pd.isna(row["ranges"])
        else f"ranges of activations: {row['ranges']} on {row['calibration_epochs']} epochs of the training; "
    )
    where = f"{row['epochs']:,.0f} test epochs of run {row['run_keys']}, one at a time, on {row['hardware']}"
    return f"{ranges}{where}; probabilities differ from PyTorch's by at most {row['probability_difference']:.1e}"


ARTEFACT = Table(
    name="quantisation",
    place=52,
    heading="The network in fewer bits",
    caption=(
        "One run's network on its whole test fold, by the code that would be deployed: each row's quality and speed "
        "are of the same code and the same pass, one epoch at a time (a single stream, as MLPerf Tiny has it). W8A16 "
        "has weights of 8 bits and activations of 16, INT8 both of 8. Target: 99 % of the accuracy of the network in "
        "PyTorch. Agree: stages that are PyTorch's. Bytes are those of the constants alone. Latency: microseconds of "
        "processor time an epoch on this machine, median and 90th percentile; what a microcontroller takes is another "
        "table. Nothing was trained again for fewer bits: quantisation-aware training was not tried, for it is not "
        "needed where W8A16 keeps 99 % of the stages. INT8 is printed as it is, by two ways of finding ranges, neither "
        "chosen by its result."
    ),
    inputs=("deployment",),
    build=build,
    columns=(
        Column("Model", text("model"), "left"),
        Column("Form", text("title"), "left"),
        Column("Accuracy, %", percent("accuracy"), sort_by="accuracy"),
        Column("Lost, points", percent("loss"), sort_by="loss"),
        Column("Macro-F1, %", percent("macro_f1"), sort_by="macro_f1"),
        Column("Kappa", number("cohen_kappa", ".3f"), sort_by="cohen_kappa"),
        Column("Agree, %", percent("agreement"), sort_by="agreement"),
        Column("Target, %", percent("target_accuracy"), sort_by="target_accuracy"),
        Column("Target is", verdict, "left"),
        Column("Bytes", number("weight_bytes", ",.0f"), sort_by="weight_bytes"),
        Column("Latency, µs", number("latency_us", ",.0f"), sort_by="latency_us"),
        Column("p90, µs", number("latency_p90_us", ",.0f"), sort_by="latency_p90_us"),
    ),
    note=note,
)
