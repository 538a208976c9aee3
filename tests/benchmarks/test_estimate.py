"""The plan against numbers worked out by hand, the timed unit on a small network, and what is printed."""

import json
from pathlib import Path
from threading import BrokenBarrierError
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from sleepbench.benchmarks import estimate
from sleepbench.benchmarks.estimate import (
    Estimate,
    Passes,
    PlannedTraining,
    Stage,
    describe_estimate,
    epochs_of_recordings,
    is_finished,
    planned_trainings,
    recordings_of,
    seconds_of,
    side_by_side,
    stages_of,
)
from sleepbench.benchmarks.timed_steps import Rates, Work, time_side_by_side, time_work
from sleepbench.config.load import Network, load, recipe_settings
from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.totals import read_known_epochs
from sleepbench.training.stack import Stack

ROOT = Path(__file__).parents[2]
ULW = Network("ulw_sleepnet", "four", "released")


@pytest.fixture
def config():
    return load(ROOT / "config.yaml")


def asking(config, **run):
    return config | {"run": config["run"] | run}


def test_the_plan_of_a_small_cohort_is_what_is_worked_out_by_hand(config):
    """11 recordings of 6 subjects, 2 folds, 3 training epochs; 100 epochs a standard window, 120 a released one."""
    config = asking(config, protocols=["released", "validation_held_out", "clean"], datasets=["simulated"])
    config["datasets"]["simulated"].pop("models")
    config["datasets"]["simulated"]["training_epochs"] = 3
    recordings = recordings_of(config, "simulated")
    of_window = {"standard": np.full(5, 20.0), "released": np.full(5, 24.0)}
    counts = {(r.id, window): of for r in recordings for window, of in of_window.items()}
    planned = planned_trainings(config, "simulated", recordings, counts)
    # released drops one recording: 5 train, 5 test. Subjects 0, 2, 4 (6 recordings) test in fold 0 of clean, whose
    # trainings validation_held_out shares: of 1, 3 (2 recordings each) and 5 (1) one subject validates.
    assert [str(t.directory.relative_to("results/simulated/trainings")) for t in planned] == [
        *(f"recording_block-2-floor-no_validation/released/{'/'.join(ULW)}/seed-32/fold-{fold}" for fold in (0, 1)),
        *(f"subject-2-all-validation0/standard/{'/'.join(ULW)}/seed-32/fold-{fold}" for fold in (0, 1)),
    ]
    released, _, first, second = planned
    assert released.stages == {Stage(ULW): Passes(trained=3 * 5 * 120, evaluated=3 * 5 * 120)}
    assert released.test_epochs == 5 * 120
    assert (first.test_epochs, second.test_epochs) == (600, 500)
    for training, of_others in ((first, 5), (second, 6)):
        (passes,) = training.stages.values()
        validation = passes.evaluated / 300 - training.test_epochs / 100
        assert validation in (1, 2) and passes.trained == 300 * (of_others - validation)


def test_the_plan_of_sleep_edf_20_has_the_trainings_that_the_workflow_makes(config):
    config = asking(config, datasets=["sleep-edf-20"])
    counts = epochs_of_recordings(config, "sleep-edf-20")
    planned = planned_trainings(config, "sleep-edf-20", recordings_of(config, "sleep-edf-20"), counts)
    # released 10 folds x 3 seeds, two rungs of 10, two of 20, and 20 x 3 that two protocols share
    assert len(planned) == 30 + 2 * 10 + 2 * 20 + 60
    clean = [t for t in planned if "validation0" in str(t.directory) and "seed-33" in str(t.directory)]
    assert sum(t.test_epochs for t in clean) == 42308  # every epoch of the standard window is tested once
    folds = json.loads((ROOT / "workflow/resources/folds/sleep-edf-20/subject-20-all-validation0.json").read_text())
    known = read_known_epochs()
    (first,) = (t for t in clean if t.directory.name == "fold-0")
    train = sum(sum(known[id, "standard"]) for id in folds["folds"][0]["train"])
    assert first.stages[Stage(ULW)].trained == 50 * train


def test_recordings_that_are_not_known_share_what_is_left_of_the_known_total(config):
    counts = epochs_of_recordings(config, "sleep-edf-78")
    ids = [recording.id for recording in recordings_of(config, "sleep-edf-78")]
    assert len(ids) == 153
    standard = sum(counts[id, "standard"] for id in ids)
    assert standard.tolist() == pytest.approx([65951, 21522, 69132, 13039, 25835])
    released = sum(counts[id, "released"].sum() for id in ids if id <= "SC4811")
    assert released == pytest.approx(195099)
    known = read_known_epochs()
    assert all(counts[key].tolist() == list(known[key]) for key in counts if key in known)
    assert counts["SC4822", "released"].sum() > 800


