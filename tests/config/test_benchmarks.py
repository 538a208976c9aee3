"""Benchmarks by name and version."""

import benchmark_versions as tool
import pytest
import yaml

from sleepbench.config import benchmarks
from sleepbench.config.benchmarks import as_defined, digest, version_of, versions
from sleepbench.config.load import load, validate

CONFIG = load(tool.ROOT / "config.yaml")
DIGESTS = {
    "sleepbench-SC v1": "b03b29c75635bc25",
    "sleepbench-SC-5s v1": "a1d2f8948ad057c2",
    "sleepbench-simulated v1": "f14d477dfcbad9e9",
}
"""First digits of the hashes of versions: numbers were cited by them, and none of them is ever changed."""


def test_no_version_was_changed() -> None:
    assert {name: digest(name)[:16] for name in versions()} == DIGESTS


def test_folds_and_protocols_are_those_of_the_newest_versions() -> None:
    """If this fails: `python tools/benchmark_versions.py` prints the version that is due; old ones stay as they are."""
    assert tool.due(CONFIG) == {}


def changed(**protocols):
    content = yaml.safe_load((tool.ROOT / "config.yaml").read_text(encoding="utf-8"))
    return validate({**content, "protocols": protocols})


@pytest.mark.parametrize("change", [{"trimming": "standard"}, {"selection": "last"}, {"n_folds": 13}])
def test_another_protocol_makes_a_new_version(change) -> None:
    due = tool.due(changed(released=change))
    assert {"sleepbench-SC v2"} <= {*due} and yaml.safe_load(tool.as_yaml(due)) == due


def test_a_run_is_of_the_newest_version_whose_folds_files_and_protocol_are_its_own(monkeypatch) -> None:
    data = versions()["sleepbench-SC v1"]["sleep-edf-20"]
    clean = data["protocols"]["clean"]
    settings = {**clean, "data_sha256": data["data_sha256"], "dataset": "sleep-edf-20"}
    assert version_of("sleep-edf-20", "clean", settings, "best_validation") == "sleepbench-SC v1"
    others = [
        ("sleep-edf-20", "clean", settings, "best_test"),
        ("sleep-edf-20", "released", settings, "best_validation"),
        ("sleep-edf-78", "clean", settings, "best_validation"),
        ("elsewhere", "clean", settings, "best_validation"),
        *(("sleep-edf-20", "clean", {**settings, name: "0" * 64}, "best_validation")
          for name in ("folds_sha256", "data_sha256", "trimming")),
    ]  # fmt: skip
    assert {version_of(*one) for one in others} == {""}
    both = {**versions(), "sleepbench-SC v2": versions()["sleepbench-SC v1"]}
    monkeypatch.setattr(benchmarks, "versions", lambda: both)
    assert version_of("sleep-edf-20", "clean", settings, "best_validation") == "sleepbench-SC v2"
    assert benchmarks.newest() == ["sleepbench-SC v2", "sleepbench-SC-5s v1", "sleepbench-simulated v1"]


def test_files_of_simulated_recordings_are_not_fixed() -> None:
    assert as_defined(CONFIG, {"simulated": ["clean"]})["simulated"]["data_sha256"] is None
