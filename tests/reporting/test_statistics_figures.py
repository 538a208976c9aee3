"""Figures of the statistics: ladder, cost, subjects, reliability and the agreement of sleep measures."""

import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, RESOURCES
from fake_statistics import CONTENDERS, COSTS, RUNGS, make_statistics
from PIL import Image

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.datasets.base import SIMULATED, TRIAL
from sleepbench.evaluation.published import read_published_results
from sleepbench.evaluation.sleep_measures import MEASURES
from sleepbench.reporting.artefacts import Inputs, figures
from sleepbench.reporting.figures import cost, style
from sleepbench.reporting.figures.panels import by_contender
from sleepbench.reporting.figures.reliability import ECE
from sleepbench.reporting.figures.sleep_agreement import MEASURES as DRAWN_MEASURES

NAMES = ("ladder", "cost", "subjects", "hard_subjects", "reliability", "sleep_agreement")


def inputs_of(name: str, files: dict, dataset: str = "simulated", estimators: tuple[str, ...] = ()) -> Inputs:
    published = {"published_results": RESOURCES / "published_results.csv", "claims": RESOURCES / "claims.yaml"}
    published |= {"human_scorings": RESOURCES / "human_scorings" / "scorings.csv"}
    known = published | files
    settings = {"estimators": list(estimators)}
    artefact = figures()[name]
    return Inputs(
        {key: known[key] for key in artefact.inputs}, {key: settings[key] for key in artefact.settings}, LABELS[dataset]
    )


def numbers(name: str, files: dict, dataset: str = "simulated", **settings: tuple[str, ...]) -> pd.DataFrame:
    return figures()[name].build(inputs_of(name, files, dataset, **settings))


def drawn(name: str, files: dict, dataset: str = "simulated", table: pd.DataFrame | None = None, **settings):
    """The figure that would be written, of other numbers where a table is given."""
    inputs = inputs_of(name, files, dataset, **settings)
    return style.drawn(figures()[name], figures()[name].build(inputs) if table is None else table, inputs)


def write(name: str, files: dict, place: Path, dataset: str = "simulated") -> pd.DataFrame:
    """Write a figure; returns the CSV beside it."""
    outputs = [place / f"{name}.{end}" for end in ("png", "pdf", "csv")]
    style.make_figure(figures()[name], inputs_of(name, files, dataset), *outputs)
    return pd.read_csv(outputs[-1], dtype={"subject": str})


def changed(files: dict, place: Path, **tables: pd.DataFrame) -> dict:
    """The files with some statistics replaced."""
    for name, table in tables.items():
        table.to_csv(place / f"changed_{name}.csv", index=False)
    return files | {f"statistics/{name}": place / f"changed_{name}.csv" for name in tables}


def statistics(files: dict, name: str) -> pd.DataFrame:
    return pd.read_csv(files[f"statistics/{name}"], dtype={"subject": str})


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One contender on two rungs, six subjects."""
    return make_statistics(tmp_path_factory.mktemp("one"), 1, ("released", "clean"), 6)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Four contenders on all rungs."""
    return make_statistics(tmp_path_factory.mktemp("several"), 4, RUNGS, 20)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One contender, one protocol, one subject: nothing can be resampled, and no rung is before."""
    return make_statistics(tmp_path_factory.mktemp("single"), 1, ("trial",), 1)


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    """Four contenders on one rung."""
    return make_statistics(tmp_path_factory.mktemp("rivals"), 4, ("clean",), 6)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twenty contenders on one rung: the four, on inputs of many names."""
    files = make_statistics(tmp_path_factory.mktemp("many"), 4, ("clean",), 6)
    for path in (path for path in files.values() if isinstance(path, Path)):
        table = pd.read_csv(path, dtype={"subject": str})
        pd.concat([table.assign(input=table.input + end) for end in ("", "-b", "-c", "-d", "-e")]).to_csv(
            path, index=False
        )
    return files


