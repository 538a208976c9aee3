"""Figures of the runs: confusion matrices, one night, training curves."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, FakeResults, predictions_of, predictions_path
from matplotlib.text import Text
from PIL import Image

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation import metrics
from sleepbench.reporting.artefacts import figures
from sleepbench.reporting.figures import night as night_figure
from sleepbench.reporting.figures import style
from sleepbench.reporting.figures.panels import rows_of_panels

NAMES = ("confusion", "night", "training_curves")
SEVEN = [f"rung_{i}" for i in range(7)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return FakeResults(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Seven contenders under one protocol."""
    models = ("ULW-SleepNet, dense convolutions", *(f"Network {letter}" for letter in "BCDEFG"))
    return FakeResults(tmp_path_factory.mktemp("many"), protocols=("clean",), models=models)


def numbers(name, results, runs=None):
    """The numbers of a figure, of these runs instead of those of the runs table where some are given."""
    inputs = results.inputs(figures()[name])
    if runs is not None:
        other = results.root / "other_runs.csv"
        runs.to_csv(other, index=False)
        inputs = replace(inputs, files={**inputs.files, "runs": other})
    return figures()[name].build(inputs)


def drawn(name, results, table=None, dataset="simulated"):
    inputs = replace(results.inputs(figures()[name]), label=LABELS[dataset])
    return style.drawn(figures()[name], numbers(name, results) if table is None else table, inputs)


def write(name, results, stem):
    outputs = [stem.with_suffix(f".{end}") for end in ("png", "pdf", "csv")]
    style.make_figure(figures()[name], results.inputs(figures()[name]), *outputs)
    return outputs


@pytest.mark.parametrize("name", NAMES)
def test_simulated_is_in_the_title_and_real_data_is_named(name, results):
    assert drawn(name, results).get_suptitle().endswith(f"\n({LABELS['simulated'].warning})")
    title = drawn(name, results, dataset="sleep-edf-20").get_suptitle()
    assert "SIMULATED" not in title and "Sleep-EDF-20" in title.replace("\n", " ")


@pytest.mark.parametrize("name", NAMES)
def test_axes_are_labelled_and_nothing_leaves_the_figure(name, results):
    figure = drawn(name, results)
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    assert any(axes.get_xlabel() for axes in figure.axes) and any(axes.get_ylabel() for axes in figure.axes)
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01


