"""Figure: who is hard: accuracy by subject against age, and subjects from the hardest to the easiest."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import spearmanr

from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import Contender, by_contender, names_of, read_statistics
from sleepbench.reporting.figures.style import (
    GREY,
    NETWORK_COLOURS,
    PAGE_WIDTH,
    SMALL,
    figure_of_nothing,
    heading,
    key_below,
    new_figure,
)
from sleepbench.reporting.reading import KEY, final_protocol

COLUMNS = (*KEY, "subject", "age", "sex", "accuracy", "n_epochs")
TITLE = "Who is hard: accuracy by subject against age"
MARKERS = {"F": ("o", "woman"), "M": ("s", "man")}
UNKNOWN = ("D", "sex not known")
MOST_CONTENDERS = 4
"""Beyond these, dots of a subject could not be told apart."""
FEWEST_FOR_A_RANK = 4
"""Subjects of known age below which no rank correlation is written."""
MOST_NAMED = 30
"""Subjects that all have their names under the axis; of more, the hardest have."""
NAMED = 5


def by_subject(inputs: Inputs) -> pd.DataFrame:
    """The subjects under the final protocol, as statistics/subjects.csv has them, and how hard each is.

    Returns
    -------
    columns COLUMNS; mean_accuracy: of the subject, over contenders; place: 1 for the subject of the lowest; spearman:
    the contender's rank correlation of accuracy and age over subjects of known age, empty for fewer than four of them
    or where all have one age
    """
    subjects = read_statistics(inputs, "subjects", COLUMNS)
    subjects = subjects[subjects.protocol == final_protocol(list(subjects.protocol.unique()))]
    mean = subjects.groupby("subject").accuracy.mean()
    place = (
        mean.sort_values(kind="stable").reset_index().assign(place=range(1, len(mean) + 1)).set_index("subject").place
    )
    table = subjects.assign(mean_accuracy=subjects.subject.map(mean), place=subjects.subject.map(place))
    return pd.concat(
        [mine.assign(spearman=_rank_correlation(mine)) for mine in by_contender(table).values()], ignore_index=True
    )


def _rank_correlation(subjects: pd.DataFrame) -> float:
    known = subjects[subjects.age.notna() & subjects.accuracy.notna()]
    if len(known) < FEWEST_FOR_A_RANK or min(known.age.nunique(), known.accuracy.nunique()) == 1:
        return np.nan
    return float(spearmanr(known.age, known.accuracy).statistic)


def draw(subjects: pd.DataFrame, inputs: Inputs) -> Figure:
    """Accuracy against age on the left; on the right subjects from the hardest on, one below the other.

    Without any known age the figure says so.
    """
    if subjects.age.isna().all():
        return figure_of_nothing(heading(inputs, TITLE), "no age of a subject is known")
    names = names_of(subjects)
    shown = dict(list(by_contender(subjects).items())[:MOST_CONTENDERS])
    colours = dict(zip(shown, NETWORK_COLOURS, strict=False))
    protocol = subjects.protocol.iloc[0]
    figure = new_figure(PAGE_WIDTH, 3.6, heading(inputs, f"{TITLE}, protocol {protocol}"))
    against_age, ranked = figure.subplots(1, 2, sharey=True)
    _draw_subjects(against_age, shown, colours, "age")
    _draw_subjects(ranked, shown, colours, "place")
    without = subjects[subjects.age.isna()].subject.nunique()
    against_age.set_xlabel("age (years)" + (f"; of {without} not known" if without else ""))
    against_age.set_ylabel("accuracy (%)")
    _name_subjects(ranked, subjects)
    ranked.tick_params(labelleft=False)
    key_below(figure, _key(subjects, shown, colours, names), 2)
    return figure


def _draw_subjects(axes: Axes, shown: dict[Contender, pd.DataFrame], colours: dict[Contender, str], x: str) -> None:
    """A dot per subject and contender; those of one subject are joined."""
    every = pd.concat(shown.values())
    ends = 100 * every.groupby(x).accuracy.agg(["min", "max"]) if x == "place" else None
    if ends is not None:
        axes.vlines(ends.index, ends["min"], ends["max"], color=GREY, linewidth=0.4, zorder=1)
    for contender, mine in shown.items():
        for sex, of_sex in mine.groupby(mine.sex.where(mine.sex.isin(MARKERS), "")):
            marker, _ = MARKERS.get(sex, UNKNOWN)
            look = {"color": colours[contender], "markersize": 3.5, "alpha": 0.8, "markeredgewidth": 0}
            axes.plot(of_sex[x], 100 * of_sex.accuracy, marker, linestyle="none", zorder=2, **look)


def _name_subjects(axes: Axes, subjects: pd.DataFrame) -> None:
    """Names of subjects at their places from the hardest on; of many, of the hardest alone."""
    people = subjects.drop_duplicates("subject").sort_values("place")
    named = people if len(people) <= MOST_NAMED else people.head(NAMED)
    axes.set_xticks(named.place, named.subject, fontsize=SMALL, rotation=90)
    axes.set_xlabel(f"subject, hardest first (n = {len(people)})")


def _key(
    subjects: pd.DataFrame,
    shown: dict[Contender, pd.DataFrame],
    colours: dict[Contender, str],
    names: dict[Contender, str],
) -> list[Line2D]:
    handles = []
    for contender, mine in shown.items():
        spearman = mine.spearman.iloc[0]
        said = (
            "" if pd.isna(spearman) else f", \N{GREEK SMALL LETTER RHO} = {spearman:.2f}".replace("-", "\N{MINUS SIGN}")
        )
        look = {"color": colours[contender], "marker": "o", "markersize": 4, "linestyle": "none"}
        handles.append(Line2D([], [], label=names[contender] + said, **look))
    sexes = [known for sex, known in MARKERS.items() if (subjects.sex == sex).any()]
    sexes += [UNKNOWN] * int((~subjects.sex.isin(MARKERS)).any())
    for marker, label in sexes:
        handles.append(Line2D([], [], color=GREY, marker=marker, markersize=4, linestyle="none", label=label))
    if subjects.spearman.notna().any():
        n_known = subjects[subjects.age.notna()].subject.nunique()
        said = f"\N{GREEK SMALL LETTER RHO}: Spearman's, with age, n = {n_known}"
        handles.append(Line2D([], [], color="none", label=said))
    if len(shown) < len(names):
        handles.append(Line2D([], [], color="none", label=f"{len(shown)} of {len(names)} contenders, the first"))
    return handles


ARTEFACT = FigureArtefact(
    name="hard_subjects",
    place=41,
    heading="Who is hard",
    caption=(
        "Accuracy of each subject over its nights, under the final protocol, against age on the left and from the "
        "subject of the lowest mean accuracy over all contenders to the highest on the right, where the dots of a "
        "subject are joined: of at most the first four contenders. Spearman's rank correlation of accuracy and age is "
        "of one sample of subjects; age goes with health, medication and how easily a night is scored, so it says "
        "nothing of causes. From many subjects on the hardest alone are named; the CSV names all."
    ),
    inputs=("statistics/subjects",),
    build=by_subject,
    draw=draw,
)
