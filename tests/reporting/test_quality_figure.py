"""The table of quality and the wall of hypnograms, of made-up nights."""

from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.recordings import read_recordings
from sleepbench.reporting import quality
from sleepbench.reporting.figures import style
from sleepbench.reporting.tables import main as tables
from sleepbench.signals.hypnogram import WINDOWS, select_window
from sleepbench.signals.prepare import QUANTILES
from sleepbench.signals.quality import NIGHT_STAGES, read_qualities
from sleepbench.signals.totals import RECORDINGS

CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental")


def write_quality(folder: Path, id: str, simulated: bool = True, start: str = "2000-01-01T22:00:00") -> str:
    """A night of 240 epochs with movement inside, and unknown epochs after more wake than the standard window keeps."""
    stages = np.repeat([0, 1, 2, 5, 3, 4, 0, 6], [70, 10, 30, 1, 19, 20, 80, 10])
    windows = {rule: np.bincount(stages[select_window(stages, rule)], minlength=5).tolist() for rule in WINDOWS}
    flat = dict(zip(CHANNELS, (0, 0.25, 0, 0), strict=True))
    channel = {"unit": "uV", "sampling_rate_hz": 100.0, "clipped_share": 0.0001}
    quantiles = dict(zip(QUANTILES, (-90.0, -60.5, -40, -9, 0, 9, 40, 60.5, 90), strict=True))
    path = folder / f"{id}.quality.json"
    write_json(
        path,
        {
            "recording": id,
            "simulated": simulated,
            "start": start,
            "psg_seconds": 7200.0,
            "epochs_in_night": 240,
            "windows": {rule: {"epochs": sum(n), **dict(zip(STAGES, n, strict=True))} for rule, n in windows.items()},
            "stages": dict(zip(NIGHT_STAGES, np.bincount(stages, minlength=7).tolist(), strict=True)),
            "hypnogram": [[stage, len(list(run))] for stage, run in groupby(stages.tolist())],
            "channels": {c: {**channel, "flat_share": flat[c], "quantiles_uv": quantiles} for c in CHANNELS},
            "handled": [f"{int(id[5])} epochs within the signal are movement", f"{id}E0-PSG.edf has odd bytes"],
        },
    )
    return str(path)


def nights(folder: Path, number: int, **kwargs: object) -> list[str]:
    return [write_quality(folder, recording.id, **kwargs) for recording in read_recordings(RECORDINGS)[:number]]


def runs_of(folder: Path, number: int, **kwargs: object) -> pd.DataFrame:
    return quality.hypnogram_runs(read_qualities(nights(folder, number, **kwargs), kwargs.get("simulated", True)))


def make_table(folder: Path, qualities: list[str], dataset: str = "simulated", simulated: bool = True) -> list[str]:
    paths = [str(folder / f"quality.{form}") for form in ("csv", "md", "tex")]
    quality.quality_table(qualities, str(RECORDINGS), dataset, simulated, *paths)
    return [Path(path).read_text(encoding="utf-8") for path in paths]


def test_table(tmp_path: Path) -> None:
    csv, markdown, latex = make_table(tmp_path, nights(tmp_path, 3))
    table = pd.read_csv(tmp_path / "quality.csv", dtype={"subject": str})
    assert len(csv.splitlines()) == 4 and list(table.recording) == ["SC4001", "SC4002", "SC4011"]
    assert list(table["flat EEG Pz-Oz"]) == [0.25] * 3 and list(table.standard) == [199] * 3
    rows = [line for line in markdown.splitlines() if line.startswith("| SC4")]
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[:8] == ["SC4001", "33 F", "2.0", "150", "10", "30", "19", "20"]
    assert cells[8:] == ["1", "10", "199", "219", "25.0 Pz-Oz", "<0.1", "121 / 121 / 121 / 121", "2 [1]"]
    assert max(map(len, markdown.splitlines())) <= 150
    assert "3 recordings of 2 subjects, 6 hours, 720 epochs, 597 of them" in " ".join(markdown.split())
    assert tables.SIMULATED in markdown.splitlines()[0] and "SIMULATED" in latex


def test_like_recordings_share_a_note(tmp_path: Path) -> None:
    _, markdown, _ = make_table(tmp_path, nights(tmp_path, 4))
    notes = markdown[markdown.index("\n1. ") :].strip()
    assert notes == "1.  n epochs within the signal are movement; the PSG has odd bytes"


