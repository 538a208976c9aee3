"""Table: how near each network is to another program of it, its authors' where that is known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import DASH, Column, text

PROGRAM = ("source", "by", "framework", "precision", "remark")
"""What is said of another program."""
DIFFERENCES = ("outputs", "outputs_carried", "outputs_training", "gradients")
COLUMNS = ("model", "title", "verified", *PROGRAM, "n_channels", *DIFFERENCES, "differs")
NO_OTHER = {
    None: "ours, no other program",
    "size": "size alone: parameters and multiply-accumulates equal those published or of an independent build",
}
"""What is said of a model by what of it is verified, where no outputs of another program are kept."""


def parity_table(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per model and other program, with the largest difference over numbers of channels."""
    rows = []
    for model in found:
        said = {name: model[name] for name in ("model", "title", "verified", "differs")}
        programs: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for against in model["against"]:
            programs.setdefault(tuple(against[name] for name in PROGRAM), []).append(against)
        if not programs:
            rows.append({**said, "source": NO_OTHER[model["verified"]]})
        for program, files in programs.items():
            far = {name: max((one[name] for one in files if name in one), default=None) for name in DIFFERENCES}
            channels = " ".join(str(n) for n in sorted(one["n_channels"] for one in files))
            rows.append({**said, **dict(zip(PROGRAM, program, strict=True)), "n_channels": channels, **far})
    return pd.DataFrame(rows, columns=list(COLUMNS)).replace({"": None})


def build(inputs: Inputs) -> pd.DataFrame:
    """The table of the models that were trained."""
    return parity_table([read_json(path) for path in inputs.paths("parity")])


def difference(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a difference to one digit; a dash where none was measured."""
    return lambda row: DASH if pd.isna(row[name]) else "0" if row[name] == 0 else f"{row[name]:.0e}"


def channels(row: pd.Series) -> str:
    """Numbers of channels, which are text, or where each row has one number a number."""
    return text("n_channels")(row).removesuffix(".0")


def what_differs(row: pd.Series) -> str:
    """What differs, what was set in the other program, and what else was compared; may be empty."""
    carried = row["outputs_carried"]
    said = (
        row["differs"],
        None if pd.isna(row["remark"]) else f"theirs with {row['remark']}",
        None if pd.isna(carried) else f"state carried on: {carried:.0e}",
    )
    return "; ".join(one for one in said if not pd.isna(one))


def note(row: pd.Series) -> str:
    """The same as a note."""
    nothing = "nothing to hold it against" if pd.isna(row["by"]) else "nothing is known to differ"
    return what_differs(row) or nothing


ARTEFACT = Table(
    name="parity",
    place=64,
    heading="How near the networks are to other programs of them",
    caption=(
        "The same drawn weights and input in our network, in float64, and in another program of it, in the precision "
        "named: the largest difference relative to the largest value of theirs, of outputs in evaluation, of outputs "
        "in training without dropout, and of the gradients of a weighted sum of these (norm and a projection of each). "
        "Rounding alone gives about 1e-14. By: the authors of the model's paper, or others, independently. Computed "
        "here from what the other programs gave, which is kept; where several numbers of channels are, the largest."
    ),
    inputs=("parity",),
    build=build,
    columns=(
        Column("Model", text("title"), "left"),
        Column("Held against", text("source"), "left"),
        Column("By", text("by"), "left"),
        Column("Framework", text("framework"), "left"),
        Column("Precision", text("precision"), "left"),
        Column("Channels", channels, "left"),
        Column("Outputs", difference("outputs"), sort_by="outputs"),
        Column("In training", difference("outputs_training"), sort_by="outputs_training"),
        Column("Gradients", difference("gradients"), sort_by="gradients"),
    ),
    note=note,
)
