"""The results page: archives of several people or versions as one static HTML file that anyone can filter.

Every number is computed again from the predictions in the archives. Rows of one kind of data on one dataset stand in a
body of the table of their own, so that no sorting sets one beside what it cannot be compared with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sleepbench.config.benchmarks import digest, versions
from sleepbench.config.models import Config
from sleepbench.core.files import sha256_of_json, write_text
from sleepbench.core.shipped import shipped
from sleepbench.datasets.base import EXCERPTS, DataLabel
from sleepbench.evaluation.published import read_published_results
from sleepbench.reporting.cells import interval, metric_alone
from sleepbench.reporting.page.report import ShownCell, ShownFile
from sleepbench.reporting.page.template import data_uri, fill, short, slug
from sleepbench.reporting.rendering import DASH
from sleepbench.runs.archive import compare_row
from sleepbench.runs.archived import METRICS, Archived, Row, checked

PAGE = "index.html"
FULL, EXCERPT, TRIAL, SIMULATED, PUBLISHED = (
    *("real, full recordings", "real, excerpts", "real, a trial", "simulated: no result"),
    "published: not computed here",
)
KINDS = (FULL, EXCERPT, TRIAL, SIMULATED, PUBLISHED)
"""Kinds of data, in the order of the page."""
NO_VERSION = "none"
HEADS = (
    *(("Benchmark", "left", "text"), ("Model", "left", "text"), ("Protocol", "left", "text")),
    *(("Input, recipe", "left", "text"), ("Acc.", "right", "number"), ("MF1", "right", "number")),
    *(("Kappa", "right", "number"), ("By fold", "right", "number"), ("Contributor", "left", "text")),
    ("Cite", "left", "text"),
)
FILTERS = ("model", "dataset", "protocol", "input", "recipe", "contributor", "benchmark", "kind_of_data")
RECORDED = {
    **{"Git commit": "git_commit", "Code SHA-256": "code_sha256", "Folds": "folds", "Folds SHA-256": "folds_sha256"},
    **{"Data SHA-256": "data_sha256", "Seeds": "seed", "Recipe": "recipe", "Device": "device", "PyTorch": "torch"},
}
"""What is shown of each row's trainings, by heading."""
MODEL_NAME, SHOWN_DIGITS = 60, 12


class SiteRow(NamedTuple):
    """A row: its anchor, its cells, what it is chosen by, how it is cited, and what else is known of it."""

    anchor: str
    cells: list[ShownCell]
    chosen: dict[str, list[str]]
    citation: str
    facts: list[tuple[str, str]]


class SiteBody(NamedTuple):
    """Rows that may be compared with each other: of one kind of data and one dataset."""

    kind: str
    title: str
    rows: list[SiteRow]


class Difference(NamedTuple):
    """A row that two archives have: its anchors in both, and what differs between them."""

    kind: str
    name: str
    first: str
    second: str
    anchors: tuple[str, str]
    changes: list[str]
    identical: str
    stages: str
    verdict: str
    lines: list[str]


def results_site(config: Config, archives: Sequence[Path], directory: Path) -> Path:
    """Write the page of some archives into a directory; its path.

    BenchmarkError, and no page, where one of the archives is not what it says: all that is wrong is said.
    """
    with checked(config, archives) as read:
        bodies = [*_bodies(read), *_published()]
        rows = [row for body in bodies for row in body.rows]
        warnings = {one.label.warning for one in read}
        page = fill(
            "site.html.jinja",
            title="sleepbench: results of several people",
            warning=next(iter(warnings)) if len(warnings) == 1 else "",
            heads=HEADS,
            bodies=bodies,
            choices={
                name: values
                for name in FILTERS
                if len(values := list(dict.fromkeys(one for row in rows for one in row.chosen.get(name, [])))) > 1
            },
            n_rows=len(rows),
            differences=_differences(read),
            archives=read,
            kind_of=kind_of,
            csv=_csv(read),
            versions=[(name, digest(name), list(definition)) for name, definition in versions().items()],
        )
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / PAGE, page)
    return directory / PAGE


def kind_of(label: DataLabel) -> str:
    """Which kind of data a dataset is of; numbers of different kinds are never in one ranking."""
    if label.simulated:
        return SIMULATED
    if label.comparable:
        return FULL
    return EXCERPT if label.warning.startswith(EXCERPTS) else TRIAL


