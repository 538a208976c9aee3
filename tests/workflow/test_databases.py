"""Every other database, from files as the real ones are, through download, preparation, folds, training and tables."""

import hashlib
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, make_project

from sleepbench.benchmarks.estimate import epochs_by_recording
from sleepbench.cli.rehearsal import QuietHandler
from sleepbench.cli.run import _to_accept
from sleepbench.config.load import load
from sleepbench.config.plan import dataset, plan, recordings
from sleepbench.workflow import Workflow

DATABASES = ("sleep-edf-st", "hmc", "dod-h", "dod-o", "isruc-s3")


def test_everything_is_planned_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(REPOSITORY / "config.yaml", {"experiment": "other-databases"})
    planned = plan(config)
    assert tuple(planned.datasets) == DATABASES and not planned.skipped
    rules = Workflow(config, REPOSITORY)
    assert {name: len(rules.receipts(name)) for name in DATABASES} == dict(
        zip(DATABASES, (44, 151, 25, 55, 10), strict=True)
    )
    for name in DATABASES:
        for folds in rules.fold_files(name):
            assert (REPOSITORY / "workflow" / "resources" / "folds" / name / Path(folds).name).exists()
    said = dict(zip(DATABASES, _to_accept(config, planned), strict=True))
    assert said["hmc"].startswith("hmc: HMC, 15.7 GB; licence: Creative Commons Attribution 4.0 (CC BY 4.0); to accept")
    assert "had by hand" in said["isruc-s3"] and not list(tmp_path.iterdir())


def test_what_they_take_is_known_before_a_file_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(REPOSITORY / "config.yaml", {"experiment": "other-databases"})
    epochs = {}
    for name in DATABASES:
        counts = epochs_by_recording(dataset(config, name), recordings(config, name))
        epochs[name] = round(sum(n.sum() for (_, trimming), n in counts.items() if trimming == "standard"))
    # 12 nights of sleep-edf-st were counted; the others are as others count them, or as five people scored them
    assert epochs.pop("sleep-edf-st") == pytest.approx(44 * 979, rel=0.01)
    assert epochs == {"hmc": 137_243, "dod-h": 24_665, "dod-o": 53_236, "isruc-s3": 8_589}


@pytest.mark.slow
def test_a_dry_run_needs_no_file_either(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (tmp_path / "config.yaml").write_text((REPOSITORY / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    result = project.run("--datasets", ",".join(DATABASES), "--experiment", "other-databases", "-n", "--cores", "1")
    assert result.returncode == 0, result.stdout
    assert "dod-o: DOD-O, 36 GB; licence: " in result.stdout and not (tmp_path / "results" / "data").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", DATABASES)
def test_a_database_from_a_server_to_the_report(name: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project, served = make_project(tmp_path / "project"), tmp_path / "server"
    result = project.sleepbench("data", "simulate", "--like", name, "--subjects", "4", "--hours", "1", str(served))
    assert result.returncode == 0, result.stdout
    settings = {"simulated": True, "subjects": 4, "psg_hours": 1.0, "n_folds": 2, "training_epochs": 1}
    handler = partial(QuietHandler, directory=served)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project.configure(
            run={"experiment": "other-databases"},
            datasets={name: settings},
            data={name: {"base_url": f"http://127.0.0.1:{server.server_port}/"}},
        )
        inputs = "ten" if name == "isruc-s3" else "four"
        lists = ("--protocols", "clean", "--models", "ulw_sleepnet", "--inputs", inputs)
        result = project.run("--datasets", name, *lists)
        server.shutdown()
    assert result.returncode == 0, result.stdout
    for path in served.rglob("*.*"):
        if path.suffix in (".edf", ".h5", ".rec", ".txt") and path.name != "SHA256SUMS.txt":
            (mine,) = (project.directory / "results/data" / name / "raw").rglob(path.name)
            assert hashlib.sha256(mine.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
    results = project.directory / "results" / name
    runs = pd.read_csv(results / "runs.csv")
    assert runs["fold"].tolist() == [0, 1] and runs["simulated"].all() and (runs.n_test > 0).all()
    assert (results / "report.html").exists()
    for table in (results / "tables").glob("*.md"):
        assert "SIMULATED" in table.read_text(encoding="utf-8").splitlines()[0]
    if name == "sleep-edf-st":
        groups = pd.read_csv(results / "tables" / "groups.csv")
        assert {"placebo", "temazepam"} <= set(groups.group)
