"""The report on a simulated cohort: it says that it is simulated, and shows the numbers of its CSV."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from simulated_cohort import prepared_cohort

from sleepbench.datasets.base import SIMULATED, DataLabel
from sleepbench.preparation.index import read_index
from sleepbench.reporting.figures import style
from sleepbench.reporting.realism import measure as measurements
from sleepbench.reporting.realism import page as realism

LABEL = DataLabel("simulated-20", "simulated", SIMULATED, simulated=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of a report on two short nights and a network that predicts one of them perfectly."""
    folder = tmp_path_factory.mktemp("realism")
    dataset, index = prepared_cohort(folder, 2, 5, 2, subjects=2, single_night_subjects=[0, 1])
    predictions = folder / "trainings/subject/standard/net/four/ulw/seed-1/fold-0/last/predictions.parquet"
    predictions.parent.mkdir(parents=True)
    night = measurements.read_night(dataset, read_index(index.path), "SC4001")
    columns = {"recording": night.recording, "epoch": night.epoch, "stage": night.stage, "predicted": night.stage}
    pd.DataFrame(columns).to_parquet(predictions)
    files = {kind: str(folder / f"realism.{kind}") for kind in ("md", "csv", "png", "pdf")}
    files |= {f"excerpts_{kind}": str(folder / f"realism-excerpts.{kind}") for kind in ("png", "pdf")}
    realism.realism_report(
        dataset,
        index.path,
        [predictions],
        markdown=files.pop("md"),
        **files,
        missing="The real excerpts are not in raw/: fetch them.",
    )
    files["md"] = str(folder / "realism.md")
    return files


def test_the_report_says_that_it_is_simulated_and_what_is_held_to(written):
    text = Path(written["md"]).read_text(encoding="utf-8")
    assert text.startswith("# ") and SIMULATED in text.splitlines()[0]
    assert "| stages that occur" in text and "not held to it" in text
    assert "## Transition probabilities" in text and "## Bout lengths" in text
    assert "subject / standard / net / four / ulw / seed-1 / last" in text


def test_the_table_has_both_sides_of_every_number(written):
    table = pd.read_csv(written["csv"])
    assert list(table.columns) == ["quantity", "stage", "of", "simulated", "real"]
    sizes = table.groupby("quantity").size()
    assert sizes["transition probability"] == 25 and sizes["share of sleep period"] == 50
    assert sizes["mean log band power"] == sizes["lag-1 autocorrelation of log band power"] == 75
    chosen = table[(table.quantity == "transition probability") & (table.stage == "N1") & (table.of == "N2")]
    assert chosen.real.item() == 0.15843
    chosen = table[(table.quantity == "mean log band power") & (table.stage == "W") & (table.of == "EEG Pz-Oz, delta")]
    assert chosen.real.item() == -1.6726 and np.isfinite(chosen.simulated.item())
    network = table[table.quantity == "accuracy of a network"]
    assert network.simulated.tolist() == [1.0] and network.real.isna().all()


def test_the_figure_is_a_page_wide(written):
    with Image.open(written["png"]) as image:
        assert image.width == pytest.approx(200 * style.PAGE_WIDTH, abs=1) and np.asarray(image).std() > 10
    assert Path(written["pdf"]).read_bytes().startswith(b"%PDF")


def test_without_real_excerpts_the_report_says_what_to_do(written):
    text = Path(written["md"]).read_text(encoding="utf-8")
    assert "## The first 5 s of each epoch" in text and "The real excerpts are not in raw/: fetch them." in text
    table = pd.read_csv(written["csv"])
    own = table[table.quantity == "excerpts of 5 s: mean log band power"]
    assert len(own) == 30 and own.real.isna().all() and np.isfinite(own.simulated[own.stage == "W"]).all()
    with Image.open(written["excerpts_png"]) as image:
        assert np.asarray(image).std() > 10


def synthetic(stages=5):
    """A comparison of the real statistics with themselves; stages beyond the first few may be lacking."""
    real = measurements.real_statistics()
    transitions = np.where(np.arange(5)[:, None] < stages, real.transitions, np.nan)
    simulated = measurements.CohortStatistics(**{**vars(real), "transitions": transitions})
    stage = np.repeat(np.arange(stages), 10).astype(np.int8)
    epochs = len(stage)
    night = measurements.Night(
        recording="SC4001",
        subject="00",
        epoch=np.r_[: epochs // 2, epochs // 2 + 3 : epochs + 3],
        stage=stage,
        log_powers=np.zeros((epochs, 15)),
        deviation_uv=np.ones((epochs, 3)),
        log_density=np.zeros((5, 3, measurements.SHOWN.sum())),
    )
    return measurements.Realism(39, 20, epochs, simulated, real, night.log_density, night, [], [])


@pytest.mark.parametrize("stages", [5, 3])
def test_the_figure_is_labelled_and_nothing_leaves_it(stages):
    figure = realism.draw_realism(synthetic(stages), LABEL)
    assert SIMULATED in figure.get_suptitle()
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01


def test_folds_of_a_network_join_under_its_name():
    path = "t/trainings/a/standard/net/four/ulw/seed-{}/fold-{}/last/predictions.parquet".format
    networks = realism.networks_of([path(1, 0), path(1, 1), path(2, 0)])
    assert {name: len(files) for name, files in networks.items()} == {
        "a / standard / net / four / ulw / seed-1 / last": 2,
        "a / standard / net / four / ulw / seed-2 / last": 1,
    }