# ---------------------------------------------------------------------------------------------------------------- rows


def _bodies(archives: Sequence[Archived]) -> list[SiteBody]:
    found: dict[tuple[str, DataLabel], list[SiteRow]] = {}
    for archive in archives:
        rows = [_measured(archive, row) for row in archive.rows.values()]
        found.setdefault((kind_of(archive.label), archive.label), []).extend(rows)
    ordered = sorted(found.items(), key=lambda one: KINDS.index(one[0][0]))
    return [SiteBody(kind, label.title(f"{kind}: {label.dataset}"), rows) for (kind, label), rows in ordered]


def _anchor(archive: Archived, row: Row) -> str:
    """Stays whatever else is on the page: it names the row, and the archive by the first digits of its hash."""
    parts = (row.version or NO_VERSION, archive.label.dataset, *row.key)
    return ".".join([*map(slug, parts), archive.sha256[:SHOWN_DIGITS]])


def _measured(archive: Archived, row: Row) -> SiteRow:
    key, label, numbers = row.key, archive.label, pd.Series(row.numbers)
    version, title = row.version or NO_VERSION, row.title[:MODEL_NAME]
    cells = [
        *map(_text, (version, title, key.protocol, f"{key.input}, {key.recipe}")),
        *(ShownCell(interval(name)(numbers), _order(numbers[name]), "right") for name in METRICS),
        ShownCell(_by_fold(numbers), _order(numbers["accuracy_mean_of_folds"]), "right"),
        _text(archive.name),
    ]
    chosen = {
        **{
            "model": title,
            "dataset": label.dataset,
            "protocol": key.protocol,
            "input": key.input,
            "recipe": key.recipe,
        },
        **{"contributor": archive.name, "benchmark": version, "kind_of_data": kind_of(label)},
    }
    facts = [
        ("Archive", f"{archive.name}, SHA-256 {archive.sha256}"),
        ("Exported by", f"sleepbench {archive.manifest['sleepbench']}, commit {archive.manifest['git_commit']}"),
        ("Runs", f"{len(row.runs)}: folds {row.folds}, {row.n_subjects} subjects; {' '.join(row.runs.run_key)}"),
        *((heading, "; ".join(row.recorded(name))) for heading, name in RECORDED.items()),
    ]
    return SiteRow(_anchor(archive, row), cells, _lists(chosen), _citation(archive, row), facts)


def _citation(archive: Archived, row: Row) -> str:
    numbers, label = pd.Series(row.numbers), archive.label
    accuracy, macro_f1, kappa = (interval(name)(numbers) for name in METRICS)
    of = "of no benchmark version, as its folds, files or protocol are others"
    if row.version:
        of = f"{row.version} ({digest(row.version)[:SHOWN_DIGITS]})"
    warning = f" {label.warning}." if label.warning else ""
    return (
        f"sleepbench, {of}: {row.title[:MODEL_NAME]} (input {row.key.input}, recipe {row.key.recipe}) on "
        f"{label.dataset}, protocol {row.key.protocol}: accuracy {accuracy} %, macro-F1 {macro_f1} %, Cohen's kappa "
        f"{kappa}, pooled over {numbers['n_epochs']:,.0f} epochs of {row.n_subjects} subjects.{warning} Archive "
        f"{archive.name}, SHA-256 {archive.sha256}; row {_anchor(archive, row)}."
    )


def _published() -> Iterator[SiteBody]:
    """What the literature says of the datasets of a benchmark, a body by dataset.

    Whatever protocol a row is of, it is of another program's runs.
    """
    table = read_published_results(shipped("resources") / "published_results.csv")
    table = table[table["dataset"].isin({name for definition in versions().values() for name in definition})]
    for dataset, rows in table.rename(columns={"kappa": "cohen_kappa"}).groupby("dataset", sort=False):
        title = f"{PUBLISHED}: {dataset}, under protocols that differ from row to row"
        yield SiteBody(PUBLISHED, title, [_of_literature(row) for _, row in rows.iterrows()])


