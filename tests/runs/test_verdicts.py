"""`make verify`: verdicts from what there is, and an exit status that tells."""

import json
import shutil

import pytest
import yaml
from result_tree import CLEAN, DATASET, REPOSITORY, ResultTree

from sleepbench.core.errors import BenchmarkError
from sleepbench.runs import verdicts

OPERATIONS = {"parameters": 13_337, "macs": 3_498_352, "flops_2x": 6_996_704, "flops_tensorflow": 7_885_806}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with the repository's config, table and claims, and a profile."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "config.yaml", tmp_path)
    (tmp_path / "workflow").symlink_to(REPOSITORY / "workflow")
    write_profile(tmp_path, 13_337)
    return tmp_path


def write_profile(directory, parameters):
    profile = {"title": "ULW-SleepNet", "n_channels": 4, "operations": {**OPERATIONS, "parameters": parameters}}
    (directory / "results" / "profile").mkdir(parents=True, exist_ok=True)
    (directory / "results" / "profile" / "ulw_sleepnet-4.json").write_text(json.dumps(profile))


def test_counts_get_verdicts_without_data_and_accuracies_wait(project, capsys):
    assert verdicts.main() == 0
    printed = capsys.readouterr().out
    assert printed.count("REPRODUCED: ULW-SleepNet, 13.3K parameters") == 1
    assert printed.count("NOT TESTABLE HERE: ULW-SleepNet, accuracy") == 2
    assert "comparator not named" in printed and "0.92M to 0.99M" in printed
    assert "5 claims: 3 not testable here, 2 reproduced" in printed


def test_a_claim_that_fails_is_told_by_the_exit_status(project, capsys):
    write_profile(project, 14_000)
    assert verdicts.main() == 1
    assert "NOT REPRODUCED: ULW-SleepNet, 13.3K parameters" in capsys.readouterr().out


def test_a_rehearsal_gets_no_verdict_on_an_accuracy(project):
    config = yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8"))
    config["data"] |= {"simulated": True, "table": "other.csv"}
    table = verdicts.verdicts(config, verdicts.CLAIMS).set_index("id")
    assert table.loc["accuracy-sleep-edf-20", "verdict"] == "not testable here"
    assert "simulated" in table.loc["accuracy-sleep-edf-20", "why"]


def test_runs_count_only_with_every_file_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = ResultTree(tmp_path)
    tree.train_all()
    tree.write_tables()
    claims = yaml.safe_load((REPOSITORY / verdicts.CLAIMS).read_text(encoding="utf-8"))
    claims[0]["test"]["dataset"] = DATASET
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(claims[:1]), encoding="utf-8")
    assert verdicts.verdicts(tree.config, tmp_path / "claims.yaml").verdict.item() == "not testable here"
    (tmp_path / tree.directory(CLEAN, 1) / "weights.pt").write_bytes(b"other")
    with pytest.raises(BenchmarkError, match=r"(?s)results on simulated are not whole.*fold-1/weights.pt is CHANGED"):
        verdicts.verdicts(tree.config, tmp_path / "claims.yaml")
    # Nothing of that concerns a claim about a count.
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(claims[2:]), encoding="utf-8")
    assert len(verdicts.verdicts(tree.config, tmp_path / "claims.yaml")) == 3
