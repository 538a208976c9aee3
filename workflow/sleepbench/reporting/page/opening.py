"""What a report says below its answer: what was run, each claim's verdict, the audit, what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.claims import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from sleepbench.protocols.selection import SELECTION_RULES

MOST_LINES = 10
VERDICTS = (NOT_REPRODUCED, REPRODUCED, NOT_TESTABLE)
"""In the order in which they are listed."""
CLAIMED = ("sleep-edf-20", "sleep-edf-78")
"""The datasets that claims are about."""


class Line(NamedTuple):
    """A line of the opening: a label of one to three words, such as a verdict, and a sentence.

    `table` names the table that the sentence is made of, and leads to; empty: none.
    """

    label: str
    text: str
    table: str = ""


def opening_lines(
    label: DataLabel, runs: pd.DataFrame, claims: pd.DataFrame, audits: Sequence[Mapping[str, Any]]
) -> list[Line]:
    """At most ten lines that a reviewer can act on.

    Parameters
    ----------
    runs : the runs table
    claims : the table of verdicts; BenchmarkError when one is none, or rests on runs with simulated signals
    audits : the audit of each protocol, the entries of audit.json
    """
    check_verdicts(claims, label.simulated)
    audited = [_subjects_shared(audits), _selected(audits)]
    ranked = sorted(claims.to_dict("records"), key=lambda claim: VERDICTS.index(claim["verdict"]))
    room = MOST_LINES - 2 - len(audited)
    listed = ranked if len(ranked) <= room else ranked[: room - 1]
    verdicts = [Line(one["verdict"].capitalize(), f"{one['model']}, {one['claim']}: {one['why']}.") for one in listed]
    if rest := [claim["verdict"] for claim in ranked[len(listed) :]]:
        counted = ", ".join(f"{rest.count(verdict)} {verdict}" for verdict in dict.fromkeys(rest))
        verdicts.append(Line("More claims", f"{counted}: see the table of published claims."))
    return [_what_was_run(label, runs), *verdicts, *audited, _what_next(label, claims)]


def check_verdicts(claims: pd.DataFrame, simulated: bool) -> None:
    """BenchmarkError on a verdict that is none, and on one that rests on runs with simulated signals."""
    for claim in claims.itertuples():
        if claim.verdict not in VERDICTS:
            raise BenchmarkError(f"claim {claim.id}: the verdict is {claim.verdict!r}; make the table of claims again")
        from_runs = not pd.isna(claim.run_keys) or not pd.isna(claim.ours_pooled)
        if simulated and from_runs and claim.verdict != NOT_TESTABLE:
            raise BenchmarkError(
                f"claim {claim.id}: '{claim.verdict}' rests on runs with simulated signals, which show nothing about a "
                f"published result; expected '{NOT_TESTABLE}'; make the table of claims again"
            )


def _subjects_shared(audits: Sequence[Mapping[str, Any]]) -> Line:
    """Which protocols keep subjects apart, and which drop recordings."""
    disjoint = [audit["protocol"] for audit in audits if audit["subject_disjoint"]]
    shared = [
        f"{audit['protocol']} ({100 * audit['share_of_test_recordings_whose_subject_trains']:.0f} %)"
        for audit in audits
        if not audit["subject_disjoint"]
    ]
    if shared:
        shared[0] = shared[0].removesuffix(")") + " of test recordings have their subject in training)"
    dropped = [
        f"{audit['protocol']} ({n} of {n + len(audit['recordings_used'])})"
        for audit in audits
        if (n := len(audit["recordings_dropped"]))
    ]
    return Line(
        "Audit",
        f"Subjects disjoint: {', '.join(disjoint) or 'none'}; not: {', '.join(shared) or 'none'}. "
        f"Recordings dropped: {', '.join(dropped) or 'none'}.",
    )


def _selected(audits: Sequence[Mapping[str, Any]]) -> Line:
    """Which protocols select the training epoch on which data."""
    protocols: dict[str, list[str]] = {}
    for audit in audits:
        protocols.setdefault(SELECTION_RULES[audit["selection"]].sentence, []).append(audit["protocol"])
    listed = "; ".join(f"{sentence}: {', '.join(names)}" for sentence, names in protocols.items())
    return Line("Selection", f"The reported training epoch is selected {listed}.")


def _what_was_run(label: DataLabel, runs: pd.DataFrame) -> Line:
    protocols = [f"{name}: {group.n_folds.iloc[0]} folds" for name, group in runs.groupby("protocol", sort=False)]
    seeds = [str(seed) for seed in sorted(runs.seed.unique())]
    return Line(
        "Run",
        f"{_counted(len(runs), 'run')} on {_data(label)}: "
        f"{_counted(len(protocols), 'protocol')} ({', '.join(protocols)}), "
        f"{_counted(runs.title.nunique(), 'model')} ({'; '.join(runs.title.unique())}), "
        f"{_counted(len(seeds), 'seed')} ({', '.join(seeds)}).",
    )


def _data(label: DataLabel) -> str:
    name = "simulated signals" if label.simulated else label.name
    return name if label.comparable else f"{name} ({label.warning})"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _what_next(label: DataLabel, claims: pd.DataFrame) -> Line:
    commands = " and ".join(f"make paper DATASET={name}" for name in CLAIMED if name != label.dataset)
    if label.simulated:
        return Line("Next", f"Accuracy claims get a verdict on the real recordings only: {commands}.")
    text = "To check a number, follow the link in its row to the runs behind it."
    if (claims.verdict == NOT_REPRODUCED).any():
        text += " Claims that are not reproduced: read their notes, then the training curves of their runs."
    if (claims.verdict == NOT_TESTABLE).any():
        text += f" Claims about other data get a verdict by {commands}."
    return Line("Next", text)
