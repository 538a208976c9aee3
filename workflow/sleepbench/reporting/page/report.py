"""The report: one HTML file that opens offline, with verdicts on claims, tables, figures and where each number is from.

`report.html.jinja` beside this file is the page; it loads nothing, and its Content-Security-Policy forbids it to.
"""

import base64
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_text
from sleepbench.evaluation.claims import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from sleepbench.reporting import quality
from sleepbench.reporting.figures import of_statistics as statistics_figures
from sleepbench.reporting.page.origins import Origins
from sleepbench.reporting.tables import audit as audit_table
from sleepbench.reporting.tables import main as tables
from sleepbench.reporting.tables import of_statistics as statistics_tables
from sleepbench.reporting.tables import postprocessing, published_sizes
from sleepbench.reporting.tables.main import DASH, DATA_NAMES, SIMULATED, Column, Layout, title

MOST_OPENING_LINES = 10
SELECTED = {
    "best_test": "on the test fold",
    "best_validation": "on validation subjects",
    "last": "on no data, the last epoch",
    "cycle_end": "on no data, the last before a cycle ends",
}
"""Where a rule selects the training epoch that is reported."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHOWN_FACTS = (
    *("Model", "Protocol", "Seeds", "Folds SHA-256", "Config SHA-256", "Git commit", "Device", "Engine", "Threads"),
    *("PyTorch", "NumPy", "Python", "sleepbench"),
)
"""What the overview of the runs behind the rows shows of each."""
DOTS_PER_CSS_PIXEL = 200 / 96 / 1.2
"""Figures have 200 dots per inch; on the screen they are shown a fifth larger than in print."""


class Line(NamedTuple):
    """A line of the opening: a label of one to three words, such as a verdict, and a sentence."""

    label: str
    text: str


@dataclass(frozen=True)
class ReportTable:
    """A table of the report: its CSV and how it is shown. `heading` does not name the data: the report adds that."""

    name: str
    heading: str
    csv: Path
    layout: Layout
    caption: str


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report, a PNG; `heading` as of a table. `caption` is its text alternative as well."""

    name: str
    heading: str
    png: Path
    caption: str


TABLES = {
    "main_results": ("Sleep staging by protocol", tables.MAIN_RESULTS, tables.MAIN_RESULTS_CAPTION),
    "ladder": (statistics_tables.HEADINGS["ladder"], statistics_tables.LADDER, statistics_tables.LADDER_CAPTION),
    "claims": ("Published claims", tables.CLAIMS, tables.CLAIMS_CAPTION),
    "audit": (audit_table.HEADING, audit_table.LAYOUT, audit_table.CAPTION),
    "complexity": ("Size and cost of the networks", tables.COMPLEXITY, tables.COMPLEXITY_CAPTION),
    "published_sizes": (published_sizes.HEADING, published_sizes.LAYOUT, published_sizes.CAPTION),
    "channels": (
        statistics_tables.HEADINGS["channels"],
        statistics_tables.CHANNELS,
        statistics_tables.CHANNELS_CAPTION,
    ),
    "intervals": (
        statistics_tables.HEADINGS["intervals"],
        statistics_tables.INTERVALS,
        statistics_tables.INTERVALS_CAPTION,
    ),
    "classes": (statistics_tables.HEADINGS["classes"], statistics_tables.CLASSES, statistics_tables.CLASSES_CAPTION),
    "comparisons": (
        statistics_tables.HEADINGS["comparisons"],
        statistics_tables.COMPARISONS,
        statistics_tables.COMPARISONS_CAPTION,
    ),
    "groups": (statistics_tables.HEADINGS["groups"], statistics_tables.GROUPS, statistics_tables.GROUPS_CAPTION),
    "sleep_measures": (
        statistics_tables.HEADINGS["sleep_measures"],
        statistics_tables.SLEEP_MEASURES,
        statistics_tables.SLEEP_MEASURES_CAPTION,
    ),
    "postprocessing": (postprocessing.HEADING, postprocessing.LAYOUT, postprocessing.CAPTION),
}
"""Heading, layout and caption of the tables by the stem of their CSV."""

