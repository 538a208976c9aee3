"""What `sleepbench run` makes of its options, and what Snakemake gets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sleepbench.cli import app, launch
from sleepbench.cli import run as run_module
from sleepbench.cli.run import with_config
from sleepbench.cli.selection import planned, settings_of, settings_of_data
from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.config.models import Tracking
from sleepbench.core import gpu
from sleepbench.workflow import Workflow

ROOT = Path(__file__).parents[2]
HOSTILE = "$(touch made) `touch made` \"'; touch made"


@pytest.fixture
def passed(tmp_path, monkeypatch):
    """The arguments that Snakemake would get, in a directory with the project's config.yaml."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "config.yaml", tmp_path)
    calls = []
    monkeypatch.setattr(launch, "snakemake", lambda arguments, again, verbose: calls.append(list(arguments)) or 0)
    return calls


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        app.main(list(arguments))
    return ended.value.code


def test_lists_replace_those_of_the_experiment():
    asked = settings_of(
        experiment="paper", datasets="sleep-edf-20", models="ulw_sleepnet, chambon2018", seeds="32,33", inputs=None
    )
    assert asked == {
        "experiment": "paper",
        "datasets": ["sleep-edf-20"],
        "models": ["ulw_sleepnet", "chambon2018"],
        "seeds": [32, 33],
    }
    assert settings_of(experiment=None, datasets=None) == {}


def test_words_that_stand_for_lists_stay_words():
    assert settings_of(protocols="ladder", models="all", recipes="own,common") == {
        "protocols": "ladder",
        "models": "all",
        "recipes": ["own", "common"],
    }


def test_two_models_under_clean_on_one_eeg_is_one_line(passed):
    line = "run --models ulw_sleepnet,chambon2018 --protocols clean --inputs one --datasets sleep-edf-20"
    assert run(*line.split()) == 0
    ((*options, config),) = passed
    assert options == ["--config"] and config.startswith("run=")
    assert json.loads(config.removeprefix("run=")) == {
        "datasets": ["sleep-edf-20"],
        "protocols": ["clean"],
        "models": ["ulw_sleepnet", "chambon2018"],
        "inputs": ["one"],
    }


def test_targets_and_options_of_snakemake_are_passed(passed):
    assert run("run", "-n", "--cores", "3", "results/x.csv", "--", "--forcerun", "fetch", "--quiet") == 0
    assert passed == [["--dry-run", "--cores", "3", "--forcerun", "fetch", "--quiet", "--", "results/x.csv"]]
    assert run("run") == 0 and passed[1] == []


def test_a_store_that_is_not_there_is_said_before_snakemake_starts(passed, capsys):
    Path("results/mlflow.db").mkdir(parents=True)
    assert run("run") == 1 and not passed
    assert "results/mlflow.db: the MLflow store cannot be opened" in capsys.readouterr().err
    assert run("run", "-n") == 0 and run("run", "data") == 0 and len(passed) == 2


def test_a_gpu_that_is_not_there_is_said_before_snakemake_starts(passed, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "DEVICES", Path("nowhere"))
    config = Path("config.yaml")
    config.write_text(config.read_text().replace("  device: auto", "  device: cuda"))
    assert run("run", "--datasets", "simulated") == 1 and not passed
    said = capsys.readouterr().err
    assert said.startswith("Error: training.device is 'cuda', but this machine has no GPU") and "auto or cpu" in said
    # Recordings need none, nor does a plan, nor what runs on a cluster.
    for arguments in (["data"], ["-n"], ["results/x.csv", "--", "--executor", "slurm"]):
        assert run("run", *arguments) == 0
    monkeypatch.setattr("sleepbench.cli.run._is_trained", lambda plan: True)
    assert run("run", "results/simulated/runs.csv") == 0 and len(passed) == 4  # all is trained


