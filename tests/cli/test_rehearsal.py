"""The parts of a rehearsal; tests/workflow runs one."""

from pathlib import Path

import pytest

from sleepbench.cli import rehearsal
from sleepbench.config.load import load
from sleepbench.config.plan import dataset, plan, recipe_on, recordings
from sleepbench.core.files import sha256_of_file
from sleepbench.datasets.recordings_table import read_recordings


@pytest.fixture(scope="module")
def real():
    """The first two nights of Sleep-EDF-20."""
    return recordings(load(rehearsal.ROOT / "config.yaml"), "sleep-edf-20")[:2]


def test_simulated_files_have_the_real_names(real, tmp_path):
    directory, table = tmp_path / "served", tmp_path / "recordings.csv"
    rehearsal.simulate_under_real_names(real, directory, table)
    listed = read_recordings(table)
    assert [(one.id, one.subject, one.night, one.age, one.sex) for one in listed] == [
        (one.id, one.subject, one.night, one.age, one.sex) for one in real
    ]
    for mine, official in zip(listed, real, strict=True):
        assert [file.name for file in mine.files] == [file.name for file in official.files]
        for file, other in zip(mine.files, official.files, strict=True):
            assert sha256_of_file(directory / file.name) == file.sha256 != other.sha256


def test_the_project_reads_them_as_simulated(tmp_path, monkeypatch):
    table = tmp_path / "recordings.csv"
    table.write_text((rehearsal.ROOT / "workflow/resources/sleep_edf_recordings.csv").read_text(encoding="utf-8"))
    for _ in range(2):  # again where it is already
        rehearsal.make_project(tmp_path / "project", table, "http://127.0.0.1:1/files/")
    monkeypatch.chdir(tmp_path / "project")
    config = load(run={"experiment": "paper", "datasets": ["sleep-edf-20"]})
    one = dataset(config, "sleep-edf-20")
    assert one.label.simulated and one.source_settings.base_url == "http://127.0.0.1:1/files/"
    assert not Path(one.directory("elsewhere")).is_absolute()  # within the project
    assert recipe_on(config, "ulw", "sleep-edf-20").training_epochs == 1
    assert len(plan(config).trainings) == 150