def test_first_stages_balanced_sampling_and_estimators_are_counted_as_they_train(config):
    train, deep = np.array([30.0, 10, 60, 0, 20]), Network("deep_sleepnet", "fpz", "deep_sleepnet")
    recipe = config["recipes"]["deep_sleepnet"]
    assert stages_of(deep, recipe, train, 50.0) == {
        Stage(deep): Passes(200 * 120, 200 * 50),
        Stage(deep, is_first=True): Passes(100 * 4 * 60, 0),  # four stages occur, each as often as N2
    }
    bands = Network("band_power", "fpz", "common")
    assert stages_of(bands, config["recipes"]["common"], train, 50.0) == {Stage(bands): Passes(120, 170)}


def test_seconds_and_jobs_side_by_side():
    deep = Network("deep_sleepnet", "fpz", "deep_sleepnet")
    stages = {Stage(deep): Passes(1000, 200), Stage(deep, True): Passes(500, 0)}
    rates = {Stage(deep): Rates(0.01, 0.005, 4.0), Stage(deep, True): Rates(0.002, 0.001, 3.0)}
    assert seconds_of(PlannedTraining(deep, Path("x"), 200, stages), rates) == pytest.approx(4 + 10 + 1 + 1)
    assert side_by_side([4, 3, 2, 2], 2) == 6  # 4 + 2 beside 3 + 2
    assert side_by_side([4, 3, 2, 2], 1) == 11
    assert side_by_side([], 2) == 0


def test_a_training_is_finished_when_its_recipe_and_code_are_the_present_ones(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = PlannedTraining(ULW, Path("results/simulated/fold-0"), 10, {})
    assert not is_finished(config, "simulated", training)
    training.directory.mkdir(parents=True)
    recipe = {"name": "released", **recipe_settings(config, "released", "simulated")}
    code = estimate._code_of("ulw_sleepnet")
    for settings, sha256, finished in (
        (recipe, code, True),
        (recipe, "another", False),
        (recipe | {"training_epochs": 50}, code, False),
    ):
        record = {"settings": {"recipe": settings}, "code_sha256": sha256}
        (training.directory / "training.json").write_text(json.dumps(record))
        assert is_finished(config, "simulated", training) is finished


def test_the_estimate_is_printed_in_hours_and_gigabytes():
    planned = [PlannedTraining(ULW, Path(f"f{i}"), 1000, {Stage(ULW): Passes(36_000, 18_000)}) for i in range(6)]
    rates = {Stage(ULW): Rates(1 / 200, 1 / 1000, 2.0)}
    lines = describe_estimate(Estimate("d", planned, rates, 39, 2.0, 2, 4, edf_gb=1.9, prepared_gb=2.1))
    assert lines[1].split() == ["ULW-SleepNet,", "four,", "released", "6", "200", "1000", "3.3", "0.17"]
    # 180 + 18 + 2 s each, two at a time, and 39 nights of 2 s four at a time
    assert "39 nights to prepare at 2.0 s: 0.01 hours" in lines[2]
    assert lines[-1].startswith("In all about 10 minutes and 4.0 GB (1.9 EDF files, 2.1 prepared, 0.0 results;")


@pytest.mark.parametrize("model", ["ulw_sleepnet", "tiny_sleepnet", "band_power"])
def test_a_training_cut_short_gives_rates(config, model, monkeypatch):
    monkeypatch.setattr("sleepbench.benchmarks.timed_steps.NIGHT", 48)
    rates = time_work(Work(model, 1, "common", config["recipes"]["common"]), 1, "fast", "cpu", 0.02, 1.5)
    assert 0 < rates.train_s < 1 and 0 < rates.evaluate_s < 1 and rates.start_s == 1.5


def test_folds_that_train_as_one_stack_are_timed_as_one(config, monkeypatch):
    monkeypatch.setattr("sleepbench.benchmarks.timed_steps.NIGHT", 48)
    monkeypatch.setattr("sleepbench.training.stack.DEVICES", ("cpu",))
    monkeypatch.setattr("sleepbench.benchmarks.timed_steps.train", None)
    work = Work("ulw_sleepnet", 1, "common", config["recipes"]["common"], n_folds=3)
    rates = time_work(work, 1, "fast", "cpu", 0.02, 1.5)
    assert 0 < rates.train_s < 1 and 0 < rates.evaluate_s < 1 and rates.start_s == 0.5


def test_what_a_stack_does_once_is_not_taken_for_its_steps(config, monkeypatch):
    """On a clock by which CUDA graphs take 30 s to capture, the first evaluation 5 s more, and a step 1/16 s."""
    clock, replays = SimpleNamespace(now=0.0), []

    def spend(seconds):
        clock.now += seconds

    def replay():
        replays[-1] += 1
        spend(1 / 16)

    def capture(stack, masked):
        replays.append(0)
        spend(30)
        stack.graphs[masked] = SimpleNamespace(replay=replay)

    def evaluate(stack, name):
        spend(sum(map(len, stack.positions[name])) / 1024 + (5 if stack.completed == 1 else 0))
        return [{"loss": 1.0, "accuracy": 0.5} for _ in stack.sets]

    monkeypatch.setattr("sleepbench.benchmarks.timed_steps.NIGHT", 48)
    monkeypatch.setattr("sleepbench.training.stack.DEVICES", ("cpu",))
    pretended = SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now)
    monkeypatch.setattr("sleepbench.training.timing.time", pretended)
    monkeypatch.setattr(Stack, "is_captured", property(lambda stack: True, lambda stack, value: None), raising=False)
    monkeypatch.setattr(Stack, "_capture", capture)
    monkeypatch.setattr(Stack, "evaluate", evaluate)
    recipe = config["recipes"]["common"]
    rates = time_work(Work("ulw_sleepnet", 1, "common", recipe, n_folds=3), 1, "fast", "cpu", 1.0, 1.5)
    assert rates.train_s == pytest.approx(1 / 16 / (3 * recipe["batch_size"]))
    assert rates.evaluate_s == pytest.approx(1 / 1024)
    assert [n / 2 for n in replays] == [1, 2, 16]  # each once to warm up, then timed: the last for a second


