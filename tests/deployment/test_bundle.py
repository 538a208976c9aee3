import json
import zipfile

import numpy as np
import pytest
import torch
from fake_bundles import fake_bundle

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import signed
from sleepbench.deployment.bundle import DESCRIPTION, read_bundle, write_bundle
from sleepbench.deployment.card import model_card
from sleepbench.models import describe
from sleepbench.preparation.prepared import PreparedRecording
from sleepbench.training.epochs import epoch_set


def error_of(path):
    with pytest.raises(BenchmarkError) as error:
        read_bundle(path)
    return str(error.value)


@pytest.fixture
def path(tmp_path):
    write_bundle(tmp_path / "a.bundle", fake_bundle(members=2))
    return tmp_path / "a.bundle"


def rewritten(path, change):
    """The file with its description changed, and its hash made right again."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members[DESCRIPTION] = json.dumps(signed(change(json.loads(members[DESCRIPTION])))).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_a_bundle_is_read_as_it_was_written(path):
    written, read = fake_bundle(members=2), read_bundle(path)
    assert read.description == written.description
    for one, other in zip(read.members, written.members, strict=True):
        assert list(one) == list(other)
        assert all(np.array_equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)


def test_numpy_alone_reads_the_tensors(path):
    with np.load(path, allow_pickle=False) as file:
        first = next(iter(fake_bundle(members=2).members[1].items()))
        assert np.array_equal(file[f"1/{first[0]}"], first[1])


def test_the_same_bundle_gives_the_same_bytes(path, tmp_path):
    write_bundle(tmp_path / "again.bundle", read_bundle(path))
    assert (tmp_path / "again.bundle").read_bytes() == path.read_bytes()


def test_a_member_is_a_network_in_evaluation_mode_with_its_weights(path):
    bundle = read_bundle(path)
    network = bundle.network(1)
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, torch.from_numpy(bundle.members[1][name])), name


@pytest.mark.parametrize("model", ["ulw_sleepnet", "u_sleep", "chambon2018"])
def test_signals_are_prepared_as_training_prepares_them(model):
    bundle = fake_bundle(model, roles=("eeg1", "eog"))
    signals = np.random.default_rng(0).normal(3, 40, (6, 2, 3000)).astype(np.float32)
    prepared = _recording(signals)
    of_training = epoch_set([prepared], ["eeg1", "eog"], "standard", describe(model).input_transformation)
    assert np.array_equal(bundle.prepare(signals), of_training.signals(np.arange(6)))


def _recording(signals):
    n = len(signals)
    kept = np.ones(n, np.int64)
    stages = np.zeros(n, np.int64)
    return PreparedRecording("x", "x", 1, ("eeg1", "eog"), signals, np.arange(n), np.arange(n), stages, kept, kept)


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        (np.zeros((2, 3, 3000)), "(2, 3, 3000), expected numbers (n_epochs, 4, 3000)"),
        (np.zeros((4, 3000)), "(4, 3000)"),
        (np.zeros((0, 4, 3000)), "(0, 4, 3000)"),
        (np.full((1, 4, 3000), np.nan), "not finite"),
        (np.array([["a"]]), "expected numbers"),
    ],
)
def test_signals_of_another_shape_or_not_finite_are_refused(signals, said):
    with pytest.raises(BenchmarkError) as error:
        fake_bundle().prepare(signals)
    assert said in str(error.value)


def test_every_flipped_byte_of_a_bundle_is_noticed(path):
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for place in generator.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            read = read_bundle(path)
        except BenchmarkError as error:
            assert str(path) in str(error)
        else:  # what a zip says of itself beside names and contents
            assert read.description == fake_bundle(members=2).description


def test_a_truncated_bundle_is_named_with_what_to_do(path):
    path.write_bytes(path.read_bytes()[:-2000])
    assert "damaged" in error_of(path) and "make it again" in error_of(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: {**told, "format_version": 2}, "is of format 2"),
        (lambda told: {**told, "format": "a cake"}, "does not say format"),
        (lambda told: {**told, "model": "ulw_sleepnat"}, "the nearest known name is 'ulw_sleepnet'"),
        (lambda told: {**told, "sampling_rate": 256}, "is for signals at 256 Hz"),
        (lambda told: {**told, "samples_per_epoch": 4000}, "epochs have 4000 samples"),
        (lambda told: {**told, "folds": told["folds"][:1]}, "2 members of 1 folds"),
        (lambda told: {**told, "montage": {}}, "takes"),
        (lambda told: {**told, "titel": "x"}, "titel: unknown key 'titel'"),
        (lambda told: {**told, "model": "band_power"}, "is an estimator"),
        (lambda told: {**told, "tensors": {}}, "holds other files"),
    ],
)
def test_what_cannot_be_used_says_why(path, change, said):
    assert said in error_of(rewritten(path, change))


def test_weights_of_other_channels_do_not_fit(path):
    rewritten(path, lambda told: {**told, "montage": {"eeg1": "EEG Fpz-Cz"}})
    with pytest.raises(BenchmarkError, match="do not fit the network ulw_sleepnet"):
        read_bundle(path).network()


def test_other_files_are_no_bundles(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pt")
    (tmp_path / "notes.txt").write_text("no bundle")
    assert "is no bundle" in error_of(tmp_path / "weights.pt") and "PyTorch's weights" in error_of(
        tmp_path / "weights.pt"
    )
    assert "is no bundle" in error_of(tmp_path / "notes.txt")
    assert "is missing" in error_of(tmp_path / "none.bundle")
    assert "cannot be read" in error_of(tmp_path)


def test_the_card_says_what_it_was_trained_on_and_that_it_is_no_device():
    card = model_card(fake_bundle().description)
    assert card.startswith("# ULW-SleepNet (SIMULATED data") and "SIMULATED SIGNALS" in card
    assert "| sex: women |" in card and "0.500" in card and "subjects 00, 01" in card
