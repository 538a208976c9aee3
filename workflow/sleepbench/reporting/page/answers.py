"""What a report opens with: the answer in sentences, every number of which is one of its tables' CSVs.

A sentence on a table without rows says why there are none; there is none on a table that the report does not have.
"""

import pandas as pd

from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.human_agreement import POOLED
from sleepbench.reporting import artefacts
from sleepbench.reporting.cells import bare, counted, form_of, interval, metric_alone
from sleepbench.reporting.page.about import About, Tables, about, best_rival
from sleepbench.reporting.page.opening import VERDICTS, Line
from sleepbench.reporting.reading import final_protocol
from sleepbench.reporting.rendering import shown

SHOWN = {"accuracy": "accuracy", "macro_f1": "macro-F1", "cohen_kappa": "kappa"}


def answers(label: DataLabel, tables: Tables) -> list[Line]:
    """The sentences, each with the table that it is made of.

    Parameters
    ----------
    tables : CSVs by name; `about` says which network they are asked about
    """
    network = about(tables)
    questions = {
        "Staging": ("intervals", _reached),
        "Published": ("main_results", _published),
        "People": ("people", _people),
        "The ladder": ("ladder", _ladder),
        "Best rival": ("non_inferiority", _rivals),
        "Claims": ("claims", _claims),
    }
    return [
        Line(question, _why_empty(name, tables[name]) or sentence(label, tables, network), name)
        for question, (name, sentence) in questions.items()
        if name in tables and network
    ]


def _why_empty(name: str, table: pd.DataFrame) -> str:
    """What a table without rows says instead; empty for one that has some."""
    if len(table):
        return ""
    caption = artefacts.find(artefacts.tables, name).caption
    return caption(table) if callable(caption) else "The table has no rows."


def _reached(label: DataLabel, tables: Tables, network: About) -> str:
    """The metrics of the network under the first protocol and under the one whose numbers count."""
    pooled = tables["intervals"].query("over == 'pooled'")
    mine = network.rows(pooled)
    if mine.empty:
        return f"{network} has no intervals; the table has those that have."
    protocols = list(dict.fromkeys([mine.protocol.iloc[0], final_protocol(list(mine.protocol))]))
    said = [
        f"under {row.protocol} {_metrics(row)}"
        for _, row in mine.set_index("protocol", drop=False).loc[protocols].iterrows()
    ]
    others = len(mine) - len(protocols)
    rest = f" The table has {others} more protocol{'s' if others > 1 else ''}." if others else ""
    return f"{network}: {'; '.join(said)}. In brackets: 95 % over subjects.{rest}"


def _published(label: DataLabel, tables: Tables, network: About) -> str:
    """What is published of the network on this dataset, where that may stand beside these numbers."""
    if not label.comparable:
        return f"Published figures are not set beside these numbers: {label.warning}."
    table = tables["main_results"]
    known = table[
        (table.model == network.title) & table.mark.isin(["published", "secondary"]) & (table.data == label.name)
    ]
    if known.empty:
        return f"Nothing is published of {network.title} on {label.name}."
    said = [f"{_published_metrics(row)} ({row['mark']}: {row['source']})" for _, row in known.iterrows()]
    here = table[(table.model == network.title) & (table.mark == "measured")]
    beside = "".join(
        f" Here, the mean of the fold accuracies under {row.protocol} is {row.accuracy_mean_of_folds:.1f} %."
        for row in here[:1].itertuples()
    )
    return f"{network.title} on {label.name}: {'; '.join(said)}.{beside}"


def _people(label: DataLabel, tables: Tables, network: About) -> str:
    """How far people agree, where that may stand beside these numbers."""
    if not label.comparable:
        return f"People's agreement, which is of other nights, is not set beside these numbers: {label.warning}."
    found = tables["people"].query("convention == @POOLED")
    ends = [f"{word} {_range(found[name], name)}" for name, word in SHOWN.items()]
    return (
        f"Five scorers of other nights ({', '.join(found.data)}) reach {', '.join(ends)} by '{POOLED}': where "
        "agreement between people ends, and no bar for a network on these nights."
    )


