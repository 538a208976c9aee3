"""The plan against numbers worked out by hand, the timed unit on a small network, and what is printed."""

import json
import math
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
    Phase,
    Places,
    Work,
    epochs_by_recording,
    is_finished,
    job_seconds,
    phases,
    places,
    side_by_side,
    time_phases,
    works,
)
from sleepbench.benchmarks.timed_steps import Rates, Timed, time_side_by_side, time_work
from sleepbench.config import paths
from sleepbench.config.code import code_sha256
from sleepbench.config.keys import Contender, TrainingKey
from sleepbench.config.load import load
from sleepbench.config.plan import dataset, plan, recipe_on, recordings
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document, write_json
from sleepbench.training.stack import Stack

ROOT = Path(__file__).parents[2]
ULW = Contender("ulw_sleepnet", "four", "ulw")
DEEP = Contender("deep_sleepnet", "one", "deep_sleepnet")
PAPER = {"experiment": "paper", "datasets": ["sleep-edf-20"]}


@pytest.fixture(scope="module")
def config():
    return load(ROOT / "config.yaml")


def asking(**run):
    """The project's configuration with other keys of `run`, and its plan."""
    config = load(ROOT / "config.yaml", run)
    return config, plan(config)


def counted(config, name):
    return epochs_by_recording(dataset(config, name), recordings(config, name))


def key(fold=0, contender=ULW):
    return TrainingKey("simulated", "subject-2", "standard", *contender, 32, fold)


def test_the_plan_of_a_small_cohort_is_what_is_worked_out_by_hand():
    """11 recordings of 6 subjects, 2 folds, 4 training epochs; 100 epochs by standard trimming, 120 by the authors'."""
    config, planned = asking(
        datasets=["simulated"], protocols=["released", "validation_held_out", "clean"], models=["ulw_sleepnet"]
    )
    sizes = {"standard": np.full(5, 20.0), "authors": np.full(5, 24.0)}
    counts = {(r.id, rule): n for r in recordings(config, "simulated") for rule, n in sizes.items()}
    found = works(config, planned.datasets["simulated"], counts)
    # released drops one recording: 5 train, 5 test. Subjects 0, 2, 4 (6 recordings) test in fold 0 of clean, whose
    # trainings validation_held_out shares: of 1, 3 (2 recordings each) and 5 (1) one subject validates.
    home = "results/simulated/trainings"
    assert [paths.training(work.key) for work in found] == [
        *(f"{home}/recording_block-2-dropped-no_validation/authors/{'/'.join(ULW)}/seed-32/fold-{n}" for n in (0, 1)),
        *(f"{home}/subject-2-kept-validation0/standard/{'/'.join(ULW)}/seed-32/fold-{n}" for n in (0, 1)),
    ]
    released, _, first, second = found
    assert released.phases == {Phase(ULW): Passes(trained=4 * 5 * 120, evaluated=4 * 5 * 120)}
    assert released.test_epochs == 5 * 120
    assert (first.test_epochs, second.test_epochs) == (600, 500)
    for work, n_others in ((first, 5), (second, 6)):
        (passes,) = work.phases.values()
        validation = passes.evaluated / 400 - work.test_epochs / 100
        assert validation in (1, 2) and passes.trained == 400 * (n_others - validation)


def test_the_plan_of_sleep_edf_20_has_the_trainings_that_the_workflow_makes():
    config, planned = asking(**PAPER)
    found = works(config, planned.datasets["sleep-edf-20"], counted(config, "sleep-edf-20"))
    # released 10 folds x 3 seeds, two rungs of 10, two of 20, and 20 x 3 that two protocols share
    assert len(found) == 30 + 2 * 10 + 2 * 20 + 60 == len(planned.trainings)
    clean = [work for work in found if "validation0" in work.key.folds and work.key.seed == 33]
    assert sum(work.test_epochs for work in clean) == 42308  # every epoch of standard trimming is tested once
    folds = json.loads((ROOT / "workflow/resources/folds/sleep-edf-20/subject-20-kept-validation0.json").read_text())
    known = dataset(config, "sleep-edf-20").known_epochs()
    train = sum(sum(known[id, "standard"]) for id in folds["folds"][0]["train"])
    assert clean[0].key.fold == 0 and clean[0].phases[Phase(ULW)].trained == 50 * train