@pytest.mark.parametrize("name", NAMES)
def test_the_same_runs_give_the_same_files(name, results, tmp_path):
    for first, second in zip(*(write(name, results, tmp_path / attempt) for attempt in "ab"), strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    assert (
        pd.read_csv(tmp_path / "a.csv").iloc[:, -1].rename(None).equals(pd.Series([True] * len(numbers(name, results))))
    )
    with Image.open(tmp_path / "a.png") as image:
        assert image.width in (round(200 * style.PAGE_WIDTH), round(200 * style.COLUMN_WIDTH))


@pytest.mark.parametrize("name", NAMES[:1])
def test_a_matplotlibrc_of_the_user_changes_nothing(name, results, tmp_path):
    plain = [path.read_bytes() for path in write(name, results, tmp_path / "a")]
    dark = {"text.usetex": True, "axes.facecolor": "black", "savefig.dpi": 33, "lines.linewidth": 9, "font.size": 30}
    with matplotlib.rc_context(dark):
        assert [path.read_bytes() for path in write(name, results, tmp_path / "b")] == plain


@pytest.mark.parametrize("name", NAMES)
def test_files_are_those_that_matplotlib_would_save(name, results, tmp_path):
    style.save(drawn(name, results), tmp_path / "a.png", tmp_path / "a.pdf")
    figure = drawn(name, results)
    with matplotlib.rc_context(style.STYLE):
        title = {"Title": " ".join(figure.get_suptitle().split())}
        figure.savefig(tmp_path / "b.png", metadata=title)
        figure.set_layout_engine("none")
        figure.savefig(tmp_path / "b.pdf", metadata={**title, "CreationDate": None})
    for end in ("png", "pdf"):
        assert (tmp_path / f"a.{end}").read_bytes() == (tmp_path / f"b.{end}").read_bytes()


@pytest.mark.parametrize("dataset", ["simulated", "sleep-edf-20"])
def test_without_titles_a_warning_stays_and_the_files_name_the_title(dataset, results, tmp_path):
    inputs = replace(results.inputs(figures()["confusion"]), label=LABELS[dataset])
    files = {}
    for titles in (True, False):
        files[titles] = [tmp_path / f"{titles}.{end}" for end in ("png", "pdf", "csv")]
        style.make_figure(figures()["confusion"], inputs, *files[titles], titles)
    figure = drawn("confusion", results, dataset=dataset)
    said = " ".join(figure.get_suptitle().split())
    assert said.startswith("Confusion matrices")
    with style.styled():
        style.take_title(figure, inputs.label.warning)
    assert figure.get_suptitle() == (f"({inputs.label.warning})" if dataset == "simulated" else "")
    assert figure._suptitle.get_fontsize() == style.STYLE["figure.titlesize"]
    with Image.open(files[True][0]) as full, Image.open(files[False][0]) as without:
        assert without.width == full.width and full.height - 50 < without.height < full.height
        assert without.text["Title"] == said
    assert files[True][2].read_bytes() == files[False][2].read_bytes()


@pytest.mark.parametrize("name", ["confusion", "training_curves"])
def test_a_pdf_is_drawn_by_lines_and_embeds_its_fonts(name, results, tmp_path):
    _, pdf, _ = write(name, results, tmp_path / name)
    written = pdf.read_bytes()
    assert b"/FontFile2" in written and b"/Type3" not in written and b"/Subtype /Image" not in written
    assert b"/Title" in written


# --------------------------------------------------------------------------------------------------- confusion matrices


def test_confusion_counts_are_those_of_the_predictions(results):
    counts = numbers("confusion", results)
    for protocol, group in results.read_runs().groupby("protocol"):
        every = pd.concat(map(predictions_of, group.itertuples()))
        expected = metrics.confusion_matrix(every.stage, every.predicted)
        mine = counts[counts.protocol == protocol]
        assert (mine.epochs.to_numpy().reshape(5, 5) == expected).all()
        assert mine.groupby("scored").percent_of_scored.sum().to_numpy() == pytest.approx(np.full(5, 100))


def test_a_stage_that_was_never_scored_is_a_dash(results):
    without = results.read_runs()
    without[[column for column in without if column.startswith("confusion_N1_")]] = 0
    counts = numbers("confusion", results, without)
    assert counts[counts.scored == "N1"].percent_of_scored.isna().all()
    texts = [text.get_text() for text in drawn("confusion", results, counts).axes[0].texts]
    assert texts.count("–") == 5


def test_a_few_contenders_and_protocols_all_have_a_confusion_panel(tmp_path):
    two = FakeResults(tmp_path, models=("ULW-SleepNet", "TinySleepNet"))
    titles = [axes.get_title() for axes in drawn("confusion", two).axes]
    assert len(titles) == 4
    assert sum("TinySleepNet" in title and "\nclean\n" in title for title in titles) == 1


def test_of_many_contenders_six_have_a_confusion_panel_and_all_are_in_the_numbers(many):
    counts = numbers("confusion", many)
    counts.loc[(counts.title == "Network D") & (counts.scored == counts.predicted), "epochs"] = 1
    figure = drawn("confusion", many, counts)
    titles = [axes.get_title().splitlines()[0] for axes in figure.axes]
    assert titles == ["ULW-SleepNet, dense convolutions", *(f"Network {letter}" for letter in "BCEFG")]
    assert counts.title.nunique() == 7 and "6 of 7" in figure.get_suptitle()


def test_of_many_protocols_the_first_and_the_final_one_have_a_confusion_panel(results):
    counts = numbers("confusion", results).query("protocol == 'clean'")
    several = pd.concat([counts.assign(protocol=name) for name in (*SEVEN, "clean")], ignore_index=True)
    titles = [axes.get_title().splitlines()[1] for axes in drawn("confusion", results, several).axes]
    assert len(titles) == 6 and titles[0] == SEVEN[0] and titles[-1] == "clean"


# ------------------------------------------------------------------------------------------------------------ one night


def test_the_night_is_tested_under_every_protocol_and_has_the_median_accuracy(results):
    night = numbers("night", results)
    assert night.recording.nunique() == 1 and set(night.protocol) == {"released", "clean"}
    runs = results.read_runs()
    released = pd.concat(map(predictions_of, runs[runs.protocol == "released"].itertuples()))
    accuracy = (released.stage == released.predicted).groupby(released.recording).mean()
    assert len(accuracy) == 3  # the released protocol leaves one of four recordings out
    assert accuracy[night.recording.iloc[0]] == accuracy.median()


def test_a_night_that_one_protocol_leaves_out_is_not_shown(tmp_path):
    results = FakeResults(tmp_path)
    runs = results.read_runs().sort_values("protocol", kind="stable")  # "clean" comes first
    shown = numbers("night", results, runs).recording.iloc[0]
    for run in runs[runs.protocol == "released"].itertuples():
        predictions_of(run).query("recording != @shown").to_parquet(predictions_path(run))
    night = numbers("night", results, runs)
    assert night.recording.iloc[0] != shown and set(night.protocol) == {"released", "clean"}


def test_of_many_protocols_the_first_and_the_final_night_are_shown(results):
    runs = results.read_runs()
    runs = runs[runs.protocol == "clean"]
    many = pd.concat([runs.assign(protocol=name) for name in SEVEN], ignore_index=True)
    assert list(numbers("night", results, many).protocol.unique()) == [SEVEN[0], SEVEN[-1]]
    many.loc[many.protocol == SEVEN[3], "protocol"] = "clean"
    assert list(numbers("night", results, many).protocol.unique()) == [SEVEN[0], "clean"]


def test_nothing_is_drawn_across_dropped_epochs(results):
    night = numbers("night", results).query("protocol == 'clean'").sort_values("epoch")
    first, second = night_figure.unbroken(night)
    assert len(first) + len(second) == len(night)
    assert night_figure.edges(second)[0] - night_figure.edges(first)[-1] == pytest.approx(11 * 30 / 3600)


def test_hypnogram_is_drawn_at_the_height_of_its_stage():
    table = pd.DataFrame({"epoch": range(5), "hours": np.arange(5) / 120, "stage": [0, 4, 1, 2, 3]})
    axes = matplotlib.figure.Figure().subplots()
    night_figure.draw_hypnogram(axes, table, "stage")
    *_, line, rem = (patch.get_data() for patch in axes.patches)
    labels = [axes.get_yticklabels()[int(value)].get_text() for value in line.values]
    assert labels == ["W", "REM", "N1", "N2", "N3"]
    assert np.isfinite(rem.values).tolist() == [False, True, False, False, False]
    assert line.edges[-1] == pytest.approx(5 / 120)


def test_sleep_is_shaded_from_wake_down_to_its_stage():
    table = pd.DataFrame({"epoch": range(5), "hours": np.arange(5) / 120, "stage": [0, 4, 1, 2, 3]})
    axes = matplotlib.figure.Figure().subplots()
    night_figure.draw_hypnogram(axes, table, "stage")
    shaded = [patch for patch in axes.patches if patch.get_fill()]
    for patch, (stage, epoch, height) in zip(
        shaded, (("REM", 1, 3), ("N1", 2, 2), ("N2", 3, 1), ("N3", 4, 0)), strict=True
    ):
        values, _, baseline = patch.get_data()
        assert np.flatnonzero(np.isfinite(values)).tolist() == [epoch] and values[epoch] == height and baseline == 4
        assert matplotlib.colors.to_rgb(patch.get_facecolor()) == matplotlib.colors.to_rgb(style.STAGE_COLOURS[stage])


def test_the_strip_is_black_where_scored_and_predicted_differ(results):
    night = numbers("night", results)
    strip = drawn("night", results).axes[2]
    released = night[night.protocol == "released"].sort_values("epoch")
    black = np.concatenate([patch.get_data().values for patch in strip.patches])
    assert black.tolist() == (released.stage != released.predicted).astype(float).tolist()


def test_the_hypnodensity_is_the_stack_of_the_probabilities(results):
    night = numbers("night", results)
    axes = drawn("night", results).axes[3]
    assert axes.get_ylabel() == "hypno-\ndensity"
    first = night[night.protocol == "released"].sort_values("epoch").iloc[0]
    heights = [stack.get_paths()[0].vertices[:, 1].max() for stack in axes.collections[:5]]
    assert max(heights) == pytest.approx(1, abs=1e-5)
    bottom = axes.collections[0].get_paths()[0].vertices
    at_start = bottom[np.isclose(bottom[:, 0], first.hours)][:, 1].max()
    assert at_start == pytest.approx(first.p_N3, abs=1e-5)


# ------------------------------------------------------------------------------------------------------ training curves


def test_training_curves_mark_the_selected_training_epoch_of_each_fold(results):
    curves = numbers("training_curves", results)
    selected = curves[curves.selected].set_index(["protocol", "fold"]).training_epoch
    expected = results.read_runs().set_index(["protocol", "fold"]).selected_epoch
    assert (selected.sort_index() == expected.sort_index()).all()


def test_training_curves_say_what_every_rule_selects(results):
    curves = numbers("training_curves", results)
    for run in results.read_runs().itertuples():
        entries = json.loads((Path(run.directory) / "training.json").read_text())["runs"]
        mine = curves[(curves.protocol == run.protocol) & (curves.fold == run.fold)]
        for rule, entry in entries.items():
            taken = mine[[rule in names.split() for names in mine.selected_by]].training_epoch
            assert taken.tolist() == [entry["training_epoch"]]
        assert set(mine.selection) == {run.selection} and run.selection in entries


def test_lines_are_where_the_rule_of_the_protocol_selects(results):
    curves = numbers("training_curves", results)
    figure = drawn("training_curves", results)
    for axes, protocol in zip(figure.axes, ("released", "clean"), strict=False):
        (lines,) = axes.collections
        mine = curves[curves.selected & (curves.protocol == protocol)]
        assert [line[0, 0] for line in lines.get_segments()] == mine.training_epoch.tolist()
    assert [axes.get_title().splitlines()[-1] for axes in figure.axes[:2]] == ["released", "clean"]


def test_panels_of_trainings_have_the_same_axes_and_stand_in_one_grid(results):
    released = numbers("training_curves", results).query("protocol == 'released'")
    curves = [released.assign(protocol=name, test_loss=released.test_loss + i) for i, name in enumerate(SEVEN)]
    figure = drawn("training_curves", results, pd.concat(curves, ignore_index=True))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 2 * 7 and len(figure.axes) == 2 * 8
    titled = [axes for axes in shown if axes.get_title()]
    assert [axes.get_title().split()[-1] for axes in titled] == SEVEN
    assert len({axes.get_ylim() for axes in titled}) == 1 and len({axes.get_xlim() for axes in shown}) == 1


def test_protocols_that_read_the_same_trainings_share_a_panel(results):
    clean = numbers("training_curves", results).query("protocol == 'clean'")
    by_test = clean.assign(protocol="held_out", selection="best_test", selected=clean.training_epoch == 1)
    figure = drawn("training_curves", results, pd.concat([by_test, clean], ignore_index=True))
    loss, _ = figure.axes
    assert loss.get_title() == "ULW-SleepNet\nheld_out,\nclean" and len(loss.collections) == 2
    colours = [lines.get_color()[0, :3] for lines in loss.collections]
    expected = [matplotlib.colors.to_rgb(style.PART_COLOURS[part]) for part in ("test", "validation")]
    assert np.array(colours) == pytest.approx(np.array(expected))


def test_a_model_that_is_fitted_in_one_go_has_no_panel(results):
    curves = numbers("training_curves", results)
    at_once = curves[curves.training_epoch == 1].assign(title="Band power")
    figure = drawn("training_curves", results, pd.concat([curves, at_once], ignore_index=True))
    assert not any("Band power" in axes.get_title() for axes in figure.axes)
    alone = drawn("training_curves", results, at_once)
    assert any("Band power" in axes.get_title() for axes in alone.axes)


def test_validation_is_drawn_only_where_subjects_are_held_out(results):
    released, clean = drawn("training_curves", results).axes[:2]
    colours = [{line.get_color() for line in axes.lines} for axes in (released, clean)]
    assert style.PART_COLOURS["validation"] not in colours[0]
    assert style.PART_COLOURS["validation"] in colours[1]


# ------------------------------------------------------------------------------------------------------- files and rows


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *(("training_curves", "history.csv"), ("training_curves", "training.json")),
        ("night", "best_test/predictions.parquet"),
    ],
)
def test_a_missing_file_is_named_with_its_run_and_a_remedy(name, file, tmp_path):
    results = FakeResults(tmp_path / "results")
    run = results.read_runs().iloc[1]
    missing = Path(run.directory) / file
    missing.unlink()
    with pytest.raises(BenchmarkError) as error:
        write(name, results, tmp_path / "x")
    assert str(error.value).startswith(f"{missing}: is missing, but run {run.run_key} is of it; run again")
    assert not (tmp_path / "x.png").exists()


