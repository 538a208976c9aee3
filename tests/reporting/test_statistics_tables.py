"""The tables of statistics show what the files of statistics hold."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_results import FakeResults, predictions_of
from test_statistics_files import (
    KEYS,
    MODELS,
    OWN,
    UNDEFINED,
    compute,
    keys_of,
    make,
    read,
    relabelled,
    without_rem_in_the_first_subject,
)

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import SIMULATED
from sleepbench.reporting.artefacts import tables
from sleepbench.reporting.cells import MACRO_F1_IS, interval
from sleepbench.reporting.declared import STATISTICS
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables import comparisons, groups, ladder, sleep_measures

TABLES = {
    name: table for name, table in tables().items() if all(input.startswith(STATISTICS) for input in table.inputs)
}
"""All that are made of statistics and of nothing else."""


def write(folder: Path, results: FakeResults, name: str, files: dict[str, Any] | None = None) -> list[Path]:
    """The CSV, Markdown and LaTeX of a table."""
    paths = [folder / f"{name}.{form}" for form in ("csv", "md", "tex")]
    make_table(TABLES[name], results.inputs(TABLES[name], files), *paths)
    return paths


def render(folder: Path, results: FakeResults, files: dict[str, Any] | None = None) -> dict[str, str]:
    """Every table in Markdown, by name; the other forms lie beside."""
    return {name: write(folder, results, name, files)[1].read_text(encoding="utf-8") for name in TABLES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FakeResults:
    return compute(make(tmp_path_factory.mktemp("statistics")))


def test_tables_say_simulated_and_fit(tmp_path: Path, made) -> None:
    assert len(TABLES) == 10
    for name, markdown in render(tmp_path, made).items():
        lines = markdown.splitlines()
        assert SIMULATED in lines[0], name
        assert max(map(len, lines[1:])) <= 150, name
        latex = (tmp_path / f"{name}.tex").read_text(encoding="utf-8")
        assert latex.isascii(), name


def test_tables_name_the_runs_in_their_last_column_and_do_not_print_them(tmp_path: Path, made) -> None:
    for name, markdown in render(tmp_path, made).items():
        table = pd.read_csv(tmp_path / f"{name}.csv", dtype={"run_keys": str})
        assert list(table)[-1] == "run_keys" and table.run_keys.notna().all(), name
        for key in keys_of(made):
            assert key not in markdown and key not in (tmp_path / f"{name}.tex").read_text(encoding="utf-8")


def test_rows_are_told_apart_by_their_keys(tmp_path: Path, made) -> None:
    render(tmp_path, made)
    for name, table in TABLES.items():
        rows = pd.read_csv(tmp_path / f"{name}.csv")
        assert table.row_keys and not rows.duplicated(list(table.row_keys)).any(), name


def test_tables_with_long_names_fit_a_terminal(tmp_path: Path, made) -> None:
    files = {}
    for path in made.statistics("intervals").parent.iterdir():
        text = path.read_text().replace("clean", "validation_held_out")
        files[f"statistics/{path.stem}"] = tmp_path / path.name
        (tmp_path / path.name).write_text(text.replace("TinySleepNet", "SleepStagerChambon2018"))
    for name, markdown in render(tmp_path / "tables", made, files).items():
        assert max(map(len, markdown.splitlines()[1:])) <= 152, name


def test_tables_show_what_the_statistics_hold(tmp_path: Path, made) -> None:
    texts = render(tmp_path, made)
    intervals, rungs, subjects = (read(made, name) for name in ("intervals", "ladder", "subjects"))
    for row in intervals[intervals.metric.isin(["accuracy", "macro_f1"])].itertuples():
        assert f"{100 * row.estimate:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]" in texts["intervals"]
    for row in intervals[intervals.metric == "precision_N1"].itertuples():
        assert f"{100 * row.estimate:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]" in texts["classes"]
    for _, values in subjects.groupby(KEYS).accuracy:
        assert f"{100 * values.mean():.1f} ± {100 * values.std():.1f}" in texts["intervals"]
    for row in rungs[(rungs.metric == "macro_f1") & (rungs.rung == 1)].itertuples():
        assert f"{100 * row.change:+.1f} [{100 * row.change_low:+.1f}, {100 * row.change_high:+.1f}]" in texts["ladder"]


def test_what_there_is_none_of_is_said(tmp_path: Path) -> None:
    results = FakeResults(tmp_path)
    results.write_recordings(age=None, sex=None)
    texts = render(tmp_path / "tables", compute(results, ladder=[]))
    assert comparisons.NO_PAIR in texts["comparisons"] and ladder.NO_RUNG in texts["ladder"]
    said = " ".join(texts["groups"].split())
    assert f"{groups.NOT_KNOWN} Left out, as it is not known of every subject: age and sex." in said


def test_recipes_of_papers_are_named_where_they_are_compared(tmp_path: Path) -> None:
    results = FakeResults(tmp_path, models=tuple(OWN), nights_per_fold=4, protocols=("released",))
    relabelled(results, {title: {"recipe": recipe} for title, recipe in OWN.items()})
    for recipes, named in ((OWN, True), ({}, False)):
        compute(results, own_recipes=recipes)
        text = write(tmp_path, results, "comparisons")[1].read_text()
        assert ("recipes ulw and " in text) == ("| four, own " in text) == named


def test_inputs_are_shown_beside_the_one_they_are_compared_with(tmp_path: Path) -> None:
    results = make(tmp_path, models=("A", "B"), seeds=(1,))
    inputs = {"A": ("four", 4), "B": ("one", 1)}
    relabelled(results, {t: {"input": i, "n_channels": n, "title": "ULW-SleepNet"} for t, (i, n) in inputs.items()})
    compute(results, alone="one", undefined=[UNDEFINED])
    text = write(tmp_path, results, "inputs")[1].read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ULW")]
    cells = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]
    assert [row[:3] for row in cells] == [["ulw", "one", "1"], ["ulw", "four", "4"], ["–", "five", "5"]]
    assert [row[4] == "–" for row in cells] == [True, False, True]
    assert set(cells[-1][3:8]) == {"–"} and UNDEFINED["reason"] in text and "change from one" in text
    assert max(map(len, text.splitlines()[1:])) <= 150


def test_undefined_numbers_are_dashes(tmp_path: Path) -> None:
    results = FakeResults(tmp_path, models=MODELS, n_folds=1)
    for position, run in enumerate(results.read_runs().itertuples()):
        table = predictions_of(run)
        results.rewrite(position, table[table.stage != 4])
    for name, markdown in render(tmp_path / "tables", compute(results)).items():
        assert not re.search(r"\bnan\b", markdown.lower()), name


def test_macro_f1_of_fewer_stages_is_noted(tmp_path: Path) -> None:
    results = without_rem_in_the_first_subject(tmp_path)
    texts = render(tmp_path / "tables", results)
    assert "macro-F1 of fewer than five stages in 1 subject" in " ".join(texts["intervals"].split())
    for name in ("intervals", "groups"):
        assert MACRO_F1_IS in " ".join(texts[name].split())
    # A group of the first subject alone, as if there were no others.
    alone = read(results, "groups").assign(macro_f1_stages=4)
    assert groups.ARTEFACT.note(alone.iloc[0]).endswith("; macro-F1 of 4 of 5 stages")


def test_kappa_and_p_have_no_leading_zero_and_zero_no_sign() -> None:
    row = pd.Series({"cohen_kappa": 0.7, "cohen_kappa_low": -0.05, "cohen_kappa_high": 1.0, "p": 0.04})
    assert interval("cohen_kappa")(row) == ".700 [-.050, 1.000]"
    p = comparisons.p_value("p")
    assert p(row) == ".040" and p(pd.Series({"p": 0.0001})) == "<.001"
    assert sleep_measures.limits(pd.Series({"low": -0.01, "high": 2.0})) == "+0.0 to +2.0"
    nothing = pd.Series(dict.fromkeys(("accuracy", "accuracy_low"), np.nan) | {"accuracy_high": 1})
    assert interval("accuracy")(nothing) == "–"


def test_statistics_without_a_column_are_refused(tmp_path: Path, made) -> None:
    read(made, "groups").drop(columns="high").to_csv(tmp_path / "groups.csv", index=False)
    with pytest.raises(BenchmarkError, match="lack the column high"):
        write(tmp_path, made, "groups", {"statistics/groups": tmp_path / "groups.csv"})