FIGURES = {
    "confusion": (
        "Confusion matrices",
        "Epochs by scored (rows) and predicted stage (columns), pooled over folds and seeds, one panel per network "
        "and protocol. The large number is the percentage of the scored stage's epochs, the small one the number of "
        "30-s epochs.",
    ),
    "night": (
        "One night",
        "The scored hypnogram, then for each protocol the predicted one and, under it, the hypnodensity: the predicted "
        "probabilities of the stages. Of more than three protocols the first and the last are shown. Of the recordings "
        "tested under every protocol, it is the one whose accuracy under the first protocol is the median, for the "
        "first network and seed. REM is drawn thick. Epochs that the protocol's window drops or that have no stage are "
        "left blank.",
    ),
    "training_curves": (
        "Training curves",
        "Loss and accuracy after each training epoch, by protocol. Thin lines are folds, thick lines their mean. The "
        "panel below shows the training epoch that every selection rule takes in each fold: filled for the rule of the "
        "protocol, open for the others. Where a protocol holds out no validation subjects it has no validation curve.",
    ),
    "hypnograms": (
        "All hypnograms",
        "The scored hypnogram of every recording, one row a night, by the time of day. Epochs that are in the released "
        "window alone are pale, those in no window palest; movement and unscored epochs are grey.",
    ),
    **statistics_figures.CAPTIONS,
}
"""Heading and caption of the figures by the stem of their PNG."""


def known_table(csv: str | Path) -> ReportTable:
    """The table that a CSV's stem names."""
    if Path(csv).stem == "quality":  # its columns depend on the channels that were prepared
        table = pd.read_csv(csv, dtype={"subject": str})
        channels = quality.channels_of(table)
        layout, caption = quality.quality_layout(channels), quality.quality_caption(table, channels)
        return ReportTable("quality", "The recordings", Path(csv), layout, caption)
    heading, layout, caption = _known(csv, TABLES)
    return ReportTable(Path(csv).stem, heading, Path(csv), layout, caption)


def known_figure(png: str | Path) -> ReportFigure:
    """The figure that a PNG's stem names."""
    heading, caption = _known(png, FIGURES)
    return ReportFigure(Path(png).stem, heading, Path(png), caption)


def _known(path: str | Path, known: dict[str, tuple]) -> tuple:
    if Path(path).stem not in known:
        raise BenchmarkError(f"{path}: the report knows {', '.join(known)}; add it to sleepbench/reporting/report.py")
    return known[Path(path).stem]


# ------------------------------------------------------------------------------------------------------------- opening


def opening_lines(
    dataset: str, simulated: bool, runs: pd.DataFrame, claims: pd.DataFrame, audits: Sequence[dict]
) -> list[Line]:
    """At most ten lines that a reviewer can act on: what was run, each claim's verdict, the audit, what to do next.

    Parameters
    ----------
    runs : the runs table of the dataset
    claims : the table of verdicts
    audits : the audit of each protocol, as `write_audit` writes it for machines
    """
    audited = [_subjects_shared(audits), _selected(audits)]
    verdicts = [Line(row.verdict.capitalize(), _claim_sentence(row)) for row in claims.itertuples()]
    verdicts.sort(key=lambda line: (NOT_REPRODUCED, REPRODUCED, NOT_TESTABLE).index(line.label.lower()))
    room = MOST_OPENING_LINES - 2 - len(audited)
    if len(verdicts) > room:
        rest = pd.Series([line.label.lower() for line in verdicts[room - 1 :]])
        counted = ", ".join(f"{n} {verdict}" for verdict, n in rest.value_counts(sort=False).items())
        verdicts = [*verdicts[: room - 1], Line("More claims", f"{counted}: see the table of published claims.")]
    return [_what_was_run(dataset, simulated, runs), *verdicts, *audited, _what_next(dataset, simulated, claims)]


def _subjects_shared(audits: Sequence[dict]) -> Line:
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


def _selected(audits: Sequence[dict]) -> Line:
    """Which protocols select the training epoch on which data."""
    by_data: dict[str, list[str]] = {}
    for audit in audits:
        by_data.setdefault(SELECTED[audit["selection"]], []).append(audit["protocol"])
    listed = "; ".join(f"{data}: {', '.join(protocols)}" for data, protocols in by_data.items())
    return Line("Selection", f"The reported training epoch is selected {listed}.")


