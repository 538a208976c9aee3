"""Windows of sequences: every epoch counts exactly once, and none sees across a gap or a border of recordings."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from edf_files import load_night
from hypothesis import given
from hypothesis import strategies as st
from synthetic_night import ROLES

from sleepbench.config.recipe import STATEFUL, RecipeSettings
from sleepbench.training.augmentation import AUGMENTATIONS, roll_10
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.sequences import (
    Sampler,
    averaged,
    inference_batches,
    inference_windows,
    segments,
    training_windows,
)


class Epochs(EpochSet):
    """Epochs that are told by recording and number alone, without signals."""

    def __init__(self, kept: list[list[bool]]):
        number = [np.flatnonzero(own) for own in kept]
        recording = np.repeat(np.arange(len(kept)), [len(rows) for rows in number])
        row = np.concatenate([*number, np.empty(0, np.int64)]).astype(np.int64)
        super().__init__((), (), recording, row, np.zeros(len(row), np.int64))

    def column(self, name: str) -> np.ndarray:
        return self.row


recordings = st.lists(st.lists(st.booleans(), max_size=40), max_size=5)
lengths = st.integers(1, 9)


def sampler(epochs: EpochSet, length: int | None, batch_size: int = 3, **settings: object) -> Sampler:
    return Sampler(epochs.stage, batch_size, segments(epochs), length, balanced=False, **settings)


def check_unbroken(epochs: EpochSet, window: np.ndarray) -> None:
    """Consecutive epochs of one recording, then perhaps copies of the last one."""
    assert len(set(epochs.recording[window])) == 1
    steps = np.diff(epochs.row[window])
    assert set(steps) <= {0, 1} and not (np.diff(steps) > 0).any()


@given(recordings)
def test_segments_are_the_unbroken_runs(kept):
    epochs = Epochs(kept)
    found = segments(epochs)
    assert np.concatenate([*found, np.empty(0)]).tolist() == list(range(len(epochs)))
    for segment in found:
        check_unbroken(epochs, segment)
    for before, after in pairwise(found):
        same = epochs.recording[before[-1]] == epochs.recording[after[0]]
        assert not same or epochs.row[after[0]] > epochs.row[before[-1]] + 1


@given(recordings, lengths, st.integers(0, 2**32))
def test_in_a_training_epoch_every_epoch_counts_once_and_no_window_is_broken(kept, length, seed):
    epochs = Epochs(kept)
    if not len(epochs):
        return
    batches = sampler(epochs, length).draw(torch.Generator().manual_seed(seed))
    counted = np.concatenate([batch.epochs[batch.counted] for batch in batches])
    assert sorted(counted) == list(range(len(epochs)))
    for batch in batches:
        assert batch.epochs.shape == batch.counted.shape == (len(batch.epochs), length)
        assert batch.counted.any(axis=1).all()  # a window that counts nowhere would be wasted
        for window in batch.epochs:
            check_unbroken(epochs, window)


@given(st.integers(1, 40), lengths, st.data())
def test_a_segment_that_is_long_enough_has_a_whole_window_and_no_filling(n, length, data):
    offset = data.draw(st.integers(0, max(0, min(length - 1, n - length))))
    windows = training_windows(np.arange(n), length, offset)
    filled = (np.diff(windows.epochs, axis=1) == 0).any()
    assert filled == (n < length)
    assert windows.counted.all(axis=1).any() == (n >= length)
    whole = windows.epochs[windows.counted.all(axis=1)]
    assert n < length or offset in whole[:, 0]


def test_a_short_segment_is_filled_up_with_its_last_epoch():
    windows = training_windows(np.array([7, 8, 9]), 5, 0)
    assert windows.epochs.tolist() == [[7, 8, 9, 9, 9]]
    assert windows.counted.tolist() == [[True, True, True, False, False]]


def test_head_and_tail_reach_into_their_neighbours_which_do_not_count():
    windows = training_windows(np.arange(10), 4, 3)
    assert windows.epochs.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert windows.counted.tolist() == [[True, True, True, False], [True] * 4, [False, True, True, True]]


def test_the_cut_is_drawn_anew_in_every_training_epoch_and_repeats_with_the_seed():
    epochs = Epochs([[True] * 35])

    def drawn(seed: int) -> list[list[list[int]]]:
        generator = torch.Generator().manual_seed(seed)
        return [sorted(w.tolist() for b in sampler(epochs, 6).draw(generator) for w in b.epochs) for _ in range(20)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len({str(windows) for windows in drawn(1)}) > 3


@given(recordings, lengths, st.integers(1, 4), st.sampled_from(["windows", "night", "fused"]))
def test_at_inference_every_epoch_is_predicted_once(kept, length, batch_size, inference):
    epochs = Epochs(kept)
    if not len(epochs):
        return
    batches = inference_batches(epochs, length, inference, batch_size)
    for batch in batches:
        for window in batch.epochs:
            check_unbroken(epochs, window)
    flat = np.concatenate([batch.epochs.ravel() for batch in batches])
    # Probabilities that tell which epoch they are of come back in order, each once, whatever was averaged.
    of_epoch = np.stack([flat, -flat], axis=1).astype(np.float32)
    assert averaged(of_epoch, batches, len(epochs))[:, 0].tolist() == list(range(len(epochs)))


@given(st.integers(1, 60), lengths)
def test_windows_at_inference_are_half_a_length_apart_and_end_with_the_segment(n, length):
    windows = inference_windows(np.arange(n), length, "windows")
    starts = windows.epochs[:, 0]
    assert starts[0] == 0 and (windows.epochs.max() == n - 1)
    assert (np.diff(starts) <= max(1, length // 2)).all() and (np.diff(starts) > 0).all()
    assert (windows.counted.sum() == windows.counted.size) == (n >= length)
    assert windows.counted.sum() == np.minimum(length, n - starts).sum()


def test_probabilities_of_overlapping_windows_are_averaged():
    epochs = Epochs([[True] * 6])
    batches = inference_batches(epochs, 4, "windows", 1)
    assert [batch.epochs.tolist() for batch in batches] == [[[0, 1, 2, 3]], [[2, 3, 4, 5]]]
    probabilities = np.array([[p, 1 - p] for p in (1, 1, 0.5, 0.25, 0, 0.75, 0.5, 0.5)], np.float32)
    assert averaged(probabilities, batches, 6)[:, 0].tolist() == [1, 1, 0.25, 0.5, 0.5, 0.5]


def test_a_night_is_given_whole(nights):
    epochs = epoch_set([load_night(nights[id]) for id in ("SC4001", "SC4011")], ROLES, "standard")
    batches = inference_batches(epochs, 5, "night", 2)
    assert [batch.epochs.shape for batch in batches] == [(1, 24), (1, 24)]
    assert epochs.signals(batches[1].epochs).shape == (1, 24, 2, 3000)
    assert (epochs.signals(batches[1].epochs)[0] == np.load(nights["SC4011"])).all()


def test_every_other_epoch_of_a_night_are_segments_of_one(nights):
    epochs = epoch_set([load_night(nights["SC4001"])], ROLES, "authors")
    assert [len(segment) for segment in segments(epochs)] == [1] * 12


@pytest.mark.parametrize("seed", [1, 2])
def test_single_epochs_are_shuffled_as_one_permutation(seed):
    epochs = Epochs([[True] * 20])
    generator, expected = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for _ in range(3):
        batches = sampler(epochs, None, batch_size=7).draw(generator)
        assert [len(batch.epochs) for batch in batches] == [7, 7, 6]
        drawn = np.concatenate([batch.epochs for batch in batches])
        assert drawn.tolist() == torch.randperm(20, generator=expected).tolist()


@given(recordings, lengths, st.integers(0, 9))
def test_overlapping_windows_start_at_every_epoch_that_leaves_room(kept, length, seed):
    epochs = Epochs(kept)
    if not len(epochs):
        return
    batches = sampler(epochs, length, sequences="overlapping").draw(torch.Generator().manual_seed(seed))
    starts = sorted(window[0] for batch in batches for window in batch.epochs)
    assert starts == [i for segment in segments(epochs) for i in segment[: max(1, len(segment) - length + 1)]]
    for batch in batches:
        for window, counted in zip(batch.epochs, batch.counted, strict=True):
            check_unbroken(epochs, window)
            assert sorted(set(window)) == window[counted].tolist()


@given(recordings, lengths, st.integers(1, 4), st.sampled_from(STATEFUL))
def test_a_state_is_carried_through_each_segment_in_order_and_into_no_other(kept, length, batch_size, sequences):
    epochs = Epochs(kept)
    if not len(epochs):
        return
    batches = sampler(epochs, length, batch_size, sequences=sequences).draw(torch.Generator().manual_seed(1))
    assert max(len(batch.epochs) for batch in batches) <= batch_size
    paths, ended = [], []  # the epochs that each row of the last batch has seen since its state was zero
    for batch in batches:
        own = [window[counted].tolist() for window, counted in zip(batch.epochs, batch.counted, strict=True)]
        before = [[] if row < 0 else paths[row] for row in batch.continues]
        assert len(set(batch.continues[batch.continues >= 0])) == (batch.continues >= 0).sum()
        ended += [path for row, path in enumerate(paths) if row not in batch.continues]
        paths = [path + new for path, new in zip(before, own, strict=True)]
    ended += paths
    whole = [segment.tolist() for segment in segments(epochs)]
    if sequences == "side_by_side":
        assert sorted(ended) == whole
    else:
        assert sorted(i for path in ended for i in path) == sorted(i for segment in whole for i in segment)
        for path in ended:
            check_unbroken(epochs, np.array(path))
            segment = next(segment for segment in whole if path[0] in segment)
            assert len(path) <= max(length, -(-len(segment) // batch_size))


def test_balanced_sequences_hold_epochs_of_all_stages_and_recordings_at_any_place():
    stage = np.array([0] * 40 + [4] + [0] * 51 + [3] * 8 + [1] * 30 + [0] * 10)
    recording = np.array([0] * 100 + [1] * 40)
    balanced = Sampler(stage, 4, [np.arange(100), np.arange(100, 140)], 5, False, "balanced", recording)
    generator = torch.Generator().manual_seed(0)
    drawn = np.concatenate([b.epochs for _ in range(60) for b in balanced.draw(generator)])
    assert len(drawn) == 60 * (20 + 8)
    assert (np.diff(drawn, axis=1) == 1).all()
    # A quarter is drawn for W, half of it in each recording; a quarter each for N1, N3 and REM.
    second = (drawn[:, 0] >= 100).mean()
    assert second == pytest.approx(1 / 4 + 1 / 8, abs=0.04)
    of_rem = [row for row in stage[drawn] if 4 in row]
    assert len(of_rem) / len(drawn) == pytest.approx(1 / 4, abs=0.04)
    places = np.bincount([np.flatnonzero(row == 4)[0] for row in of_rem]) / len(of_rem)
    assert places == pytest.approx([1 / 5] * 5, abs=0.06)


def test_a_smaller_last_batch_is_left_out_but_never_the_only_one():
    def sizes(n: int) -> list[int]:
        drawn = sampler(Epochs([[True] * n]), None, 8, drop_last=True).draw(torch.Generator().manual_seed(0))
        return [len(batch.epochs) for batch in drawn]

    assert (sizes(20), sizes(16), sizes(5)) == ([8, 8], [8, 8], [5])


def test_recipes_may_name_every_augmentation_and_no_other():
    (named,) = get_args(RecipeSettings.model_fields["augmentation"].annotation)
    assert set(get_args(named)) == set(AUGMENTATIONS)


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "roll_10"])
@pytest.mark.parametrize("shape", [(400, 2, 300), (400, 3, 2, 100)])
def test_augmentations_change_some_signals_and_leave_the_others(name, shape):
    signals = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    before = signals.copy()
    augmented = AUGMENTATIONS[name](signals, np.random.default_rng(0))
    assert (signals == before).all() and augmented.dtype == np.float32 and augmented.shape == shape
    changed = (augmented != signals).reshape(len(signals), -1).any(axis=1).mean()
    # A region of less than a sample changes nothing.
    expected = 0.1 if name in ("erase_33", "drop_channels") else 0.2
    assert 0.5 * expected < changed < 1.3 * expected
    again = AUGMENTATIONS[name](signals, np.random.default_rng(0))
    assert (augmented == again).all()


def test_what_is_erased_is_one_region_of_all_channels():
    signals = np.random.default_rng(1).standard_normal((300, 4, 2, 100)).astype(np.float32)
    erased = AUGMENTATIONS["erase_30"](signals, np.random.default_rng(0))
    for i in np.flatnonzero((erased != signals).any(axis=(1, 2, 3))):
        gone = (erased[i] != signals[i]).swapaxes(0, 1).reshape(2, -1)
        assert (gone[0] == gone[1]).all() and gone[0].mean() <= 0.3
        assert (np.diff(np.r_[gone[0], gone[0][:1]].astype(int)) != 0).sum() in (0, 1, 2)  # it may wrap around
        assert np.abs(erased[i].swapaxes(0, 1).reshape(2, -1)[:, gone[0]] - signals[i].mean()).max() < 0.06


def test_one_channel_is_never_dropped():
    signals = np.ones((50, 1, 100), np.float32)
    assert (AUGMENTATIONS["drop_channels"](signals, np.random.default_rng(0)) == signals).all()


def test_balanced_sampling_repeats_rare_stages_evenly():
    stage = np.array([0] * 7 + [1] * 3 + [4])
    balanced = Sampler(stage, 4, [], None, balanced=True)
    generator = torch.Generator().manual_seed(0)
    remainders = set()
    for _ in range(10):
        drawn = np.concatenate([batch.epochs for batch in balanced.draw(generator)])
        times = np.bincount(drawn)
        assert np.bincount(stage[drawn]).tolist() == [7, 7, 0, 0, 7]
        assert set(times[:7]) == {1} and set(times[7:10]) == {2, 3} and times[10] == 7
        remainders.add(int(times[7:10].argmax()))
    assert len(remainders) > 1


def test_roll_shifts_by_at_most_a_tenth_and_all_channels_together():
    signals = np.tile(np.arange(3000, dtype=np.float32), (50, 2, 1))
    rolled = roll_10(signals, np.random.default_rng(0))
    shifts = rolled[:, 0].argmin(axis=1)
    shifts = np.where(shifts > 1500, shifts - 3000, shifts)
    assert -300 <= shifts.min() < -200 and 200 < shifts.max() <= 300
    for before, after, shift in zip(signals, rolled, shifts, strict=True):
        assert (after == np.roll(before, shift, axis=-1)).all()


def test_roll_of_a_sequence_carries_samples_into_the_next_epoch():
    signals = np.arange(4 * 3 * 2 * 3000, dtype=np.float32).reshape(4, 3, 2, 3000)
    rolled = roll_10(signals, np.random.default_rng(1))
    for before, after in zip(signals, rolled, strict=True):
        joined = [np.concatenate(list(of[:, channel])) for of in (before, after) for channel in (0, 1)]
        (shift,) = {int(np.flatnonzero(joined[2 + c] == joined[c][0])[0]) for c in (0, 1)}
        assert min(shift, 9000 - shift) <= 300
        assert all((joined[2 + c] == np.roll(joined[c], shift)).all() for c in (0, 1))
