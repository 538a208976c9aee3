"""Verdicts from what there is, and an exit status that tells."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_reruns import RERUNS, change_matrix, runs_like
from planned_results import CLEAN, DATASET, REPOSITORY, PlannedResults

from sleepbench.config.load import load, validate
from sleepbench.core.errors import BenchmarkError
from sleepbench.runs import verdicts

CLAIMS, RERUNS_FILE = REPOSITORY / verdicts.CLAIMS, REPOSITORY / verdicts.RERUNS
OPERATIONS = {"parameters": 13_337, "macs": 3_498_352, "flops_2x": 6_996_704, "flops_tensorflow": 7_885_806}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with a profile and nothing else."""
    monkeypatch.chdir(tmp_path)
    write_profile(13_337)


def write_profile(parameters):
    operations = {**OPERATIONS, "parameters": parameters}
    profile = {"title": "ULW-SleepNet", "n_channels": 4, "n_samples": 3000, "operations": operations}
    Path("results/profile").mkdir(parents=True, exist_ok=True)
    Path("results/profile/ulw_sleepnet-4.json").write_text(json.dumps(profile))


def config():
    return load(REPOSITORY / "config.yaml")


def test_counts_get_verdicts_without_data_and_accuracies_wait(project, capsys):
    assert verdicts.print_verdicts(config(), CLAIMS, RERUNS_FILE) == 0
    printed = capsys.readouterr().out
    assert printed.count("REPRODUCED: ULW-SleepNet, 13.3K parameters") == 1
    assert printed.count("NOT TESTABLE HERE: ULW-SleepNet, accuracy") == 2
    assert "comparator not named" in printed and "0.92M to 0.99M" in printed
    assert "8 claims: 6 not testable here, 2 reproduced" in printed


def test_a_claim_that_fails_is_told_by_the_exit_status(project, capsys):
    write_profile(14_000)
    assert verdicts.print_verdicts(config(), CLAIMS, RERUNS_FILE) == 1
    assert "NOT REPRODUCED: ULW-SleepNet, 13.3K parameters" in capsys.readouterr().out


def test_a_cohort_by_the_name_of_a_real_dataset_gets_no_verdict_on_an_accuracy(project):
    content = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    cohort = {"reader": "simulated", "shape": "demo", "psg_hours": 2, "seed": 1, "subjects": None}
    content["datasets"] = {"sleep-edf-20": cohort}
    table = verdicts.verdicts(validate(content), CLAIMS).set_index("id")
    assert table.loc["accuracy-sleep-edf-20", "verdict"] == "not testable here"
    assert "simulated" in table.loc["accuracy-sleep-edf-20", "why"]


def test_runs_count_only_with_every_file_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = PlannedResults(tmp_path)
    results.train_all()
    results.write_tables()
    claims = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    claims[0]["test"]["dataset"] = DATASET
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(claims[:1]), encoding="utf-8")
    assert verdicts.verdicts(results.config, path).verdict.item() == "not testable here"
    (results.directory(CLEAN, 1) / "weights.pt").write_bytes(b"other")
    with pytest.raises(BenchmarkError, match=r"(?s)results on simulated are not whole.*fold-1/weights.pt is CHANGED"):
        verdicts.verdicts(results.config, path)
    # Nothing of that concerns a claim about a count.
    path.write_text(yaml.safe_dump(claims[2:]), encoding="utf-8")
    assert len(verdicts.verdicts(results.config, path)) == len(claims) - 2


# ------------------------------------------------------------------------------------------------- re-runs by others


def runs_of(monkeypatch, runs):
    """Let these be the verified runs on Sleep-EDF-20; there are none on other datasets."""
    monkeypatch.setattr(
        verdicts, "finished_runs", lambda config, name: runs if name == "sleep-edf-20" else verdicts.NO_RUNS
    )


def printed_reruns(capsys):
    """What stands behind the claims, with single spaces."""
    return " ".join(capsys.readouterr().out.partition(" claims: ")[2].split())


def test_a_rerun_waits_where_nothing_was_run(project, capsys):
    assert verdicts.print_verdicts(config(), CLAIMS, RERUNS_FILE) == 0
    printed = printed_reruns(capsys)
    assert printed.count("NOT TESTABLE HERE: ULW-SleepNet, re-run by others on") == 3
    assert "on isruc-s3, protocol whole_released (secondary: github.com/Nhantran65/Linear-BIM" in printed


def test_runs_that_agree_with_a_rerun_are_set_beside_it(project, capsys, monkeypatch):
    runs_of(monkeypatch, runs_like(RERUNS["sleep-edf-20"]))
    assert verdicts.print_verdicts(config(), CLAIMS, RERUNS_FILE) == 0
    printed = printed_reruns(capsys)
    assert "REPRODUCED: ULW-SleepNet, re-run by others on sleep-edf-20" in printed
    assert "fold 7 2,822 77.75" in printed and "F1 of N1 2,225 47.83" in printed
    assert "points of the scored stage (rows): W N1 N2 N3 REM" in printed


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (runs_like(RERUNS["sleep-edf-20"], apart={4: -4.0, 9: 4.0}), "NOT REPRODUCED: ULW-SleepNet, re-run by others"),
        (
            change_matrix(runs_like(RERUNS["sleep-edf-20"]), 3, np.diag([0, 0, -5, 0, 0])),
            "ERROR: ULW-SleepNet, re-run by others on sleep-edf-20",
        ),
    ],
)
def test_a_rerun_that_is_not_reproduced_is_told_by_the_exit_status(project, capsys, monkeypatch, runs, said):
    runs_of(monkeypatch, runs)
    assert verdicts.print_verdicts(config(), CLAIMS, RERUNS_FILE) == 1
    assert said in printed_reruns(capsys)


def test_a_cohort_by_the_name_of_a_real_dataset_is_not_set_beside_a_rerun(project, monkeypatch):
    runs_of(monkeypatch, runs_like(RERUNS["sleep-edf-20"]))
    content = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    cohort = {"reader": "simulated", "shape": "demo", "psg_hours": 2, "seed": 1, "subjects": None}
    content["datasets"] = {"sleep-edf-20": cohort}
    table = verdicts.beside_reruns(validate(content), [RERUNS["sleep-edf-20"]], partial(verdicts.finished_runs, None))
    assert table.verdict.tolist() == ["not testable here"] and "simulated signals" in table.why.item()
