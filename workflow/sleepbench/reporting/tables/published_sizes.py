"""Table: the sizes that papers print, and which way of counting explains the printed operations.

The printed numbers are those of workflow/resources/published_sizes.csv.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.evaluation.published import read_published_sizes
from sleepbench.profiling.conventions import CONVENTIONS, NONE, agrees, counts_per_epoch, explain
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import Column, number, text

COUNTS = ("macs", "flops_2x", "flops_tensorflow")
COLUMNS = (
    *("model", "n_channels", "published_parameters", "our_parameters", "published_flops", *COUNTS, "convention"),
    *("unit_printed", "parameters_agree", "remark", "mark", "source"),
)


def published_sizes(profiles: Sequence[Mapping[str, Any]], published: pd.DataFrame) -> pd.DataFrame:
    """One row per profiled network that a published size is known of, printed numbers as text.

    Parameters
    ----------
    profiles : one dict per profiled network: model, title, n_channels, n_samples, operations
    published : the table of published sizes, all columns as text, empty where nothing is printed
    """
    rows = []
    for profile in profiles:
        if profile["n_samples"] != SAMPLES_PER_EPOCH:
            continue  # sizes are published for whole epochs
        operations = profile["operations"]
        counts = counts_per_epoch(operations)
        mine = published[(published.model == profile["model"]) & (published.n_channels == str(profile["n_channels"]))]
        for row in mine.itertuples():
            convention = explain(operations, row.flops) if row.flops else None
            rows.append(
                {
                    **{"model": profile["title"], "n_channels": profile["n_channels"]},
                    **{"published_parameters": row.parameters or None, "our_parameters": counts["parameters"]},
                    **{"published_flops": row.flops or None, **{name: counts[name] for name in COUNTS}},
                    "convention": CONVENTIONS.get(convention, convention),
                    "unit_printed": row.unit_printed or None,
                    "parameters_agree": agrees(counts["parameters"], row.parameters) if row.parameters else None,
                    **{"remark": row.remark or None, "mark": row.mark, "source": row.source},
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("our_parameters", *COUNTS), "Int64"))


def build(inputs: Inputs) -> pd.DataFrame:
    """The table of published sizes, from profiles and the published sizes."""
    printed = read_published_sizes(inputs.path("published_sizes"))
    return published_sizes([read_json(profile) for profile in inputs.paths("profiles")], printed)


def note(row: pd.Series) -> str:
    """The source of the printed numbers, what it calls its operations, and any remark.

    It also says where the parameters do not agree.
    """
    called = "" if pd.isna(row["unit_printed"]) else f"; operations printed as {row['unit_printed']}"
    agree = row["parameters_agree"]
    parameters = "" if pd.isna(agree) or agree else "; parameters differ by more than the rounding of those printed"
    remark = "" if pd.isna(row["remark"]) else f"; {row['remark']}"
    return f"{row['source']}{called}{parameters}{remark}"


ARTEFACT = Table(
    name="published_sizes",
    place=60,
    heading="Published sizes and how they are counted",
    caption=(
        "Parameters and operations of one 30-s epoch as their source prints them, beside the trainable parameters and "
        "the operations that are counted here by convention; those of a sequence model are of one training sequence, "
        "divided by its length. Explained by: the convention whose count rounds to the printed one, among "
        f"{len(CONVENTIONS)} ({'; '.join(CONVENTIONS.values())}); '{NONE}' where there is no such one. The table of "
        "size and cost has all counts. Networks whose sources print no size with the channels that were run are left "
        "out. Source: published by the model's authors, or secondary, reported by others."
    ),
    inputs=("profiles", "published_sizes"),
    build=build,
    columns=(
        Column("Model", text("model"), "left"),
        Column("Channels", number("n_channels", ".0f")),
        Column("Param., printed", text("published_parameters")),
        Column("Counted", number("our_parameters", ",.0f"), sort_by="our_parameters"),
        Column("FLOPs, printed", text("published_flops")),
        Column("MACs", number("macs", ",.0f"), sort_by="macs"),
        Column("2 × MACs", number("flops_2x", ",.0f"), sort_by="flops_2x"),
        Column("TF FLOPs", number("flops_tensorflow", ",.0f"), sort_by="flops_tensorflow"),
        Column("Explained by", text("convention"), "left"),
        Column("Source", text("mark"), "left"),
    ),
    note=note,
)
