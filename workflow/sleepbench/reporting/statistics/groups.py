"""Results by groups of people, as far as they are known.

Groups are by age, by sex, and by whatever else divides the people of a database, or the nights of its people.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import Recording
from sleepbench.evaluation.bootstrap import SubjectConfusions, bootstrap_intervals
from sleepbench.evaluation.metrics import macro_f1_stages
from sleepbench.reporting.reading import OVERALL

AGE_BOUNDS = (35, 55, 75)
AGE_GROUPS = ("under 35", "35 to 54", "55 to 74", "75 and over")
"""Age groups in years, a bound belonging to the group above it.

The bounds lie in gaps of the ages of Sleep-EDF's 78 SC subjects (25 to 101), which they part into 20, 14, 28 and 16.
"""
SEXES = ("F", "M")

COLUMNS = (
    *("grouping", "group", "metric", "estimate", "low", "high", "n_subjects", "n_epochs"),
    "macro_f1_stages",
)


def people(recordings: Sequence[Recording]) -> pd.DataFrame:
    """Age, sex and group of each subject (the index): those of its first night, empty where nobody says."""
    first = {one.subject: one for one in sorted(recordings, key=lambda one: (one.night, one.id), reverse=True)}
    rows = {subject: (one.age, one.sex, one.group) for subject, one in sorted(first.items())}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["age", "sex", "group"]).astype({"age": "Int64"})


def conditions(recordings: Sequence[Recording]) -> dict[str, list[str]]:
    """The recordings of each condition; empty where the condition of one is not known."""
    names = sorted({one.condition for one in recordings if one.condition})
    if not all(one.condition for one in recordings):
        return {}
    return {name: [one.id for one in recordings if one.condition == name] for name in names}


def group_intervals(
    confusions: SubjectConfusions, people: pd.DataFrame, by_condition: Mapping[str, SubjectConfusions] | None = None
) -> pd.DataFrame:
    """Pooled metrics, with intervals, of the subjects of each group: by age group, by sex, by `group`, by condition.

    `by_condition` has the confusions of the nights of each condition: one person has nights of several. A grouping
    that does not have every subject is left out, a group without subjects has no rows. BenchmarkError for a subject
    that `people` does not describe.
    """
    nights = (("condition", name, mine) for name, (_, mine) in (by_condition or {}).items())
    tables = [pd.DataFrame(columns=list(COLUMNS))]
    for grouping, group, mine in (*group_confusions(confusions, people), *nights):
        table = bootstrap_intervals(mine, metrics=OVERALL).reset_index()
        stages = macro_f1_stages(mine.reshape(-1, *mine.shape[-3:]).sum(axis=1)).min()
        n_epochs = mine.reshape(-1, *mine.shape[-3:])[0].sum()
        table = table.assign(grouping=grouping, group=group, n_epochs=n_epochs, macro_f1_stages=stages)
        tables.append(table[list(COLUMNS)])
    return pd.concat(tables[1:] or tables, ignore_index=True)


def group_confusions(confusions: SubjectConfusions, people: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Grouping, group and the confusion matrices of its subjects, of each group that has some."""
    subjects, matrices = confusions
    if unknown := [subject for subject in subjects if subject not in people.index]:
        raise BenchmarkError(
            f"the recordings of the dataset do not name subject {', '.join(unknown)} of the predictions; prepare them "
            "again, then delete the runs table (runs.csv)"
        )
    for grouping, (group_of, groups) in _groupings(people.loc[subjects]).items():
        for group in groups if group_of.isin(groups).all() else ():
            members = (group_of == group).to_numpy()
            if members.any():
                yield grouping, group, matrices[..., members, :, :]


def _groupings(people: pd.DataFrame) -> dict[str, tuple[pd.Series, Sequence[str]]]:
    """By grouping, the group of each subject, and the groups in their order."""
    ages = people.age.astype(float)
    age_group = pd.Series(np.array(AGE_GROUPS)[np.digitize(ages.fillna(0), AGE_BOUNDS)], people.index)
    return {
        "age": (age_group.where(ages >= 0), AGE_GROUPS),
        "sex": (people.sex, SEXES),
        "group": (people.group, sorted(people.group.dropna().unique())),
    }