@pytest.mark.parametrize("name", NAMES)
def test_files_are_the_same_each_time_and_hold_what_is_drawn(name, one, tmp_path):
    for attempt in ("a", "b"):
        (tmp_path / attempt).mkdir()
        table = write(name, one, tmp_path / attempt)
        assert not table.empty and list(table)[-1] == "simulated" and table.simulated.all()
    for end in ("png", "pdf", "csv"):
        first, second = ((tmp_path / attempt / f"{name}.{end}").read_bytes() for attempt in ("a", "b"))
        assert first == second
    with Image.open(tmp_path / "a" / f"{name}.png") as image:
        assert round(image.width / 200, 1) in (style.COLUMN_WIDTH, style.PAGE_WIDTH)


@pytest.mark.parametrize("name", NAMES)
def test_simulated_is_in_the_title_and_real_data_is_named(name, single):
    assert drawn(name, single).get_suptitle().endswith(f"\n({LABELS['simulated'].warning})")
    title = drawn(name, single, "sleep-edf-20").get_suptitle()
    assert "SIMULATED" not in title and "Sleep-EDF-20" in title.replace("\n", " ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("files", ["several", "single", "rivals", "many"])
def test_nothing_leaves_the_figure_nor_lies_on_something_else(name, files, request):
    figure = drawn(name, request.getfixturevalue(files), "sleep-edf-20")
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01
    titles = [text for axes in figure.axes for text in (axes.title, axes._left_title) if text.get_text()]
    boxes = [title.get_window_extent() for title in titles]
    labels = [axes.xaxis.label for axes in figure.axes if axes.get_xlabel()]
    boxes += [label.get_window_extent() for label in labels]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    sizes = [text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
    assert min(sizes) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_lacks_a_column_or_rows_is_named(name, one, tmp_path):
    key = {"cost": "intervals", "sleep_agreement": "nights", "hard_subjects": "subjects"}.get(name, name)
    table = statistics(one, key)
    broken = changed(one, tmp_path, **{key: table.drop(columns="protocol")})
    path = re.escape(str(tmp_path / f"changed_{key}.csv"))
    with pytest.raises(BenchmarkError, match=path + ": the statistics lack the column protocol"):
        write(name, broken, tmp_path)
    changed(one, tmp_path, **{key: table.iloc[:0]})
    if name != "ladder":
        with pytest.raises(BenchmarkError, match=path + ": has no rows"):
            write(name, broken, tmp_path)
    assert not (tmp_path / f"{name}.png").exists()


@pytest.mark.parametrize("name", figures())
def test_every_figure_has_a_heading_and_a_caption(name):
    artefact = figures()[name]
    assert artefact.heading and artefact.caption.endswith(".") and "  " not in artefact.caption


def test_figures_stand_in_the_order_of_the_report():
    assert list(figures()) == [
        *("ladder", "cost", "reproduction", "confusion", "subjects", "hard_subjects", "non_inferiority", "ranks"),
        *("reliability", "sleep_agreement"),
        *("night", "training_curves", "hypnograms"),
    ]


# -------------------------------------------------------------------------------------------------------------- ladder


def of_marker(axes, marker):
    """What is drawn with a marker, in the order in which it was drawn."""
    return [line for line in axes.lines if line.get_marker() == marker]


def positions(axes, marker):
    """Points that are drawn with a marker, (n, 2)."""
    return np.concatenate([np.empty((0, 2)), *(line.get_xydata() for line in of_marker(axes, marker))])


def test_the_ladder_shows_each_network_on_its_rungs_in_order(several):
    figure = drawn("ladder", several)
    ladder = statistics(several, "ladder")
    assert len(figure.axes) == 2
    for axes, metric in zip(figure.axes, ("accuracy", "macro_f1"), strict=True):
        assert axes.yaxis_inverted()
        for i, (title, _, _) in enumerate(CONTENDERS):
            mine = ladder[(ladder.title == title) & (ladder.metric == metric)]
            points = [line for line in of_marker(axes, "o") if line.get_markersize() == 4][i].get_xydata()
            assert points[:, 0] == pytest.approx(100 * mine.value.to_numpy())
            assert (np.diff(points[:, 1]) > 0).all()
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == list(RUNGS)
    names = [text.get_text() for text in figure.legends[0].get_texts()][: len(CONTENDERS)]
    assert names == [title for title, _, _ in CONTENDERS]
    colours = {line.get_color() for line in of_marker(figure.axes[0], "o")}
    assert len(colours) == len(CONTENDERS)


def test_the_mean_of_the_folds_lies_open_beside_the_pooled_accuracy(one):
    axes, macro_f1 = drawn("ladder", one).axes
    filled, beside = of_marker(axes, "o")
    folds = statistics(one, "ladder").query("metric == 'accuracy_mean_of_folds'")
    assert beside.get_xdata() == pytest.approx(100 * folds.value.to_numpy())
    assert beside.get_markerfacecolor() == "white" and len(of_marker(macro_f1, "o")) == 1
    assert (beside.get_ydata() - filled.get_ydata() > 0.2).all()


def test_changes_are_written_beside_their_lines_with_their_intervals(one):
    figure = drawn("ladder", one)
    change = statistics(one, "ladder").query("protocol == 'clean' and metric == 'accuracy'").iloc[0]
    said = f"{100 * change.change:+.1f} [{100 * change.change_low:+.1f}, {100 * change.change_high:+.1f}]"
    texts = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert texts[said.replace("-", "−")] == of_marker(figure.axes[0], "o")[0].get_ydata()[1]
    assert len(texts) == 2  # the head of the column, and one change


def test_a_network_has_no_line_on_rungs_that_it_was_not_run_on(several, tmp_path):
    ladder = statistics(several, "ladder")
    ladder = ladder[(ladder.title == "ULW-SleepNet") | ladder.protocol.isin(RUNGS[-2:])]
    files = changed(several, tmp_path, ladder=ladder.iloc[::-1])
    rungs = numbers("ladder", files)
    assert list(rungs.protocol.unique()) == list(RUNGS)
    axes = drawn("ladder", files).axes[0]
    n_lines = len(RUNGS) + 2 * (len(CONTENDERS) - 1)
    lines = np.sort(np.concatenate([line.get_ydata() for line in of_marker(axes, "o") if line.get_markersize() == 4]))
    assert len(lines) == n_lines and set(np.diff(lines)) == {1.0, 1.5}


def test_of_many_networks_those_on_the_most_rungs_are_drawn(many, tmp_path):
    ladder = statistics(many, "ladder")
    names = ladder.title + ladder.input
    before = ladder[names.isin(names.unique()[-9:])].assign(rung=-1, protocol="released")
    figure = drawn("ladder", changed(many, tmp_path, ladder=pd.concat([before, ladder])))
    lines = [line for line in of_marker(figure.axes[0], "o") if line.get_markersize() == 4]
    assert [len(line.get_xdata()) for line in lines] == [2] * 7
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "7 of 20 contenders, those on the most rungs" in texts


def test_an_interval_that_does_not_hold_the_estimate_is_drawn_as_it_is(one):
    rungs = numbers("ladder", one)
    outside = rungs.assign(value_low=rungs.value + 0.01)
    (bars,) = drawn("ladder", one, table=outside).axes[0].collections
    mine = outside[outside.metric == "accuracy"]
    assert [bar[0, 0] for bar in bars.get_segments()] == pytest.approx(100 * mine.value_low.to_numpy())


def test_a_ladder_of_no_rung_says_so(one, tmp_path):
    files = changed(one, tmp_path, ladder=statistics(one, "ladder").iloc[:0])
    assert write("ladder", files, tmp_path).empty
    texts = [text.get_text() for text in drawn("ladder", files).texts]
    assert "no protocol of the ladder was run" in texts


# ---------------------------------------------------------------------------------------------------------------- cost


def test_cost_joins_accuracies_to_the_counts_of_their_network(several):
    points = numbers("cost", several, "sleep-edf-20")
    measured = points[points.mark == "measured"]
    assert set(measured.protocol) == {"released", "clean"}
    for row in measured.itertuples():
        assert row.count == COSTS[row.title][row.quantity == "macs"]
    assert len(measured) == 2 * 2 * len(CONTENDERS)
    assert measured.groupby("number").title.nunique().eq(1).all()


def test_published_points_are_drawn_only_where_the_count_of_the_axis_is_published(one, tmp_path):
    points = write("cost", one, tmp_path, "sleep-edf-20")
    published = points[points.mark != "measured"]
    assert published[["title", "quantity", "mark"]].to_numpy().tolist() == [["ULW-SleepNet", "parameters", "published"]]
    assert published["count"].item() == 13_300 and published.accuracy.item() == pytest.approx(0.869)
    assert published.number.item() not in set(points.number[points.mark == "measured"])
    figure = drawn("cost", one, "sleep-edf-20")
    macs, parameters = figure.axes
    assert macs.get_xscale() == parameters.get_xscale() == "log"
    assert not positions(macs, "D").size and positions(parameters, "D").tolist() == [[13_300, pytest.approx(86.9)]]
    assert "published" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert "ULW-SleepNet,\npublished" in [text.get_text() for text in parameters.texts]
    assert "no MACs" in figure.legends[0].get_title().get_text().replace("\n", " ")


def test_a_count_in_the_table_of_published_results_is_drawn(one, tmp_path):
    table = read_published_results(RESOURCES / "published_results.csv").assign(macs=np.nan, dataset="sleep-edf-20")
    table = table[table.model.isin(["TinySleepNet", "ULW-SleepNet"])].drop_duplicates("model")
    table.loc[table.model == "TinySleepNet", "macs"] = 2.9e7
    table.to_csv(tmp_path / "published.csv", index=False)
    points = numbers("cost", one | {"published_results": tmp_path / "published.csv"}, "sleep-edf-20")
    published = points[points.mark != "measured"]
    assert published[["title", "quantity"]].to_numpy().tolist() == [
        ["TinySleepNet", "macs"],
        ["ULW-SleepNet", "parameters"],
    ]


def test_nothing_published_is_drawn_beside_simulated_data(one, tmp_path):
    assert set(write("cost", one, tmp_path).mark) == {"measured"}
    assert "not drawn" in drawn("cost", one).legends[0].get_title().get_text().replace("\n", " ")


def test_points_lie_at_their_cost_whatever_their_protocol(several):
    points = numbers("cost", several)
    macs, _ = drawn("cost", several).axes
    for marker, protocol in (("s", "released"), ("o", "clean")):
        mine = points[(points.quantity == "macs") & (points.protocol == protocol)]
        assert positions(macs, marker)[:, 0].tolist() == mine["count"].tolist()
    assert {text.get_text() for text in macs.texts[1:]} == {title for title, _, _ in CONTENDERS}


def test_the_commonest_stage_is_a_line(one):
    points = numbers("cost", one)
    assert points.commonest_stage.unique().tolist() == [500 / 1500]
    figure = drawn("cost", one, table=points.assign(commonest_stage=0.8))
    for axes in figure.axes:
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [80]
        assert axes.get_ylim()[0] < 80
    assert "always the commonest stage, 80.0 %" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_commonest_stage_far_below_is_named_at_the_end_of_the_axis(one):
    figure = drawn("cost", one)
    for axes in figure.axes:
        assert axes.get_ylim()[0] > 60 and not [line for line in axes.lines if line.get_linestyle() == ":"]
        assert "↓ always the commonest stage, 33.3 %" in [text.get_text() for text in axes.texts]
    assert not any("commonest" in text.get_text() for text in figure.legends[0].get_texts())


def many_points(n: int) -> pd.DataFrame:
    """A table of that many contenders at nearly one place."""
    rows = [
        {
            **{"quantity": quantity, "count": 10_000 + i, "title": f"N{i}", "input": "four", "recipe": "common"},
            **{"protocol": "clean", "accuracy": 0.8 + 0.001 * i, "low": 0.79, "high": 0.82, "mark": "measured"},
            **{"number": i + 1, "people_low": None, "people_high": None, "commonest_stage": 0.4},
        }
        for quantity in cost.QUANTITIES
        for i in range(n)
    ]
    return pd.DataFrame(rows)


def test_names_of_contenders_lie_on_nothing(one):
    figure = drawn("cost", one, table=many_points(12))
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        boxes = [matplotlib.text.Text.get_window_extent(text) for text in axes.texts]
        assert len(boxes) == 13  # with the commonest stage
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(0.9, 0.9).overlaps(b)]


def test_of_many_contenders_those_are_named_that_nothing_cheaper_beats(one):
    points = many_points(20)
    points.loc[points.title == "N7", "accuracy"] = 0.99
    points.loc[points.title == "N1", "accuracy"] = 0.9
    figure = drawn("cost", one, table=points)
    for axes in figure.axes:
        assert {text.get_text() for text in axes.texts[1:]} == {"N0", "N1", "N7"}


# -------------------------------------------------------------------------------------------------------------- people


@pytest.mark.parametrize("name", ["cost", "ladder"])
def test_people_are_a_band_between_two_databases_by_a_named_convention(name, one):
    table = numbers(name, one, "sleep-edf-20")
    (low, high) = table[["people_low", "people_high"]].drop_duplicates().to_numpy()[0]
    assert (round(low, 3), round(high, 3)) == (0.807, 0.834)
    figure = drawn(name, one, "sleep-edf-20", table)
    bands = [(axes, band) for axes in figure.axes for band in axes.patches]
    panels = {"cost": figure.axes, "ladder": figure.axes[:1]}[name]
    assert {axes for axes, _ in bands} == set(panels)
    side = "intervaly" if name == "cost" else "intervalx"
    for axes, band in bands:
        box = band.get_corners()[:, 1 if name == "cost" else 0]
        assert (box.min(), box.max()) == pytest.approx((100 * low, 100 * high))
        shown = getattr(axes.viewLim, side)
        assert shown[0] < box.min() and box.max() < shown[1]
    keys = [axes.get_legend() for axes in figure.axes if axes.get_legend()] + figure.legends
    said = [text.get_text() for key in keys for text in key.get_texts()]
    assert "people on other databases:\n80.7 to 83.4 % (majority, pooled)" in said
    assert "the band marks people's accuracy on other databases (DOD-H and DOD-O" in figures()[name].caption


@pytest.mark.parametrize("name", ["cost", "ladder"])
@pytest.mark.parametrize("warning", [SIMULATED, TRIAL])
def test_no_band_beside_data_that_carries_a_warning(name, warning, one):
    inputs = inputs_of(name, one, "sleep-edf-20")
    inputs = replace(inputs, label=replace(inputs.label, warning=warning, simulated=warning == SIMULATED))
    table = figures()[name].build(inputs)
    assert table[["people_low", "people_high"]].isna().all(axis=None)
    figure = style.drawn(figures()[name], table, inputs)
    assert not [band for axes in figure.axes for band in axes.patches]
    assert not any("people" in text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_a_network_without_a_profile_is_named(one):
    with pytest.raises(BenchmarkError, match=r"no profile of ULW-SleepNet with the input four \(4 channels\)"):
        numbers("cost", one | {"profiles": []})


def test_operations_of_sequences_are_those_of_an_epoch(one, tmp_path):
    profile = read_json(one["profiles"][0])
    profile["operations"] |= {"length": 20, "macs": 20 * profile["operations"]["macs"]}
    write_json(tmp_path / "profile.json", profile)
    points = numbers("cost", one | {"profiles": [tmp_path / "profile.json"]})
    assert set(zip(points.quantity, points["count"], strict=True)) == {("macs", 3_498_352), ("parameters", 13_337)}


def test_estimators_are_left_out_and_named(several):
    files = several | {"profiles": [path for path in several["profiles"] if "TinySleepNet" not in path.name]}
    with pytest.raises(BenchmarkError, match="no profile of TinySleepNet"):
        numbers("cost", files)
    estimators = ("TinySleepNet", "not run")
    points = numbers("cost", files, estimators=estimators)
    assert set(points.title) == {title for title, _, _ in CONTENDERS} - {"TinySleepNet"}
    said = cost.note(inputs_of("cost", files, "sleep-edf-20", estimators), 1000)
    assert said.endswith("No network, so without such a cost: TinySleepNet.")


@pytest.mark.parametrize("dataset", ["simulated", "sleep-edf-20"])
def test_cost_without_a_network_says_so(dataset, one):
    on = {"files": one | {"profiles": []}, "dataset": dataset, "estimators": ("ULW-SleepNet",)}
    assert (numbers("cost", **on).mark == "published").all()
    assert [text.get_text() for text in drawn("cost", **on).texts][-1] == "no network was run"


# ------------------------------------------------------------------------------------------------------------ subjects


def test_every_subject_is_a_dot_at_the_same_height_in_every_line(several):
    subjects = statistics(several, "subjects")
    subjects.loc[0, "macro_f1"] = np.nan
    accuracy, macro_f1 = drawn("subjects", several, table=subjects).axes[:2]
    assert len(accuracy.collections) == len(RUNGS)
    for i, protocol in enumerate(RUNGS):
        mine = subjects[(subjects.protocol == protocol) & (subjects.title == "ULW-SleepNet")]
        dots = np.asarray(accuracy.collections[i].get_offsets())
        first = np.asarray(accuracy.collections[0].get_offsets())
        assert dots[:, 0] == pytest.approx(100 * mine.accuracy.to_numpy())
        assert dots[:, 1] - i == pytest.approx(first[:, 1])
        assert np.abs(dots[:, 1] - i).max() < 0.5
    assert len(macro_f1.collections[0].get_offsets()) == len(accuracy.collections[0].get_offsets()) - 1
    assert accuracy.get_title(loc="left").endswith("n = 20")


@pytest.mark.parametrize(("name", "marker"), [("ladder", "o"), ("subjects", None)])
def test_contenders_of_one_protocol_are_lines_of_one_pair_of_panels(name, marker, many):
    figure = drawn(name, many)
    assert len(figure.axes) == 2
    left = figure.axes[0]
    names = [label.get_text() for label in left.get_yticklabels()]
    assert len(names) == 20 and names[:2] == ["ULW-SleepNet (four, ulw)", "TinySleepNet (one, common)"]
    assert "protocol clean" in figure.get_suptitle().replace("\n", " ")
    assert figure.get_size_inches()[1] < 20 * 0.3 + 1.2
    if marker:
        lines = np.sort([line.get_ydata()[0] for line in of_marker(left, marker) if line.get_markersize() == 4])
        assert lines == pytest.approx(np.arange(20))
        assert not figure.axes[1].texts  # no change
    else:
        lines = [np.asarray(dots.get_offsets())[:, 1].mean() for dots in left.collections]
        assert np.round(lines) == pytest.approx(np.arange(20))
        assert "a subject, n = 6" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_contender_has_lines_for_its_own_protocols_alone(several):
    subjects = statistics(several, "subjects")
    mine = subjects[(subjects.title == "ULW-SleepNet") | subjects.protocol.isin(["validation_held_out", "clean"])]
    figure = drawn("subjects", several, table=mine)
    shown = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes[::2]]
    assert shown == [list(RUNGS), *[["validation_held_out", "clean"]] * 3]
    assert len(figure.axes[2].collections) == 2


def test_few_subjects_have_no_box(single, one):
    assert not drawn("subjects", single).axes[0].lines
    assert drawn("subjects", one).axes[0].lines


# -------------------------------------------------------------------------------------------------------- who is hard


def test_who_is_hard_is_of_the_final_protocol_by_age_and_by_place(several):
    subjects = numbers("hard_subjects", several)
    assert set(subjects.protocol) == {"clean"}
    mean = subjects.groupby("subject").agg({"accuracy": "mean", "place": "first"}).sort_values("place")
    assert mean.place.tolist() == list(range(1, 21)) and mean.accuracy.is_monotonic_increasing
    mine = subjects[subjects.title == "ULW-SleepNet"]
    rank = mine[["age", "accuracy"]].rank().corr().iloc[0, 1]  # what Spearman's is
    assert mine.spearman.to_numpy() == pytest.approx(np.full(20, rank))
    age, place = drawn("hard_subjects", several).axes
    for axes, x in ((age, "age"), (place, "place")):
        women = mine[mine.sex == "F"]
        assert of_marker(axes, "o")[0].get_xydata() == pytest.approx(
            np.column_stack([women[x], 100 * women.accuracy]).astype(float)
        )
    assert [label.get_text() for label in place.get_xticklabels()] == mean.index.tolist()


def test_who_is_hard_says_the_rank_correlation_where_there_is_one(several, single):
    said = [text.get_text() for text in drawn("hard_subjects", several).legends[0].get_texts()]
    assert re.fullmatch(r"ULW-SleepNet, ρ = −?0\.\d\d", said[0]) and "ρ: Spearman's, with age, n = 20" in said
    alone = numbers("hard_subjects", single)
    assert alone.spearman.isna().all()
    said = [text.get_text() for text in drawn("hard_subjects", single).legends[0].get_texts()]
    assert said == ["ULW-SleepNet", "woman"]


def test_unknown_ages_and_sexes_are_said(one):
    subjects = numbers("hard_subjects", one)
    subjects.loc[subjects.subject == "00", ["age", "sex"]] = np.nan
    figure = drawn("hard_subjects", one, table=subjects)
    assert figure.axes[0].get_xlabel() == "age (years); of 1 not known"
    assert "sex not known" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(of_marker(figure.axes[1], "D")[0].get_xdata()) == 1
    nobody = drawn("hard_subjects", one, table=subjects.assign(age=np.nan))
    assert [text.get_text() for text in nobody.texts][-1] == "no age of a subject is known"


def test_of_many_subjects_the_hardest_are_named(one):
    subjects = pd.concat([numbers("hard_subjects", one)] * 8, ignore_index=True)
    subjects = subjects.assign(subject=[f"s{i}" for i in range(48)], place=range(1, 49))
    place = drawn("hard_subjects", one, table=subjects).axes[1]
    assert [label.get_text() for label in place.get_xticklabels()] == ["s0", "s1", "s2", "s3", "s4"]


# --------------------------------------------------------------------------------------------------------- reliability


def test_reliability_of_many_contenders_is_in_small_panels(many):
    figure = drawn("reliability", many)
    assert len(figure.axes) == 2 * 20 and figure.get_size_inches()[1] < 10
    assert figure.axes[2].get_title() == "TinySleepNet\n(one, common)\nECE 3.1 %"


def test_contenders_that_were_run_under_one_protocol_only_leave_no_gaps_in_the_reliability(several):
    bins = numbers("reliability", several)
    bins = bins[(bins.title == "ULW-SleepNet") | (bins.protocol == "clean")]
    figure = drawn("reliability", several, table=bins)
    assert len(figure.axes) == 2 * (len(RUNGS) + len(CONTENDERS) - 1) and figure.get_size_inches()[1] < 8
    assert figure.axes[-2].get_title() == "AttnSleep\nclean\nECE 3.1 %"
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_reliability_shows_each_protocol_with_its_calibration_error(one, tmp_path):
    bins = write("reliability", one, tmp_path)
    assert len(bins) == len(statistics(one, "reliability")) and bins.ece.eq(0.031).all()
    figure = drawn("reliability", one)
    assert len(figure.axes) == 2 * 2
    diagram, histogram = figure.axes[:2]
    assert diagram.get_title() == "released\nECE 3.1 %"
    mine = bins[(bins.protocol == "released") & (bins.title == "ULW-SleepNet")]
    filled = mine[mine.n_epochs > 0]
    assert diagram.lines[1].get_xydata() == pytest.approx(filled[["confidence", "accuracy"]].to_numpy())
    heights = [bar.get_height() for bar in histogram.patches]
    assert "ULW-SleepNet" in [text.get_text() for part in figure.subfigs for text in part.texts]
    assert sum(heights) == pytest.approx(100) and len(heights) == 15 and max(heights) <= histogram.get_ylim()[1]


def test_bins_of_few_epochs_are_pale_and_the_line_passes_over_them(one):
    bins = numbers("reliability", one)
    few = bins.n_epochs.eq(bins.n_epochs[bins.n_epochs > 0].min())
    table = bins.assign(n_epochs=bins.n_epochs.where(~few, 29))
    diagram = drawn("reliability", one, table=table).axes[0]
    mine = table[table.protocol == "released"]
    pale = [bar.get_alpha() == 0.3 for bar in diagram.patches]
    assert pale == (mine.n_epochs < 30).tolist() and not all(pale)
    line, points = of_marker(diagram, "o")
    assert line.get_xdata().tolist() == mine.confidence[mine.n_epochs >= 30].tolist()
    assert points.get_xdata().tolist() == mine.confidence[mine.n_epochs == 29].tolist() and points.get_alpha() == 0.3


def test_a_calibration_error_that_is_missing_is_named(one, tmp_path):
    intervals = statistics(one, "intervals")
    kept = intervals[(intervals.metric != ECE) | (intervals.protocol != "clean")]
    with pytest.raises(BenchmarkError, match="no expected_calibration_error of clean, ULW-SleepNet, four, ulw"):
        numbers("reliability", changed(one, tmp_path, intervals=kept))


def test_bins_without_an_epoch_are_named(one, tmp_path):
    empty = statistics(one, "reliability").assign(n_epochs=0)
    with pytest.raises(BenchmarkError, match="the bins of released, ULW-SleepNet, four, ulw hold no epoch"):
        numbers("reliability", changed(one, tmp_path, reliability=empty))


# ----------------------------------------------------------------------------------------------------- sleep measures


def test_a_measure_that_no_night_has_is_a_panel_that_says_so_within_the_figure(several):
    pairs = numbers("sleep_agreement", several)
    pairs = pairs[pairs.title == "ULW-SleepNet"].copy()
    columns = ["mean", "difference", "bias", "low", "high"]
    pairs.loc[pairs.measure.isin(["wake_after_sleep_onset", "sleep_onset_latency"]), columns] = np.nan
    figure = drawn("sleep_agreement", several, table=pairs)
    figure.draw_without_rendering()
    for axes in figure.axes[2:4]:
        assert [text.get_text() for text in axes.texts] == ["undefined"] and not len(axes.get_xticks())
        assert axes.title.get_window_extent().x1 <= figure.bbox.x1


def test_sleep_agreement_is_of_the_clean_protocol_and_the_first_three_contenders(several):
    pairs = numbers("sleep_agreement", several)
    assert set(pairs.protocol) == {"clean"} and list(by_contender(pairs)) == list(CONTENDERS[:3])
    assert set(DRAWN_MEASURES) <= set(MEASURES)
    nights = statistics(several, "nights")
    mine = nights[(nights.protocol == "clean") & (nights.title == "ULW-SleepNet")]
    limits = statistics(several, "sleep_measures").set_index(["protocol", "title", "measure"])
    axes = drawn("sleep_agreement", several, table=pairs[pairs.title == "ULW-SleepNet"]).axes
    for panel, measure in zip(axes, DRAWN_MEASURES, strict=False):
        scored, predicted = mine[f"scored_{measure}"], mine[f"predicted_{measure}"]
        both = pd.DataFrame({"mean": (scored + predicted) / 2, "difference": predicted - scored}).dropna()
        assert positions(panel, "o") == pytest.approx(both.to_numpy())
        levels = {line.get_ydata()[0] for line in panel.lines if line.get_marker() == "None"}
        expected = limits.loc["clean", "ULW-SleepNet", measure]
        assert levels == {0, *expected[["bias", "low", "high"]]}
        assert panel.get_title().splitlines()[0].endswith("(%)" if measure == "sleep_efficiency" else "(min)")
        written = {text.get_text() for text in panel.texts}
        assert written == {f"{value:+.1f}".replace("-", "−") for value in expected[["bias", "low", "high"]]}
        assert [line.get_linestyle() for line in panel.lines if line.get_ydata()[0] == 0] == [":"]
    assert "n = 39, 1 undefined" in axes[4].get_title()


def test_without_the_clean_protocol_the_last_is_shown(one, tmp_path):
    nights, measures = statistics(one, "nights"), statistics(one, "sleep_measures")
    files = changed(one, tmp_path, nights=nights[nights.protocol != "clean"])
    assert set(numbers("sleep_agreement", files).protocol) == {"released"}
    files = changed(one, tmp_path, sleep_measures=measures[measures.protocol != "clean"])
    with pytest.raises(BenchmarkError, match="no total_sleep_time of ULW-SleepNet, four, ulw under protocol clean"):
        numbers("sleep_agreement", files)


def test_a_single_night_has_a_bias_without_limits(single):
    pairs = numbers("sleep_agreement", single)
    latency = pairs[pairs.measure == "rem_latency_from_sleep_onset"]
    assert latency.n_nights.iloc[0] == 1 and latency.low.isna().all()
    panel = drawn("sleep_agreement", single).axes[4]
    assert len(panel.lines) == 3  # zero, the night, the bias
