import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from synthetic_statistics import CHANNELS, COSTS, NETWORKS, RUNGS, make_statistics

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.claims import load_claims
from sleepbench.evaluation.sleep_measures import MEASURES
from sleepbench.reporting.figures import of_statistics as figures
from sleepbench.reporting.figures import style
from sleepbench.reporting.tables import main as tables

RESOURCES = Path(__file__).parents[2] / "workflow" / "resources"
PUBLISHED, CLAIMS = str(RESOURCES / "published_results.csv"), str(RESOURCES / "claims.yaml")
NAMES = ("ladder", "cost", "subjects", "reliability", "sleep_agreement")


def write_runs(directory: Path, networks: int) -> str:
    """A runs table that says how many channels each set has; nothing else of it is read here."""
    rows = [
        {**dict.fromkeys(tables.RUN_COLUMNS, 0), "title": title, "channels": channels, "n_channels": CHANNELS[channels]}
        for title, channels, _ in NETWORKS[:networks]
    ]
    pd.DataFrame(rows).to_csv(directory / "runs.csv", index=False)
    return str(directory / "runs.csv")


def statistics(directory: Path, networks: int, protocols: tuple[str, ...], n_subjects: int) -> dict:
    directory.mkdir(parents=True, exist_ok=True)
    paths = make_statistics(directory, networks, protocols, n_subjects)
    return paths | {"runs": write_runs(directory, networks)}


def write(name: str, paths: dict, place: Path, dataset: str = "simulated", simulated: bool = True) -> pd.DataFrame:
    """Write a figure; returns the CSV beside it."""
    inputs = {
        "ladder": ["ladder"],
        "cost": ["intervals", "runs", "profiles"],
        "subjects": ["subjects"],
        "reliability": ["reliability", "intervals"],
        "sleep_agreement": ["nights", "sleep_measures"],
    }[name]
    given = [paths[key] for key in inputs] + ([PUBLISHED, CLAIMS] if name == "cost" else [])
    outputs = [str(place / f"{name}.{end}") for end in ("png", "pdf", "csv")]
    getattr(figures, f"{name}_figure")(*given, dataset, simulated, *outputs)
    return pd.read_csv(outputs[-1], dtype={"subject": str})


def cost_points(paths: dict, dataset: str, simulated: bool) -> pd.DataFrame:
    profiles = [json.loads(Path(path).read_text()) for path in paths["profiles"]]
    published = [] if simulated else figures.published_costs(pd.read_csv(PUBLISHED), load_claims(CLAIMS), dataset)
    intervals, runs = pd.read_csv(paths["intervals"]), pd.read_csv(paths["runs"])
    return figures.cost_points(figures.measured_costs(intervals, runs, profiles), published)


def drawn(name: str, paths: dict, dataset: str = "simulated", simulated: bool = True) -> matplotlib.figure.Figure:
    """The figure that would be written."""
    read = {key: pd.read_csv(path, dtype={"subject": str}) for key, path in paths.items() if str(path).endswith(".csv")}
    if name == "cost":
        note = figures.cost_note(load_claims(CLAIMS), dataset, simulated)
        return figures.draw_cost(cost_points(paths, dataset, simulated), note, dataset, simulated)
    table = {
        "ladder": lambda: figures.ladder_rungs(read["ladder"]),
        "subjects": lambda: read["subjects"],
        "reliability": lambda: figures.calibration_bins(read["reliability"], read["intervals"]),
        "sleep_agreement": lambda: figures.measured_pairs(read["nights"], read["sleep_measures"]),
    }[name]()
    return getattr(figures, f"draw_{name}")(table, dataset, simulated)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One network on two rungs, six subjects."""
    return statistics(tmp_path_factory.mktemp("one"), 1, ("released", "clean"), 6)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Four networks on all rungs."""
    return statistics(tmp_path_factory.mktemp("several"), 4, RUNGS, 20)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One network, one protocol, one subject: nothing can be resampled, and no rung is before."""
    return statistics(tmp_path_factory.mktemp("single"), 1, ("trial",), 1)


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    """Four networks on one rung."""
    return statistics(tmp_path_factory.mktemp("rivals"), 4, ("clean",), 6)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twenty networks on one rung: the four, on channels of many names."""
    paths = statistics(tmp_path_factory.mktemp("many"), 4, ("clean",), 6)
    for path in (path for path in paths.values() if str(path).endswith(".csv")):
        table = pd.read_csv(path, dtype={"subject": str, "recording": str})
        copies = [table.assign(channels=table.channels + end) for end in ("", "-b", "-c", "-d", "-e")]
        pd.concat(copies).to_csv(path, index=False)
    return paths