def test_only_files_of_runs_in_the_table_are_read(tmp_path):
    results = FakeResults(tmp_path / "results")
    runs = results.read_runs()
    for run in runs[runs.protocol == "clean"].itertuples():
        shutil.rmtree(run.directory)
    results.change_runs(runs[runs.protocol == "released"])
    for name in NAMES:
        _, _, csv = write(name, results, tmp_path / name)
        assert set(pd.read_csv(csv).protocol) == {"released"}


def test_many_contenders_share_rows_of_small_panels(many):
    figure = drawn("training_curves", many)
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title() for axes in shown if axes.get_title()]
    assert len(titles) == 7 and "ULW-SleepNet,\ndense convolutions\nclean" in titles
    width, height = figure.get_size_inches()
    assert width == style.PAGE_WIDTH and height < 6
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 6
    boxes = [axes.title.get_window_extent() for axes in shown if axes.get_title()]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    labelled = [axes.get_xlabel() for axes in shown if axes.get_xlabel()]
    assert set(labelled) == {"training epoch"}


def test_small_panels_stand_in_evenly_filled_rows():
    long, short = [("a", i) for i in range(6)], [("b", 1), ("b", 2)]
    assert rows_of_panels([long, short], 5) == [long[:4], [*long[4:], *short]]
    assert rows_of_panels([short], 5) == [short]
    assert [len(row) for row in rows_of_panels([[(letter, 1)] for letter in "abcdefg"], 3)] == [3, 3, 1]
