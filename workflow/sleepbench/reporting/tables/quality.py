"""Table: what the recordings hold, before anything is learned from them."""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.preparation.quality import gather_qualities
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.reading import read_recordings
from sleepbench.reporting.rendering import DASH, Column, number, text

TRIMMINGS = {"standard": "Std.", "authors": "Auth.", "whole": "Whole"}


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per recording, in ascending order."""
    table = gather_qualities(inputs.paths("quality"), read_recordings(inputs), inputs.label.simulated)
    return table.astype({"age": "Int64"})


def channels_in(table: pd.DataFrame) -> list[str]:
    """The channels that the table has columns of."""
    return [column.removeprefix("flat ") for column in table if column.startswith("flat ")]


def trimmings_in(table: pd.DataFrame) -> list[str]:
    """The trimmings that the dataset offers: one that it does not offer keeps nothing."""
    return [name for name in TRIMMINGS if table[name].any()]


def worst(measure: str, channels: Sequence[str]) -> Callable[[pd.Series], str]:
    """Cells with the largest share among channels in percent, and the channel that has it.

    The channel is left out where the share is next to nothing (below 0.05 %).
    """

    def cell(row: pd.Series) -> str:
        shares = {channel: 100 * row[f"{measure} {channel}"] for channel in channels}
        shares = {channel: share for channel, share in shares.items() if not pd.isna(share)}
        if not shares:
            return DASH
        channel = max(shares, key=shares.get)
        if shares[channel] < 0.05:
            return "<0.1" if shares[channel] else "0"
        return f"{shares[channel]:.1f} {channel.removeprefix('EEG ').split()[0]}"

    return cell


def span(channels: Sequence[str]) -> Callable[[pd.Series], str]:
    """Cells with the width of the range between the 1 % and 99 % quantiles, of every channel in order."""

    def cell(row: pd.Series) -> str:
        widths = (row[f"q99_uv {channel}"] - row[f"q01_uv {channel}"] for channel in channels)
        return " / ".join(f"{width:.1f}" if width < 10 else f"{width:,.0f}" for width in widths)

    return cell


def age_and_sex(row: pd.Series) -> str:
    """Age and sex, as far as they are known."""
    known = [str(row[name]).removesuffix(".0") for name in ("age", "sex") if not pd.isna(row[name])]
    return " ".join(known) or DASH


def note(row: pd.Series) -> str:
    """What was handled in a recording.

    Names and numbers are left out, so that similar recordings share a note.
    """
    sentences = "" if pd.isna(row["sentences"]) else row["sentences"]
    id = re.escape(row["recording"])
    sentences = re.sub(rf"{id}\w*-(PSG|Hypnogram)\.edf", r"the \1", sentences)
    sentences = re.sub(rf"\b{id}", "…", sentences)
    return re.sub(r"\b\d+(\.\d+)?(?= (epochs|s of|s after|%))", "n", sentences) or "nothing had to be handled"


def columns(table: pd.DataFrame) -> tuple[Column, ...]:
    """The rendered columns; the CSV has many more."""
    channels = channels_in(table)
    return (
        Column("Night", text("recording"), "left"),
        Column("Age", age_and_sex),
        Column("Hours", number("hours", ".1f")),
        *(Column(stage, number(stage, "d")) for stage in STAGES),
        Column("Mov.", number("movement", "d")),
        Column("?", number("unknown", "d")),
        *(Column(TRIMMINGS[name], number(name, "d")) for name in trimmings_in(table)),
        Column("Flat, %", worst("flat", channels)),
        Column("Clipped, %", worst("clipped", channels)),
        Column("Span, µV", span(channels)),
        Column("Handled", text("handled")),
    )


def caption(table: pd.DataFrame) -> str:
    """Totals, and what the columns mean."""
    kept = " and ".join(f"the {name} trimming keeps {table[name].sum():,}" for name in trimmings_in(table))
    headings = ", ".join(f"{TRIMMINGS[name]} ({name})" for name in trimmings_in(table))
    return (
        f"{len(table)} recordings of {table.subject.nunique()} subjects, {table.hours.sum():,.0f} hours, "
        f"{table.epochs.sum():,} epochs, of which {kept}. Age in years and sex. W to REM, Mov. (movement) and ? "
        f"(unknown): epochs of the whole night. {headings}: epochs that a trimming keeps. Flat: share of "
        "30-s epochs in which a channel never changes; clipped: share of its samples at the recorder's limits; both of "
        f"the worst channel. Span: from the 1 % to the 99 % quantile of {', '.join(channels_in(table))}. Handled: "
        "oddities of the files that were handled, named in the notes, where n stands for a number: the CSV has them "
        "all, and each channel's shares and quantiles."
    )


ARTEFACT = Table(
    name="quality",
    place=140,
    heading="The recordings",
    caption=caption,
    inputs=("quality", "recordings"),
    build=build,
    columns=columns,
    note=note,
)
