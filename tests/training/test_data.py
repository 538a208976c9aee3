import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from synthetic_night import CHANNELS

from sleepbench.data.preparation import load_prepared
from sleepbench.errors import BenchmarkError
from sleepbench.training.data import epoch_set


def test_epochs_come_from_the_window_in_order_with_the_asked_channels(nights):
    prepared = [load_prepared(nights["SC4001"]), load_prepared(nights["SC4011"])]
    epochs = epoch_set(prepared, [CHANNELS[1], CHANNELS[0]], "released")
    assert len(epochs) == 24
    kept = np.arange(24) % 2 == 1
    expected = np.concatenate([np.load(nights[id])[kept][:, [1, 0]] for id in ("SC4001", "SC4011")])
    assert (epochs.signals(np.arange(24)) == expected).all()
    assert (epochs.signals(np.array([20, 3])) == expected[[20, 3]]).all()
    assert (epochs.stage == np.concatenate([p.stage[kept] for p in prepared])).all()
    assert epochs.column("epoch").tolist() == [*range(11, 34, 2)] * 2
    assert (epochs.column("onset_s") == 30 * epochs.column("epoch")).all()


def test_no_recordings_make_an_empty_set():
    assert len(epoch_set([], ["EEG Fpz-Cz"], "standard")) == 0


def test_channel_that_was_not_prepared_is_named(nights):
    with pytest.raises(BenchmarkError, match=r"SC4001 was prepared with .*wanted: \['EEG Pz-Oz'\]"):
        epoch_set([load_prepared(nights["SC4001"])], ["EEG Pz-Oz"], "standard")


def test_a_training_set_far_larger_than_its_batches_is_never_copied(tmp_path, nights):
    # A sparse file of 6 GB stands for many nights: to copy it whole would take as much memory.
    n_epochs, shape = 125_000, (125_000, 4, 3000)
    path = tmp_path / "big.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * np.prod(shape, dtype=np.int64))
    night = load_prepared(nights["SC4001"])
    index = np.arange(n_epochs)
    big = replace(
        night,
        channels=("a", "b", "c", "d"),
        signals=np.load(path, mmap_mode="r"),
        epoch=index,
        onset_s=30 * index,
        stage=np.zeros(n_epochs, np.int8),
        standard=np.ones(n_epochs, bool),
        released=np.ones(n_epochs, bool),
    )
    tracemalloc.start()
    epochs = epoch_set([big], ["a", "c"], "standard")
    assert epochs.signals(np.array([0, 124_999, 7])).shape == (3, 2, 3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(epochs) == n_epochs
    assert peak < 20e6
