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
