"""The answer that a report opens with: sentences of the tables' numbers."""

import pandas as pd
import pytest
from fake_results import LABELS

from sleepbench.datasets.base import DataLabel
from sleepbench.reporting.page.answers import answers

REAL = DataLabel("sleep-edf-20", "Sleep-EDF-20")
MINE = {"title": "Net", "input": "four", "recipe": "own"}
CHANGE = ("accuracy_change", "accuracy_change_low", "accuracy_change_high")


def metrics(accuracy: float, macro_f1: float, kappa: float) -> dict:
    """Pooled metrics with an interval of two points, or 0.02, about each."""
    values = {"accuracy": (accuracy, 1), "macro_f1": (macro_f1, 1), "cohen_kappa": (kappa, 0.01)}
    ends = {f"{name}_{end}": value + sign * half for name, (value, half) in values.items() for end, sign in ENDS}
    return {**{name: value for name, (value, _) in values.items()}, **ends, "over": "pooled"}


ENDS = (("low", -1), ("high", 1))


@pytest.fixture
def tables():
    rival = {"title": "Rival", "input": "four", "recipe": "own"}
    rungs = [
        ("released", 85.04, 80.0, None),
        ("kept", 84.5, 79.9, (-0.54, -0.9, -0.2)),
        ("clean", 82, 77, (-2.5, -6, 1)),
    ]
    pairs = [("Rival", 0.5, -1.0, 2.0), ("Better", -3.0, -4.0, -2.0)]
    published = {"data": "Sleep-EDF-20", "model": "Net", "accuracy": 86.9, "mark": "published", "source": "a paper"}
    here = {"data": "Sleep-EDF-20", "model": "Net", "input": "four", "recipe": "own", "mark": "measured"}
    measured = [
        {**here, "protocol": "released", "accuracy": 85.04, "accuracy_mean_of_folds": 85.18},
        {**here, "protocol": "clean", "accuracy": 82, "accuracy_mean_of_folds": 82.2},
    ]
    others = {"data": "Sleep-EDF-78", "model": "Net", "accuracy": 81.4, "mark": "published", "source": "a paper"}
    people = {"convention": "majority, pooled"}
    return {
        "claims": pd.DataFrame({"model": "Net", "verdict": ["reproduced", "not reproduced", "reproduced"]}),
        "intervals": pd.DataFrame(
            [
                {"protocol": "released", **MINE, **metrics(85.04, 80, 0.8)},
                {"protocol": "released", **MINE, **metrics(1, 1, 0.1), "over": "subjects"},
                {"protocol": "kept", **MINE, **metrics(84, 79, 0.79)},
                {"protocol": "clean", **MINE, **metrics(82, 77, 0.75)},
                {"protocol": "clean", **rival, **metrics(99, 99, 0.99)},
            ]
        ),
        "main_results": pd.DataFrame([*measured, published, others]).assign(macro_f1=None, cohen_kappa=None),
        "people": pd.DataFrame(
            [
                {"data": "DOD-H", **people, "accuracy": 83.35, "macro_f1": 77.7, "cohen_kappa": 0.761},
                {"data": "DOD-O", **people, "accuracy": 80.67, "macro_f1": 73.6, "cohen_kappa": 0.721},
                {"data": "DOD-O", "convention": "pairs", "accuracy": 1, "macro_f1": 1, "cohen_kappa": 0.1},
            ]
        ),
        "ladder": pd.DataFrame(
            [
                {**MINE, "rung": rung, "protocol": protocol, "accuracy": accuracy, "macro_f1": macro_f1}
                | dict(zip(CHANGE, change or (None,) * 3, strict=True))
                for rung, (protocol, accuracy, macro_f1, change) in enumerate(rungs)
            ]
        ),
        "non_inferiority": pd.DataFrame(
            [
                {"protocol": "clean", **MINE, "rival": name, "metric": metric, "n_subjects": 20}
                | {"difference": difference, "low": low, "high": high, "verdict_1": "inferior", "verdict_2": "unclear"}
                for name, difference, low, high in pairs
                for metric in ("accuracy", "macro_f1")
            ]
        ),
    }


