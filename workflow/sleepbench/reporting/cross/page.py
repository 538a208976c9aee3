"""The page of what networks give on other datasets: its tables and figures one after the other, as Markdown."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

from sleepbench.core.files import write_text
from sleepbench.datasets.base import DataLabel
from sleepbench.reporting.artefacts import FigureArtefact
from sleepbench.reporting.rendering import TEXT_WIDTH


def write_page(
    label: DataLabel, tables: Sequence[Path], figures: Sequence[tuple[FigureArtefact, Path]], output: Path
) -> None:
    """Join rendered tables (Markdown), and figures (PNG) with their captions."""
    parts = [f"# {label.title('Beyond one dataset')}"]
    for figure, png in figures:
        link = Path(os.path.relpath(png, output.parent)).as_posix()
        parts += [f"![{label.title(figure.heading)}]({link})", textwrap.fill(figure.caption, TEXT_WIDTH)]
    parts += [table.read_text(encoding="utf-8").strip() for table in tables]
    write_text(output, "\n\n".join(parts) + "\n")
