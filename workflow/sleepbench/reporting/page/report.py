"""The report: one HTML file that opens offline.

It holds the answer in sentences, verdicts on claims, tables, figures, and where each number is from.

`report.html.jinja` beside this file is the page; it loads nothing, and its Content-Security-Policy forbids it to. Its
tables and figures are those of the registry; the page knows one of them, the ladder, which stands with the answer.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_text
from sleepbench.datasets.base import DataLabel
from sleepbench.protocols.folds import read_folds
from sleepbench.reporting import artefacts
from sleepbench.reporting.artefacts import FigureArtefact, Table
from sleepbench.reporting.page.answers import answers
from sleepbench.reporting.page.opening import Line, opening_lines
from sleepbench.reporting.page.origins import Origins
from sleepbench.reporting.page.template import data_uri, fill, short, slug
from sleepbench.reporting.reading import read_csv
from sleepbench.reporting.rendering import DASH, Cells, Column, read_cells

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHOWN_FACTS = (
    *("Model", "Protocol", "Seeds", "Folds SHA-256", "Config SHA-256", "Git commit", "Device", "Engine", "Threads"),
    *("PyTorch", "NumPy", "Python", "sleepbench"),
)
"""What the overview of the runs behind the rows shows of each."""
GROUPS = (
    *((0, "Results and claims"), (40, "Protocols and networks"), (70, "Metrics"), (100, "Comparisons")),
    (110, "People and nights"),
)
"""What the contents call tables, by the places from which on they stand."""
MODELS = ("model", "title", "rival", "first", "second")
"""Columns of tables' CSVs that name a model."""
CHOSEN = ("protocol", "input", "recipe")
"""Beside a row's models, what rows are chosen by."""
APART = {"published": 1, "secondary": 1, "people": 2}
"""Rows with these marks stay below those that were measured, however they are sorted."""
OF_NO_MODEL = ("reference", "people")
"""Marks of rows that stay beside those of any model."""
MOST_EMBEDDED_BYTES = 1_500_000
"""In base64, some browsers take no longer link."""
MEDIA_TYPES = {"csv": ("CSV", "text/csv"), "tex": ("LaTeX", "text/x-tex"), "pdf": ("PDF", "application/pdf")}
DOTS_PER_CSS_PIXEL = 200 / 96 / 1.2
"""Figures have 200 dots per inch; on the screen they are shown a fifth larger than in print."""


# -------------------------------------------------------------------------------------------------------------- tables


class ShownFile(NamedTuple):
    """A file behind a table or figure: what kind it is, its name, its content as a data URI, and its bytes in words.

    The URI is empty where the file is too large to be embedded; then `name` is where it lies beside the report.
    """

    kind: str
    name: str
    uri: str
    size: str


def shown_files(paths: Sequence[Path], dataset: str) -> list[ShownFile]:
    """Those of the files that are there; their names say which dataset they are of."""
    return [_shown_file(path, dataset) for path in paths if path.is_file()]


def _shown_file(path: Path, dataset: str) -> ShownFile:
    content = path.read_bytes()
    kind, media_type = MEDIA_TYPES[path.suffix[1:]]
    size = f"{len(content) / 1e6:.1f} MB" if len(content) > 1e6 else f"{len(content) / 1e3:.0f} kB"
    if len(content) > MOST_EMBEDDED_BYTES:
        return ShownFile(kind, f"{path.parent.name}/{path.name}", "", size)
    return ShownFile(kind, f"{dataset}-{path.parent.name}-{path.name}", data_uri(content, media_type), size)


class ShownCell(NamedTuple):
    """A cell as text, and what orders it: a number or a text; None: there is nothing, which comes last."""

    text: str
    order: str | float | None
    align: str


class ShownRow(NamedTuple):
    """A row of a table: its id, its cells, the number of its note, and the ids of what it was computed from.

    `chosen` holds what it is found by: by name, such as "protocol", the values that it is of.
    """

    anchor: str
    cells: list[ShownCell]
    note: int
    mark: str
    verdict: str
    origins: list[str]
    chosen: dict[str, list[str]]

    @property
    def group(self) -> int:
        """Rows of one group are sorted among themselves."""
        return APART.get(self.mark, 0)


class ShownTable(NamedTuple):
    """A table as the page prints it.

    `heads`: heading, alignment and order ("number" or "text") of each column. `group` is that of the contents.
    """

    name: str
    group: str
    short_heading: str
    heading: str
    warning: str
    caption: str
    heads: list[tuple[str, str, str]]
    rows: list[ShownRow]
    notes: list[str]
    files: list[ShownFile]


def shown_number(text: str) -> float | None:
    """The first number of a text ("82.2 ± 9.9" gives 82.2, "13.3K" 13300); None where there is none."""
    found = re.search(r"(-?)(\d[\d,]*(?:\.\d+)?|\.\d+)(?:e([-+]?\d+))?([KM])?", text.replace("−", "-"))
    if found is None:
        return None
    sign, digits, exponent, unit = found.groups()
    scale = 10.0 ** int(exponent or 0) * {"K": 1e3, "M": 1e6}.get(unit, 1)
    return float(sign + digits.replace(",", "")) * scale


