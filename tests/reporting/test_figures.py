import json
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image
from synthetic import make_runs, sign_again

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation import metrics
from sleepbench.reporting.figures import of_runs as figures
from sleepbench.reporting.figures import style
from sleepbench.reporting.tables import main as tables

WRITERS = {
    "confusion": figures.confusion_figure,
    "night": figures.night_figure,
    "training_curves": figures.training_curves_figure,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def runs(path):
    return tables.read_runs(path)


def drawn(name, runs, dataset="simulated", simulated=True):
    numbers, draw = {
        "confusion": (figures.confusion_counts, figures.draw_confusion),
        "night": (figures.representative_night, figures.draw_night),
        "training_curves": (figures.training_curves, figures.draw_training_curves),
    }[name]
    return draw(numbers(runs), dataset, simulated)


@pytest.mark.parametrize("name", WRITERS)
def test_simulated_is_in_the_title_and_real_data_is_named(name, runs):
    assert tables.SIMULATED in drawn(name, runs).get_suptitle()
    title = drawn(name, runs, "sleep-edf-20", False).get_suptitle()
    assert "SIMULATED" not in title and "Sleep-EDF-20" in title.replace("\n", " ")


@pytest.mark.parametrize("name", WRITERS)
def test_axes_are_labelled_and_nothing_leaves_the_figure(name, runs):
    with matplotlib.rc_context(style.STYLE):
        figure = drawn(name, runs)
        figure.draw_without_rendering()
    assert any(axes.get_xlabel() for axes in figure.axes) and any(axes.get_ylabel() for axes in figure.axes)
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_runs_give_the_same_files(name, path, tmp_path):
    for attempt in ("a", "b"):
        WRITERS[name](path, "simulated", True, *(tmp_path / f"{attempt}.{end}" for end in ("png", "pdf", "csv")))
    for end in ("png", "pdf", "csv"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx(200 * style.PAGE_WIDTH)


@pytest.mark.parametrize("name", WRITERS)
def test_files_are_those_that_matplotlib_would_save(name, runs, tmp_path):
    style.save(drawn(name, runs), tmp_path / "a.png", tmp_path / "a.pdf")
    figure = drawn(name, runs)
    with matplotlib.rc_context(style.STYLE):
        figure.savefig(tmp_path / "b.png")
        figure.set_layout_engine("none")
        figure.savefig(tmp_path / "b.pdf", metadata={"CreationDate": None})
    for end in ("png", "pdf"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()


def test_confusion_counts_are_those_of_the_predictions(runs):
    counts = figures.confusion_counts(runs)
    for protocol, group in runs.groupby("protocol"):
        every = pd.concat([figures.read_predictions(run) for _, run in group.iterrows()])
        expected = metrics.confusion_matrix(every.stage, every.predicted)
        mine = counts[counts.protocol == protocol]
        assert (mine.epochs.to_numpy().reshape(5, 5) == expected).all()
        assert mine.groupby("scored").percent_of_scored.sum().to_numpy() == pytest.approx(np.full(5, 100))


def test_a_stage_that_was_never_scored_is_a_dash(runs):
    without = runs.copy()
    without[[column for column in runs if column.startswith("confusion_N1_")]] = 0
    counts = figures.confusion_counts(without)
    assert counts[counts.scored == "N1"].percent_of_scored.isna().all()
    texts = [text.get_text() for text in figures.draw_confusion(counts, "simulated", True).axes[0].texts]
    assert texts.count("–") == 5


def test_every_network_and_protocol_has_a_confusion_panel(tmp_path):
    runs = tables.read_runs(make_runs(tmp_path, models=("ULW-SleepNet", "TinySleepNet")))
    titles = [axes.get_title() for axes in figures.draw_confusion(figures.confusion_counts(runs), "x", True).axes]
    assert len(titles) == 4
    assert sum("TinySleepNet" in title and "protocol clean" in title for title in titles) == 1


def test_the_night_is_tested_under_every_protocol_and_has_the_median_accuracy(runs):
    night = figures.representative_night(runs)
    assert night.recording.nunique() == 1 and set(night.protocol) == {"released", "clean"}
    released = pd.concat([figures.read_predictions(run) for _, run in runs[runs.protocol == "released"].iterrows()])
    accuracy = (released.stage == released.predicted).groupby(released.recording).mean()
    assert len(accuracy) == 3  # the released protocol leaves one of four recordings out
    assert accuracy[night.recording.iloc[0]] == accuracy.median()


def test_a_night_that_one_protocol_leaves_out_is_not_shown(tmp_path):
    runs = tables.read_runs(make_runs(tmp_path)).sort_values("protocol", kind="stable")  # "clean" comes first
    shown = figures.representative_night(runs).recording.iloc[0]
    for _, run in runs[runs.protocol == "released"].iterrows():
        path = Path(run.directory) / run.selection / "predictions.parquet"
        pd.read_parquet(path).query("recording != @shown").to_parquet(path)
        sign_again(Path(run.directory))
    night = figures.representative_night(runs)
    assert night.recording.iloc[0] != shown and set(night.protocol) == {"released", "clean"}


def test_nothing_is_drawn_across_dropped_epochs(runs):
    night = figures.representative_night(runs).query("protocol == 'clean'").sort_values("epoch")
    parts = figures._unbroken(night)
    assert len(parts) == 2 and sum(map(len, parts)) == len(night)
    assert figures._edges(parts[1])[0] - figures._edges(parts[0])[-1] == pytest.approx(11 * 30 / 3600)


def test_hypnogram_is_drawn_at_the_height_of_its_stage():
    table = pd.DataFrame({"epoch": range(5), "hours": np.arange(5) / 120, "stage": [0, 4, 1, 2, 3]})
    axes = matplotlib.figure.Figure().subplots()
    figures._draw_hypnogram(axes, table, "stage")
    line, rem = (patch.get_data() for patch in axes.patches)
    labels = [axes.get_yticklabels()[int(value)].get_text() for value in line.values]
    assert labels == ["W", "REM", "N1", "N2", "N3"]
    assert np.isfinite(rem.values).tolist() == [False, True, False, False, False]
    assert line.edges[-1] == pytest.approx(5 / 120)


def test_training_curves_mark_the_selected_training_epoch_of_each_fold(runs):
    curves = figures.training_curves(runs)
    selected = curves[curves.selected].set_index(["protocol", "fold"]).training_epoch
    expected = runs.set_index(["protocol", "fold"]).selected_epoch
    assert (selected.sort_index() == expected.sort_index()).all()


def test_training_curves_say_what_every_rule_selects(runs):
    curves = figures.training_curves(runs)
    for _, run in runs.iterrows():
        entries = json.loads((Path(run.directory) / "training.json").read_text())["runs"]
        mine = curves[(curves.protocol == run.protocol) & (curves.fold == run.fold)]
        for rule, entry in entries.items():
            taken = mine[[rule in names.split() for names in mine.selected_by]].training_epoch
            assert taken.tolist() == [entry["training_epoch"]]
        assert set(mine.selection) == {run.selection} and run.selection in entries
    figure = figures.draw_training_curves(curves, "simulated", True)
    released = figure.axes[4]
    rules = [label.get_text() for label in released.get_yticklabels()]
    assert rules == ["best test", "best validation", "last"]
    mine = curves[curves.protocol == "released"]
    drawn = {rule: set(dots.get_offsets()[:, 0]) for rule, dots in zip(rules, released.collections, strict=True)}
    for rule, epochs in drawn.items():
        taken = [rule.replace(" ", "_") in names.split() for names in mine.selected_by]
        assert epochs == set(mine.training_epoch[taken])
    assert drawn["last"] == {8} and not drawn["best validation"]


def test_a_rule_that_selects_another_training_epoch_than_the_runs_table_says(tmp_path):
    runs = tables.read_runs(make_runs(tmp_path))
    with pytest.raises(BenchmarkError, match=r"training\.json: best_test selects training epoch") as error:
        figures.training_curves(runs.assign(selected_epoch=1))
    assert runs.run_key[0] in str(error.value)


def test_a_missing_training_record_is_named(tmp_path):
    runs = tables.read_runs(make_runs(tmp_path))
    (Path(runs.directory[0]) / "training.json").unlink()
    with pytest.raises(
        BenchmarkError, match=rf"run {runs.run_key[0]} cannot be shown; (.|\n)*training\.json: is missing"
    ):
        figures.training_curves(runs)


SEVEN = [f"rung_{i}" for i in range(7)]


def test_many_protocols_are_drawn_in_several_rows(runs):
    released = figures.training_curves(runs[runs.protocol == "released"])
    curves = pd.concat([released.assign(protocol=name) for name in SEVEN], ignore_index=True)
    figure = figures.draw_training_curves(curves, "simulated", True)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 3 * 7 and len(figure.axes) == 3 * 8
    titles = [axes.get_title() for axes in shown if axes.get_title()]
    assert [title.split()[-1] for title in titles] == SEVEN


def test_of_many_protocols_the_first_and_the_last_night_are_shown(runs):
    night = figures.representative_night(runs)
    assert figures.shown_protocols(night).equals(night)
    many = pd.concat([night[night.protocol == "clean"].assign(protocol=name) for name in SEVEN], ignore_index=True)
    assert list(figures.shown_protocols(many).protocol.unique()) == [SEVEN[0], SEVEN[-1]]


def test_the_hypnodensity_is_the_stack_of_the_probabilities(runs):
    night = figures.representative_night(runs)
    axes = figures.draw_night(night, "simulated", True).axes[2]
    assert axes.get_ylabel().startswith("hypnodensity")
    first = night[night.protocol == "released"].sort_values("epoch").iloc[0]
    heights = [stack.get_paths()[0].vertices[:, 1].max() for stack in axes.collections[:5]]
    assert max(heights) == pytest.approx(1, abs=1e-5)
    bottom = axes.collections[0].get_paths()[0].vertices
    at_start = bottom[np.isclose(bottom[:, 0], first.hours)][:, 1].max()
    assert at_start == pytest.approx(first.p_N3, abs=1e-5)


def test_validation_is_drawn_only_where_subjects_are_held_out(runs):
    released, clean = figures.draw_training_curves(figures.training_curves(runs), "simulated", True).axes[:2]
    colours = [{line.get_color() for line in axes.lines} for axes in (released, clean)]
    assert style.PART_COLOURS["validation"] not in colours[0]
    assert style.PART_COLOURS["validation"] in colours[1]


@pytest.mark.parametrize("name", ["training_curves", "night"])
def test_a_missing_file_is_named_with_its_run(name, tmp_path):
    path = make_runs(tmp_path / "runs")
    run = tables.read_runs(path).iloc[1]
    file = Path(run.directory) / ("history.csv" if name == "training_curves" else "best_test/predictions.parquet")
    file.unlink()
    with pytest.raises(BenchmarkError) as error:
        WRITERS[name](path, "simulated", True, *(tmp_path / f"x.{end}" for end in ("png", "pdf", "csv")))
    assert str(file) in str(error.value) and run.run_key in str(error.value)
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("name", "file"), [("training_curves", "history.csv"), ("night", "best_test/predictions.parquet")]
)
def test_a_file_that_was_changed_since_it_was_written_is_refused(name, file, tmp_path):
    path = make_runs(tmp_path / "runs")
    run = tables.read_runs(path).iloc[1]
    changed = Path(run.directory) / file
    if file == "history.csv":
        changed.write_text(changed.read_text().replace(",0.", ",1.", 1))
    else:
        pd.read_parquet(changed).assign(epoch=lambda table: table.epoch + 1000).to_parquet(changed, index=False)
    with pytest.raises(BenchmarkError, match="was changed since it was written") as error:
        WRITERS[name](path, "simulated", True, *(tmp_path / f"x.{end}" for end in ("png", "pdf", "csv")))
    assert f"run {run.run_key} cannot be shown; delete the runs table" in str(error.value)
    assert str(changed) in str(error.value)
    assert not (tmp_path / "x.png").exists()


def test_only_files_of_runs_in_the_table_are_read(tmp_path):
    path = make_runs(tmp_path / "runs", protocols=("released", "clean"))
    runs = pd.read_csv(path)
    runs[runs.protocol == "released"].to_csv(path, index=False)
    shutil.rmtree(tmp_path / "runs" / "clean")
    for name, write in WRITERS.items():
        write(path, "simulated", True, *(tmp_path / f"{name}.{end}" for end in ("png", "pdf", "csv")))
    assert set(pd.read_csv(tmp_path / "night.csv").protocol) == {"released"}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Seven networks under one protocol."""
    models = ("ULW-SleepNet, dense convolutions", *(f"Network {letter}" for letter in "BCDEFG"))
    path = make_runs(tmp_path_factory.mktemp("many"), protocols=("clean",), models=models)
    return tables.read_runs(path).assign(protocol="clean")


@pytest.mark.parametrize("name", ["confusion", "training_curves"])
def test_many_networks_share_rows_of_small_panels(name, many):
    with matplotlib.rc_context(style.STYLE):
        figure = drawn(name, many)
        figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title() for axes in shown if axes.get_title()]
    assert len(titles) == 7 and "ULW-SleepNet,\ndense convolutions\n(four, released)" in titles
    width, height = figure.get_size_inches()
    assert width == style.PAGE_WIDTH and height < 6
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 6
    boxes = [axes.title.get_window_extent() for axes in shown if axes.get_title()]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    labelled = [axes.get_xlabel() for axes in shown if axes.get_xlabel()]
    assert set(labelled) == {{"confusion": "predicted stage", "training_curves": "training epoch"}[name]}


def test_a_few_networks_share_a_row_only_where_all_of_their_panels_fit():
    long, short, shorter = [("a", 1), ("a", 2), ("a", 3), ("a", 4)], [("b", 1), ("b", 2)], [("c", 1)]
    assert figures.rows_of_panels([long, shorter], 3) == [long[:2], long[2:], shorter]
    assert figures.rows_of_panels([short, shorter], 3) == [short + shorter]
    assert figures.rows_of_panels([short, short, shorter], 3) == [short, short + shorter]
    many = [[(letter, 1)] for letter in "abcdefg"]
    assert [len(row) for row in figures.rows_of_panels(many, 3)] == [4, 3]
