import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from edf_files import files_of, load_night
from synthetic_night import ROLES, write_night

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.transformation import LowPass, Robust, Standard, Unit
from sleepbench.preparation.prepared import load_prepared
from sleepbench.protocols.folds import Fold
from sleepbench.training import epochs as module
from sleepbench.training.epochs import EpochSet, epoch_set, fold_sets


def test_epochs_come_from_the_trimming_in_order_with_the_asked_channels(nights):
    prepared = [load_night(nights["SC4001"]), load_night(nights["SC4011"])]
    epochs = epoch_set(prepared, [ROLES[1], ROLES[0]], "authors")
    assert len(epochs) == 24
    kept = np.arange(24) % 2 == 1
    expected = np.concatenate([np.load(nights[id])[kept][:, [1, 0]] for id in ("SC4001", "SC4011")])
    assert (epochs.signals(np.arange(24)) == expected).all()
    assert (epochs.signals(np.array([20, 3])) == expected[[20, 3]]).all()
    assert (epochs.stage == np.concatenate([p.stage[kept] for p in prepared])).all()
    assert epochs.column("epoch").tolist() == [*range(11, 34, 2)] * 2
    assert (epochs.column("onset_s") == 30 * epochs.column("epoch")).all()


@pytest.mark.parametrize(
    "channels",
    [
        [0],
        [1],
        [0, 1],
        [1, 2],
        [0, 2],
        [1, 0],
        [0, 1, 3],
        [3, 1],
        [0, 1, 2, 3],
    ],
)
def test_any_channels_of_any_epochs_are_those_of_the_files(tmp_path, channels):
    signals = np.random.default_rng(1).standard_normal((2, 7, 4, 3000)).astype(np.float32)
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", signals[i])
    recordings = [SimpleNamespace(signals=np.load(tmp_path / f"{i}.npy", mmap_mode="r")) for i in range(2)]
    recording, row = np.array([0, 1, 1, 0, 1]), np.array([6, 0, 3, 2, 3])
    epochs = EpochSet(tuple(recordings), tuple(channels), recording, row, np.zeros(5, np.int64))
    assert (epochs.signals(np.arange(5)) == signals[recording, row][:, channels]).all()
    asked = np.array([[4, 0], [2, 2], [3, 1]])
    batch = epochs.signals(asked)
    assert batch.dtype == np.float32 and batch.flags.c_contiguous and type(batch) is np.ndarray
    assert (batch == signals[recording[asked], row[asked]][:, :, channels]).all()
    for rows in ([2, 3, 4, 5], [0, 1, 6], [3], []):
        kept = epochs.stored(1, np.array(rows, int))
        assert (kept == signals[1, rows][:, channels]).all() and type(kept) is np.ndarray


def test_what_is_stored_side_by_side_is_not_copied(nights):
    night = load_night(nights["SC4001"])
    epochs = epoch_set([night], ROLES, "standard")
    assert np.shares_memory(epochs.stored(0, np.arange(3, 20)), night.signals)


def test_no_recordings_make_an_empty_set():
    assert len(epoch_set([], ["eeg1"], "standard")) == 0


def test_a_role_that_was_not_prepared_is_named(nights):
    with pytest.raises(BenchmarkError, match=r"SC4001 was prepared without eeg2, it has .*montage, then delete"):
        epoch_set([load_night(nights["SC4001"])], ["eeg2"], "standard")


def test_every_epoch_knows_whose_it_is(tmp_path):
    """Ids say nothing: people are told apart by what the dataset says of them."""
    people = {"SN0011": ("a", 1), "SN1011": ("b", 1), "5f1e7c": ("b", 12)}
    nights = [write_night(tmp_path, id, 3, 0, subject, night) for id, (subject, night) in people.items()]
    epochs = epoch_set([load_night(path) for path in nights], ROLES, "standard")
    assert epochs.column("id").tolist() == [id for id in people for _ in range(3)]
    assert epochs.column("subject").tolist() == ["a"] * 3 + ["b"] * 6
    assert epochs.column("night").tolist() == [1] * 6 + [12] * 3


@pytest.mark.parametrize("transformation", [Unit(20), Standard(clip=2), Robust(), LowPass(30)])
def test_signals_are_transformed_wherever_they_are_read(nights, transformation):
    """By the statistics of a whole recording, whatever is kept of it or asked for."""
    loaded = [load_night(nights[id]) for id in ("SC4001", "SC4011")]
    epochs = epoch_set(loaded, ["eog"], "authors", transformation)
    expected = []
    for night in loaded:
        signals = np.asarray(night.signals)[:, 1:]
        measured = np.repeat(transformation.measure(signals)[None], 24, axis=0)
        expected.append(transformation(signals, measured)[1::2])
    assert np.allclose(epochs.signals(np.arange(24)), np.concatenate(expected), rtol=1e-6)
    assert np.allclose(epochs.signals(np.array([[20, 3]]))[0], np.concatenate(expected)[[20, 3]], rtol=1e-6)
    assert np.allclose(epochs.stored(1, np.arange(1, 24, 2)), expected[1], rtol=1e-6)


def test_a_recording_is_opened_and_measured_once_for_all_folds(nights, monkeypatch):
    opened, measured, plain = [], [], Standard.measure
    monkeypatch.setattr(
        module, "load_prepared", lambda files: opened.append(files.signals.stem) or load_prepared(files)
    )
    monkeypatch.setattr(Standard, "measure", lambda self, signals: measured.append(1) or plain(self, signals))
    folds = [Fold(("SC4001", "SC4002"), (), ("SC4011",)), Fold(("SC4011", "SC4002"), (), ("SC4001",))]
    prepared = {id: files_of(path) for id, path in nights.items()}
    for sets in fold_sets(folds, prepared, ROLES, "standard", Standard()):
        for name in ("train", "test"):
            sets[name].signals(np.arange(5))
    assert sorted(opened) == ["SC4001", "SC4002", "SC4011"] and len(measured) == 3


def test_a_training_set_far_larger_than_its_batches_is_never_copied(tmp_path, nights):
    # A sparse file of 6 GB stands for many nights: to copy it whole would take as much memory.
    n_epochs, shape = 125_000, (125_000, 4, 3000)
    path = tmp_path / "big.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * np.prod(shape, dtype=np.int64))
    night = load_night(nights["SC4001"])
    index = np.arange(n_epochs)
    big = replace(
        night,
        roles=("a", "b", "c", "d"),
        signals=np.load(path, mmap_mode="r"),
        epoch=index,
        onset_s=30 * index,
        stage=np.zeros(n_epochs, np.int8),
        standard=np.ones(n_epochs, bool),
        authors=np.ones(n_epochs, bool),
    )
    tracemalloc.start()
    epochs = epoch_set([big], ["a", "c"], "standard")
    assert epochs.signals(np.array([0, 124_999, 7])).shape == (3, 2, 3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(epochs) == n_epochs
    assert peak < 20e6