@pytest.mark.parametrize("name", NAMES)
def test_files_are_the_same_each_time_and_hold_what_is_drawn(name, one, tmp_path):
    for attempt in ("a", "b"):
        (tmp_path / attempt).mkdir()
        assert not write(name, one, tmp_path / attempt).empty
    for end in ("png", "pdf", "csv"):
        first, second = ((tmp_path / attempt / f"{name}.{end}").read_bytes() for attempt in ("a", "b"))
        assert first == second
    with Image.open(tmp_path / "a" / f"{name}.png") as image:
        assert round(image.width / 200, 1) in (style.COLUMN_WIDTH, style.PAGE_WIDTH)


@pytest.mark.parametrize("name", NAMES)
def test_simulated_is_in_the_title_and_real_data_is_named(name, single):
    assert tables.SIMULATED in drawn(name, single).get_suptitle()
    title = drawn(name, single, "sleep-edf-20", False).get_suptitle()
    assert "SIMULATED" not in title and "Sleep-EDF-20" in title.replace("\n", " ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inputs", ["several", "single", "rivals", "many"])
def test_nothing_leaves_the_figure_nor_lies_on_something_else(name, inputs, request):
    with matplotlib.rc_context(style.STYLE):
        figure = drawn(name, request.getfixturevalue(inputs), "sleep-edf-20", False)
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
    key = {"cost": "intervals", "sleep_agreement": "nights"}.get(name, name)
    table = pd.read_csv(one[key])
    broken = str(tmp_path / "broken.csv")
    table.drop(columns="protocol").to_csv(broken, index=False)
    with pytest.raises(BenchmarkError, match=re.escape(broken) + ": lacks the column protocol"):
        write(name, one | {key: broken}, tmp_path)
    table.iloc[:0].to_csv(broken, index=False)
    if name != "ladder":
        with pytest.raises(BenchmarkError, match=re.escape(broken) + ": has no rows"):
            write(name, one | {key: broken}, tmp_path)
    assert not (tmp_path / f"{name}.png").exists()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_caption(name):
    heading, caption = figures.CAPTIONS[name]
    assert heading and caption.endswith(".") and "  " not in caption