def _ladder(label: DataLabel, tables: Tables, network: About) -> str:
    """What is lost from the first rung to the last, the largest step, and the steps whose interval leaves zero."""
    rungs = network.rows(tables["ladder"]).sort_values("rung", kind="stable")
    if rungs.empty:
        return f"{network} was not run on the ladder; the table has those that were."
    first, last = rungs.iloc[0], rungs.iloc[-1]
    if len(rungs) == 1:
        return f"Only the rung {first.protocol} was run of {network}: there is no change."
    changes = [
        f"{word} goes from {first[name]:.1f} to {last[name]:.1f} % ({last[name] - first[name]:+z.1f} points)"
        for name, word in list(SHOWN.items())[:2]
    ]
    text = f"From {first.protocol} to {last.protocol}, {network}: {' and '.join(changes)}."
    steps = rungs[rungs.accuracy_change.notna()]
    if steps.empty:
        return text
    if len(steps) == 1:
        return f"{text} The one step in accuracy: {_change(steps.iloc[0])}."
    largest = steps.loc[steps.accuracy_change.abs().idxmax()]
    clear = steps[(steps.accuracy_change_low > 0) | (steps.accuracy_change_high < 0)]
    named = f": {', '.join(clear.protocol)}" if len(clear) else ""
    return (
        f"{text} The largest of {counted(len(steps), 'step')} in accuracy is {largest.protocol}, {_change(largest)}; "
        f"{len(clear)} of them {'has' if len(clear) == 1 else 'have'} an interval that leaves zero{named}."
    )


def _rivals(label: DataLabel, tables: Tables, network: About) -> str:
    """The rival that is ahead of the network by most, or behind it by least, and the verdicts by margin."""
    found = best_rival(tables, network)
    if found is None:
        return f"{network.title} has no rival that it can be compared with; the table says why."
    best, n_rivals = found
    margins = [name.removeprefix("verdict_") for name in best.index if name.startswith("verdict_")]
    verdicts = ", ".join(f"{best[f'verdict_{margin}']} at a margin of {margin}" for margin in margins)
    bounds = "" if pd.isna(best.low) else f" [{best.low:+z.1f}, {best.high:+z.1f}]"
    rivals, subjects = counted(n_rivals, "rival"), counted(best.n_subjects, "subject")
    return (
        f"{best.rival}, of {rivals} under {best.protocol} ({best.input}, {best.recipe}). {network.title} less it, in "
        f"accuracy over {subjects}: {best.difference:+z.1f} points{bounds}; {verdicts}."
    )


def _claims(label: DataLabel, tables: Tables, network: About) -> str:
    """How many published claims have which verdict."""
    found = list(tables["claims"].verdict)
    return f"{', '.join(f'{found.count(one)} {one}' for one in VERDICTS if one in found)}."


# -------------------------------------------------------------------------------------------------------------- wording


def _unit(name: str) -> str:
    return "" if name == "cohen_kappa" else " %"


def _metrics(row: pd.Series) -> str:
    """Accuracy, macro-F1 and kappa with their intervals."""
    return ", ".join(f"{word} {interval(name)(row).replace(' [', _unit(name) + ' [')}" for name, word in SHOWN.items())


def _published_metrics(row: pd.Series) -> str:
    known = [(name, word) for name, word in SHOWN.items() if not pd.isna(row[name])]
    return ", ".join(f"{word} {metric_alone(name)(row)}{_unit(name)}" for name, word in known)


def _range(values: pd.Series, name: str) -> str:
    low, high = (bare(name, shown(value, form_of(name))) for value in (values.min(), values.max()))
    return f"{low} to {high}{_unit(name)}"


def _change(row: pd.Series) -> str:
    return interval("accuracy", "accuracy_change", "+")(row).replace(" [", " points [")
