"""What came out of a run, in a few lines for the terminal."""

import re
import textwrap

import pandas as pd

from sleepbench.config import paths
from sleepbench.datasets.base import DataLabel
from sleepbench.reporting.page.about import About, Tables, about, best_rival, measured
from sleepbench.reporting.reading import KEY, read_csv

WIDTH = 100
VERDICTS = ("reproduced", "not reproduced")
"""Said first; then whatever else there is."""


def outcome(label: DataLabel) -> list[str]:
    """The main result by protocol, what the ladder costs, the best rival, and claims by verdict.

    They are read from the tables of the dataset; what a table does not have is left out. Each line begins with the
    warning that belongs to the data, in short.
    """
    mark = re.split(" – |[:;]", label.warning)[0]
    before = f"{mark} | " if mark else ""
    lines = textwrap.wrap(label.title("Results"), WIDTH)
    for sentence in _sentences(label):
        lines += [before + line for line in textwrap.wrap(sentence, WIDTH - len(before), subsequent_indent="  ")]
    return lines


def _sentences(label: DataLabel) -> list[str]:
    names = ("claims", "main_results", "ladder", "non_inferiority")
    tables = {name: _read(paths.table(label.dataset, name)) for name in names}
    claims, network, said = tables["claims"], about(tables), []
    if network:
        ours, ladder = network.rows(measured(tables)), network.rows(tables["ladder"])
        rungs = list(ladder["protocol"]) if len(ladder) else list(ours["protocol"])
        ends = list(dict.fromkeys([rungs[0], rungs[-1]]))
        published = _published(tables["main_results"], label, network.title)
        for protocol in ends:
            rows = ours[ours["protocol"] == protocol]
            said += [_result(label, row) + (published if protocol == ends[0] else "") for _, row in rows.iterrows()]
        said += _ladder(ladder)
        said += _best_rival(tables, network)
    if len(claims):
        counts = claims["verdict"].value_counts(sort=False)
        order = [name for name in VERDICTS if name in counts] + [name for name in counts.index if name not in VERDICTS]
        said.append(f"Published claims: {', '.join(f'{counts[name]} {name}' for name in order)}")
    return said


def _read(path: str) -> pd.DataFrame:
    try:
        return read_csv(path)
    except (OSError, pd.errors.EmptyDataError):
        return pd.DataFrame()


def _published(main: pd.DataFrame, label: DataLabel, model: str) -> str:
    """The authors' accuracy on this dataset, where ours may stand beside it."""
    rows = main[(main["mark"] == "published") & (main["data"] == label.name) & (main["model"] == model)]
    return f" (published: {rows['accuracy'].iloc[0]:.1f})" if label.comparable and len(rows) else ""


def _result(label: DataLabel, row: pd.Series) -> str:
    intervals = _read(paths.statistics(label.dataset, "intervals"))
    interval = ""
    if len(intervals):
        names = {"metric": "accuracy", **row[list(KEY)]}
        found = intervals[(intervals[list(names)] == pd.Series(names)).all(axis=1)]
        bounds = 100 * found[["low", "high"]].dropna()
        interval = f" [{bounds['low'].iloc[0]:.1f}, {bounds['high'].iloc[0]:.1f}]" if len(bounds) else ""
    numbers = f"accuracy {row['accuracy']:.1f}{interval}, macro-F1 {row['macro_f1']:.1f}"
    return f"{row['title']}, {row['protocol']}: {numbers}, kappa {row['cohen_kappa']:.2f}"


def _ladder(ladder: pd.DataFrame) -> list[str]:
    changes = ladder.dropna(subset="accuracy_change") if len(ladder) else ladder
    if changes.empty:
        return []
    first, last = ladder.iloc[0], ladder.iloc[-1]
    most = changes.loc[changes["accuracy_change"].abs().idxmax()]
    bounds = most[["accuracy_change_low", "accuracy_change_high"]]
    interval = "" if bounds.isna().any() else " [{:+.1f}, {:+.1f}]".format(*bounds)
    return [
        f"Ladder: {first['protocol']} {first['accuracy']:.1f}, {last['protocol']} {last['accuracy']:.1f}; most: "
        f"{most['protocol']} {most['accuracy_change']:+.1f}{interval}"
    ]


def _best_rival(tables: Tables, network: About) -> list[str]:
    found = best_rival(tables, network)
    if found is None:
        return []
    best, n = found
    which = f"{best['rival']} ({best['input']}, {best['recipe']})"
    bounds = best[["low", "high"]]
    interval = "" if bounds.isna().any() else " [{:+z.1f}, {:+z.1f}]".format(*bounds)
    return [
        f"Best of {n} {'rival' if n == 1 else 'rivals'}, {best['protocol']}: {which}; ours less it "
        f"{best['difference']:+z.1f} points{interval}"
    ]
