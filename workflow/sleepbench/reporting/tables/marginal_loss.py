"""Table: the claim of fewer parameters with only marginal performance loss, against every larger rival."""

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.claims import NOT_TESTABLE, load_claims
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import SOURCE_IS, counted
from sleepbench.reporting.reading import read_statistics
from sleepbench.reporting.rendering import DASH, Column, number, shown, text
from sleepbench.reporting.tables.non_inferiority import PAIR, margins_of, percent, recipes_of

COLUMNS = (
    *(*PAIR, "title_recipe", "rival_recipe", "n_channels", "n_subjects", "seeds"),
    *("parameters", "rival_parameters", "fewer", "loss", "loss_high", "smallest_margin"),
)


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per network of a claimed reduction and rival with more parameters; loss of accuracy in points.

    `loss_high` is the most that is lost, the one-sided 95 % bound. A published claim gets a verdict from whole
    recordings of real people alone: from other data it is not testable.
    """
    claimed = {claim.model: claim for claim in load_claims(inputs.path("claims")) if claim.test["kind"] == "reduction"}
    wanted = ("title_recipe", "rival_recipe", "n_channels", "metric", "n_subjects", "seeds", "difference", "low")
    found = read_statistics(
        inputs, "non_inferiority", (*PAIR, *wanted, "smallest_margin", "margin", "verdict", "reason")
    )
    found = found[found.title.isin(claimed) & (found.metric == "accuracy")]
    profiles = [read_json(path) for path in inputs.paths("profiles")]
    sizes = {(one["title"], one["n_channels"]): one["operations"]["parameters"] for one in profiles}
    rows = []
    for _, margins in found.groupby(list(PAIR), sort=False):
        pair = margins.iloc[0]
        mine, theirs = (sizes.get((pair[name], pair.n_channels)) for name in ("title", "rival"))
        if mine and theirs and theirs > mine:
            numbers = {"parameters": mine, "rival_parameters": theirs, "fewer": 100 * (1 - mine / theirs)}
            numbers |= {"loss": -100 * pair.difference, "loss_high": -100 * pair.low}
            numbers["smallest_margin"] = 100 * pair.smallest_margin
            verdicts = {f"verdict_{percent(m)}": v for m, v in zip(margins.margin, margins.verdict, strict=True)}
            verdicts = dict.fromkeys(verdicts, NOT_TESTABLE) if inputs.label.warning else verdicts
            named = {name: pair[name] for name in COLUMNS if name in pair}
            why = " and ".join(
                filter(None, (not_of_the_claim(inputs.label), "" if pd.isna(pair.reason) else pair.reason))
            )
            claim = {"claim": claimed[pair.title].statement, "mark": claimed[pair.title].mark}
            claim["source"] = claimed[pair.title].source
            rows.append({**named, **numbers, **verdicts, **claim, "why": why, "run_keys": pair.run_keys})
    return pd.DataFrame(rows, columns=None if rows else [*COLUMNS, "why", "run_keys"])


def not_of_the_claim(label: DataLabel) -> str:
    """Why a published claim gets no verdict from such data; empty where it gets one."""
    if label.simulated:
        return "these runs are on simulated signals"
    return f"these runs are not on what the claim is about: {label.warning}" if label.warning else ""


def loss(row: pd.Series) -> str:
    """Cells "0.8 (at most 2.6)"."""
    printed = shown(row["loss"], "z.1f")
    return printed if pd.isna(row["loss_high"]) else f"{printed} (at most {row['loss_high']:z.1f})"


def columns(table: pd.DataFrame) -> tuple[Column, ...]:
    """The columns for the margins of a table."""
    return (
        Column("Input, recipe", lambda row: f"{row['input']}, {row['recipe']}", "left"),
        Column("Against", text("rival"), "left"),
        Column("Parameters", number("rival_parameters", ",.0f"), sort_by="rival_parameters"),
        Column("Fewer", lambda row: f"{row['fewer']:.1f} %", sort_by="fewer"),
        Column("Loss", loss, sort_by="loss"),
        Column("Can show", number("smallest_margin", ".1f"), sort_by="smallest_margin"),
        *(Column(f"{margin} pt", text(f"verdict_{margin}"), "left") for margin in margins_of(table)),
    )


def note(row: pd.Series) -> str:
    """The smaller network and what it was tested on, and why there is no verdict."""
    subjects = DASH if pd.isna(row["n_subjects"]) else counted(row["n_subjects"], "subject")
    on = f"{subjects}, {counted(row['seeds'], 'seed')}"
    of = f"{row['title']}, {row['parameters']:,.0f} parameters{recipes_of(row)}, {on}"
    said = f"{of}; claimed: {row['claim']} ({row['mark']}: {row['source']})"
    return said if pd.isna(row["why"]) else f"{said}; {row['why']}"


CAPTION = (
    "The paper claims fewer parameters (the notes say how many) with only marginal performance loss, and names no "
    "comparator and no margin: here is every network that was run on the same input by the same recipe and has more "
    "parameters, under protocol clean. Fewer: parameters saved, both counted on that input. Loss: of accuracy, in "
    "points, mean over subjects, and the most that it can be by a one-sided 95 % bound; below zero is a gain. "
    "Verdicts at margins set beforehand (pt), and Can show, the smallest margin that so many subjects can show, are "
    "those of the table of non-inferiority; from simulated signals, and from others than whole recordings, the claim "
    f"gets none. {SOURCE_IS}"
)
NO_COMPARATOR = (
    "Nothing to compare: under protocol clean, no network with more parameters was run on the same input by the same "
    "recipe as one whose reduction is claimed."
)

ARTEFACT = Table(
    name="marginal_loss",
    place=32,
    heading="The claim of fewer parameters with only marginal loss",
    caption=lambda table: NO_COMPARATOR if table.empty else CAPTION,
    inputs=("claims", "statistics/non_inferiority", "profiles"),
    build=build,
    columns=columns,
    note=note,
    row_keys=PAIR,
)