@dataclass(frozen=True)
class Sources:
    """What rows can be computed from: runs, fold files and profiles of networks.

    Their ids are P1, P2, ... for runs, F1, ... for fold files, and N1, ... for profiles.
    """

    runs: Origins
    folds: list[dict]
    profiles: list[dict]

    def behind(self, record: pd.Series) -> list[str]:
        """The ids of what a row of a table's CSV was computed from.

        There are none for what is published or not known here. BenchmarkError for a row of runs or folds that are not
        among those given.
        """
        if not pd.isna(record.get("run_keys")):
            return [origin.id for origin in self.runs.behind(record["run_keys"])]
        if "folds_sha256" in record:
            return [self._folds(record)]
        networks = [(profile["title"], profile["n_channels"]) for profile in self.profiles]
        network = (record.get("model"), record.get("n_channels"))
        ours = any(not pd.isna(record.get(name)) for name in ("ours", "our_parameters"))
        counted = record.get("mark") == "measured" or ours
        return [f"N{networks.index(network) + 1}"] if counted and network in networks else []

    def _folds(self, record: pd.Series) -> str:
        known = [(document["name"], document["folds_sha256"]) for document in self.folds]
        mine = (record["folds"], record["folds_sha256"])
        if mine not in known:
            raise BenchmarkError(
                f"the audit of protocol {record['protocol']} is of the folds {mine[0]} ({short(mine[1])}), not one of "
                f"those given ({', '.join(f'{name} {short(sha)}' for name, sha in known)}); make the audit again"
            )
        return f"F{known.index(mine) + 1}"


def shown_table(table: Table, csv: Path, label: DataLabel, sources: Sources) -> ShownTable:
    """A table's CSV as the page prints it: the cells of its Markdown, and what each column is sorted by."""
    cells = read_cells(table, csv)
    rows, anchors = [], row_anchors(table, cells)
    for (_, record), anchor, texts, note in zip(
        cells.records.iterrows(), anchors, cells.texts, cells.note_numbers, strict=True
    ):
        shown = [_shown_cell(column, text, record) for column, text in zip(cells.columns, texts, strict=True)]
        mark, verdict = ("" if pd.isna(record.get(name)) else record[name] for name in ("mark", "verdict"))
        rows.append(
            ShownRow(anchor, shown, note, mark, verdict, sources.behind(record), chosen_by(record, sources.runs))
        )
    heads = [(one.heading, one.align, "number" if one.align == "right" else "text") for one in cells.columns]
    return ShownTable(
        table.name,
        next(group for first, group in reversed(GROUPS) if table.place >= first),
        table.heading,
        label.title(table.heading),
        _warning(cells.records, label),
        cells.caption,
        [*heads, ("Runs", "left", "text")],
        rows,
        cells.notes,
        shown_files([csv, csv.with_suffix(".tex")], label.dataset),
    )


def chosen_by(record: pd.Series, runs: Origins) -> dict[str, list[str]]:
    """What a row of a table's CSV is found by: its models, and protocol, input and recipe where runs are of them.

    What a row does not say does not hide it: a published one stays under every protocol, a people's beside every model.
    """
    mark = record.get("mark")
    models = [record[name] for name in MODELS if not pd.isna(record.get(name)) and mark not in OF_NO_MODEL]
    if mark in APART:  # "ULW-SleepNet (re-run of released code)" is the model ULW-SleepNet
        models = [re.sub(r" \(.*\)$", "", model) for model in models]
    chosen = {name: [record[name]] for name in CHOSEN if record.get(name) in runs.choices[name]}
    return {"model": models, **chosen} if models else chosen


def row_anchors(table: Table, cells: Cells) -> list[str]:
    """The id of each row, from what tells it from the others: it stays when rows are added, sorted or moved."""
    records, keys = cells.records, [*({"data"} & {*cells.records}), *table.row_keys]
    if table.row_keys:
        named = [[record[key] for key in keys if not pd.isna(record[key])] for _, record in records.iterrows()]
    else:
        left = [column.align != "right" for column in cells.columns]
        named = [[text for text, is_left in zip(texts, left, strict=True) if is_left] for texts in cells.texts]
    found: dict[str, int] = {}
    anchors = []
    for names in named:
        anchor = ".".join([table.name, *(slug(name) for name in names)])
        found[anchor] = found.get(anchor, 0) + 1
        anchors.append(anchor if found[anchor] == 1 else f"{anchor}.{found[anchor]}")
    return anchors


def _shown_cell(column: Column, text: str, record: pd.Series) -> ShownCell:
    if column.align != "right":
        return ShownCell(text, None if text == DASH else text.casefold(), column.align)
    number = record[column.sort_by] if column.sort_by else shown_number(text)
    return ShownCell(text, None if number is None or pd.isna(number) else float(number), column.align)


def _warning(records: pd.DataFrame, label: DataLabel) -> str:
    """What is said above a table that has rows on real data and belongs to simulated data."""
    others = sorted({*records["data"]} - {label.name}) if label.simulated and "data" in records else []
    return f"SIMULATED: rows on {', '.join(others)} cannot be compared with those on simulated data." if others else ""


