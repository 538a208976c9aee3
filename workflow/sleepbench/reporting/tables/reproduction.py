"""Table: runs beside another's re-run of the same evaluation, fold by fold."""

import pandas as pd

from sleepbench.evaluation.reruns import (
    ALL,
    CELL,
    ERROR,
    F1,
    FOLD,
    MEAN,
    OTHER_EPOCHS,
    compare_with_reruns,
    load_reruns,
)
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import measured_here
from sleepbench.reporting.reading import read_runs
from sleepbench.reporting.rendering import DASH, Column, number, shown, text


def build(inputs: Inputs) -> pd.DataFrame:
    """The rows of `compare_with_reruns`: a verdict on every re-run, and numbers where there are runs to compare."""
    return compare_with_reruns(load_reruns(inputs.path("reruns")), read_runs(inputs), inputs.label)


def epochs(row: pd.Series) -> str:
    """The epochs of a row, ours and theirs where they differ."""
    ours, theirs = (shown(row[name], ",.0f") for name in ("n_epochs", "n_epochs_theirs"))
    return ours if ours == theirs else f"{ours}, theirs {theirs}"


def ours(row: pd.Series) -> str:
    """Our mean over seeds, and their standard deviation where there are several."""
    spread = "" if pd.isna(row["sd_of_seeds"]) else f" ± {row['sd_of_seeds']:.2f}"
    return shown(row["ours"], ".2f") + spread


def allowed(row: pd.Series) -> str:
    """How far a row may be apart by chance."""
    return DASH if pd.isna(row["allowed"]) else f"± {row['allowed']:.2f}"


WHAT = {
    FOLD: "accuracy of a fold",
    MEAN: "mean of the fold accuracies, as the released program takes it",
    F1: "F1 of a stage, all folds pooled",
    CELL: "scored as predicted, in percent of the scored stage's epochs, all folds pooled",
}
POOLED_IS = "of the sum of the confusion matrices of all folds"


def note(row: pd.Series) -> str:
    """What a row is; that of the verdict, why, and where both numbers are from."""
    if row["part"] != ALL:
        return WHAT.get(row["part"], POOLED_IS)
    runs = "" if pd.isna(row["run_keys"]) else f"; {measured_here(row['run_keys'].split())}"
    return f"{row['dataset']}: {row['why']}{runs}. Theirs ({row['mark']}): {row['source']}"


ARTEFACT = Table(
    name="reproduction",
    place=35,
    heading="A re-run by others, fold by fold",
    caption=(
        "An independent re-run of the released evaluation by others, one training a fold, beside runs here "
        "under the same protocol, folds, channels and recipe, in percent; differences in percentage points. "
        "Ours: mean over seeds ± their standard deviation. Fold sizes must be equal; where one is not, it is "
        f"marked {OTHER_EPOCHS}, the verdict is '{ERROR}' and nothing is compared. Within: 95 % prediction "
        "interval of one further training, from the spread over our seeds, that of folds pooled over folds, "
        "as the spread of the re-run is not known; by chance one fold in twenty is outside. The verdict is "
        "'not reproduced' if a fold or the mean of the folds is outside after Holm's correction over all of "
        "them, or if more folds are outside than chance would have in one case of twenty. That takes seeds to "
        "change all folds about as much: a fold that they change more is outside more often. Stages and cells "
        "are not judged; with one seed nothing is. Simulated signals, excerpts and trials are never compared."
    ),
    inputs=("runs", "reruns"),
    build=build,
    columns=(
        Column("Dataset", text("dataset"), "left"),
        Column("Compared", text("what"), "left"),
        Column("Epochs", epochs, sort_by="n_epochs"),
        Column("Theirs", number("theirs", ".2f"), sort_by="theirs"),
        Column("Ours", ours, sort_by="ours"),
        Column("Difference", number("difference", "+z.2f"), sort_by="difference"),
        Column("Within", allowed, sort_by="allowed"),
        Column("Verdict", text("verdict"), "left"),
    ),
    note=note,
    row_keys=("dataset", "what"),
)
