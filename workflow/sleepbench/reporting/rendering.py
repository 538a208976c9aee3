"""How a table is written: its CSV is the data, Markdown and LaTeX are rendered from that file alone.

So a number in a rendered table is always a number of the CSV.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sleepbench.core.files import replacing, write_text
from sleepbench.datasets.base import DataLabel
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.reading import CONTENDER, read_csv

DASH = "–"
TEXT_WIDTH = 118
"""Columns of running text in a Markdown table's caption and notes, for reading in a terminal."""


@dataclass(frozen=True)
class Column:
    """A rendered column: its heading, and the text of a cell from a row of the CSV.

    `sort_by` is the number of the CSV that orders the rows where a reader can sort them; empty: what the cell shows.
    """

    heading: str
    cell: Callable[[pd.Series], str]
    align: str = "right"
    sort_by: str = ""


def text(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a column as it is, and a dash where it is empty."""
    return lambda row: DASH if pd.isna(row[name]) else str(row[name])


def number(name: str, form: str) -> Callable[[pd.Series], str]:
    """Cells that show a column in a number format, and a dash where it is empty."""
    return lambda row: shown(row[name], form)


def shown(value: float, form: str) -> str:
    """A number in a format, or a dash where there is none."""
    return DASH if pd.isna(value) else format(value, form)


@dataclass(frozen=True)
class Cells:
    """What every rendering of a table shows: the text of each cell, and the notes.

    `note_numbers` holds the number (from 1) of each row's note. `records` is the CSV itself, one row per row of
    `texts`.
    """

    columns: tuple[Column, ...]
    caption: str
    records: pd.DataFrame
    texts: list[list[str]]
    notes: list[str]
    note_numbers: list[int]


def make_table(table: Table, inputs: Inputs, csv: str | Path, markdown: str | Path, latex: str | Path) -> None:
    """Build a table, write it as CSV, then render that file.

    The CSV has full precision, and is empty where there is no number.
    """
    content = table.build(inputs)
    with replacing(csv) as temporary:
        content.to_csv(temporary, index=False)
    render_table(table, csv, inputs.label, markdown, latex)


def render_table(table: Table, csv: str | Path, label: DataLabel, markdown: str | Path, latex: str | Path) -> None:
    """Render a table's CSV as Markdown and as LaTeX.

    The LaTeX needs the packages booktabs, graphicx, longtable and lscape. The label in LaTeX is
    "tab:<dataset>:<table>", so that one document can hold the tables of many datasets.
    """
    cells, title = read_cells(table, csv), label.title(table.heading)
    rows = [[*row[:-1], f"{row[-1]} [{note}]"] for row, note in zip(cells.texts, cells.note_numbers, strict=True)]
    write_text(markdown, _markdown(cells, rows, title))
    write_text(latex, _latex(cells, rows, title, f"tab:{label.dataset}:{table.name}"))


def read_cells(table: Table, csv: str | Path) -> Cells:
    """Read a table's CSV and format its cells."""
    records = read_csv(csv)
    columns = table.columns(records) if callable(table.columns) else table.columns
    caption = table.caption(records) if callable(table.caption) else table.caption
    rows = [row for _, row in with_contenders(records).iterrows()]
    noted = [table.note(row) for row in rows]
    notes = list(dict.fromkeys(noted))
    texts = [[column.cell(row) for column in columns] for row in rows]
    return Cells(columns, caption, records, texts, notes, [notes.index(note) + 1 for note in noted])


def with_contenders(records: pd.DataFrame) -> pd.DataFrame:
    """Rows with a column `contender`, the name of the model.

    Input and recipe are added to the name where the table has several of the model.
    """
    names = list(CONTENDER)
    if not {*names} <= {*records}:
        return records
    several = records[names].drop_duplicates().groupby("title").size().gt(1)
    name = records.title + " (" + records.input.astype(str) + ", " + records.recipe.astype(str) + ")"
    return records.assign(contender=name.where(records.title.map(several), records.title))


# ------------------------------------------------------------------------------------------------------------ Markdown


def _markdown(cells: Cells, rows: list[list[str]], title: str) -> str:
    numbered = [
        textwrap.fill(note, TEXT_WIDTH, initial_indent=f"{i}. ".ljust(4), subsequent_indent=" " * 4)
        for i, note in enumerate(cells.notes, start=1)
    ]
    headings, right = zip(*((column.heading, column.align == "right") for column in cells.columns), strict=True)
    body = pipe_table(headings, rows, right)
    return "\n\n".join([f"## {title}", body, textwrap.fill(cells.caption, TEXT_WIDTH), "\n".join(numbered)]) + "\n"


def pipe_table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A Markdown table, padded so that it reads in a terminal.

    `right` says which columns are aligned to the right.
    """
    # Not pandas' to_markdown: it widens every column by two characters, too much for a terminal.
    lines = [list(headings), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    # At least two: "-:" is the shortest rule that Markdown takes for a column aligned to the right.
    widths = [max(2, *map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)])
    return "\n".join(
        "| "
        + " | ".join(c.rjust(width) if r else c.ljust(width) for c, width, r in zip(line, widths, right, strict=True))
        + " |"
        for line in lines
    )


# --------------------------------------------------------------------------------------------------------------- LaTeX

LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", DASH: "--", "…": r"\dots{}"},
        **{"±": r"$\pm$", "×": r"$\times$", "µ": r"$\mu$"},
    }
)
LATEX_LINES = 46
"""Rows of a table and lines of its caption and notes that a page holds; with more, the LaTeX table goes over pages."""
LATEX_CHARACTERS = 90
"""Characters of a table's widest row that a page holds upright, and of a line of its caption and notes."""


def _latex(cells: Cells, rows: list[list[str]], title: str, label: str) -> str:
    lines = [[column.heading for column in cells.columns], *rows]
    headings, *body = [[cell.translate(LATEX) for cell in line] for line in lines]
    style = pd.DataFrame(body, columns=headings).style.hide(axis="index")
    form = {"column_format": "".join(column.align[0] for column in cells.columns), "hrules": True}
    texts = [f"{title}. {cells.caption}", *cells.notes]
    caption, *notes = [words.translate(LATEX) for words in texts]
    notes = [rf"\noindent [{i}] {note}\par" for i, note in enumerate(notes, start=1)]
    if len(rows) + sum(len(words) // LATEX_CHARACTERS + 1 for words in texts) <= LATEX_LINES:
        return _on_a_page(style.to_latex(**form).rstrip(), notes, caption, label)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    # A column costs the space beside it, too.
    turned = "landscape" if sum(widths) + len(widths) > LATEX_CHARACTERS else "center"
    caption = rf"\normalsize {caption}"
    table = style.to_latex(environment="longtable", caption=caption, label=label, **form)
    # The caption stands on the first page only.
    return _over_pages(table.replace(rf"\caption[]{{{caption}}} \\" + "\n", "").rstrip(), notes, turned)


def _on_a_page(tabular: str, notes: list[str], caption: str, label: str) -> str:
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{{label}}}",
            r"\small",
            # Shrinks a table that is too wide for the page, and leaves others alone.
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
            tabular + "}",
            r"",
            r"\smallskip",
            r"\begin{minipage}{\textwidth}\footnotesize\raggedright",
            *notes,
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def _over_pages(longtable: str, notes: list[str], turned: str) -> str:
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,longtable,lscape}",
            rf"\begin{{{turned}}}",
            # As wide as the lines of the turned page.
            r"\scriptsize\setlength{\tabcolsep}{2pt}\setlength{\LTcapwidth}{\linewidth}",
            longtable,
            r"\footnotesize\raggedright",
            *notes,
            rf"\end{{{turned}}}",
            "",
        ]
    )