# ------------------------------------------------------------------------------------------------------------- figures


class ShownFigure(NamedTuple):
    """A figure as the page shows it: image as a data URI, size and on-screen width in pixels."""

    name: str
    short_heading: str
    heading: str
    caption: str
    uri: str
    width: int
    height: int
    shown_width: int
    files: list[ShownFile]


def shown_figure(figure: FigureArtefact, png: Path, label: DataLabel) -> ShownFigure:
    """A figure's PNG, embedded, its caption the text alternative as well; BenchmarkError if it is no PNG."""
    content = Path(png).read_bytes()
    if not content.startswith(PNG_SIGNATURE):
        raise BenchmarkError(f"{png}: not a PNG image; delete it and run again")
    width, height = struct.unpack(">II", content[16:24])
    uri = data_uri(content, "image/png")
    heading = label.title(figure.heading)
    shown_width = round(width / DOTS_PER_CSS_PIXEL)
    files = shown_files([Path(png).with_suffix(f".{form}") for form in ("pdf", "csv")], label.dataset)
    return ShownFigure(figure.name, figure.heading, heading, figure.caption, uri, width, height, shown_width, files)


# ---------------------------------------------------------------------------------------------------------------- page


def dataset_report(
    label: DataLabel,
    tables: Mapping[str, Path],
    figures: Mapping[str, Path],
    runs: Path,
    folds: Sequence[Path],
    audit: Path,
    profiles: Sequence[Path],
    output: Path,
    not_trained: Sequence[str] = (),
) -> None:
    """Write the report on a dataset as one self-contained HTML file; the same inputs give the same bytes.

    Parameters
    ----------
    tables, figures : CSVs of tables and PNGs of figures, by name; that of claims must be there. They stand in the order
        of the registry; BenchmarkError for a name that it does not know
    runs : the runs table (CSV)
    folds : the fold files of its protocols
    audit : the audit of its protocols (JSON)
    profiles : the profiles of the networks, listed under provenance
    not_trained : sentences on what was asked for and skipped
    """
    runs_table = read_csv(runs)
    known_tables, known_figures = _known(artefacts.tables, tables), _known(artefacts.figures, figures)
    contents = {table.name: read_csv(csv) for table, csv in known_tables}
    opening = opening_lines(label, runs_table, contents["claims"], read_json(audit)["protocols"])
    sources = Sources(Origins(runs_table), [read_folds(path) for path in folds], [read_json(path) for path in profiles])
    shown_tables = [shown_table(table, csv, label, sources) for table, csv in known_tables]
    shown_figures = [shown_figure(figure, png, label) for figure, png in known_figures]
    said = answers(label, contents)
    write_page(label, shown_tables, shown_figures, said, opening, sources, output, not_trained)


def _known(registry: Callable, files: Mapping[str, Path]) -> list[tuple]:
    """The artefacts that files are of, with the files, in the order of the report."""
    for name in files:
        artefacts.find(registry, name)
    return [(one, files[name]) for name, one in registry().items() if name in files]


def write_page(
    label: DataLabel,
    tables: Sequence[ShownTable],
    figures: Sequence[ShownFigure],
    answer: Sequence[Line],
    opening: Sequence[Line],
    sources: Sources,
    output: Path,
    not_trained: Sequence[str] = (),
) -> None:
    """Fill the template."""
    page = fill(
        "report.html.jinja",
        title=label.title("Sleep-staging benchmark"),
        dataset=label.dataset,
        warning=label.warning,
        answer=answer,
        headings={table.name: table.short_heading for table in tables},
        opening=opening,
        not_trained=" ".join(not_trained),
        tables=tables,
        groups=[(name, list(members)) for name, members in groupby(tables, key=lambda table: table.group)],
        figures=figures,
        provenance_heading=label.title("Provenance"),
        choices={name: values for name, values in sources.runs.choices.items() if len(values) > 1},
        n_rows=sum(len(table.rows) for table in tables),
        origins=list(sources.runs),
        origin_heads=[
            *[("Id", "left", "number"), ("Runs", "right", "number"), ("Duration", "right", "number")],
            *((name.removesuffix(" SHA-256"), "left", "text") for name in SHOWN_FACTS),
        ],
        shown_facts=SHOWN_FACTS,
        used_in=_used_in(tables),
        folds=sources.folds,
        profiles=sources.profiles,
    )
    write_text(output, page)


def _used_in(tables: Sequence[ShownTable]) -> dict[str, list[tuple[str, list[tuple[int, str]]]]]:
    """By origin, the rows that were computed from it.

    Each entry holds a table's short heading, and the rows' numbers, counted from 1, and ids.
    """
    used: dict[str, list[tuple[str, list[tuple[int, str]]]]] = {}
    for table in tables:
        rows: dict[str, list[tuple[int, str]]] = {}
        for number, row in enumerate(table.rows, start=1):
            for origin in row.origins:
                rows.setdefault(origin, []).append((number, row.anchor))
        for origin, numbers in rows.items():
            used.setdefault(origin, []).append((table.short_heading, numbers))
    return used