def said(label: DataLabel, tables: dict) -> dict[str, str]:
    return {line.label: line.text for line in answers(label, tables)}


def test_full_recordings_are_answered_beside_what_is_published_and_people(tables):
    assert said(REAL, tables) == {
        "Staging": (
            "Net (four, own): under released accuracy 85.0 % [84.0, 86.0], macro-F1 80.0 % [79.0, 81.0], kappa .800 "
            "[.790, .810]; under clean accuracy 82.0 % [81.0, 83.0], macro-F1 77.0 % [76.0, 78.0], kappa .750 "
            "[.740, .760]. In brackets: 95 % over subjects. The table has 1 more protocol."
        ),
        "Published": (
            "Net on Sleep-EDF-20: accuracy 86.9 % (published: a paper). Here, the mean of the fold accuracies under "
            "released is 85.2 %."
        ),
        "People": (
            "Five scorers of other nights (DOD-H, DOD-O) reach accuracy 80.7 to 83.3 %, macro-F1 73.6 to 77.7 %, kappa "
            ".721 to .761 by 'majority, pooled': where agreement between people ends, and no bar for a network on "
            "these nights."
        ),
        "The ladder": (
            "From released to clean, Net (four, own): accuracy goes from 85.0 to 82.0 % (-3.0 points) and macro-F1 "
            "goes from 80.0 to 77.0 % (-3.0 points). The largest of 2 steps in accuracy is clean, -2.5 points "
            "[-6.0, +1.0]; 1 of them has an interval that leaves zero: kept."
        ),
        "Best rival": (
            "Better, of 2 rivals under clean (four, own). Net less it, in accuracy over 20 subjects: -3.0 points "
            "[-4.0, -2.0]; inferior at a margin of 1, unclear at a margin of 2."
        ),
        "Claims": "1 not reproduced, 2 reproduced.",
    }


@pytest.mark.parametrize("name", [name for name, label in LABELS.items() if label.warning])
def test_other_data_is_set_beside_nothing_and_says_why(tables, name):
    lines = said(LABELS[name], tables)
    for question in ("Published", "People"):
        assert LABELS[name].warning in lines[question]
        assert not any(number in lines[question] for number in ("86.9", "83.3", "80.7"))


def test_each_sentence_leads_to_the_table_it_is_made_of(tables):
    assert [line.table for line in answers(REAL, tables)] == [
        *("intervals", "main_results", "people", "ladder", "non_inferiority", "claims")
    ]
    del tables["people"], tables["ladder"]
    assert [*said(REAL, tables)] == ["Staging", "Published", "Best rival", "Claims"]


def test_tables_without_rows_say_why(tables):
    empty = {name: table.iloc[:0] for name, table in tables.items() if name in ("ladder", "non_inferiority")}
    lines = said(REAL, tables | empty)
    assert lines["The ladder"] == "No protocol of the ladder was run on this dataset."
    assert lines["Best rival"].startswith("Nothing to compare")


def test_the_network_is_one_that_was_run_and_what_is_not_there_of_it_is_said(tables):
    others = tables | {"claims": tables["claims"].assign(model="Other")}
    lines = said(REAL, others)
    assert lines["Staging"].startswith("Net (four, own): under released")
    alone = tables | {name: tables[name].assign(title="Else") for name in ("intervals", "ladder", "non_inferiority")}
    lines = said(REAL, alone)
    assert lines["Staging"].startswith("Net (four, own) has no intervals")
    assert lines["The ladder"].startswith("Net (four, own) was not run on the ladder")
    assert lines["Best rival"].startswith("Net has no rival")
    unknown = tables["main_results"].query("mark == 'measured'")
    assert said(REAL, tables | {"main_results": unknown})["Published"] == "Nothing is published of Net on Sleep-EDF-20."
    assert said(REAL, tables | {"main_results": unknown[:0]}) == {}
    one_step = said(REAL, tables | {"ladder": tables["ladder"].iloc[:2]})
    assert one_step["The ladder"].endswith("The one step in accuracy: -0.5 points [-0.9, -0.2].")
    lone = said(REAL, tables | {"ladder": tables["ladder"].iloc[:1]})
    assert lone["The ladder"] == "Only the rung released was run of Net (four, own): there is no change."
