"""The examples of docs/adding-a-dataset.md and docs/extending.md, written where they say, through to the report."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import documented
import pandas as pd
import pytest
import yaml
from conftest import ENVIRONMENT, REPOSITORY, Project

PAGE = "docs/adding-a-dataset.md"
TEXT = (REPOSITORY / PAGE).read_text(encoding="utf-8")
PREPARE, RUN = (one.words[1:] for one in documented.commands_of(TEXT, PAGE) if one.is_whole)


@dataclass
class Checkout(Project):
    """A project with a copy of the workflow of its own, which a test may add files to."""

    environment: dict[str, str]

    def sleepbench(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments), cwd=self.directory, env=self.environment, text=True, capture_output=True
        )


def examples(page: str, language: str) -> list[str]:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    directory = tmp_path_factory.mktemp("checkout")
    for name in ("workflow", "envs"):
        shutil.copytree(REPOSITORY / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(REPOSITORY / name, directory)
    package = directory / "workflow" / "sleepbench"
    reader, nights = examples("adding-a-dataset.md", "python")
    (package / "datasets/my_nights.py").write_text(reader)
    (package / "reporting/tables/tested.py").write_text(examples("extending.md", "python")[0])
    project = Checkout(directory, {**ENVIRONMENT, "PYTHONPATH": str(directory / "workflow")})
    # The section `data` of the file has an entry already: the two are put together, as a reader would.
    project.configure(**yaml.safe_load(examples("adding-a-dataset.md", "yaml")[0]))
    (directory / "my-nights").mkdir()
    subprocess.run([sys.executable, "-c", nights], cwd=directory, check=True)
    for command in (PREPARE, RUN):
        result = project.sleepbench(*command)
        assert result.returncode == 0, result.stdout + result.stderr
    return project


@pytest.mark.slow
def test_a_dataset_goes_from_one_file_and_an_entry_to_the_report(extended):
    results = extended.directory / "results/my-nights"
    runs = pd.read_csv(results / "runs.csv")
    assert sorted(runs.fold) == [0, 1, 2] and set(runs.input) == {"two"} and not runs.simulated.any()
    nights = {path.stem for path in (extended.directory / "my-nights").iterdir()}
    predicted = pd.concat(
        pd.read_parquet(extended.directory / run.directory / run.selection / "predictions.parquet")
        for run in runs.itertuples()
    )
    assert set(predicted.recording) == nights and set(predicted.subject) == {"anna", "bo", "cleo"}
    assert len(predicted) == 3 * 125
    titles = re.findall(r"^# .*|^## .*", (results / "summary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert titles and all("My Nights" in title for title in titles)
    assert "My Nights" in re.search("<title>(.*)</title>", (results / "report.html").read_text(encoding="utf-8"))[1]


@pytest.mark.slow
def test_a_table_is_made_shown_and_traced_like_any_other(extended):
    results = extended.directory / "results/my-nights"
    table = pd.read_csv(results / "tables/tested.csv", dtype={"run_keys": str})
    assert table[["W", "N1", "N2", "N3", "REM"]].sum(axis=1).tolist() == [3 * 125]
    assert table["W"].item() == 3 * 35
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "Epochs that were tested" in page and "Epochs of 30 s by scored stage" in page
    assert r"\caption{" in (results / "tables/tested.tex").read_text(encoding="utf-8")
    traced = extended.sleepbench("trace", "my-nights", "table=tested", "row=1", "--json")
    assert traced.returncode == 0, traced.stderr
    assert {run["run_key"] for run in json.loads(traced.stdout)["runs"]} == set(table.run_keys.item().split())


@pytest.mark.slow
def test_what_is_finished_stays_finished_when_more_is_added(extended):
    tables = Path("workflow/sleepbench/reporting/tables")
    file = extended.directory / tables / "tested.py"
    file.write_text(file.read_text().replace("Epochs that were tested", "Tested epochs"))
    planned = extended.sleepbench(*RUN, "-n")
    assert planned.returncode == 0, planned.stdout
    jobs = re.findall(r"^(\w+) +\d+$", planned.stdout + planned.stderr, re.MULTILINE)
    assert set(jobs) == {"tables", "report", "summary", "all", "total"}
