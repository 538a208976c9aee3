"""The workflow by SLURM: what its profile says, and a run through two nodes of which one dies.

The latter takes minutes and needs Debian's SLURM: `make test-slurm`.
"""

import re
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ENVIRONMENT, REPOSITORY, make_project
from slurm_cluster import NODES, PATH, running_cluster, wait_until, what_is_missing

PROFILES = REPOSITORY / "workflow" / "profiles"
DATASET = "simulated-tiny"
QUICKLY = (
    *("--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
    *("--seconds-between-status-checks", "3", "--latency-wait", "20", "--local-cores", "1", "--jobs", "2"),
)
"""Options for a cluster that does nothing else."""


def profile(name: str) -> dict:
    return yaml.safe_load((PROFILES / name / "config.yaml").read_text(encoding="utf-8"))


def rules() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "workflow/rules").glob("*.smk")))
    return {*re.findall(r"^rule (\w+):", text, re.M), *re.findall(r"^use rule \w+ as (\w+) with:", text, re.M)}


def test_what_the_profile_says_of_rules_is_of_rules_that_there_are():
    said = profile("slurm")
    snakefile = (REPOSITORY / "workflow/Snakefile").read_text(encoding="utf-8")
    local = set(re.findall(r"^    (\w+),$", snakefile[snakefile.index("localrules:") :], re.M))
    named = [{*said["set-resources"]}, {*said["set-threads"]}, {*said["groups"]}, local - {"all"}]
    assert all(names and names <= rules() for names in named)
    assert not local & {*said["groups"]} and "train" not in local
    queued = {"prepare", "train", "train_stack", "smooth", "profile", "deployment", "realism", "cross", "cross_report"}
    assert rules() - local - {*said["groups"]} == queued


def test_the_profile_differs_from_that_of_one_machine_in_what_a_cluster_asks_for():
    here, there = profile("default"), profile("slurm")
    shared = ("rerun-incomplete", "quiet", "rerun-triggers")
    assert {key: here[key] for key in shared} == {key: there[key] for key in shared}
    # How many GPUs there are is for SLURM to know.
    assert {**there["resources"], "gpu": 1} == here["resources"]
    assert there["set-threads"] == {"profile": 1}
    assert all("--exclusive" in there["set-resources"][rule]["slurm_extra"] for rule in ("profile", "deployment"))


needs_slurm = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("slurm")) as one:
        yield one


def project_in(directory: Path):
    directory.mkdir()
    made = make_project(directory)
    made.configure(run={"datasets": [DATASET]}, datasets={DATASET: {"training_epochs": 4}})
    return made


def through_slurm(project) -> subprocess.Popen:
    environment = {**ENVIRONMENT, "PATH": f"{ENVIRONMENT['PATH']}:{PATH}"}
    command = project.command("run", "--verbose", "--", "--profile", "workflow/profiles/slurm", *QUICKLY)
    said = (project.directory / "said.txt").open("a")
    return subprocess.Popen(command, cwd=project.directory, env=environment, stdout=said, stderr=said)


def training_on(cluster) -> str:
    """The node that a training runs on; empty where none does."""
    jobs = cluster.says("squeue", "-h", "-t", "R", "-o", "%N %k").splitlines()
    return next((job.split()[0] for job in jobs if "rule_train" in job), "")


@pytest.mark.slow
@needs_slurm
def test_a_run_outlives_a_node_and_itself_and_ends_as_one_on_this_machine(cluster, tmp_path):
    project = project_in(tmp_path / "cluster")
    home = project.directory / "results" / DATASET

    process = through_slurm(project)
    node = wait_until(lambda: process.poll() is not None or training_on(cluster), 900, "a training")
    assert node in NODES, (project.directory / "said.txt").read_text()
    cluster.kill_node(node)
    wait_until(lambda: any(home.rglob("metrics.json")), 600, "a training on the other node")
    process.send_signal(signal.SIGKILL)  # the login node is restarted
    process.wait()
    cluster.start_node(node)

    process = through_slurm(project)
    assert process.wait(1800) == 0, (project.directory / "said.txt").read_text()
    assert "SIMULATED" in (home / "report.html").read_text(encoding="utf-8")

    jobs = {line for line in cluster.says("scontrol", "-o", "show", "jobs").splitlines() if "rule_profile" in line}
    assert jobs and all("OverSubscribe=NO" in job for job in jobs), "latency is measured with nothing beside it"

    here = project_in(tmp_path / "here")
    assert (result := here.run()).returncode == 0, result.stdout
    for pattern in (f"results/{DATASET}/**/predictions.parquet", f"results/{DATASET}/statistics/*.csv"):
        found = project.read_bytes(pattern)
        assert found and found == here.read_bytes(pattern)
