import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.profiling import profile


@pytest.fixture(autouse=True)
def no_timing(monkeypatch):
    monkeypatch.setattr(profile, "measure_latency", lambda model, n_channels, n_samples: {"median_us": 1.0})


@pytest.mark.parametrize(("model", "length"), [("ulw_sleepnet", 1), ("nano_sleepnet_tcn", 10)])
def test_networks_are_counted_as_they_are_trained(model, length, tmp_path):
    profile.write_profile(model, 1, tmp_path / "profile.json")
    written = read_json(tmp_path / "profile.json")
    assert (written["model"], written["n_channels"], written["latency"]) == (model, 1, {"median_us": 1.0})
    assert written["operations"]["length"] == length
    assert written["operations"]["macs"] == length * written["operations"]["macs_per_epoch"]


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="profile of band_power: it is no network"):
        profile.write_profile("band_power", 1, tmp_path / "profile.json")
    assert not any(tmp_path.iterdir())
