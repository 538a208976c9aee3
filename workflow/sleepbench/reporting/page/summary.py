"""The summary for a terminal: audit of each protocol, main tables, and where the figures are.

The audit says what a protocol does to the recordings.
"""

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.core.files import write_text
from sleepbench.datasets.base import DataLabel

TEXT_WIDTH = 118
"""Columns of running text, for reading in a terminal."""


def audit_sentence(audit: Mapping[str, Any]) -> str:
    """What a protocol does to the recordings, from its entry of audit.json."""
    used, dropped = audit["recordings_used"], audit["recordings_dropped"]
    shared, share = (audit[f"{what}test_recordings_whose_subject_trains"] for what in ("", "share_of_"))
    return (
        f"{audit['protocol']}: {len(used)} of {len(used) + len(dropped)} recordings tested"
        + (f" (dropped: {', '.join(dropped)})" if dropped else "")
        + f"; the subject of {shared} of {len(used)} test recordings ({share:.0%}) is also in training"
    )


def write_summary(
    label: DataLabel,
    audits: Sequence[Mapping[str, Any]],
    tables: Sequence[Path],
    figures: Sequence[Path],
    output: Path,
    not_trained: Sequence[str] = (),
) -> None:
    """Join a sentence per protocol, rendered tables (Markdown) and links to figures.

    `audits` are the entries of audit.json; `not_trained` are sentences on what was asked for and skipped.
    """
    sentences = [textwrap.fill(f"- {audit_sentence(one)}", TEXT_WIDTH, subsequent_indent="  ") for one in audits]
    parts = [f"# {label.title('Summary')}", "\n".join(sentences)]
    if not_trained:
        parts.append(textwrap.fill(f"Not trained. {' '.join(not_trained)}", TEXT_WIDTH))
    parts += [table.read_text(encoding="utf-8").strip() for table in tables]
    links = [f"- [{figure.name}]({Path(os.path.relpath(figure, output.parent)).as_posix()})" for figure in figures]
    parts.append("\n".join([f"## {label.title('Figures')}", "", *links]))
    write_text(output, "\n\n".join(parts) + "\n")
