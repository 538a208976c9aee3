"""Commands on recordings."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from sleepbench.cli.data import data
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import SourceSettings
from sleepbench.datasets.download import read_checksums

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_simulated_nights_lie_as_the_home_of_their_database_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    said = run("simulate", "--like", "hmc", "--subjects", "1", "--hours", "1", str(tmp_path))
    assert "1 SIMULATED nights in the files of HMC, 15 MB, are in" in said
    assert {path.name for path in (tmp_path / "recordings").glob("*.edf")} == {"SN001.edf", "SN001_sleepscoring.edf"}
    assert set(read_checksums(tmp_path / "SHA256SUMS.txt")) == {
        f"recordings/{name}" for name in ("SN001.edf", "SN001_sleepscoring.edf")
    }
    # with the settings that the command prints they are taken as they are
    before = (tmp_path / "recordings" / "SN001.edf").stat().st_mtime_ns
    settings = {"reader": "hmc", "simulated": True, "subjects": 1, "psg_hours": 1.0, "seed": 1}
    assert "datasets: {hmc: {simulated: true, subjects: 1, psg_hours: 1.0, seed: 1}}" in said
    one = open_dataset("hmc", settings, {"hmc": SourceSettings(directory=str(tmp_path))})
    receipt = one.fetch(one.recordings()[0], one.directory("elsewhere"))
    assert Path(receipt["psg"]["path"]).stat().st_mtime_ns == before


def test_only_databases_with_simulated_nights_of_this_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(
        BenchmarkError, match=r"sleep-edf-20: .* expected one of sleep-edf-st, hmc, dod-h, dod-o, isruc-s3"
    ):
        run("simulate", "--like", "sleep-edf-20", "x")