def test_folds_of_a_job_are_those_of_the_workflow(config, monkeypatch):
    planned = [PlannedTraining(ULW, Path("a", f"fold-{i}"), 1.0, {}) for i in range(4)]
    planned += [PlannedTraining(ULW, Path("b", f"fold-{i}"), 1.0, {}) for i in range(2)]
    monkeypatch.setattr(estimate, "takes_gpu", lambda config: True)
    assert estimate.folds_of_a_job(config, planned) == 4
    monkeypatch.setattr(estimate, "takes_gpu", lambda config: False)
    assert estimate.folds_of_a_job(config, planned) == 1
    config["training"]["folds_per_job"] = 3
    assert estimate.folds_of_a_job(config, planned) == 3


def test_processes_are_timed_side_by_side_and_one_that_fails_ends_all(config):
    work = Work("eegnet", 1, "common", config["recipes"]["common"])
    (rates,) = time_side_by_side([work], 2, 1, "fast", "cpu", 0.02)
    assert rates.train_s > 0 < rates.evaluate_s and 0.1 < rates.start_s < 60
    with pytest.raises((BenchmarkError, BrokenBarrierError)):
        time_side_by_side([work, Work("no_such_model", 1, "common", {})], 2, 1, "fast", "cpu", 0.02)


def finish(config, dataset, duration_s):
    """Write records of all trainings as if each had taken so long."""
    recordings = recordings_of(config, dataset)
    for training in planned_trainings(config, dataset, recordings, epochs_of_recordings(config, dataset)):
        recipe = {"name": training.network.recipe, **recipe_settings(config, training.network.recipe, dataset)}
        record = {"settings": {"recipe": recipe}, "code_sha256": estimate._code_of(training.network.model)}
        training.directory.mkdir(parents=True)
        record["duration_s"] = duration_s(training)
        (training.directory / "training.json").write_text(json.dumps(record))


@pytest.fixture
def small(config, tmp_path, monkeypatch):
    """A working directory whose config asks for few trainings, timed at a made-up rate: 100 trained, 500 evaluated."""
    monkeypatch.chdir(tmp_path)
    config = asking(config, protocols=["released"], datasets=["simulated"])
    Path("config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(
        estimate,
        "time_stages",
        lambda config, dataset, trainings, places: {s: Rates(0.01, 0.002, 3.0) for t in trainings for s in t.stages},
    )
    monkeypatch.setattr(estimate, "time_preparation", lambda config, dataset, places: 1.0)
    return config


def test_nothing_is_timed_when_nothing_is_left_to_train(small, monkeypatch, capsys):
    assert estimate.main([]) == 0
    assert "nights to prepare" in capsys.readouterr().out
    finish(small, "simulated", lambda training: 1.0)
    monkeypatch.setattr(estimate, "time_stages", None)
    assert estimate.main([]) == 0
    assert "all 2 trainings are finished" in capsys.readouterr().out


@pytest.mark.parametrize(("factor", "status"), [(1.2, 0), (0.85, 0), (1.5, 1), (0.6, 1)])
def test_the_check_holds_an_estimate_against_what_trainings_took(small, factor, status, capsys):
    def took(training):
        (passes,) = training.stages.values()
        return factor * (passes.trained * 0.01 + passes.evaluated * 0.002)

    finish(small, "simulated", took)
    assert estimate.main(["--check"]) == status
    output = capsys.readouterr()
    assert f"{1 / factor:.2f}" in output.out
    assert ("expected within 30%" in output.err) == (status == 1)


def test_the_run_can_be_named_as_for_snakemake(small, capsys):
    assert estimate.main(["--config", "run={datasets: [simulated], protocols: [clean]}"]) == 0
    assert "EEGNet" in capsys.readouterr().out
    assert estimate.main(["--config", "run={datasets: [nowhere]}"]) == 1
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(BenchmarkError, match="expected run="):
        estimate.run_of(small, "training={threads: 2}")


def test_no_estimate_of_a_rehearsal(small, capsys):
    small["data"] |= {"simulated": True, "table": str(ROOT / "workflow/resources/sleep_edf_recordings.csv")}
    estimate.estimate_dataset(small, "sleep-edf-20")
    assert "no estimate" in capsys.readouterr().out
