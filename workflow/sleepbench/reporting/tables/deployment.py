"""Table: a network on microcontrollers: instructions, flash and RAM on emulated boards, and an estimate of time."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.evaluation.deployment import (
    CLOCKS_MHZ,
    CYCLES_PER_INSTRUCTION,
    broken_limits,
    duty_percent,
    estimated_ms,
    ram_bytes,
)
from sleepbench.evaluation.published import read_published_deployments
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import DASH, Column, number, shown, text

MEASURED = ("epochs", "instructions", "last_sample_instructions", "flash_bytes", "agreement", "probability_difference")
ESTIMATES = tuple(f"{kind}_{clock}" for clock in CLOCKS_MHZ for kind in ("ms_low", "ms_high", "duty"))
COLUMNS = (
    *("model", "core", "form", *MEASURED, "ram_bytes", "stack_bytes", *ESTIMATES, "published_ms", "limits", "mark"),
    *("source", "skipped", "run_keys"),
)


def deployment(found: list[Mapping[str, Any]], committed: Mapping[str, Any], published: pd.DataFrame) -> pd.DataFrame:
    """Rows of what was measured here, then of what is committed, then of what others publish.

    Parameters
    ----------
    found : documents of `deployment.measuring`
    committed : the one of workflow/resources
    published : the table of published times
    """
    rows = []
    known = {(row["core"], row["form"]): row for row in committed["boards"]}
    for document in found:
        same_shape = all(document[name] == committed[name] for name in ("model", "n_channels", "n_samples"))
        for row in document["boards"]:
            reference = known.get((row["core"], row["form"])) if same_shape else None
            here = {"model": document["title"], "mark": "measured", "run_keys": document["run_key"]}
            rows.append({**here, **_board_row(row, reference, document)})
    for row in committed["boards"]:
        rows.append({"model": committed["title"], "mark": "committed", **_board_row(row, None, committed)})
    for row in published.itertuples():
        remark = f"; {row.remark}" if row.remark else ""
        rows.append(
            {
                **{"model": row.model, "core": row.processor, "published_ms": 1000 * row.seconds, "mark": row.mark},
                "source": f"{row.source}{remark}",
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _board_row(
    row: Mapping[str, Any], reference: Mapping[str, Any] | None, document: Mapping[str, Any]
) -> dict[str, Any]:
    named = {"core": row["core"], "form": row["form"]}
    if "skipped" in row:
        return {**named, "skipped": row["skipped"]}
    estimates: dict[str, float] = {}
    for clock in CLOCKS_MHZ:
        low, high = estimated_ms(row["instructions"], clock)
        estimates |= {f"ms_low_{clock}": low, f"ms_high_{clock}": high}
        estimates[f"duty_{clock}"] = duty_percent(row["instructions"], clock)
    data = "simulated signals" if document["simulated"] else document["dataset"]
    versions = "; ".join(document["versions"].values())
    return {
        **named,
        **{name: row[name] for name in MEASURED},
        **{"ram_bytes": ram_bytes(row), "stack_bytes": row["stack_bytes"], **estimates},
        "limits": "; ".join(broken_limits(row, reference)) or "kept",
        "source": f"QEMU's {row['machine']}, {row['epochs']:,} of {document['test_epochs']:,} test epochs of run "
        f"{document['run_key']}, {data}; {versions}",
    }


def build(inputs: Inputs) -> pd.DataFrame:
    """The table, from what was measured here and the committed files."""
    found = [read_json(path) for path in inputs.paths("deployment")]
    published = read_published_deployments(inputs.path("published_deployments"))
    return deployment(found, read_json(inputs.path("measured_deployment")), published)


def estimate(clock: int) -> Callable[[pd.Series], str]:
    """Cells that show milliseconds from the fewest to the most, and the duty at the most."""

    def cell(row: pd.Series) -> str:
        if pd.isna(low := row[f"ms_low_{clock}"]):
            return DASH
        return f"{low:,.0f}–{row[f'ms_high_{clock}']:,.0f} ({row[f'duty_{clock}']:.1f} %)"

    return cell


def millions(row: pd.Series) -> str:
    """Instructions of an epoch."""
    return DASH if pd.isna(row["instructions"]) else f"{row['instructions'] / 1e6:.1f}M"


def limits(row: pd.Series) -> str:
    """Whether all limits are kept."""
    if not pd.isna(row["skipped"]):
        return "skipped"
    return DASH if pd.isna(row["limits"]) else "kept" if row["limits"] == "kept" else "broken"


def note(row: pd.Series) -> str:
    """Where a row is from, or why it was skipped; and which limits are broken."""
    if not pd.isna(row["skipped"]):
        return f"skipped: {row['skipped']}"
    if pd.isna(row["instructions"]):
        return str(row["source"])
    told = [
        str(row["source"]),
        f"probabilities differ from PyTorch's by at most {row['probability_difference']:.1e}",
        f"an epoch's last sample takes {row['last_sample_instructions']:,.0f} instructions",
        f"{row['stack_bytes']:,.0f} bytes of the RAM are stack",
    ]
    return "; ".join(told) + ("" if row["limits"] == "kept" else f". Broken: {row['limits']}")


ARTEFACT = Table(
    name="deployment",
    place=54,
    heading="The network on a microcontroller",
    caption=(
        "One epoch of all channels, sample by sample, in C99 on emulated boards. Instructions are counted by the "
        "emulator; flash and RAM, in bytes, are of a whole firmware that does nothing else, stack included. Time is an "
        f"ESTIMATE, not a measurement: {CYCLES_PER_INSTRUCTION[0]} to {CYCLES_PER_INSTRUCTION[1]:g} cycles an "
        "instruction are assumed; in brackets is the share of the 30 s that it is at most. Limits: probabilities of "
        "single precision within 1e-5 of PyTorch's, at least 99 % of W8A16's stages PyTorch's, 32 KiB of flash, 8 KiB "
        "of RAM (single precision) and 5 KiB (W8A16), instructions within 5 % of those committed. Mark: measured "
        "here; committed, measured before and kept with the program; published by the authors of a rival."
    ),
    inputs=("deployment", "measured_deployment", "published_deployments"),
    build=build,
    columns=(
        Column("Model", text("model"), "left"),
        Column("Processor", text("core"), "left"),
        Column("Form", text("form"), "left"),
        Column("Instr.", millions, sort_by="instructions"),
        Column("Flash", number("flash_bytes", ",.0f"), sort_by="flash_bytes"),
        Column("RAM", number("ram_bytes", ",.0f"), sort_by="ram_bytes"),
        Column("Agree, %", lambda row: shown(100 * row["agreement"], ".1f"), sort_by="agreement"),
        *(Column(f"Est. ms, {clock} MHz", estimate(clock), sort_by=f"ms_high_{clock}") for clock in CLOCKS_MHZ),
        Column("Publ., ms", number("published_ms", ",.0f"), sort_by="published_ms"),
        Column("Limits", limits, "left"),
        Column("Mark", text("mark"), "left"),
    ),
    note=note,
)