def _what_was_run(dataset: str, simulated: bool, runs: pd.DataFrame) -> Line:
    protocols = [f"{name}: {group.folds.iloc[0]} folds" for name, group in runs.groupby("protocol", sort=False)]
    seeds = [str(seed) for seed in sorted(runs.seed.unique())]
    data = f"simulated signals ({SIMULATED})" if simulated else DATA_NAMES.get(dataset, dataset)
    return Line(
        "Run",
        f"{_counted(len(runs), 'run')} on {data}: {_counted(len(protocols), 'protocol')} ({', '.join(protocols)}), "
        f"{_counted(runs.title.nunique(), 'model')} ({'; '.join(runs.title.unique())}), "
        f"{_counted(len(seeds), 'seed')} ({', '.join(seeds)}).",
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _claim_sentence(claim: NamedTuple) -> str:
    return f"{claim.model}, {claim.claim}: {claim.why}."


CLAIMED = ("sleep-edf-20", "sleep-edf-78")
"""The datasets that claims are about."""


def _what_next(dataset: str, simulated: bool, claims: pd.DataFrame) -> Line:
    commands = [f"make paper DATASET={name}" for name in CLAIMED if name != dataset]
    if simulated:
        return Line("Next", f"Accuracy claims get a verdict on the real recordings only: {' and '.join(commands)}.")
    text = "To check a number, follow the link in its row to the runs behind it."
    if (claims.verdict == NOT_REPRODUCED).any():
        text += " Claims that are not reproduced: read their notes, then the training curves of their runs."
    if (claims.verdict == NOT_TESTABLE).any():
        text += f" Claims about other data get a verdict by {' and '.join(commands)}."
    return Line("Next", text)


# -------------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class ShownCell:
    """A cell as text, and what orders it: a number or a text; None: there is nothing, which comes last."""

    text: str
    order: str | float | None
    align: str


@dataclass(frozen=True)
class ShownRow:
    """A row of a table: its cells, the number of its note, and the ids of what it was computed from."""

    cells: list[ShownCell]
    note: int
    mark: str
    verdict: str
    origins: list[str]


@dataclass(frozen=True)
class ShownTable:
    """A table as the page prints it. `heads`: heading, alignment and order ("number" or "text") of each column."""

    name: str
    short_heading: str
    heading: str
    warning: str
    caption: str
    heads: list[tuple[str, str, str]]
    rows: list[ShownRow]
    notes: list[str]


def shown_number(text: str) -> float | None:
    """The first number of a text, such as 82.2 of "82.2 ± 9.9" and 13300 of "13.3K"; None where there is none."""
    found = re.search(r"(-?)(\d[\d,]*(?:\.\d+)?|\.\d+)(?:e([-+]?\d+))?([KM])?", text.replace("−", "-"))
    if found is None:
        return None
    sign, digits, exponent, unit = found.groups()
    scale = 10.0 ** int(exponent or 0) * {"K": 1e3, "M": 1e6}.get(unit, 1)
    return float(sign + digits.replace(",", "")) * scale


@dataclass(frozen=True)
class Sources:
    """What rows can be computed from: runs (P1, P2, ...), fold files (F1, ...), profiles of networks (N1, ...)."""

    runs: Origins
    folds: list[dict]
    profiles: list[dict]

    def of_row(self, record: pd.Series) -> list[str]:
        """The ids of what a row of a table's CSV was computed from; none of what is published or not known here.

        BenchmarkError for a row of runs or folds that are not among those given.
        """
        if not pd.isna(record.get("run_keys")):
            return [origin.id for origin in self.runs.of_row(record["run_keys"])]
        if "folds_sha256" in record:
            return [self._folds(record)]
        networks = [(profile["title"], profile["n_channels"]) for profile in self.profiles]
        network = (record.get("model"), record.get("n_channels"))
        ours = any(not pd.isna(record.get(name)) for name in ("ours", "our_parameters"))
        counted = record.get("mark") == "measured" or ours
        return [f"N{networks.index(network) + 1}"] if counted and network in networks else []

    def _folds(self, record: pd.Series) -> str:
        known = [(document["name"], document["folds_sha256"]) for document in self.folds]
        mine = (record["folds_name"], record["folds_sha256"])
        if mine not in known:
            raise BenchmarkError(
                f"the audit of protocol {record['protocol']} is of the folds {mine[0]} ({short(mine[1])}), not one of "
                f"those given ({', '.join(f'{name} {short(sha)}' for name, sha in known)}); make the audit again"
            )
        return f"F{known.index(mine) + 1}"


def shown_table(table: ReportTable, dataset: str, simulated: bool, sources: Sources) -> ShownTable:
    """A table's CSV as the page prints it: the cells of its Markdown, and what each column is sorted by."""
    cells = tables.read_cells(table.csv, table.layout)
    rows = []
    for (_, record), texts, note in zip(cells.records.iterrows(), cells.texts, cells.note_numbers, strict=True):
        shown = [_shown_cell(*pair, record) for pair in zip(table.layout.columns, texts, strict=True)]
        mark, verdict = ("" if pd.isna(record.get(name)) else record[name] for name in ("mark", "verdict"))
        rows.append(ShownRow(shown, note, mark, verdict, sources.of_row(record)))
    heads = [(c.heading, c.align, "number" if c.align == "right" else "text") for c in table.layout.columns]
    return ShownTable(
        table.name,
        table.heading,
        title(dataset, simulated, table.heading),
        _warning(cells.records, simulated),
        table.caption,
        [*heads, ("Note", "right", "number"), ("Runs", "left", "text")],
        rows,
        cells.notes,
    )


def _shown_cell(column: Column, text: str, record: pd.Series) -> ShownCell:
    if column.align != "right":
        return ShownCell(text, None if text == DASH else text.casefold(), column.align)
    number = record[column.sort_by] if column.sort_by else shown_number(text)
    return ShownCell(text, None if number is None or pd.isna(number) else float(number), column.align)


def _warning(records: pd.DataFrame, simulated: bool) -> str:
    """What is said above a table in which rows on simulated data stand beside rows on real data."""
    mixed = simulated and "data" in records and set(records["data"]) != {tables.data_name("", simulated)}
    return f"SIMULATED: {tables.NOT_COMPARABLE}." if mixed else ""


def read_claims(path: str | Path) -> pd.DataFrame:
    """Read the table of verdicts."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"run_keys": str})


def check_verdicts(claims: pd.DataFrame, simulated: bool) -> None:
    """BenchmarkError on a verdict that is none, and on one that rests on runs with simulated signals."""
    for claim in claims.itertuples():
        if claim.verdict not in (REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE):
            raise BenchmarkError(f"claim {claim.id}: the verdict is {claim.verdict!r}; make the table of claims again")
        from_runs = not pd.isna(claim.run_keys) or not pd.isna(claim.ours_pooled)
        if simulated and from_runs and claim.verdict != NOT_TESTABLE:
            raise BenchmarkError(
                f"claim {claim.id}: '{claim.verdict}' rests on runs with simulated signals, which show nothing about a "
                f"published result; expected '{NOT_TESTABLE}'; make the table of claims again"
            )


def short(value: str) -> str:
    """A hash or commit by its first eight digits; what else a record holds ("unknown", "+" behind a commit) stays."""
    return re.sub(r"^([0-9a-f]{8})[0-9a-f]{8,}(\+?)$", r"\1\2", value)


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


# ------------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class ShownFigure:
    """A figure as the page shows it: the image as a data URI, its size and its width on the screen in pixels."""

    name: str
    short_heading: str
    heading: str
    caption: str
    uri: str
    width: int
    height: int
    shown_width: int


def shown_figure(figure: ReportFigure, dataset: str, simulated: bool) -> ShownFigure:
    """A figure's PNG, embedded; BenchmarkError if it is no PNG."""
    content = Path(figure.png).read_bytes()
    if not content.startswith(PNG_SIGNATURE):
        raise BenchmarkError(f"{figure.png}: not a PNG image; delete it and run again")
    width, height = struct.unpack(">II", content[16:24])
    return ShownFigure(
        figure.name,
        figure.heading,
        title(dataset, simulated, figure.heading),
        figure.caption,
        f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}",
        width,
        height,
        round(width / DOTS_PER_CSS_PIXEL),
    )


