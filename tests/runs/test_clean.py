import json
from pathlib import Path

import pytest
import yaml

from sleepbench.runs import clean


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A directory with a config and some results."""
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    config["data"]["directory"] = "mine"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "results" / "simulated" / "fold-0").mkdir(parents=True)
    (tmp_path / "results" / "simulated" / "fold-0" / "training.json").write_text(json.dumps({"duration_s": 7200}))
    (tmp_path / "results" / "data" / "sleep-edf" / "raw").mkdir(parents=True)
    (tmp_path / "results" / "data" / "sleep-edf" / "raw" / "a.edf").write_bytes(b"x" * 200_000_000)
    (tmp_path / "results" / "README.md").write_text("kept")
    (tmp_path / "mine").mkdir()
    return tmp_path / "results"


def test_cost_is_said_and_nothing_deleted(results, capsys):
    clean.main(delete=False)
    printed = capsys.readouterr().out
    assert "1 trainings that took 2.00 h" in printed
    assert "a download of 0.2 GB" in printed
    assert "make clean YES=1" in printed
    assert (results / "simulated").exists()


def test_all_but_the_page_and_the_users_files_is_deleted_when_told_to(results):
    clean.main(delete=True)
    assert [path.name for path in results.iterdir()] == ["README.md"]
    assert (results.parent / "mine").exists()


def test_nothing_to_clean_is_said(results, capsys):
    clean.main(delete=True)
    capsys.readouterr()
    clean.main(delete=False)
    assert "holds nothing" in capsys.readouterr().out
