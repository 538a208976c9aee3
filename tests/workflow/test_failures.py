"""Bad input, failures and interruptions, as a user of the commands meets them."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from functools import partial

import psutil
import pytest
from conftest import ENVIRONMENT, Project, make_project

from sleepbench.config import paths
from sleepbench.core.files import read_document, read_json

TRAINING = "results/simulated/trainings/subject-2-kept-validation0/standard/ulw_sleepnet/four/ulw/seed-32"


ON_MINE = {
    "run": {"datasets": ["try-real"], "protocols": ["trial"]},
    "data": {"sleep-edf": {"directory": "mine", "base_url": None}},
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--datasets", "sleep-edf-2O"],
            "run.datasets: unknown name 'sleep-edf-2O'; the nearest known name is 'sleep-edf-20'",
        ),
        (["--protocols", "cleen"], ": unknown name 'cleen'; the nearest known name is 'clean'"),
        (["--", "--config", "trainin={}"], "unknown key 'trainin'; the nearest known name is 'training'"),
    ],
)
def test_configuration_is_checked_before_any_job(project, arguments, message):
    result = project.run(*arguments)
    assert result.returncode != 0
    assert message in result.stdout
    assert "Traceback" not in result.stdout
    assert not list((project.directory / "results").glob("data"))


def test_paper_plans_every_recording_and_fold_of_the_real_datasets(project):
    result = project.run("-n", "--experiment", "paper", "--datasets", "sleep-edf-78")
    assert result.returncode == 0, result.stdout
    jobs = dict(
        line.split()[:2] for line in result.stdout.splitlines() if line.startswith(("fetch ", "prepare ", "train "))
    )
    # Ten folds of released and of clean, with three seeds each.
    assert jobs == {"fetch": "153", "prepare": "153", "train": "60"}
    assert not (project.directory / "results").exists()


def edges(project, n_subjects: int, n_seeds: int) -> int:
    """How many inputs Snakemake goes through, of the jobs behind each input of a job."""
    project.configure(
        run={"protocols": ["clean"], "seeds": list(range(n_seeds))},
        datasets={"simulated": {"subjects": n_subjects, "single_night_subjects": []}},
    )
    result = project.run("--", "--dag")
    assert result.returncode == 0, result.stdout
    pairs = re.findall(r"(\d+) -> (\d+)", result.stdout)
    inputs = Counter(after for _, after in pairs)
    return sum(inputs[before] for before, _ in pairs)


def test_a_plan_grows_with_the_sum_of_recordings_and_trainings(project):
    assert edges(project, 100, 40) < 2.2 * edges(project, 50, 20)


def test_fewer_subjects_than_folds_is_said(project):
    project.configure(datasets={"simulated": {"n_folds": 5}})
    result = project.run("results/simulated/runs.csv")
    assert result.returncode != 0
    assert "protocols.clean: 5 folds by subject of 4 subjects of simulated" in result.stdout
    assert not (project.directory / "results").exists()


def test_wrong_file_of_the_user_is_named_and_left_alone(project):
    mine = project.directory / "mine"
    mine.mkdir()
    (mine / "SC4001E0-PSG.edf").write_bytes(b"not the official bytes")
    project.configure(**ON_MINE)
    result = project.run("results/data/sleep-edf/verified/SC4001.json")
    assert result.returncode != 0
    assert "SC4001E0-PSG.edf" in result.stdout and "2b40a18adf76af69a42d6db1f30f31d2" in result.stdout
    assert [path.name for path in mine.iterdir()] == ["SC4001E0-PSG.edf"]


def test_missing_file_without_download_is_named(project):
    project.configure(**ON_MINE)
    result = project.run("results/data/sleep-edf/verified/SC4002.json")
    assert result.returncode != 0
    # The job says once why it failed, and Snakemake does not repeat that it did.
    assert result.stdout.count("SC4002E0-PSG.edf") == 1 and result.stdout.count("\nError: ") == 1
    assert "message: None" not in result.stdout and "CalledProcessError" not in result.stdout


def test_changed_byte_of_a_recording_is_noticed(project):
    """A file that was verified once is not trusted when it is read."""
    assert project.run("results/data/simulated/verified/SC4001.json").returncode == 0
    psg = project.directory / "results/data/simulated/raw/SC4001E0-PSG.edf"
    content = bytearray(psg.read_bytes())
    content[5000] ^= 1
    psg.write_bytes(content)
    result = project.run("results/data/simulated/prepared/SC4001.npy")
    assert result.returncode != 0
    receipt = read_json(project.directory / "results/data/simulated/verified/SC4001.json")
    assert receipt["psg"]["sha256"] in result.stdout
    assert not (project.directory / "results/data/simulated/prepared/SC4001.npy").exists()


def wait_for_training(snakemake: psutil.Process, training, deadline: float = 120.0) -> psutil.Process:
    """The process of a training job that has finished its first training epoch."""
    results = training.parents[7]
    log = results / "logs" / training.relative_to(results) / "fold-0.log"
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if log.exists() and "training epoch" in log.read_text():
            return next(p for p in snakemake.children(recursive=True) if "train.py" in " ".join(p.cmdline()))
        time.sleep(0.1)
    raise TimeoutError(f"no training started; {log} does not show one")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project in which all is ready for the training to be interrupted."""
    project = make_project(tmp_path_factory.mktemp("prepared"))
    project.configure(datasets={"simulated": {"training_epochs": 6}})
    result = project.run(paths.totals("simulated", "subject-2-kept-validation0", "standard"))
    assert result.returncode == 0, result.stdout
    return project