def test_a_wrong_configuration_has_a_status_of_its_own(passed, capsys):
    assert run("run", "--datasets", "sleep-edf-2O") == 2 and not passed
    assert capsys.readouterr().err.count("sleep-edf-2O") == 1
    assert run("run", "--models", "ulw") == 2
    assert "unknown name 'ulw'; the nearest known name is 'ulw_sleepnet'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "passed_on"),
    [
        ([], ["--forcerun", "a", "b"]),
        (["--profile", "p", "x.csv"], ["--forcerun", "a", "b", "--profile", "p", "x.csv"]),
        (["--forcerun", "fetch", "--", "data"], ["--forcerun", "a", "b", "fetch", "--", "data"]),
        (["-n", "--", "-R"], ["--forcerun", "a", "b", "-n", "--", "-R"]),
    ],
)
def test_files_to_be_made_again_join_those_that_are_forced(options, passed_on):
    assert launch.with_forced(["a", "b"], options) == passed_on
    assert launch.with_forced([], options) == options


def test_a_config_of_the_user_is_kept_beside_the_lists():
    settings = {"datasets": ["simulated"]}
    run = 'run={"datasets": ["simulated"]}'
    assert with_config(["--config", "training={threads: 2}"], settings) == ["--config", run, "training={threads: 2}"]
    assert with_config(["-k", "-C", "a=1"], settings) == ["-k", "-C", run, "a=1"]
    assert with_config(["-k"], {}) == ["-k"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--datasets=sleep-edf-2O", "run.datasets: unknown name 'sleep-edf-2O'; the nearest known name is 'sleep-edf-"),
        ("--protocols=cleen", "the nearest known name is 'clean'"),
        ("--experiment=papr", "the nearest known name is 'paper'"),
        ("--inputs=fpz", "'fpz' is now called 'one'"),
        ("--recipes=", "empty list"),
        ("--recipes=ulw,ulw", "ulw is there more than once"),
        ("--seeds=32,x", "found 'x', expected a whole number"),
        (f"--datasets={HOSTILE}", f"unknown name '{HOSTILE}'"),
    ],
)
def test_what_is_wrong_is_said_before_snakemake_starts(passed, capsys, option, said):
    assert run("run", option) == 2
    assert said in capsys.readouterr().err
    assert passed == [] and not Path("made").exists()


def test_what_cannot_be_trained_is_said_too(passed, capsys):
    assert run("run", "--datasets", "simulated", "--models", "micro_sleepnet", "--protocols", "clean") == 1
    assert "nothing is trained on simulated" in capsys.readouterr().err and passed == []


def test_what_came_out_is_said_at_the_end(passed, capsys, monkeypatch):
    for name in ("simulated", "simulated-tiny"):
        claims = Path("results", name, "tables", "claims.csv")
        claims.parent.mkdir(parents=True)
        claims.write_text("model,verdict\nULW-SleepNet,reproduced\n")
    assert run("run", "--datasets", "simulated,simulated-tiny") == 0
    results = [
        "Results (SIMULATED data – not a result on Sleep-EDF)",
        "SIMULATED data | Published claims: 1 reproduced",
    ]
    out = capsys.readouterr().out.splitlines()
    assert out[:6] == ["", *results, "", *results] and out[6].startswith("Took ")
    assert out[7:] == ["Open results/simulated/report.html", "Open results/simulated-tiny/report.html"]
    for without in (["-n"], ["results/simulated/runs.csv"], ["--", "--dry-run"]):
        assert run("run", "--datasets", "simulated", *without) == 0
    monkeypatch.setattr(launch, "snakemake", lambda arguments, again, verbose: 1)
    assert run("run", "--datasets", "simulated") == 1
    assert capsys.readouterr().out == ""


def test_snakemake_speaks_where_that_is_asked_for(passed, monkeypatch):
    asked = []
    monkeypatch.setattr(launch, "snakemake", lambda arguments, again, verbose: asked.append((arguments, verbose)) or 0)
    assert run("run", "--verbose", "results/x.csv") == 0 and run("run", "results/x.csv") == 0
    assert asked == [(["--", "results/x.csv"], True), (["--", "results/x.csv"], False)]