# ---------------------------------------------------------------------------------------------------------------- page


def write_report(
    dataset: str,
    simulated: bool,
    report_tables: Sequence[ReportTable],
    figures: Sequence[ReportFigure],
    runs: str | Path,
    folds: Sequence[str | Path],
    claims: str | Path,
    opening: Sequence[Line],
    output: str | Path,
    profiles: Sequence[str | Path] = (),
    not_trained: Sequence[str] = (),
) -> None:
    """Write the report as one self-contained HTML file; the same inputs give the same bytes.

    Parameters
    ----------
    runs : the runs table (CSV)
    folds : the fold files of its protocols
    claims : the table of verdicts (CSV), checked here: no verdict may rest on simulated runs
    opening : the first lines of the page
    profiles : the profiles of the networks, listed under provenance
    not_trained : sentences on what was asked for and skipped
    """
    check_verdicts(read_claims(claims), simulated)
    origins = Origins(tables.complete_runs(tables.read_runs(runs), dataset, simulated), folds, simulated)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sources = Sources(origins, [read_json(path) for path in folds], [read_json(path) for path in profiles])
    shown = [shown_table(table, dataset, simulated, sources) for table in report_tables]
    environment.filters |= {"duration": duration, "short": short}
    page = environment.get_template("report.html.jinja").render(
        title=title(dataset, simulated, "Sleep-staging benchmark"),
        dataset=dataset,
        simulated=SIMULATED if simulated else "",
        opening=list(opening),
        not_trained=" ".join(not_trained),
        tables=shown,
        figures=[shown_figure(figure, dataset, simulated) for figure in figures],
        provenance_heading=title(dataset, simulated, "Provenance"),
        origins=list(origins),
        origin_heads=[
            *[("Id", "left", "number"), ("Runs", "right", "number"), ("Duration", "right", "number")],
            *((name.removesuffix(" SHA-256"), "left", "text") for name in SHOWN_FACTS),
        ],
        shown_facts=SHOWN_FACTS,
        used_in=_used_in(shown),
        folds=sources.folds,
        profiles=sources.profiles,
    )
    write_text(output, page)