@pytest.mark.slow  # tools/reliability.py kills runs in its short form, which is no slow test
@pytest.mark.parametrize("victim", ["snakemake", "training job", "ctrl-c"])
def test_interrupted_training_leaves_nothing_half_written_and_continues(prepared, tmp_path, victim):
    project = Project(shutil.copytree(prepared.directory, tmp_path / "project", symlinks=True))
    fold = f"{TRAINING}/fold-0"
    process = subprocess.Popen(
        project.command("run", fold), cwd=project.directory, env=ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    )  # fmt: skip
    try:
        job = wait_for_training(psutil.Process(process.pid), project.directory / TRAINING)
        if victim == "training job":
            job.kill()
        elif victim == "ctrl-c":
            os.killpg(process.pid, signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert not (project.directory / TRAINING / "fold-0").exists()
    result = project.run(fold)
    assert result.returncode == 0, result.stdout
    assert "1 job to do, 1 job of training" in result.stdout
    left = sorted(path.name for path in (project.directory / TRAINING).iterdir())
    assert left == ["fold-0"]


# What is damaged, what reads it then, and what the message begins with.
DAMAGED = {
    "results/data/simulated/prepared/SC4011.npy": "was changed since it was written",
    "results/data/simulated/prepared/SC4011.epochs.csv": "was changed since it was written",
    "results/data/simulated/prepared/SC4011.json": "was changed since it was written",
    "results/simulated/recordings.json": "is not whole",
    "results/simulated/folds/subject-2-kept-validation0.json": "is not whole",
}


@pytest.mark.slow
@pytest.mark.parametrize("damaged", DAMAGED)
def test_what_a_message_says_about_a_damaged_file_heals_it(prepared, tmp_path, damaged):
    """The files that the message names are deleted, and the same command makes them again, byte for byte."""
    project = Project(shutil.copytree(prepared.directory, tmp_path / "project", symlinks=True))
    project.configure(datasets={"simulated": {"training_epochs": 1}})
    fold, path = f"{TRAINING}/fold-0", project.directory / damaged
    whole, stat = path.read_bytes(), path.stat()
    content = bytearray(whole)
    content[2 * len(content) // 3] ^= 128
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as rot leaves it
    result = project.run(fold)
    assert result.returncode != 0 and "Traceback" not in result.stdout
    (message,) = {line for line in result.stdout.splitlines() if line.startswith(f"Error: {damaged}: ")}
    assert DAMAGED[damaged] in message
    named = re.search(r"; delete (.*) and run again: |; delete (it) and run again", message)
    for name in re.split(r", | and ", named[1] or damaged):
        (project.directory / name).unlink()
    result = project.run(fold)
    assert result.returncode == 0, result.stdout
    assert (project.directory / damaged).read_bytes() == whole
    assert (project.directory / fold / "training.json").exists()


@pytest.mark.slow
def test_a_damaged_record_of_a_finished_fold_is_healed_by_what_the_message_says(prepared, tmp_path):
    project = Project(shutil.copytree(prepared.directory, tmp_path / "project", symlinks=True))
    project.configure(datasets={"simulated": {"training_epochs": 1}})
    fold, smoothed = f"{TRAINING}/fold-0", f"{TRAINING}/fold-0/last".replace("/trainings/", "/postprocessed/")
    assert project.run(fold).returncode == 0
    record = project.directory / fold / "training.json"
    record.write_bytes(record.read_bytes().replace(b'"threads": ', b'"threads": 9', 1))
    result = project.run(smoothed)
    (message,) = {line for line in result.stdout.splitlines() if line.startswith(f"Error: {fold}/training.json: ")}
    assert message.endswith(f"; delete {fold} and run again: this fold is trained again")
    shutil.rmtree(project.directory / fold)
    result = project.run(smoothed)
    assert result.returncode == 0, result.stdout
    assert read_document(record)["environment"]["threads"] < 9