def test_recordings_that_are_not_known_share_what_is_left_of_the_known_total(config):
    counts = counted(config, "sleep-edf-78")
    ids = [recording.id for recording in recordings(config, "sleep-edf-78")]
    assert len(ids) == 153
    standard = sum(counts[id, "standard"] for id in ids)
    assert standard.tolist() == pytest.approx([65951, 21522, 69132, 13039, 25835])
    authors = sum(counts[id, "authors"].sum() for id in ids if id <= "SC4811")
    assert authors == pytest.approx(195099)
    known = dataset(config, "sleep-edf-78").known_epochs()
    assert all(counts[key].tolist() == list(known[key]) for key in counts if key in known)
    assert counts["SC4822", "authors"].sum() > 800


def test_a_cohort_has_the_epochs_that_it_will_be_written_with(config, tmp_path, monkeypatch):
    """As many as the finished demo found in its prepared recordings."""
    monkeypatch.chdir(tmp_path)  # nothing is prepared there
    counts = counted(config, "simulated")
    assert len(counts) == 2 * 11
    assert counts["SC4001", "standard"].tolist() == [107, 19, 69, 19, 25]


def test_of_a_rehearsal_what_is_prepared_tells_the_rest(tmp_path, monkeypatch, capsys):
    """Nothing is known of simulated nights under the real names before they are prepared."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    (tmp_path / "table.csv").write_text((ROOT / "workflow/resources/sleep_edf_recordings.csv").read_text())
    content["datasets"] = {"sleep-edf-20": {"table": "table.csv", "simulated": True}}
    Path("config.yaml").write_text(yaml.safe_dump(content))
    config = load(run=PAPER)
    estimate.estimate_run(config, plan(config))
    assert "no estimate" in capsys.readouterr().out
    for id, n in (("SC4001", 10), ("SC4002", 30)):
        kept = {"standard": n, "authors": n, "whole": 0}  # as preparation writes what the dataset is not trimmed by
        prepared = {rule: dict.fromkeys(("W", "N1", "N2", "N3", "REM"), n) for rule, n in kept.items()}
        write_json(paths.prepared("sleep-edf", id, "json"), {"trimmings": prepared})
    counts = counted(config, "sleep-edf-20")
    assert len(counts) == 2 * 39 and counts["SC4001", "authors"].tolist() == [10] * 5
    assert counts["SC4191", "standard"].tolist() == [20] * 5


def test_first_phases_balanced_sampling_and_estimators_are_counted_as_they_train(config):
    train, recipe = np.array([30.0, 10, 60, 0, 20]), config.recipes["deep_sleepnet"]
    assert phases(DEEP, recipe, train, 50.0) == {
        Phase(DEEP): Passes(200 * 120, 200 * 50),
        Phase(DEEP, is_first=True): Passes(100 * 4 * 60, 0),  # four stages occur, each as often as N2
    }
    bands = Contender("band_power", "one", "common")
    assert phases(bands, config.recipes["common"], train, 50.0) == {Phase(bands): Passes(120, 170)}


def test_tuning_and_overlapping_sequences_are_counted_as_they_train(config):
    train = np.array([30.0, 10, 60, 0, 20])
    sequences = Contender("seq_sleepnet", "one", "seq_sleepnet")
    assert phases(sequences, config.recipes["seq_sleepnet"], train, 50.0) == {
        Phase(sequences): Passes(10 * 20 * 120, 10 * 50)
    }
    tuned = Contender("eegnet", "one", "tuned")
    assert phases(tuned, config.recipes["tuned"], train, 50.0) == {Phase(tuned): Passes(3 * 50 * 120, 3 * 50 * 50)}


def test_seconds_and_jobs_side_by_side():
    work = Work(key(contender=DEEP), 200, {Phase(DEEP): Passes(1000, 200), Phase(DEEP, True): Passes(500, 0)})
    rates = {Phase(DEEP): Rates(0.01, 0.005, 4.0), Phase(DEEP, True): Rates(0.002, 0.001, 3.0)}
    assert job_seconds(work, rates) == pytest.approx(4 + 10 + 1 + 1)
    assert side_by_side([4, 3, 2, 2], 2) == 6  # 4 + 2 beside 3 + 2
    assert side_by_side([4, 3, 2, 2], 1) == 11
    assert side_by_side([], 2) == 0


def record(config, one, duration_s=1.0, **changed):
    """training.json as far as an estimate reads it."""
    recipe = recipe_on(config, one.recipe, one.dataset)
    code = code_sha256("train", config.datasets[one.dataset].reader, one.model)
    settings = {"recipe": {"name": one.recipe, **recipe.settings()} | changed.pop("recipe", {})}
    return {"settings": settings, "code_sha256": code, "duration_s": duration_s} | changed


def test_a_training_is_finished_when_its_recipe_and_code_are_the_present_ones(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(paths.training(key()), "training.json")
    assert not is_finished(config, key())
    for changed, finished in (
        ({}, True),
        ({"code_sha256": "another"}, False),
        ({"recipe": {"training_epochs": 50}}, False),
    ):
        write_document(path, record(config, key(), **changed))
        assert is_finished(config, key()) is finished


def test_the_estimate_is_printed_in_hours_and_gigabytes():
    trainings = [Work(key(i), 1000, {Phase(ULW): Passes(36_000, 18_000)}) for i in range(6)]
    rates = {Phase(ULW): Rates(1 / 200, 1 / 1000, 2.0)}
    lines = estimate.lines(Estimate(trainings, rates, 39, 2.0, Places(4, 2), recorded_gb=1.9, prepared_gb=2.1))
    assert lines[1].split() == ["ULW-SleepNet,", "four,", "ulw", "6", "200", "1000", "3.3", "0.17"]
    # 180 + 18 + 2 s each, two at a time, and 39 nights of 2 s four at a time
    assert "39 nights to prepare at 2.0 s: 0.01 hours" in lines[2]
    assert lines[-1].startswith("In all about 10 minutes and 4.0 GB (1.9 recordings, 2.1 prepared, 0.0 results;")


@pytest.mark.parametrize(("folds", "said"), [(1, "train: runtime: 10"), (4, "train_stack: runtime: 27")])
def test_slurm_is_asked_for_twice_the_longest_job(folds, said):
    trainings = [Work(key(i), 1000, {Phase(ULW): Passes(36_000, 18_000)}) for i in range(6)]
    rates = {Phase(ULW): Rates(1 / 200, 1 / 1000, 2.0)}  # 198 s a fold, and 2 s to start
    one = Estimate(trainings, rates, 39, 2.0, Places(4, 2), recorded_gb=1.9, prepared_gb=2.1, folds_in_job=folds)
    assert estimate.for_slurm(one).endswith(f"profiles/slurm/config.yaml: {said}")


@pytest.mark.parametrize("model", ["ulw_sleepnet", "tiny_sleepnet", "band_power"])
def test_a_training_cut_short_gives_rates(config, model, monkeypatch):
    monkeypatch.setattr("sleepbench.benchmarks.made_up.NIGHT", 48)
    rates = time_work(Timed(model, 1, config.recipes["common"]), 1, "fast", "cpu", 0.02, 1.5)
    assert 0 < rates.train_s < 1 and 0 < rates.evaluate_s < 1 and rates.start_s == 1.5


def test_a_first_phase_is_timed_by_its_own_settings(config):
    first = config.recipes["deep_sleepnet"].pretrain
    recipe = Timed(first.model, 1, first).recipe
    assert (recipe.batch_size, recipe.balanced_sampling, recipe.l2) == (100, True, 1e-3)
    assert recipe.training_epochs == 1 and recipe.pretrain is None
    tuned = Timed("deep_sleepnet", 1, config.recipes["tuned"]).recipe
    assert tuned.learning_rates is None and (tuned.batch_size, tuned.batch_unit) == (10, "sequences")
    recipe = Timed("deep_sleepnet", 1, config.recipes["deep_sleepnet"]).recipe
    assert recipe.sequences == "cut"
    assert recipe.learning_rate_of == {"feature_extractor": 1e-6} and recipe.pretrain is None


def test_phases_of_the_same_steps_are_timed_once(config, monkeypatch):
    asked = []

    def time_none(timed, *how):
        asked.extend(timed)
        return [Rates(len(asked), 0, i) for i, _ in enumerate(timed)]

    monkeypatch.setattr("sleepbench.benchmarks.timed_steps.time_side_by_side", time_none)
    contenders = [Contender(m, "one", r) for m in ("eegnet", "seq_sleepnet") for r in ("common", "tuned")]
    trainings = [Work(key(contender=one), 1, {Phase(one): Passes(1, 1)}) for one in contenders]
    rates = time_phases(config, trainings, places(config))
    assert [(work.model, work.recipe.batch_size) for work in asked] == [
        *(("eegnet", 128), ("seq_sleepnet", 6), ("seq_sleepnet", 32))
    ]
    assert [rates[Phase(one)].start_s for one in contenders] == [0, 0, 1, 2]


def test_folds_that_train_as_one_stack_are_timed_as_one(config, monkeypatch):
    monkeypatch.setattr("sleepbench.benchmarks.made_up.NIGHT", 48)
    monkeypatch.setattr("sleepbench.training.stack.SMALL_BATCH", math.inf)
    monkeypatch.setattr("sleepbench.benchmarks.timed_steps.train", None)
    work = Timed("ulw_sleepnet", 1, config.recipes["common"], n_folds=3)
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

    monkeypatch.setattr("sleepbench.benchmarks.made_up.NIGHT", 48)
    monkeypatch.setattr("sleepbench.training.stack.SMALL_BATCH", math.inf)
    pretended = SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now)
    monkeypatch.setattr("sleepbench.training.timing.time", pretended)
    monkeypatch.setattr(Stack, "is_captured", property(lambda stack: True, lambda stack, value: None), raising=False)
    monkeypatch.setattr(Stack, "_capture", capture)
    monkeypatch.setattr(Stack, "evaluate", evaluate)
    recipe = config.recipes["common"]
    rates = time_work(Timed("ulw_sleepnet", 1, recipe, n_folds=3), 1, "fast", "cpu", 1.0, 1.5)
    assert rates.train_s == pytest.approx(1 / 16 / (3 * recipe.batch_size))
    assert rates.evaluate_s == pytest.approx(1 / 1024)
    assert [n / 2 for n in replays] == [1, 2, 16]  # each once to warm up, then timed: the last for a second


def test_folds_of_a_job_are_those_of_the_workflow(config, monkeypatch):
    trainings = [Work(key(i), 1.0, {}) for i in range(4)]
    trainings += [Work(key(i, DEEP), 1.0, {}) for i in range(2)]
    monkeypatch.setattr(estimate, "takes_gpu", lambda device: True)
    assert estimate.folds_in_job(config, trainings) == 4
    assert estimate.places(config).trainings == 1
    monkeypatch.setattr(estimate, "takes_gpu", lambda device: False)
    assert estimate.folds_in_job(config, trainings) == 1
    three = config.training.model_copy(update={"folds_per_job": 3})
    assert estimate.folds_in_job(config.model_copy(update={"training": three}), trainings) == 3


@pytest.mark.slow
def test_processes_are_timed_side_by_side_and_one_that_fails_ends_all(config):
    work = Timed("eegnet", 1, config.recipes["common"])
    (rates,) = time_side_by_side([work], 2, 1, "fast", "cpu", 0.02)
    assert rates.train_s > 0 < rates.evaluate_s and 0.1 < rates.start_s < 60
    with pytest.raises((BenchmarkError, BrokenBarrierError)):
        time_side_by_side([work, Timed("no_such_model", 1, work.settings)], 2, 1, "fast", "cpu", 0.02)


def test_a_whole_preparation_is_timed_on_a_night_that_is_there_or_a_simulated_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, _ = asking(datasets=["simulated"])
    one = dataset(config, "simulated")
    assert 0.5 < estimate.time_preparation(one, 1) < 60
    first = one.recordings()[0]
    receipt = one.fetch(first, one.directory(paths.raw(one.source)))
    write_document(paths.receipt(one.source, first.id), receipt)
    monkeypatch.setattr(estimate, "open_dataset", None)
    assert 0.5 < estimate.time_preparation(one, 1) < 60


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Few trainings in a directory of their own, timed at a made-up rate: 100 trained, 500 evaluated."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        estimate,
        "time_phases",
        lambda config, trainings, at: {phase: Rates(0.01, 0.002, 3.0) for work in trainings for phase in work.phases},
    )
    monkeypatch.setattr(estimate, "time_preparation", lambda one, n: 1.0)
    monkeypatch.setattr(estimate, "busy_cores", lambda: 0.0)
    return asking(datasets=["simulated"], protocols=["released"], models=["ulw_sleepnet"])


def finish(config, planned, duration_s):
    """Write records of all trainings as if each had taken so long."""
    for work in works(config, planned.datasets["simulated"], counted(config, "simulated")):
        write_document(Path(paths.training(work.key), "training.json"), record(config, work.key, duration_s(work)))


@pytest.mark.parametrize(("share", "is_said"), [(0.05, False), (0.5, True)])
def test_a_busy_machine_is_said_before_it_is_timed(small, monkeypatch, capsys, share, is_said):
    cores = estimate.places(small[0]).cores
    monkeypatch.setattr(estimate, "busy_cores", lambda: share * cores)
    estimate.estimate_run(*small)
    said = capsys.readouterr().out
    assert (f"busy: others use {share * cores:.1f} of its {cores} cores" in said) == is_said
    assert "In all about" in said


def test_cores_that_others_use_are_counted(monkeypatch):
    monkeypatch.setattr(estimate.psutil, "cpu_percent", lambda seconds, percpu: [100.0, 50.0, 25.0])
    monkeypatch.setattr(estimate.os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    assert estimate.busy_cores() == 1.25


def test_nothing_is_timed_when_nothing_is_left_to_train(small, monkeypatch, capsys):
    estimate.estimate_run(*small)
    assert "11 nights to prepare" in capsys.readouterr().out
    finish(*small, lambda work: 1.0)
    monkeypatch.setattr(estimate, "time_phases", None)
    estimate.estimate_run(*small)
    assert "all 2 trainings are finished" in capsys.readouterr().out


@pytest.mark.parametrize(("factor", "right"), [(1.2, True), (0.85, True), (1.5, False), (0.6, False)])
def test_the_check_compares_an_estimate_with_what_trainings_took(small, factor, right, capsys):
    def took(work):
        (passes,) = work.phases.values()
        return factor * (passes.trained * 0.01 + passes.evaluated * 0.002)

    finish(*small, took)
    if right:
        estimate.check_estimate(*small)
    else:
        with pytest.raises(BenchmarkError, match="expected within 30%"):
            estimate.check_estimate(*small)
    assert f"{1 / factor:.2f}" in capsys.readouterr().out


def test_without_a_finished_training_there_is_nothing_to_check(small):
    with pytest.raises(BenchmarkError, match="no training is finished"):
        estimate.check_estimate(*small)
