import time

from sleepbench.training.timing import EVALUATION, TRAINING, WAITING, Timing


def test_laps_are_added_by_kind_and_pauses_count_nowhere():
    timing = Timing(time.time() - 100)
    time.sleep(0.02)
    timing.start()
    timing.lap(WAITING)
    time.sleep(0.02)
    timing.lap(TRAINING, trained=32)
    timing.lap(TRAINING, trained=8)
    timing.lap(EVALUATION, evaluated=5)
    record = timing.record()
    assert 0.02 <= record["training_s"] < 0.04 and record["waiting_for_data_s"] < 0.02 > record["evaluation_s"]
    assert (record["windows_trained"], record["windows_evaluated"]) == (40, 5)
    assert 100 < record["to_first_step_s"] < 101


def test_what_was_counted_before_an_interruption_is_added():
    first, second = Timing(), Timing()
    first.start()
    first.lap(TRAINING, trained=7)
    first.totals[TRAINING] += 50
    second.go_on(first.totals)
    second.go_on(None)
    second.lap(TRAINING, trained=3)
    assert second.record()["training_s"] >= 50 and second.record()["windows_trained"] == 10
    assert second.record()["to_first_step_s"] < 1  # of its own process


def test_no_step_no_time_to_it():
    assert Timing().record()["to_first_step_s"] is None
