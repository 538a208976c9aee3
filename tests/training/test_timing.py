import pytest

from sleepbench.training import timing as module
from sleepbench.training.timing import EVALUATION, TRAINING, WAITING, Timing


class Clock:
    """Stands in for the module time: it goes when it is told to."""

    now = 1000.0

    def monotonic(self):
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_laps_are_added_by_kind_and_pauses_count_nowhere(clock):
    timing = Timing(job_started=900.0)
    clock.now += 5  # counted nowhere
    timing.start()
    clock.now += 0.25
    timing.lap(WAITING)
    clock.now += 2
    timing.lap(TRAINING, trained=32)
    clock.now += 1
    timing.lap(TRAINING, trained=8)
    clock.now += 0.5
    timing.lap(EVALUATION, evaluated=5)
    assert timing.record() == {
        "waiting_for_data_s": 0.25,
        "training_s": 3.0,
        "evaluation_s": 0.5,
        "epochs_trained": 40,
        "epochs_evaluated": 5,
        "to_first_step_s": 107.25,
    }


def test_a_wait_of_microseconds_is_more_than_none(clock):
    timing = Timing()
    clock.now += 20e-6
    timing.lap(WAITING)
    assert timing.record()["waiting_for_data_s"] == pytest.approx(20e-6)


def test_folds_trained_at_once_share_the_time(clock):
    timing = Timing(job_started=990.0)
    clock.now += 6
    timing.lap(TRAINING, trained=30)
    record = timing.record(n_folds=3)
    assert record["training_s"] == 2 and record["epochs_trained"] == 10
    assert record["to_first_step_s"] == 16  # is no share


def test_what_was_counted_before_an_interruption_is_added(clock):
    first, second = Timing(), Timing(job_started=998.0)
    clock.now += 50
    first.lap(TRAINING, trained=7)
    second.resume(first.totals)
    second.resume(None)
    second.start()
    clock.now += 1
    second.lap(TRAINING, trained=3)
    assert second.record()["training_s"] == 51 and second.record()["epochs_trained"] == 10
    assert second.record()["to_first_step_s"] == 53  # of its own process


def test_no_step_no_time_to_it():
    assert Timing().record()["to_first_step_s"] is None
