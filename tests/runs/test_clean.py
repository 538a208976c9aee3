import json
from pathlib import Path

import pytest
import yaml

from sleepbench.config.load import load
from sleepbench.runs.clean import clean


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A directory with a configuration and some results; the files of Sleep-EDF lie in results/."""
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "results" / "simulated" / "fold-0").mkdir(parents=True)
    (tmp_path / "results" / "simulated" / "fold-0" / "training.json").write_text(json.dumps({"duration_s": 7200}))
    (tmp_path / "results" / "data" / "sleep-edf" / "raw").mkdir(parents=True)
    (tmp_path / "results" / "data" / "sleep-edf" / "raw" / "a.edf").write_bytes(b"x" * 200_000_000)
    (tmp_path / "results" / "README.md").write_text("kept")
    return tmp_path / "results"


def test_cost_is_said_and_nothing_deleted(results):
    text = clean(load())
    assert "1 trainings that took 2.00 h" in text
    assert "a download of 0.2 GB" in text
    assert "sleepbench results clean --yes" in text
    assert (results / "simulated").exists()


def test_all_but_the_page_and_the_users_files_is_deleted_when_told_to(results):
    config = yaml.safe_load(Path("config.yaml").read_text())
    config["data"]["sleep-edf"]["directory"] = "mine"
    Path("config.yaml").write_text(yaml.safe_dump(config))
    Path("mine").mkdir()
    text = clean(load(), delete=True)
    assert "Not touched: your files of sleep-edf in mine" in text and text.endswith("Deleted.")
    assert [path.name for path in results.iterdir()] == ["README.md"]
    assert Path("mine").exists()


def test_nothing_to_clean_is_said(results):
    clean(load(), delete=True)
    assert "holds nothing" in clean(load())