def positions(axes, marker):
    """Points that are drawn with a marker, (n, 2), in the order in which they were drawn."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return np.concatenate([np.column_stack(line.get_data()) for line in lines])


def test_the_ladder_shows_values_and_changes_in_the_order_of_the_rungs(several):
    figure = drawn("ladder", several)
    ladder = pd.read_csv(several["ladder"])
    assert len(figure.axes) == 2 * len(NETWORKS)
    values, changes = figure.axes[:2]
    assert [label.get_text() for label in values.get_yticklabels()] == [name.replace("_", " ") for name in RUNGS]
    assert values.yaxis_inverted()
    mine = ladder[ladder.title == "ULW-SleepNet"]
    macro_f1 = mine[mine.metric == "macro_f1"]
    assert positions(values, "s")[:, 0] == pytest.approx(100 * macro_f1.value.to_numpy())
    assert (np.diff(positions(values, "s")[:, 1]) > 0).all()
    assert positions(changes, "s")[:, 0] == pytest.approx(100 * macro_f1.change.to_numpy(), nan_ok=True)
    bars = [segment[:, 0] for bar in changes.collections for segment in bar.get_segments() if len(segment)]
    drawn_ends = sorted(tuple(ends) for ends in bars if np.isfinite(ends).all())
    both = mine[mine.metric.isin(["accuracy", "macro_f1"]) & mine.change.notna()]
    assert np.array(drawn_ends) == pytest.approx(100 * both[["change_low", "change_high"]].sort_values("change_low"))


def test_rungs_in_any_order_of_the_file_are_sorted_and_a_missing_rung_leaves_a_gap(several, tmp_path):
    ladder = pd.read_csv(several["ladder"])
    ladder = ladder[(ladder.title != "TinySleepNet") | (ladder.protocol != "subject_folds")]
    rungs = figures.ladder_rungs(ladder.iloc[::-1])
    assert list(rungs.protocol.unique()) == list(RUNGS)
    tiny = figures.networks_of(rungs).index(NETWORKS[1])
    assert len(positions(figures.draw_ladder(rungs, "x", True).axes[2 * tiny], "s")) == len(RUNGS) - 1


def test_an_interval_that_does_not_hold_the_estimate_is_drawn_as_it_is(one):
    rungs = figures.ladder_rungs(pd.read_csv(one["ladder"]))
    rungs["change_low"] = rungs.change + 0.01
    assert figures.draw_ladder(rungs, "x", True).axes


def test_a_ladder_of_no_rung_says_so(one, tmp_path):
    empty = str(tmp_path / "empty.csv")
    pd.read_csv(one["ladder"]).iloc[:0].to_csv(empty, index=False)
    assert write("ladder", {"ladder": empty}, tmp_path).empty
    texts = [text.get_text() for text in drawn("ladder", {"ladder": empty}).texts]
    assert "no protocol of the ladder was run" in texts


def test_cost_joins_accuracies_to_the_counts_of_their_network(several):
    points = cost_points(several, "sleep-edf-20", False)
    measured = points[points.mark == "measured"]
    assert set(measured.protocol) == {"released", "clean"}
    for row in measured.itertuples():
        assert row.count == COSTS[row.title][row.quantity == "macs"]
    assert len(measured) == 2 * 2 * len(NETWORKS)
    assert measured.groupby("number").title.nunique().eq(1).all()


def test_published_points_are_drawn_only_where_the_count_of_the_axis_is_published(one, tmp_path):
    points = write("cost", one, tmp_path, "sleep-edf-20", False)
    published = points[points.mark != "measured"]
    assert published[["title", "quantity", "mark"]].to_numpy().tolist() == [["ULW-SleepNet", "parameters", "published"]]
    assert published["count"].item() == 13_300 and published.accuracy.item() == pytest.approx(0.869)
    assert published.number.item() not in set(points.number[points.mark == "measured"])
    macs, parameters, key = drawn("cost", one, "sleep-edf-20", False).axes
    assert macs.get_xscale() == parameters.get_xscale() == "log"
    assert not len(positions(macs, "D")) and positions(parameters, "D").tolist() == [[13_300, pytest.approx(86.9)]]
    said = [text.get_text() for text in key.get_legend().get_texts()]
    assert "published" in said and "ULW-SleepNet, published" in said
    assert "no MACs" in key.texts[0].get_text().replace("\n", " ")


def test_a_count_in_the_table_of_published_results_is_drawn():
    table = pd.read_csv(PUBLISHED).assign(macs=np.nan)
    table.loc[table.model == "TinySleepNet", "macs"] = 2.9e7
    rows = figures.published_costs(table, load_claims(CLAIMS), "sleep-edf-78")
    assert [(row["title"], row["quantity"]) for row in rows] == [
        ("TinySleepNet", "macs"),
        ("ULW-SleepNet", "parameters"),
    ]


def test_nothing_published_is_drawn_beside_simulated_data(one, tmp_path):
    assert set(write("cost", one, tmp_path).mark) == {"measured"}
    assert "not drawn" in drawn("cost", one).axes[2].texts[0].get_text().replace("\n", " ")


def test_numbers_of_networks_lie_on_nothing():
    rows = [
        {
            **{"quantity": quantity, "count": 10_000 + i, "title": f"N{i}", "channels": "four", "recipe": "common"},
            **{"protocol": "clean", "accuracy": 0.8 + 0.001 * i, "low": 0.79, "high": 0.82, "mark": "measured"},
        }
        for quantity in figures.QUANTITIES
        for i in range(12)
    ]
    figure = figures.draw_cost(figures.cost_points(rows, []), "a note", "x", True)
    figure.draw_without_rendering()
    for axes in figure.axes[:2]:
        boxes = [matplotlib.text.Text.get_window_extent(text) for text in axes.texts]
        assert len(boxes) == 12
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(0.9, 0.9).overlaps(b)]


def test_a_network_without_a_profile_is_named(one, tmp_path):
    with pytest.raises(BenchmarkError, match="no profile of ULW-SleepNet with the channels four"):
        write("cost", one | {"profiles": []}, tmp_path)


def test_operations_of_sequences_are_those_of_an_epoch(one):
    profile = json.loads(Path(one["profiles"][0]).read_text())
    profile["operations"] |= {"length": 20, "macs": 20 * profile["operations"]["macs"]}
    rows = figures.measured_costs(pd.read_csv(one["intervals"]), pd.read_csv(one["runs"]), [profile])
    assert {(row["quantity"], row["count"]) for row in rows} == {("macs", 3_498_352), ("parameters", 13_337)}


def test_estimators_are_left_out_and_named(several, tmp_path):
    given = [several[key] for key in ("intervals", "runs", "profiles")]
    given[2] = [path for path in given[2] if "TinySleepNet" not in path]
    outputs = [str(tmp_path / f"cost.{end}") for end in ("png", "pdf", "csv")]
    on = ("simulated", True, *outputs)
    with pytest.raises(BenchmarkError, match="no profile of TinySleepNet"):
        figures.cost_figure(*given, PUBLISHED, CLAIMS, *on)
    figures.cost_figure(*given, PUBLISHED, CLAIMS, *on, ["TinySleepNet", "not run"])
    assert set(pd.read_csv(outputs[2]).title) == {title for title, _, _ in NETWORKS} - {"TinySleepNet"}
    note = figures.cost_note(load_claims(CLAIMS), "sleep-edf-20", False, ["TinySleepNet"])
    assert note.endswith("No network, so without such a cost: TinySleepNet.")


def test_cost_without_a_network_says_so(one, tmp_path):
    given = [one["intervals"], one["runs"], [], PUBLISHED, CLAIMS]
    for simulated in (True, False):
        outputs = [str(tmp_path / f"cost.{end}") for end in ("png", "pdf", "csv")]
        figures.cost_figure(*given, "sleep-edf-20", simulated, *outputs, ["ULW-SleepNet"])
        assert (pd.read_csv(outputs[2]).mark == "published").all()


def test_every_subject_is_a_dot_at_the_same_height_in_every_line(several):
    subjects = pd.read_csv(several["subjects"], dtype={"subject": str})
    subjects.loc[0, "macro_f1"] = np.nan
    accuracy, macro_f1 = figures.draw_subjects(subjects, "x", True).axes[:2]
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


@pytest.mark.parametrize(("name", "marker"), [("ladder", "s"), ("subjects", None)])
def test_networks_of_one_protocol_are_lines_of_one_pair_of_panels(name, marker, many):
    figure = drawn(name, many)
    assert len(figure.axes) == 2
    left = figure.axes[0]
    names = [label.get_text() for label in left.get_yticklabels()]
    assert len(names) == 20 and names[:2] == ["ULW-SleepNet (four, released)", "TinySleepNet (fpz, common)"]
    assert "protocol clean" in figure.get_suptitle().replace("\n", " ")
    assert figure.get_size_inches()[1] < 20 * 0.3 + 1.2
    if marker:
        assert np.round(np.sort(positions(left, marker)[:, 1])) == pytest.approx(np.arange(20))
        assert "one rung was run:\nno change" in [text.get_text() for text in figure.axes[1].texts]
    else:
        lines = [np.asarray(dots.get_offsets())[:, 1].mean() for dots in left.collections]
        assert np.round(lines) == pytest.approx(np.arange(20))
        assert "a subject, n = 6" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_reliability_of_many_networks_is_in_small_panels(many):
    figure = drawn("reliability", many)
    assert len(figure.axes) == 2 * 20 and figure.get_size_inches()[1] < 10
    assert figure.axes[2].get_title() == "TinySleepNet\n(fpz, common)\nECE 3.1 %"


def test_networks_that_were_run_under_one_protocol_only_leave_no_gaps_in_the_reliability(several):
    bins = figures.calibration_bins(pd.read_csv(several["reliability"]), pd.read_csv(several["intervals"]))
    bins = bins[(bins.title == "ULW-SleepNet") | (bins.protocol == "clean")]
    figure = figures.draw_reliability(bins, "simulated", True)
    assert len(figure.axes) == 2 * (len(RUNGS) + len(NETWORKS) - 1) and figure.get_size_inches()[1] < 8
    assert figure.axes[-2].get_title() == "AttnSleep\n(fpz, published)\nprotocol clean\nECE 3.1 %"


def test_few_subjects_have_no_box(single, one):
    assert not drawn("subjects", single).axes[0].lines
    assert drawn("subjects", one).axes[0].lines


def test_reliability_shows_each_protocol_with_its_calibration_error(one, tmp_path):
    bins = write("reliability", one, tmp_path)
    assert len(bins) == len(pd.read_csv(one["reliability"])) and bins.ece.eq(0.031).all()
    figure = drawn("reliability", one)
    assert len(figure.axes) == 2 * 2
    diagram, histogram = figure.axes[:2]
    assert diagram.get_title() == "released\nECE 3.1 %"
    mine = bins[(bins.protocol == "released") & (bins.title == "ULW-SleepNet")]
    filled = mine[mine.n_epochs > 0]
    assert diagram.lines[1].get_xydata() == pytest.approx(filled[["confidence", "accuracy"]].to_numpy())
    heights = [bar.get_height() for bar in histogram.patches]
    assert sum(heights) == pytest.approx(100) and len(heights) == 15 and max(heights) <= histogram.get_ylim()[1]


def test_a_calibration_error_that_is_missing_is_named(one):
    intervals = pd.read_csv(one["intervals"])
    with pytest.raises(BenchmarkError, match="no expected_calibration_error of clean, ULW-SleepNet, four, released"):
        figures.calibration_bins(
            pd.read_csv(one["reliability"]),
            intervals[(intervals.metric != figures.ECE) | (intervals.protocol != "clean")],
        )


def test_sleep_agreement_is_of_the_clean_protocol_and_the_first_three_networks(several):
    pairs = figures.measured_pairs(pd.read_csv(several["nights"]), pd.read_csv(several["sleep_measures"]))
    assert set(pairs.protocol) == {"clean"} and list(pairs.title.unique()) == [network[0] for network in NETWORKS[:3]]
    assert set(figures.AGREEMENT_MEASURES) <= set(MEASURES)
    nights = pd.read_csv(several["nights"])
    mine = nights[(nights.protocol == "clean") & (nights.title == "ULW-SleepNet")]
    limits = pd.read_csv(several["sleep_measures"]).set_index(["protocol", "title", "measure"])
    axes = figures.draw_sleep_agreement(pairs[pairs.title == "ULW-SleepNet"], "x", True).axes
    for panel, measure in zip(axes, figures.AGREEMENT_MEASURES, strict=False):
        scored, predicted = mine[f"scored_{measure}"], mine[f"predicted_{measure}"]
        both = pd.DataFrame({"mean": (scored + predicted) / 2, "difference": predicted - scored}).dropna()
        assert positions(panel, "o") == pytest.approx(both.to_numpy())
        levels = {line.get_ydata()[0] for line in panel.lines if line.get_marker() == "None"}
        expected = limits.loc["clean", "ULW-SleepNet", measure]
        assert levels == {0, *expected[["bias", "low", "high"]]}
        assert panel.get_title().splitlines()[0].endswith("(%)" if measure == "sleep_efficiency" else "(min)")
    assert "n = 39, 1 undefined" in axes[4].get_title()


def test_without_the_clean_protocol_the_last_is_shown(one, tmp_path):
    nights, measures = pd.read_csv(one["nights"]), pd.read_csv(one["sleep_measures"])
    released = figures.measured_pairs(nights[nights.protocol != "clean"], measures)
    assert set(released.protocol) == {"released"}
    with pytest.raises(
        BenchmarkError, match="no total_sleep_time of ULW-SleepNet, four, released under protocol clean"
    ):
        figures.measured_pairs(nights, measures[measures.protocol != "clean"])


def test_a_single_night_has_a_bias_without_limits(single):
    pairs = figures.measured_pairs(pd.read_csv(single["nights"]), pd.read_csv(single["sleep_measures"]))
    latency = pairs[pairs.measure == "rem_latency_from_sleep_onset"]
    assert latency.n_nights.iloc[0] == 1 and latency.low.isna().all()
    panel = figures.draw_sleep_agreement(pairs, "x", True).axes[4]
    assert len(panel.lines) == 3  # zero, the night, the bias
