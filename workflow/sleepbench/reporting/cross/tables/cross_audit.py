"""Table: who was tested on which other dataset, who was left out, and what could not be tested."""

import pandas as pd

from sleepbench.core.files import read_document
from sleepbench.cross.names import DOCUMENT
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import Column, number, text

EVERY = "all"
COLUMNS = (
    *("trained", "tested", "contender_asked", "people_trained", "people_tested", "recordings_tested", "people_shared"),
    *("recordings_removed", "removed", "not_prepared", "known_from", "outcome"),
)


def build(inputs: Inputs) -> pd.DataFrame:
    """A row per pair that was tested, one per remedy that is not defined, and one per pair that was not tested."""
    rows: dict[tuple[str, str], dict] = {}
    remedies: dict[tuple[str, ...], dict] = {}
    for directory in inputs.paths("crossed"):
        document = read_document(directory / DOCUMENT)
        pair = document["trained"], document["tested"]
        rows[pair] = dict(zip(("trained", "tested"), pair, strict=True)) | _audited(document["audit"])
        who = f"{document['title']} ({document['input']}, {document['recipe']})"
        for remedy, reason in document["lacking"].items():
            remedies[*pair, who, remedy] = {
                **{"trained": pair[0], "tested": pair[1], "contender_asked": who},
                "outcome": f"without {remedy}: {reason}",
            }
    refused = [
        {
            **{"trained": one["trained"], "tested": one["tested"], "contender_asked": one["contender"] or EVERY},
            "outcome": f"not tested: {one['reason']}",
        }
        for one in inputs.settings["not_tested"]
    ]
    table = pd.DataFrame([*rows.values(), *remedies.values(), *refused], columns=list(COLUMNS))
    counts = ("people_trained", "people_tested", "recordings_tested", "people_shared", "recordings_removed")
    return table.astype(dict.fromkeys(counts, "Int64"))


def _audited(audit: dict) -> dict:
    shared = audit["removed"]
    return {
        "contender_asked": EVERY,
        **{name: audit[name] for name in ("people_trained", "people_tested")},
        "recordings_tested": len(audit["tested"]),
        "people_shared": len(shared),
        "recordings_removed": sum(map(len, shared.values())),
        "removed": "; ".join(f"{person}: {', '.join(ids)}" for person, ids in shared.items()),
        "not_prepared": ", ".join(audit["not_prepared"]),
        "known_from": audit["known_from"],
        "outcome": "tested on all but the shared people" if shared else "tested: nobody is in both",
    }


def note(row: pd.Series) -> str:
    """Who is left out, and from what it is known who the people are."""
    if pd.isna(row["known_from"]):
        return "asked for, and not done for the reason in the row"
    said = [] if pd.isna(row["removed"]) or not row["removed"] else [f"left out: {row['removed']}"]
    if not pd.isna(row["not_prepared"]) and row["not_prepared"]:
        said.append(f"not prepared, as the index of {row['tested']} says: {row['not_prepared']}")
    return "; ".join([*said, f"who people are: {row['known_from']}"])


ARTEFACT = Table(
    name="cross_audit",
    place=20,
    heading="Who was tested on other datasets",
    caption=(
        "Decided before any network is looked at. A person of the tested dataset who is also in the one that was "
        "trained on, in whatever part of its folds, is left out; where that leaves nobody, the pair is not tested. The "
        "notes say from what it is known who the people are: no database says of its people whether they took part in "
        "another, so that two tables of their own are taken for two groups of people."
    ),
    inputs=("crossed",),
    settings=("not_tested",),
    build=build,
    columns=(
        Column("Trained on", text("trained"), "left"),
        Column("Tested on", text("tested"), "left"),
        Column("Networks", text("contender_asked"), "left"),
        Column("People trained on", number("people_trained", ".0f"), sort_by="people_trained"),
        Column("Tested", number("people_tested", ".0f"), sort_by="people_tested"),
        Column("Shared", number("people_shared", ".0f"), sort_by="people_shared"),
        Column("Rec. left out", number("recordings_removed", ".0f"), sort_by="recordings_removed"),
        Column("Outcome", text("outcome"), "left"),
    ),
    note=note,
)
