"""The table and the figure of a re-run by others: made-up runs that agree, differ, or cannot be compared."""

import numpy as np
import pandas as pd
import pytest
from fake_reruns import RERUNS, change_matrix, inputs_of, runs_like
from fake_results import FakeResults

from sleepbench.datasets.base import SIMULATED
from sleepbench.reporting.artefacts import figures, tables
from sleepbench.reporting.figures.style import drawn, make_figure
from sleepbench.reporting.reading import read_csv
from sleepbench.reporting.rendering import make_table

RERUN = RERUNS["sleep-edf-20"]
TABLE, FIGURE = tables()["reproduction"], figures()["reproduction"]


def written(runs: pd.DataFrame, folder, dataset: str = "sleep-edf-20") -> tuple[pd.DataFrame, str]:
    """The CSV and the Markdown of the table."""
    outputs = [folder / f"reproduction.{form}" for form in ("csv", "md", "tex")]
    make_table(TABLE, inputs_of(TABLE, runs, folder, dataset), *outputs)
    return read_csv(outputs[0]), outputs[1].read_text(encoding="utf-8")


def figure_of(runs: pd.DataFrame, folder, dataset: str = "sleep-edf-20"):
    inputs = inputs_of(FIGURE, runs, folder, dataset)
    return drawn(FIGURE, FIGURE.build(inputs), inputs)


def words(figure) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in [*figure.texts, figure._suptitle])


def test_table_sets_folds_stages_and_cells_side_by_side(tmp_path):
    rows, markdown = written(runs_like(RERUN, apart={4: -10.0}), tmp_path)
    lines = markdown.splitlines()
    assert lines[0] == "## A re-run by others, fold by fold, Sleep-EDF-20"
    (fold,) = [line for line in lines if "| fold 4 " in line]
    assert [cell.strip() for cell in fold.split("|")][3:5] == ["2,835", "89.14"]
    assert "outside, Holm too" in fold and "| not reproduced [1]" in markdown
    assert all(f"| {what} " in markdown for what in ("mean of the folds", "F1 of N1", "REM as REM"))
    assert not rows.duplicated(list(TABLE.row_keys)).any()
    first = rows.iloc[0]
    assert first.mark == "secondary" and "github.com/Nhantran65/Linear-BIM at cb23fe9" in " ".join(markdown.split())
    assert len(first.run_keys.split()) == 30
    # The rows of the other datasets say why they have no numbers.
    assert rows[rows.dataset != "sleep-edf-20"].verdict.tolist() == ["not testable here"] * 2
    assert max(map(len, lines)) <= 150


def test_table_names_a_fold_of_another_size(tmp_path):
    _, markdown = written(change_matrix(runs_like(RERUN), 3, np.diag([0, 0, -5, 0, 0])), tmp_path)
    assert "3,113, theirs 3,118" in markdown and "OTHER EPOCHS" in markdown and "| error [1]" in markdown


def test_simulated_runs_get_a_row_that_says_why_and_no_number(tmp_path):
    results = FakeResults(tmp_path, protocols=("released",))
    outputs = [tmp_path / f"reproduction.{form}" for form in ("csv", "md", "tex")]
    make_table(TABLE, results.inputs(TABLE), *outputs)
    rows, markdown = read_csv(outputs[0]), outputs[1].read_text(encoding="utf-8")
    assert SIMULATED in markdown.splitlines()[0]
    assert set(rows.verdict) == {"not testable here"} and rows.why.str.contains("simulated signals").all()
    assert rows[["theirs", "ours", "difference"]].isna().all(axis=None)
    figure = drawn(FIGURE, FIGURE.build(results.inputs(FIGURE)), results.inputs(FIGURE))
    assert not figure.axes and "not testable here: these runs are on simulated signals" in words(figure)
    assert SIMULATED in words(figure)


@pytest.mark.parametrize(("seeds", "marked", "cell"), [(3, 2, "+2.3"), (1, 0, "+2.1")])
def test_figure_marks_what_is_outside_and_draws_no_interval_of_one_seed(tmp_path, seeds, marked, cell):
    figure = figure_of(runs_like(RERUN, seeds=seeds, apart={4: -10.0}), tmp_path)
    folds, cells = figure.axes
    theirs = folds.collections[-1]
    assert np.asarray(theirs.get_offsets())[:10, 1] == pytest.approx(RERUN.accuracies)
    assert len(theirs.get_offsets()) == 11
    outside = [tuple(colour) for colour in theirs.get_facecolors() if tuple(colour[:3]) != (0, 0, 0)]
    assert len(outside) == marked  # the fold, and with it the mean
    assert len(cells.texts) == 25 and cell in [text.get_text() for text in cells.texts]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("95 %" in line for line in key) == (seeds > 1)


def test_figure_says_why_where_nothing_is_compared(tmp_path):
    runs = change_matrix(runs_like(RERUN), 3, np.diag([0, 0, -5, 0, 0]))
    assert "error: tested on other epochs" in words(figure_of(runs, tmp_path))
    assert "no run of ULW-SleepNet with protocol released" in words(figure_of(runs.assign(protocol="clean"), tmp_path))


def test_figure_is_written_with_the_numbers_behind_it(tmp_path):
    outputs = [tmp_path / f"reproduction.{form}" for form in ("png", "pdf", "csv")]
    make_figure(FIGURE, inputs_of(FIGURE, runs_like(RERUN), tmp_path), *outputs)
    numbers = pd.read_csv(outputs[-1])
    assert (numbers.part == "fold").sum() == 10 and set(numbers.dataset) == {"sleep-edf-20"}
    assert not numbers.simulated.any() and all(path.stat().st_size for path in outputs)