def test_data_and_report_ask_for_their_targets(passed, capsys):
    assert run("data", "fetch", "--datasets", "simulated") == 0
    assert run("data", "prepare", "--datasets", "simulated") == 0
    assert run("report", "--experiment", "paper", "--datasets", "sleep-edf-20") == 0
    config = ["--config", 'run={"experiment": "demo", "datasets": ["simulated"]}']
    assert passed[:2] == [["--forcerun", "fetch", *config, "--", "data"], [*config, "--", "prepared"]]
    assert passed[2][-2:] == ["--", "results/sleep-edf-20/report.html"]
    assert capsys.readouterr().out == "results/sleep-edf-20/report.html\n"


@pytest.mark.parametrize(
    ("datasets", "settings"),
    [
        ("sleep-edf-20-5s", {"experiment": "real-5s"}),
        ("sleep-edf-20-5s-quick", {"inputs": ["one"]}),  # in no experiment, and of one channel
        ("sleep-edf-20,sleep-edf-78", {"experiment": "paper"}),
        (None, {}),
    ],
)
def test_commands_on_recordings_plan_what_the_datasets_have_the_channels_for(monkeypatch, datasets, settings):
    monkeypatch.chdir(ROOT)
    found = settings_of_data(datasets)
    assert found == settings | ({"datasets": datasets.split(",")} if datasets else {})
    assert planned(found)


def test_realism_is_of_a_simulated_cohort(passed, capsys):
    assert run("data", "realism", "--dataset", "sleep-edf-20") == 1
    assert "holds no simulated cohort" in capsys.readouterr().err
    page = Path("results/simulated-20/realism.md")
    page.parent.mkdir(parents=True)
    for verdict, status in (("yes", 0), ("NO", 1)):
        page.write_text(f"| what | within |\n|---|---|\n| NOISE | {verdict} |\n")
        assert run("data", "realism") == status
    assert passed[0][-2:] == ["--", str(page)] and "ulw_sleepnet" in passed[0][1]
    assert "not within its bounds" in capsys.readouterr().err


def test_a_dry_run_lists_the_jobs_and_changes_nothing(tmp_path):
    """By Snakemake itself, on a small cohort."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    for name in ("Snakefile", "workflow", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    line = "run -n --datasets simulated-tiny --protocols clean --models eegnet --inputs one --recipes common --seeds 1"
    result = subprocess.run(
        [sys.executable, "-m", "sleepbench.cli.app", *line.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(words[:2] for words in map(str.split, result.stdout.splitlines()) if len(words) == 2)
    assert counts["train"] == "1" and counts["prepare"] == "7"
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("options", "elsewhere"),
    [
        ([], False),
        (["--cores", "2"], False),
        (["--executor", "local"], False),
        (["--executor", "slurm"], True),
        (["--executor=slurm"], True),
        (["-e", "kubernetes", "--jobs", "3"], True),
        (["--profile", "workflow/profiles/default"], False),
        (["--profile", "workflow/profiles/slurm"], True),
        (["--profile=workflow/profiles/slurm", "--jobs", "2"], True),
        (["--profile", "of/somebody"], False),
    ],
)
def test_whether_jobs_run_on_other_machines_is_read_from_the_options(monkeypatch, options, elsewhere):
    monkeypatch.chdir(ROOT)
    assert run_module.is_elsewhere(options) is elsewhere


def test_a_server_that_lost_its_runs_has_them_logged_again(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def lost(uri, logged):
        asked.append((uri, logged))
        return list(logged.values())

    monkeypatch.setattr("sleepbench.runs.mlflow.lost", lost)
    for uri in ("http://host", "sqlite:///mlflow.db"):
        config = load(ROOT / "config.yaml").model_copy(update={"tracking": Tracking(uri=uri)})
        workflow = Workflow(config, ROOT)
        assert run_module._lost_by_a_server(workflow) == []  # nothing was logged yet
        Path(paths.logged("simulated")).parent.mkdir(parents=True, exist_ok=True)
        Path(paths.logged("simulated")).write_text("[]")
        found = run_module._lost_by_a_server(workflow)
        assert found == ([paths.logged("simulated")] if uri == "http://host" else [])
        Path(paths.logged("simulated")).unlink()
    ((uri, logged),) = asked
    assert uri == "http://host" and list(logged.values()) == [Path(paths.logged("simulated"))]
    assert "has lost runs: they are logged again" in capsys.readouterr().err