def _of_literature(row: pd.Series) -> SiteRow:
    numbers = [ShownCell(metric_alone(name)(row), _order(row[name]), "right") for name in METRICS]
    none = ShownCell(DASH, None, "right")
    cells = [*map(_text, (DASH, row["model"], "see source", DASH)), *numbers, none, _text(row["mark"])]
    known = {"dataset": row["dataset"], "kind_of_data": PUBLISHED}
    model = str(row["model"]).partition(" (")[0]  # "ULW-SleepNet (re-run of released code)" is the model ULW-SleepNet
    facts = [(name.capitalize(), str(row[name])) for name in ("protocol", "input", "mark", "source")]
    facts.append(("Test epochs", "not known" if pd.isna(row["epochs"]) else f"{row['epochs']:,}"))
    same = sha256_of_json([str(row[name]) for name in (*METRICS, "protocol", "input", "source")])
    anchor = ".".join(["published", slug(row["dataset"]), slug(row["model"]), same[:SHOWN_DIGITS]])
    cite = f"Cite its source: {row['source']}. Nothing of it was computed by sleepbench."
    return SiteRow(anchor, cells, {**_lists(known), "model": [model]}, cite, facts)


def _text(text: str) -> ShownCell:
    return ShownCell(text, None if text == DASH else text.casefold(), "left")


def _order(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _by_fold(numbers: pd.Series) -> str:
    mean, sd = (numbers[f"accuracy_{name}_of_folds"] for name in ("mean", "sd"))
    return f"{mean:.1f}" if pd.isna(sd) else f"{mean:.1f} ± {sd:.1f}"


def _lists(chosen: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in chosen.items()}


def _csv(archives: Sequence[Archived]) -> ShownFile:
    """All measured rows with full precision."""
    rows = [
        {
            **{"kind": kind_of(one.label), "benchmark": row.version, "dataset": one.label.dataset},
            **{**row.key._asdict(), "title": row.title, "contributor": one.name, "archive_sha256": one.sha256},
            **{**row.numbers, "n_subjects": row.n_subjects, "folds": row.folds},
            **{name: " ".join(row.recorded(name)) for name in ("git_commit", "code_sha256")},
        }
        for one in archives
        for row in one.rows.values()
    ]
    content = pd.DataFrame(rows).to_csv(index=False).encode()
    return ShownFile(
        "CSV", "sleepbench-results.csv", data_uri(content, "text/csv"), f"{max(1, len(content) // 1000)} kB"
    )


# --------------------------------------------------------------------------------------------------------- differences


def _differences(archives: Sequence[Archived]) -> list[Difference]:
    """Each row of an archive beside the same row of the first archive that has it."""
    first: dict[tuple, Archived] = {}
    found = []
    for archive in archives:
        for key, row in archive.rows.items():
            other = first.setdefault((archive.label.dataset, key), archive)
            if other is not archive:
                found.append(_difference(other, archive, other.rows[key], row))
    return sorted(found, key=lambda one: KINDS.index(one.kind))


def _difference(first: Archived, second: Archived, mine: Row, theirs: Row) -> Difference:
    said = compare_row(mine.key, mine.runs, theirs.runs)
    n_runs = "/".join(dict.fromkeys([str(said["runs_here"]), str(said["runs_there"])]))
    commits = [", ".join(map(short, row.recorded("git_commit"))) for row in (mine, theirs)]
    lines = [line.replace(" here, ", f" in {first.name}, ").removesuffix(" there") for line in said["differences"]]
    lines = [f"{line} in {second.name}" for line in lines]
    if commits[0] != commits[1]:
        lines.append(f"git commit: {commits[0]} in {first.name}, {commits[1]} in {second.name}")
    changes = [f"{said[f'{name}_difference_points']:+.2f}" for name in METRICS]
    return Difference(
        kind_of(first.label),
        f"{first.label.dataset}: {mine.title[:MODEL_NAME]}, {mine.key.protocol}, {mine.key.input}, {mine.key.recipe}",
        *(first.name, second.name),
        (_anchor(first, mine), _anchor(second, theirs)),
        changes,
        f"{said['runs_identical']} of {n_runs}",
        DASH if pd.isna(said["epochs_equal_share"]) else f"{100 * said['epochs_equal_share']:.2f} %",
        said["verdict"],
        lines,
    )
