"""The wall of hypnograms, of made-up nights."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, FakeRecording, quality
from PIL import Image

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document
from sleepbench.core.stages import STAGES
from sleepbench.reporting.artefacts import Inputs
from sleepbench.reporting.figures import hypnograms, style
from sleepbench.reporting.figures.hypnograms import ARTEFACT

NIGHT = np.repeat([0, 1, 2, 5, 3, 4, 0, 6], [70, 10, 30, 1, 19, 20, 80, 10])
"""240 epochs with movement inside, and unknown epochs after more wake than the standard trimming keeps."""
START = "2000-01-01T22:00:00"


def nights(folder: Path, number: int, start: str = START, simulated: bool = True) -> Inputs:
    """The quality files of nights that begin at one time."""
    files = []
    for i in range(number):
        recording = FakeRecording(f"n{i:04d}", f"p{i // 2}", i % 2 + 1, None, None, NIGHT)
        files.append(folder / f"{recording.id}.quality.json")
        write_document(files[-1], {**quality(recording, simulated), "start": start})
    return Inputs({"quality": files}, {}, LABELS["simulated"])


def write(inputs: Inputs, stem: Path) -> pd.DataFrame:
    """Write the figure; returns its CSV."""
    outputs = [stem.with_suffix(f".{end}") for end in ("png", "pdf", "csv")]
    style.make_figure(ARTEFACT, inputs, *outputs)
    return pd.read_csv(outputs[-1])


def drawn(inputs: Inputs) -> matplotlib.figure.Figure:
    return style.drawn(ARTEFACT, ARTEFACT.build(inputs), inputs)


def test_data_that_is_not_what_it_is_called_is_refused(tmp_path):
    real = nights(tmp_path, 2, simulated=False)
    with pytest.raises(BenchmarkError, match="says simulated: False, but simulated: True"):
        write(real, tmp_path / "wall")
    figure = drawn(replace(real, label=LABELS["sleep-edf-20"]))
    assert figure.get_suptitle() == "Hypnograms of 2 recordings by clock time, Sleep-EDF-20"


def test_bouts_are_the_night(tmp_path):
    bouts = ARTEFACT.build(nights(tmp_path, 1))
    assert bouts.epochs.sum() == 240 and (bouts.epoch + bouts.epochs).iloc[-1] == 240
    assert bouts.groupby("stage").epochs.sum().to_dict() == {
        **{"W": 150, "N1": 10, "N2": 30, "N3": 19, "REM": 20},
        **{"movement": 1, "unknown": 10},
    }
    assert bouts.groupby("trimming").epochs.sum().to_dict() == {"standard": 199, "authors": 20, "none": 21}
    assert bouts.clock_h.iloc[0] == 10 and bouts.clock_h.iloc[1] == pytest.approx(10 + 10 / 120)


@pytest.mark.parametrize(
    ("start", "hours"),
    [("2000-01-01T12:00:00", 0), ("2000-01-01T16:13:00", 4 + 13 / 60), ("2000-01-02T00:30:00", 12.5)],
)
def test_clock_time_runs_from_noon(start, hours):
    assert hypnograms.hours_since_noon(start) == pytest.approx(hours)


@pytest.mark.parametrize("number", [1, 11, 39, 153])
def test_every_night_has_its_row_and_nothing_leaves_the_figure(tmp_path, number):
    figure = drawn(nights(tmp_path, number))
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    assert LABELS["simulated"].warning in figure.get_suptitle()
    shown = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert shown == [f"n{i:04d}" for i in range(number)]
    assert figure.get_size_inches()[1] < 10
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01
    for axes in figure.axes:
        assert axes.get_xlabel() == "clock time"
        boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
        assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))


def test_pixels_have_the_colour_of_their_stage_and_trimming(tmp_path):
    row = drawn(nights(tmp_path, 1)).axes[0].images[0].get_array()[0]
    colour = {name: np.array(matplotlib.colors.to_rgb(style.STAGE_COLOURS[name])) for name in STAGES}
    assert row.shape == (240, 3)
    np.testing.assert_allclose(row[20], colour["W"])  # the standard trimming keeps 60 epochs before sleep
    np.testing.assert_allclose(row[5], 1 - hypnograms.STRENGTH["none"] * (1 - colour["W"]))
    np.testing.assert_allclose(row[215], 1 - hypnograms.STRENGTH["authors"] * (1 - colour["W"]))
    np.testing.assert_allclose(row[90], colour["N2"])
    np.testing.assert_allclose(row[[110, 235]], [matplotlib.colors.to_rgb(hypnograms.NOT_SCORED)] * 2)


def test_nights_lie_by_their_clock_time(tmp_path):
    inputs = nights(tmp_path, 2)
    late = inputs.paths("quality")[1]
    write_document(late, read_json(late) | {"start": "2000-01-02T00:30:10"})
    axes = drawn(inputs).axes[0]
    image = axes.images[0].get_array()
    second = image[hypnograms.ROWS_PER_NIGHT]
    assert (image[0, 240:] == 1).all() and (second[:300] == 1).all() and (second[300:] != 1).any(axis=1).all()
    ticks = dict(zip(axes.get_xticks(), (label.get_text() for label in axes.get_xticklabels()), strict=True))
    assert ticks[12 * 120] == "00:00"


def without_clock(inputs: Inputs, number: int) -> Inputs:
    for path in inputs.paths("quality")[:number]:
        write_document(path, {**read_json(path), "start": None})
    return inputs


def test_a_night_of_no_known_clock_time_is_marked(tmp_path):
    inputs = without_clock(nights(tmp_path, 2), 1)
    bouts = ARTEFACT.build(inputs)
    assert bouts.groupby("recording").clock_h.count().tolist() == [0, len(bouts) // 2]
    axes = drawn(inputs).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["n0000*", "n0001"]
    assert axes.get_xlabel() == "clock time (*: not known)"
    image = axes.images[0].get_array()
    np.testing.assert_array_equal(image[0], image[hypnograms.ROWS_PER_NIGHT])


def test_without_any_clock_time_hours_count_from_the_start(tmp_path):
    figure = drawn(without_clock(nights(tmp_path, 2), 2))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "hours from the start" and "from their start" in figure.get_suptitle()
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == ["0", "0.25", "0.5"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["n0000", "n0001"]


def test_the_same_nights_give_the_same_files(tmp_path):
    inputs = nights(tmp_path, 3)
    written, _ = (write(inputs, tmp_path / attempt) for attempt in "ab")
    for form in ("png", "pdf", "csv"):
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx(200 * style.PAGE_WIDTH)
    assert list(written) == ["recording", "clock_h", "epoch", "epochs", "stage", "trimming", "simulated"]
    assert written["simulated"].all()
