"""Table: what people reach against each other, by named conventions."""

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.evaluation.human_agreement import (
    BY_NIGHT,
    CONVENTIONS,
    POOLED,
    SLEEPERS,
    SOURCE,
    agreement,
    read_scorings,
)
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import metric_alone
from sleepbench.reporting.rendering import Column, number, shown, text

ACCURACY_SD = "accuracy_sd"


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per database and convention: what `human_agreement.agreement` gives of the committed scorings."""
    found = agreement(read_scorings(inputs.path("human_scorings"))).rename(columns={"database": "data"})
    same = ["same" if inputs.label.name.startswith(name) else "other" for name in found.data]
    return found.assign(nights=same, mark="computed here", source=SOURCE)


def accuracy(row: pd.Series) -> str:
    """The accuracy, with its standard deviation where the convention has one."""
    sd = row[ACCURACY_SD]
    return shown(row["accuracy"], ".1f") + ("" if pd.isna(sd) else f" ± {sd:.1f}")


def note(row: pd.Series) -> str:
    """What a convention is, and where the scorings are from."""
    return f"{row['convention']}: {CONVENTIONS[row['convention']]}; scorings: {row['source']}"


ARTEFACT = Table(
    name="people",
    place=37,
    heading="What people reach",
    caption=(
        "Real scorings of real nights by people, whatever the data of the other tables is; same: of the nights of this "
        "report. How far five scorers of the Dreem Open Datasets agree "
        f"({'; '.join(f'{name}: {who}' for name, who in SLEEPERS.items())}), to show that "
        "agreement between scorings has an end. No network is in it, and nothing here is a result on Sleep-EDF. "
        f"One and the same people are some points better by '{BY_NIGHT}' than by '{POOLED}': a "
        "number of people means nothing without its convention. Acc. (accuracy), MF1 (macro-F1) and the F1 of each "
        "stage in percent, and Cohen's kappa; the first convention has no macro-F1."
    ),
    inputs=("human_scorings",),
    build=build,
    columns=(
        Column("Data", text("data"), "left"),
        Column("Convention", text("convention"), "left"),
        Column("Nights", number("n_nights", ".0f")),
        Column("of", text("nights"), "left"),
        Column("Epochs", number("n_epochs", ",.0f"), sort_by="n_epochs"),
        Column("Acc.", accuracy, sort_by="accuracy"),
        Column("Kappa", metric_alone("cohen_kappa"), sort_by="cohen_kappa"),
        Column("MF1", number("macro_f1", ".1f"), sort_by="macro_f1"),
        *(Column(stage, number(f"f1_{stage}", ".1f"), sort_by=f"f1_{stage}") for stage in STAGES),
        Column("Source", text("mark"), "left"),
    ),
    note=note,
)
