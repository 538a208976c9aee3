"""The network as C: what is written, that it computes what it should, and what is refused."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_bundles import fake_bundle

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment import built
from sleepbench.deployment.bundle import write_bundle
from sleepbench.deployment.export import export_bundle
from sleepbench.deployment.quantisation import LOGITS_PER_UNIT, calibrate
from sleepbench.deployment.to_c import c_network, export, made_up_epochs, write_c
from sleepbench.models.kernels.folded import fold

needs_compiler = pytest.mark.skipif(bool(built.lacks_compiler()), reason=built.lacks_compiler())
needs_boards = pytest.mark.skipif(bool(built.lacks_boards()), reason=built.lacks_boards())
without_boards = pytest.fixture(lambda monkeypatch: monkeypatch.setattr(built, "ARM", "no-such-"))
FILES = {
    *("MODEL_CARD.md", "Makefile", "sleepbench.c", "sleepbench.h", "sleepbench_float32.h", "sleepbench_test.c"),
    *("sleepbench_test_vector.h", "sleepbench_w8a16.h"),
}


def bundle_with_ranges(roles=("eeg1", "eog"), n_samples=3000, **changed):
    bundle = fake_bundle(roles=roles, n_samples=n_samples, **changed)
    ranges = calibrate(fold(bundle.network()), made_up_epochs(len(roles), n_samples))
    return replace(bundle, description=bundle.description.model_copy(update={"activation_ranges": ranges}))


def some_epochs(n_channels, n_samples):
    """Noise, spikes far beyond any range, nothing at all, and halves of a step, which are rounded away from zero."""
    epochs = np.random.default_rng(1).normal(0, 100, (4, n_channels, n_samples)).astype(np.float32)
    epochs[1, :, ::7] *= 1e4
    epochs[2] = 0
    epochs[3] = np.round(epochs[3]) + 0.5
    return epochs


@needs_compiler
@pytest.mark.parametrize(
    ("roles", "n_samples"), [(("eeg1", "eeg2", "eog", "emg"), 3000), (("eeg1",), 437), (("eeg1",), 2)]
)
def test_c_gives_pytorchs_logits_and_the_integers_bit_by_bit(tmp_path, roles, n_samples):
    bundle = bundle_with_ranges(roles, n_samples)
    network = c_network(bundle, bits=(16, 8))
    write_c(network, tmp_path / "c", "")
    epochs = some_epochs(len(roles), n_samples)
    with torch.inference_mode():
        expected = bundle.network().double()(torch.from_numpy(epochs).double()).numpy()
    found = built.run_here(tmp_path / "c", 32, epochs, tmp_path)
    np.testing.assert_allclose(found.logits, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(found.stages, found.logits.argmax(axis=1))
    for bits, integers in network.integers.items():
        found = built.run_here(tmp_path / "c", bits, epochs, tmp_path)
        assert np.array_equal(found.logits * LOGITS_PER_UNIT, integers(epochs)), bits


@needs_compiler
def test_an_epoch_depends_on_no_other(tmp_path):
    network = c_network(bundle_with_ranges(n_samples=437))
    write_c(network, tmp_path / "c", "")
    epochs = some_epochs(2, 437)
    for bits in (32, 16):
        logits = built.run_here(tmp_path / "c", bits, np.concatenate([epochs, epochs[::-1]]), tmp_path).logits
        assert np.array_equal(logits, logits[::-1])


@needs_compiler
def test_samples_that_are_no_number_count_as_zero(tmp_path):
    network = c_network(bundle_with_ranges(n_samples=437))
    write_c(network, tmp_path / "c", "")
    epochs = some_epochs(2, 437)[:1]
    zeros, none = epochs.copy(), epochs.copy()
    zeros[..., 30:60] = 0
    none[..., 30:60:3], none[..., 31:60:3], none[..., 32:60:3] = np.nan, np.inf, -np.inf
    for bits in (32, 16):
        one, other = built.run_here(tmp_path / "c", bits, np.concatenate([zeros, none]), tmp_path).logits
        assert np.array_equal(one, other)


@needs_compiler
@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_what_is_exported_passes_its_own_test(tmp_path, without_boards):
    label = {"eeg1": "EEG */ #error", "eog": "/* EOG", "emg": "µ"}
    bundle = bundle_with_ranges(("eeg1", "eog"), montage={"eeg1": label["eeg1"], "eog": label["eog"]})
    write_bundle(tmp_path / "a.bundle", bundle)
    files = export_bundle(tmp_path / "a.bundle", "c", tmp_path / "new" / "c")
    assert {path.name for path in files} == FILES and all(path.is_file() for path in files)
    command = ["make", "-s", "-C", str(tmp_path / "new" / "c"), "test", "CFLAGS=-O0"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0 and finished.stderr == "", finished.stderr
    assert finished.stdout.count("as expected") == 2 and "NOT" not in finished.stdout
    header = (tmp_path / "new" / "c" / "sleepbench.h").read_text()
    assert "were not measured where this was written: no no-such-gcc" in header.replace("\n", " ")
    assert "SIMULATED" in header and "Not a medical device" in header and "EEG * / #error" in header
    # Written again over itself and what was compiled of it.
    assert export_bundle(tmp_path / "a.bundle", "c", tmp_path / "new" / "c") == files


@needs_compiler
@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_the_test_finds_a_weight_that_was_changed(tmp_path, without_boards):
    export(bundle_with_ranges(n_samples=437), tmp_path / "c")
    for name in ("float32", "w8a16"):
        weights = tmp_path / "c" / f"sleepbench_{name}.h"
        text = weights.read_text()
        start = text.index("{", text.index("BLOCK1_MAIN1_BIAS")) + 1
        weights.write_text(f"{text[:start]}9 + {text[start:]}")
    command = ["make", "-s", "-i", "-C", str(tmp_path / "c"), "test", "CFLAGS=-O0"]
    found = subprocess.run(command, capture_output=True, text=True).stdout
    assert "NOT as expected" in found


@needs_boards
def test_boards_give_the_same_and_fit(tmp_path):
    bundle = bundle_with_ranges(n_samples=437)
    network = c_network(bundle)
    write_c(network, tmp_path / "c", "")
    epochs = some_epochs(2, 437)
    for board in built.BOARDS[1:2]:
        for bits in network.bits:
            here = built.run_here(tmp_path / "c", bits, epochs, tmp_path)
            there = built.run_on(tmp_path / "c", board, bits, epochs, tmp_path, 60)
            np.testing.assert_allclose(there.logits, here.logits, rtol=1e-5, atol=1e-5 if bits == 32 else 0)
            assert np.array_equal(there.stages, here.stages)
            size = built.sizes(tmp_path / "c", board, bits, tmp_path)
            said = f"#define SLEEPBENCH_STATE_BYTES {size.state}\n"
            assert said in (tmp_path / "c" / "sleepbench.h").read_text()
            assert 0 < there.stack < 2048 and size.flash < 32 * 1024
            assert 0 < there.last.max() < there.instructions.min() < 20e6
            assert np.ptp(there.instructions) < 0.02 * there.instructions.min()


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        (lambda: fake_bundle("eegnet"), "is of eegnet; C is written for ulw_sleepnet alone.* --to onnx"),
        (lambda: fake_bundle("nano_sleepnet", ("eeg1",)), "is of nano_sleepnet"),
        (lambda: fake_bundle(members=2), "has the networks of 2 folds.*without --all-folds"),
        (lambda: fake_bundle(input_transformation={"standard": {"clip": None}}), r"transformed \(standard\)"),
    ],
)
def test_what_has_no_form_in_c_is_refused_and_nothing_is_written(tmp_path, bundle, said):
    with pytest.raises(BenchmarkError, match=said):
        export(bundle(), tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_other_files_are_not_lost(tmp_path, without_boards):
    bundle = bundle_with_ranges(n_samples=437)
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(BenchmarkError, match=r"holds other files \(thesis.tex\).*name one that is not there yet"):
        export(bundle, tmp_path)
    with pytest.raises(BenchmarkError, match=r"thesis.tex: is a file, expected a directory"):
        export(bundle, tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_current_directory_is_written_to_if_it_is_empty(tmp_path, monkeypatch, without_boards):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export(bundle_with_ranges(n_samples=437), Path())
    assert {path.name for path in (tmp_path / "here").iterdir()} == FILES
    monkeypatch.chdir(tmp_path)


def test_without_ranges_there_is_single_precision_alone(tmp_path, capsys, without_boards):
    files = export(fake_bundle(n_samples=437), tmp_path / "c")
    assert "sleepbench_w8a16.h" not in {path.name for path in files}
    assert "W8A16 is left out" in capsys.readouterr().err
    assert "FORMS = 32\n" in (tmp_path / "c" / "Makefile").read_text()
