"""What is told of a run's jobs, on a clock that the test moves."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.cli.progress import STAGES, TARGETS, Progress, duration


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def progress(clock):
    return Progress(clock)


FOLD = {"model": "eegnet", "fold": 3, "seed": 32, "dataset": "simulated"}


def test_a_stage_is_said_once_all_of_its_jobs_are_finished(progress, clock):
    assert progress.line() == "planning"
    planned = {"fetch": 2, "index": 1, "folds": 1, "train": 3, "all": 1, "total": 8}
    assert progress.plan(planned) == "7 jobs to do, 3 jobs of training"
    for number in (1, 2):
        progress.begin(number, "fetch", "Fetching and verifying SC4001, progress in a.log", {}, None)
    assert progress.line() == "0 of 7 jobs: fetching and verifying SC4001 (and 1 more)"
    assert progress.end(1) is None
    clock.now = 90
    assert progress.end(2) == "     2 min  2 recordings fetched and verified"
    progress.begin(3, "index", "Listing", {}, None)
    assert progress.end(3) is None  # the folds are of the same stage
    progress.begin(4, "folds", "Folds", {}, None)
    assert progress.end(4).endswith("folds made, epochs held against the known totals")
    assert progress.line() == "4 of 7 jobs"


def test_trainings_are_named_with_their_training_epoch_before_all_else(progress, tmp_path):
    log = tmp_path / "fold-3.log"
    progress.plan({"smooth": 1, "train": 2})
    progress.begin(1, "smooth", "Smoothing", {}, None)
    progress.begin(2, "train", "Training", FOLD, log)
    assert progress.line() == "0 of 3 jobs: training eegnet, fold 3, seed 32 (and 1 more)"
    log.write_text("fold 3: train\ntraining epoch 1/50  loss 1\ntraining epoch 12/50  loss 0.5\n")
    assert progress.line() == "0 of 3 jobs: training eegnet, fold 3, seed 32, training epoch 12/50 (and 1 more)"


def test_a_stack_counts_its_folds(progress):
    progress.plan({"train_stack": 1})
    progress.begin(1, "train_stack", "", {"model": "eegnet", "stack": "0-9", "seed": 32}, None)
    assert progress.line() == "0 of 1 jobs: training eegnet, folds 0-9, seed 32"
    assert progress.end(1).endswith("  10 folds trained")


def test_time_left_follows_from_what_has_ended_of_each_rule(progress, clock):
    progress.plan({"train": 5, "report": 1})
    for number in (1, 2):
        progress.begin(number, "train", "", FOLD, None)
    assert progress.seconds_left() is None  # no training has ended yet
    clock.now = 60
    progress.end(1)
    progress.end(2)
    for number in (3, 4):
        progress.begin(number, "train", "", FOLD, None)
    clock.now = 90
    # Three of 60 s are left, of which two ran 30 s each, side by side; a report was never made.
    assert progress.seconds_left() == pytest.approx((3 * 60 - 2 * 30) / 2)
    assert progress.line().startswith("2 of 6 jobs, about 1 min left: training")


def test_a_job_that_failed_runs_no_more_and_is_not_done(progress):
    progress.plan({"report": 1})
    progress.begin(1, "report", "Report of x", {}, None)
    assert progress.fail(1).what == "Report of x"
    assert progress.line() == "0 of 1 jobs" and progress.end(1) is None


def test_a_rule_of_the_user_is_a_stage_of_its_own(progress):
    progress.plan({"mine": 1})
    progress.begin(1, "mine", "", {}, None)
    assert progress.line() == "0 of 1 jobs: mine"
    assert progress.end(1).endswith("  mine")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3571, "1 h 00 min"), (120_000, "33 h 20 min")],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


RULES = [rule for rules in STAGES.values() for rule in rules]


@given(st.lists(st.sampled_from(RULES), min_size=1, max_size=20))
def test_every_stage_is_said_exactly_once(rules):
    progress = Progress(lambda: 0.0)
    progress.plan({rule: rules.count(rule) for rule in rules})
    said = []
    for number, rule in enumerate(rules):
        progress.begin(number, rule, "", FOLD, None)
        said += [line for line in [progress.end(number)] if line]
    assert len(said) == len({stage for stage, of in STAGES.items() if {*of} & {*rules}})
    assert progress.line().startswith(f"{len(rules)} of {len(rules)} jobs")


def test_every_rule_of_the_workflow_belongs_to_a_stage():

    root = Path(__file__).parents[2]
    text = "".join(path.read_text(encoding="utf-8") for path in (root / "workflow/rules").glob("*.smk"))
    rules = {*re.findall(r"^rule (\w+):", text, re.MULTILINE), *re.findall(r"^use rule \w+ as (\w+)", text, re.M)}
    assert rules - TARGETS - {"realism"} == {*RULES}
