"""Every model, for a training epoch of one fold of a tiny cohort, through the whole pipeline to tables and figures."""

import pandas as pd
import pytest
from PIL import Image

from sleepbench.config.load import load
from sleepbench.config.plan import plan
from sleepbench.datasets.base import SIMULATED
from sleepbench.models import describe, model_names

DATASET = "simulated-tiny"
INPUTS = ["one", "two", "three", "four"]


@pytest.mark.slow
def test_every_model_goes_through_the_whole_pipeline(project):
    project.configure(
        run={
            "datasets": [DATASET],
            "protocols": ["clean"],
            "models": list(model_names()),
            "inputs": INPUTS,
            "recipes": ["common", "tuned", "own"],
        }
    )
    result = project.run()
    assert result.returncode == 0, result.stdout
    planned = plan(load(project.directory / "config.yaml"))
    assert {contender.model for contender in planned.contenders} == set(model_names())

    results = project.directory / "results" / DATASET
    tables = {path.stem: pd.read_csv(path) for path in (results / "tables").glob("*.csv")}
    measured = tables["main_results"][tables["main_results"].mark == "measured"]
    named = measured[["model", "input", "recipe"]].itertuples(index=False, name=None)
    assert sorted(named) == sorted((describe(n.model).title, n.input, n.recipe) for n in planned.contenders)
    assert set(measured.folds) == {"1 of 2"}
    of_channels = tables["inputs"]
    ulw = of_channels[(of_channels.title == "ULW-SleepNet") & (of_channels.recipe == "common")]
    assert list(ulw.n_channels) == [1, 2, 3, 4] and ulw.accuracy.notna().all()
    assert of_channels.reason.notna().sum() == sum(one.input is not None for one in planned.skipped)
    smoothed = tables["postprocessing"]
    assert set(smoothed.title) == {"ULW-SleepNet"} and set(smoothed.input) == set(INPUTS)

    for path in (results / "tables").glob("*.md"):
        assert SIMULATED in path.read_text(encoding="utf-8").splitlines()[0], path
    for path in (results / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.height < 5000, path  # at 200 dpi
    assert "there are common and tuned" in (results / "summary.md").read_text(encoding="utf-8")
    assert SIMULATED in (results / "report.html").read_text(encoding="utf-8")
