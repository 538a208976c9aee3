"""The path of the real recordings, from a server under PhysioNet's paths: simulated files under the real names."""

import threading
from functools import partial
from http.server import ThreadingHTTPServer

import pandas as pd
import pytest
from conftest import make_project

from sleepbench.cli.rehearsal import SERVED_AT, QuietHandler, rehearse, simulate_under_real_names
from sleepbench.config.load import load
from sleepbench.config.plan import plan
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE


class CountingHandler(QuietHandler):
    """Remembers which files were asked for."""

    asked: list[str] = []  # noqa: RUF012  (shared by all requests on purpose)

    def do_GET(self):
        self.asked.append(self.path.rsplit("/", 1)[-1])
        super().do_GET()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Two simulated subjects under the real names, behind a local server: (base URL, table, directory, requests)."""
    directory = tmp_path_factory.mktemp("server")
    real = read_recordings(OFFICIAL_TABLE)
    files = directory / SERVED_AT / "sleep-cassette"
    simulate_under_real_names(first_subjects(real, 2), files, directory / "recordings.csv")
    CountingHandler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(CountingHandler, directory=directory)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{SERVED_AT}/"
        yield url, directory / "recordings.csv", files, CountingHandler.asked
        server.shutdown()


def real_project(directory, served, **settings):
    project = make_project(directory)
    url, table, _, _ = served
    project.configure(
        run={"experiment": "try-real", "protocols": ["trial"]},
        data={"sleep-edf": {"base_url": url}},
        datasets={"try-real": {"training_epochs": 1, "table": str(table), "simulated": True, **settings}},
    )
    return project


def test_data_are_fetched_once_and_only_what_is_missing_is_fetched_again(tmp_path, served):
    project, asked = real_project(tmp_path, served), served[3]
    asked.clear()
    command = ("data", "fetch", "--datasets", "try-real")
    result = project.sleepbench(*command)
    assert result.returncode == 0, result.stdout
    names = sorted(path.name for path in served[2].iterdir())
    assert sorted(asked) == names and len(names) == 8
    asked.clear()
    (project.directory / "results/data/sleep-edf/raw" / names[0]).unlink()
    result = project.sleepbench(*command)
    assert result.returncode == 0, result.stdout
    assert asked == [names[0]]


def test_a_trial_trains_one_fold(tmp_path, served):
    project = real_project(tmp_path, served)
    result = project.run("results/try-real/runs.csv")
    assert result.returncode == 0, result.stdout
    runs = pd.read_csv(project.directory / "results/try-real/runs.csv")
    assert runs["fold"].tolist() == [0] and runs["simulated"].all()


@pytest.mark.slow
def test_the_tables_of_a_trial_say_what_they_are(tmp_path, served):
    project = real_project(tmp_path, served)
    tables = [f"results/try-real/tables/{name}.md" for name in ("main_results", "claims", "quality")]
    result = project.run(*tables)
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(project.directory / "results/try-real/tables/main_results.csv")
    assert table.loc[table["model"] == "ULW-SleepNet", "folds"].iloc[0] == "1 of 2"
    titles = [(project.directory / path).read_text(encoding="utf-8").splitlines()[0] for path in tables]
    assert all(title.startswith("## ") and "SIMULATED" in title for title in titles)


def test_simulated_files_cannot_pass_for_real_ones(tmp_path, served):
    project = real_project(tmp_path, served, simulated=False)
    result = project.run("results/data/sleep-edf/prepared/SC4001.npy")
    assert result.returncode != 0
    assert "a rehearsal has a table of its own" in result.stdout
    # With the official table it is their size that gives them away.
    project.configure(datasets={"try-real": {"table": str(OFFICIAL_TABLE)}})
    result = project.run("results/data/sleep-edf/prepared/SC4001.npy")
    assert result.returncode != 0
    assert "SC4001E0-PSG.edf: the server says that it has 2190848 bytes, expected 48338048" in result.stdout
    assert not list((project.directory / "results").rglob("SC4001.npy"))


@pytest.mark.slow
def test_rehearsal_of_the_paper_runs_to_its_end(tmp_path):
    assert rehearse(tmp_path) == 0
    project = tmp_path / "project"
    planned = plan(load(project / "config.yaml", {"experiment": "paper", "datasets": ["sleep-edf-20"]}))
    summary = (project / "results/sleep-edf-20/summary.md").read_text(encoding="utf-8")
    titles = [line for line in summary.splitlines() if line.startswith("#")]
    assert titles and all("SIMULATED" in line for line in titles)
    runs = pd.read_csv(project / "results/sleep-edf-20/runs.csv")
    protocols = planned.datasets["sleep-edf-20"].protocols
    assert runs.groupby("protocol")["fold"].nunique().to_dict() == {name: p.n_folds for name, p in protocols.items()}