def test_real_data_is_named_and_cannot_be_mistaken(tmp_path: Path) -> None:
    real = nights(tmp_path, 2, simulated=False)
    _, markdown, _ = make_table(tmp_path, real, "sleep-edf-20", simulated=False)
    assert markdown.splitlines()[0] == "## The recordings, Sleep-EDF-20"
    with pytest.raises(BenchmarkError, match="says simulated: False, but simulated: True"):
        make_table(tmp_path, real)
    with pytest.raises(BenchmarkError, match="says simulated: False, but simulated: True"):
        quality.hypnogram_wall(real, "x", True, *(str(tmp_path / f"wall.{form}") for form in ("png", "pdf", "csv")))


def test_runs_are_the_night(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, 1)
    assert runs.epochs.sum() == 240 and (runs.epoch + runs.epochs).iloc[-1] == 240
    assert runs.groupby("stage").epochs.sum().to_dict() == {
        **{"W": 150, "N1": 10, "N2": 30, "N3": 19, "REM": 20},
        **{"movement": 1, "unknown": 10},
    }
    assert runs.groupby("window").epochs.sum().to_dict() == {"standard": 199, "released": 20, "none": 21}
    assert runs.clock_h.iloc[0] == 10 and runs.clock_h.iloc[1] == pytest.approx(10 + 10 / 120)


@pytest.mark.parametrize(
    "start, hours",
    [("2000-01-01T12:00:00", 0), ("2000-01-01T16:13:00", 4 + 13 / 60), ("2000-01-02T00:30:00", 12.5)],
)
def test_clock_time_runs_from_noon(start: str, hours: float) -> None:
    assert quality.hours_since_noon(datetime.fromisoformat(start)) == pytest.approx(hours)


@pytest.mark.parametrize("number", [1, 11, 39, 153])
def test_every_night_has_its_row_and_nothing_leaves_the_figure(tmp_path: Path, number: int) -> None:
    with matplotlib.rc_context(style.STYLE):
        figure = quality.draw_hypnogram_wall(runs_of(tmp_path, number), "simulated", True)
        figure.draw_without_rendering()
    assert tables.SIMULATED in figure.get_suptitle()
    shown = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert shown == [recording.id for recording in read_recordings(RECORDINGS)[:number]]
    assert figure.get_size_inches()[1] < 10
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01
    for axes in figure.axes:
        assert axes.get_xlabel() == "clock time"
        boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
        assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))


def test_pixels_have_the_colour_of_their_stage_and_window(tmp_path: Path) -> None:
    figure = quality.draw_hypnogram_wall(runs_of(tmp_path, 1), "simulated", True)
    row = figure.axes[0].images[0].get_array()[0]
    colour = {name: np.array(matplotlib.colors.to_rgb(style.STAGE_COLOURS[name])) for name in STAGES}
    assert row.shape == (240, 3)
    np.testing.assert_allclose(row[20], colour["W"])  # the standard window begins 60 epochs before sleep
    np.testing.assert_allclose(row[5], 1 - quality.STRENGTH["none"] * (1 - colour["W"]))
    np.testing.assert_allclose(row[215], 1 - quality.STRENGTH["released"] * (1 - colour["W"]))
    np.testing.assert_allclose(row[90], colour["N2"])
    np.testing.assert_allclose(row[[110, 235]], [matplotlib.colors.to_rgb(quality.GREY)] * 2)


def test_nights_lie_by_their_clock_time(tmp_path: Path) -> None:
    files = [write_quality(tmp_path, "SC4001"), write_quality(tmp_path, "SC4002", start="2000-01-02T00:30:10")]
    figure = quality.draw_hypnogram_wall(quality.hypnogram_runs(read_qualities(files, True)), "simulated", True)
    axes = figure.axes[0]
    image = axes.images[0].get_array()
    second = image[quality.ROWS_PER_NIGHT]
    assert (image[0, 240:] == 1).all() and (second[:300] == 1).all() and (second[300:] != 1).any(axis=1).all()
    ticks = dict(zip(axes.get_xticks(), (label.get_text() for label in axes.get_xticklabels()), strict=True))
    assert ticks[12 * 120] == "00:00"


def test_the_same_nights_give_the_same_files(tmp_path: Path) -> None:
    files = nights(tmp_path, 3)
    for attempt in ("a", "b"):
        paths = [str(tmp_path / f"{attempt}.{form}") for form in ("png", "pdf", "csv")]
        quality.hypnogram_wall(files, "simulated", True, *paths)
    for form in ("png", "pdf", "csv"):
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == pytest.approx(200 * style.PAGE_WIDTH)
    written = pd.read_csv(tmp_path / "a.csv")
    assert list(written) == ["recording", "clock_h", "epoch", "epochs", "stage", "window", "simulated"]
    assert written["simulated"].all()
