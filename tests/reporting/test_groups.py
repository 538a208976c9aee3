"""Results by groups of people: what is known of them decides which groups there are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Recording
from sleepbench.evaluation.bootstrap import SubjectConfusions, bootstrap_intervals
from sleepbench.reporting.reading import OVERALL
from sleepbench.reporting.statistics import groups

RECORDINGS = Path(__file__).parents[2] / "workflow" / "resources" / "sleep_edf_recordings.csv"
PEOPLE = {"a": (25, "F"), "b": (34, "M"), "c": (35, "F"), "d": (75, "M"), "e": (101, "M")}


def recordings(people: dict[str, tuple], groups: str = "") -> list[Recording]:
    """Two nights of each person, a year apart; `groups` has a letter each."""
    letters = dict(zip(people, groups, strict=False))
    return [
        Recording(f"x{subject}{night}", subject, night, (), age and age + night - 1, sex, letters.get(subject))
        for subject, (age, sex) in people.items()
        for night in (2, 1)
    ]


def confusions(n_subjects: int, seeds: int = 1) -> SubjectConfusions:
    matrices = np.random.default_rng(0).integers(1, 30, (seeds, n_subjects, 5, 5))
    return list("abcdefgh"[:n_subjects]), matrices


def intervals(people: dict[str, tuple], **kwargs: object) -> pd.DataFrame:
    described = groups.people(recordings(people, kwargs.pop("groups", "")))
    return groups.group_intervals(confusions(len(people), **kwargs), described)


def test_groups_of_subjects() -> None:
    table = intervals(PEOPLE, seeds=2)
    assert list(table) == list(groups.COLUMNS) and len(table) == 5 * len(OVERALL)
    accuracies = table[table.metric == "accuracy"].set_index(["grouping", "group"])
    assert accuracies.n_subjects.to_dict() == {
        ("age", "under 35"): 2,
        ("age", "35 to 54"): 1,
        ("age", "75 and over"): 2,
        ("sex", "F"): 2,
        ("sex", "M"): 3,
    }
    women = confusions(5, 2)[1][:, [0, 2]]
    expected = bootstrap_intervals(women).loc["accuracy", ["estimate", "low", "high"]]
    assert accuracies.loc[("sex", "F"), expected.index].tolist() == expected.tolist()
    assert accuracies.n_epochs["sex", "F"] == women[0].sum()
    assert np.isnan(accuracies.low["age", "35 to 54"])


def test_age_is_that_of_the_first_night() -> None:
    assert groups.people(recordings(PEOPLE)).age.to_dict() == {subject: age for subject, (age, _) in PEOPLE.items()}


def test_macro_f1_is_of_the_stages_that_occur_in_a_group() -> None:
    subjects, matrices = confusions(4)
    for absent in (3, 4):  # no woman (a, c) shows N3 or REM, or is predicted it
        matrices[:, [0, 2], absent, :] = matrices[:, [0, 2], :, absent] = 0
    described = groups.people(recordings({name: PEOPLE[name] for name in subjects}))
    table = groups.group_intervals((subjects, matrices), described)
    row = table[(table.group == "F") & (table.metric == "macro_f1")].iloc[0]
    pooled = matrices[0, [0, 2]].sum(axis=0)
    stage, predicted = (np.repeat(codes.ravel(), pooled.ravel()) for codes in np.indices((len(STAGES),) * 2))
    assert row.estimate == pytest.approx(sk.f1_score(stage, predicted, average="macro"))
    assert row.macro_f1_stages == 3


def test_what_is_not_known_of_everybody_makes_no_groups() -> None:
    assert set(intervals({**PEOPLE, "b": (None, "M")}).grouping) == {"sex"}
    assert set(intervals({**PEOPLE, "c": (35, "x")}).grouping) == {"age"}
    nothing = intervals(dict.fromkeys(PEOPLE, (None, None)))
    assert nothing.empty and list(nothing) == list(groups.COLUMNS)


def test_a_database_may_have_groups_of_its_own() -> None:
    table = intervals(dict.fromkeys(PEOPLE, (None, None)), groups="hhhii")
    sizes = table[table.metric == "accuracy"].set_index(["grouping", "group"]).n_subjects
    assert sizes.to_dict() == {("group", "h"): 3, ("group", "i"): 2}


def test_ages_of_the_real_subjects_are_parted_as_stated() -> None:
    ages = pd.read_csv(RECORDINGS).drop_duplicates("subject").age
    assert np.bincount(np.digitize(ages, groups.AGE_BOUNDS)).tolist() == [20, 14, 28, 16]


def test_a_subject_that_the_recordings_do_not_name_is_refused() -> None:
    described = groups.people(recordings({"a": (25, "F")}))
    with pytest.raises(BenchmarkError, match="do not name subject b, c of the predictions"):
        groups.group_intervals(confusions(3), described)


def test_nights_of_one_person_may_be_of_two_conditions() -> None:
    given = ((1, "placebo"), (2, "temazepam"))
    nights = [Recording(f"{who}{night}", who, night, condition=name) for who in "abc" for night, name in given]
    assert groups.conditions(nights) == {"placebo": ["a1", "b1", "c1"], "temazepam": ["a2", "b2", "c2"]}
    assert groups.conditions([*nights, Recording("x", "x", 1)]) == {}
    both = confusions(3)
    table = groups.group_intervals(both, groups.people(nights), {"placebo": both, "temazepam": both})
    found = table[table.metric == "accuracy"].set_index("group")
    assert found.index.tolist() == ["placebo", "temazepam"] and set(found.grouping) == {"condition"}
    assert found.n_subjects.tolist() == [3, 3]