def _used_in(shown: list[ShownTable]) -> dict[str, list[tuple[str, str, list[int]]]]:
    """By origin, the rows that were computed from it: a table's name and heading, and the rows' numbers from 1."""
    used: dict[str, list[tuple[str, str, list[int]]]] = {}
    for table in shown:
        rows: dict[str, list[int]] = {}
        for number, row in enumerate(table.rows, start=1):
            for origin in row.origins:
                rows.setdefault(origin, []).append(number)
        for origin, numbers in rows.items():
            used.setdefault(origin, []).append((table.name, table.short_heading, numbers))
    return used


def dataset_report(
    dataset: str,
    simulated: bool,
    csvs: Sequence[str | Path],
    pngs: Sequence[str | Path],
    runs: str | Path,
    folds: Sequence[str | Path],
    audit: str | Path,
    claims: str | Path,
    profiles: Sequence[str | Path],
    output: str | Path,
    not_trained: Sequence[str] = (),
) -> None:
    """The report on a dataset from its files: tables and figures are known by their stems, TABLES and FIGURES.

    `audit` is that of the protocols for machines (JSON); `claims`, the table of verdicts, may be one of `csvs`;
    `not_trained` are sentences on what was asked for and skipped.
    """
    opening = opening_lines(
        dataset,
        simulated,
        tables.complete_runs(tables.read_runs(runs), dataset, simulated),
        read_claims(claims),
        read_json(audit)["protocols"],
    )
    write_report(
        dataset,
        simulated,
        [known_table(path) for path in csvs],
        [known_figure(path) for path in pngs],
        runs,
        folds,
        claims,
        opening,
        output,
        profiles,
        not_trained,
    )
