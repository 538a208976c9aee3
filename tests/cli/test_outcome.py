"""The lines at the end of a run, from tables as the workflow writes them."""

from pathlib import Path

import pandas as pd
import pytest

from sleepbench.cli.outcome import WIDTH, outcome
from sleepbench.config import paths
from sleepbench.datasets.base import EXCERPTS, SIMULATED, DataLabel

OURS = {"data": "here", "model": "ULW-SleepNet", "input": "four", "recipe": "ulw", "mark": "measured"}
REAL = DataLabel("here", "Sleep-EDF-20")
RUNGS = [("released", 86.94, None), ("subject_folds", 85.0, -1.94), ("clean", 81.04, -3.96)]


def write(path, rows):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers = {"macro_f1": 80.66, "cohen_kappa": 0.8156}
    main = [{**OURS, **numbers, "protocol": rung, "accuracy": accuracy} for rung, accuracy, _ in RUNGS]
    main += [
        {**OURS, **numbers, "model": "EEGNet", "protocol": "clean", "accuracy": 79.0},
        {**OURS, **numbers, "model": "MSA-CNN", "protocol": "clean", "accuracy": 82.0, "recipe": "common"},
        {**OURS, "model": "commonest", "protocol": "clean", "accuracy": 99.0, "mark": "reference"},
        {"data": "Sleep-EDF-20", "model": "ULW-SleepNet", "accuracy": 86.9, "mark": "published"},
    ]
    write(paths.table("here", "main_results"), main)
    ladder = [
        {"title": "ULW-SleepNet", "input": "four", "recipe": "ulw", "protocol": rung, "accuracy": accuracy,
         "accuracy_change": change, "accuracy_change_low": -5.0, "accuracy_change_high": -0.14}
        for rung, accuracy, change in RUNGS
    ]  # fmt: skip
    write(paths.table("here", "ladder"), ladder)
    pairs = [("EEGNet", "ulw", 2.0, 1.0, 3.0), ("MSA-CNN", "common", -0.96, -2.2, 0.26)]
    write(
        paths.table("here", "non_inferiority"),
        [
            {"title": "ULW-SleepNet", "input": "four", "recipe": recipe, "protocol": "clean", "rival": rival}
            | {"metric": metric, "difference": difference, "low": low, "high": high}
            for rival, recipe, difference, low, high in pairs
            for metric in ("accuracy", "macro_f1")
        ],
    )
    verdicts = ["not testable here", "reproduced", "reproduced", "not reproduced"]
    write(paths.table("here", "claims"), [{"model": "ULW-SleepNet", "verdict": verdict} for verdict in verdicts])
    interval = {"title": "ULW-SleepNet", "input": "four", "recipe": "ulw", "metric": "accuracy"}
    rows = [{**interval, "protocol": "clean", "low": 0.7914, "high": 0.8306}]
    write(paths.statistics("here", "intervals"), rows)


def test_what_came_out_of_a_real_run(tables):
    assert outcome(REAL) == [
        "Results, Sleep-EDF-20",
        "ULW-SleepNet, released: accuracy 86.9, macro-F1 80.7, kappa 0.82 (published: 86.9)",
        "ULW-SleepNet, clean: accuracy 81.0 [79.1, 83.1], macro-F1 80.7, kappa 0.82",
        "Ladder: released 86.9, clean 81.0; most: clean -4.0 [-5.0, -0.1]",
        "Best of 2 rivals, clean: MSA-CNN (four, common); ours less it -1.0 points [-2.2, +0.3]",
        "Published claims: 2 reproduced, 1 not reproduced, 1 not testable here",
    ]


@pytest.mark.parametrize("warning", [SIMULATED, f"{EXCERPTS}; 18 training epochs"])
def test_every_line_carries_the_warning_and_fits(tables, warning):
    title, *lines = outcome(DataLabel("here", "Sleep-EDF-20", warning))
    said = " ".join(outcome(DataLabel("here", "Sleep-EDF-20", warning)))
    assert warning in said and title.startswith("Results (")
    mark = {"S": "SIMULATED data", "R": "REAL EEG, first 5 s of each epoch"}[warning[0]]
    after = [line for line in lines if not line.endswith("epochs)")]
    assert len(after) >= 5 and all(line.startswith(f"{mark} | ") for line in after)
    assert max(map(len, [title, *lines])) <= WIDTH and len(lines) <= 10
    assert "published: 86.9" not in said  # nothing published stands beside these


def test_the_network_of_the_claims_comes_first_wherever_it_stands(tables):
    path = paths.table("here", "main_results")
    pd.read_csv(path)[::-1].to_csv(path, index=False)
    assert all("ULW-SleepNet" in line for line in outcome(REAL)[1:3])


def test_what_is_not_there_is_not_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert outcome(REAL) == ["Results, Sleep-EDF-20"]
    write(paths.table("here", "main_results"), [{**OURS, "protocol": "clean", "accuracy": 81.0,
                                                 "macro_f1": 70.0, "cohen_kappa": 0.7}])  # fmt: skip
    assert outcome(REAL)[1:] == ["ULW-SleepNet, clean: accuracy 81.0, macro-F1 70.0, kappa 0.70"]
