"""What is exported does in onnxruntime what the bundle does here, and says what it is."""

import re

import documented
import numpy as np
import onnx
import pytest
import torch
from fake_bundles import MONTAGE, fake_bundle

from sleepbench.cli import app
from sleepbench.cli.model import model as command
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.deployment import to_onnx
from sleepbench.deployment.bundle import Bundle, write_bundle
from sleepbench.deployment.export import TARGETS, export_bundle
from sleepbench.deployment.to_onnx import export
from sleepbench.models import describe, model_names
from sleepbench.models.as_onnx import session

ROUNDING = {"sleep_satelight_ft"}
"""What a dead channel's spectrum is to it, single precision knows to 1e-5 of the logits alone."""
NETWORKS = [name for name in model_names() if describe(name).kind == "network"]


def settled_bundle(name, members=1, **changed):
    """A bundle whose norms have the statistics of signals, as training leaves them; the fresh ones let them grow."""
    bundle = fake_bundle(name, tuple(MONTAGE)[: len(describe(name).published_roles)], members, **changed)
    told = bundle.description
    waves = to_onnx._waves(40, len(told.roles), told.samples_per_epoch)
    signals = torch.from_numpy(bundle.prepare(waves))
    states = []
    for member in range(members):
        network = bundle.network(member).train()
        for module in network.modules():
            if hasattr(module, "running_mean"):
                module.momentum = 1.0
        with torch.no_grad():
            network(signals.unflatten(0, (8, 5)) if told.sequence_length else signals)
        states.append({key: tensor.numpy().copy() for key, tensor in network.state_dict().items()})
    return Bundle(told, states)


def probabilities_of(bundle, signals):
    """By PyTorch, of the epochs of one recording (n, n_channels, n_samples); of sequences all are one."""
    seen = torch.from_numpy(bundle.prepare(signals))
    with torch.inference_mode():
        members = [
            bundle.network(i)(seen[None])[0] if bundle.description.sequence_length else bundle.network(i)(seen)
            for i in range(len(bundle.members))
        ]
        return torch.stack([logits.softmax(dim=-1) for logits in members]).mean(dim=0).numpy()


def microvolts(bundle, n, seed=5):
    told = bundle.description
    shape = (n, len(told.roles), told.samples_per_epoch)
    return (40 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An ensemble of two that see a recording's own spread, in a directory that is made for it."""
    bundle = settled_bundle("nano_sleepnet", members=2, input_transformation={"robust": {"clip": 20}})
    directory = tmp_path_factory.mktemp("onnx") / "a" / "b"
    return bundle, *export(bundle, directory)


def test_the_file_takes_microvolts_and_any_number_of_epochs(exported):
    bundle, path, _ = exported
    running = session(path)
    taken = {one.name: one.shape for one in running.get_inputs()}
    assert taken == {"signals": ["batch", 1, 3000], "recording": ["batch", 2, 1]}
    assert {one.name: one.shape for one in running.get_outputs()} == {"probabilities": ["batch", 5]}
    for n in (1, 2, 70):
        signals = 3 + microvolts(bundle, n)
        measured = np.repeat(bundle.transformation.measure(signals)[None], n, axis=0)
        found = running.run(None, {"signals": signals, "recording": measured})[0]
        np.testing.assert_allclose(found, probabilities_of(bundle, signals), rtol=0, atol=1e-5)


def test_the_sheet_says_what_goes_in_and_out(exported):
    bundle, path, sheet_path = exported
    sheet = read_document(sheet_path)
    assert (sheet_path.name, path.name, sheet["file"]) == ("nano_sleepnet.json", *("nano_sleepnet.onnx",) * 2)
    assert sheet["file_sha256"] == sha256_of_file(path)
    taken = sheet["inputs"]["signals"]
    assert (taken["unit"], taken["sampling_rate_hz"], taken["shape"]) == ("microvolts", 100, ["batch", 1, 3000])
    assert (taken["epoch_seconds"], taken["seconds_of_each_epoch"]) == (30, 30)
    assert taken["channels"] == [{"role": "eeg1", "label": MONTAGE["eeg1"]}]
    assert sheet["inputs"]["recording"]["rows"][0] == "median" and sheet["scoring"] == "every epoch alone"
    assert sheet["stages"] == list(STAGES) and sheet["outputs"]["probabilities"]["shape"] == ["batch", 5]
    assert sheet["run_keys"] == [fold.run_key for fold in bundle.description.folds]
    assert "SIMULATED" in sheet["title"] and "SIMULATED SIGNALS" in sheet["trained_on"]
    assert "Not a medical device" in sheet["warning"]
    assert 0 <= sheet["largest_difference_from_pytorch"]["probabilities"] <= 1e-5


def test_the_file_carries_its_label_and_nothing_of_the_program_that_was_traced(exported):
    _, path, _ = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 20
    said = {one.key: one.value for one in model.metadata_props}
    assert "SIMULATED" in said["title"] and set(said) == {"title", "run", "warning"}
    assert b"/workflow/" not in path.read_bytes() and b".py" not in path.read_bytes()
    assert path.stat().st_size < 120_000  # of two members with 36 kB of weights each


def test_files_that_differ_from_pytorch_are_not_written(exported, tmp_path, monkeypatch):
    bundle, path, _ = exported
    expected = to_onnx._expected
    (tmp_path / "nano_sleepnet.json").write_text("of an older file")
    (tmp_path / "nano_sleepnet.onnx").write_text("an older file")
    monkeypatch.setattr(to_onnx, "_as_onnx", lambda network, bundle: onnx.load(path))
    monkeypatch.setattr(to_onnx, "_expected", lambda *_: [one + 2e-5 for one in expected(*_)])
    with pytest.raises(BenchmarkError, match=r"nano_sleepnet: probabilities of the ONNX file .*nothing is written"):
        export(bundle, tmp_path)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["an older file", "of an older file"]


@pytest.mark.slow
def test_a_sequence_has_any_length_and_the_recording_s_statistics_are_an_input(tmp_path):
    bundle = settled_bundle("nano_sleepnet_tcn_causal", input_transformation={"robust": {"clip": 20}}, kind="excerpt")
    path, sheet_path = export(bundle, tmp_path)
    running, sheet = session(path), read_document(sheet_path)
    assert {one.name: one.shape for one in running.get_inputs()} == {
        "signals": ["batch", "length", 1, 3000],
        "recording": ["batch", 2, 1],
    }
    assert sheet["inputs"]["recording"]["rows"][0] == "median"
    assert sheet["scoring"] == "an unbroken run of epochs at once, of any length"
    for length in (1, 10, 11, 50):
        signals = 3 + microvolts(bundle, length)
        measured = bundle.transformation.measure(signals)
        outputs = running.run(["probabilities"], {"signals": signals[None], "recording": measured[None]})
        np.testing.assert_allclose(outputs[0][0], probabilities_of(bundle, signals), rtol=0, atol=1e-5)


def test_more_weights_than_a_file_can_have_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(to_onnx, "MOST_BYTES", 50_000)
    with pytest.raises(BenchmarkError, match=r"the weights of 3 members have .* bytes.*bundle a single fold"):
        export(fake_bundle("nano_sleepnet", ("eeg1",), members=3), tmp_path)
    assert not any(tmp_path.iterdir())


def test_what_is_no_network_is_refused_by_name(tmp_path):
    told = fake_bundle("eegnet").description
    bundle = Bundle(told.model_copy(update={"model": "band_power"}), [{"weight": np.zeros(1, np.float32)}])
    write_bundle(tmp_path / "a.bundle", bundle)
    with pytest.raises(BenchmarkError, match="model band_power is an estimator, expected a network"):
        export_bundle(tmp_path / "a.bundle", "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_names_the_files(tmp_path, monkeypatch, capfd):
    write_bundle(tmp_path / "a.bundle", fake_bundle("nano_sleepnet", ("eeg1",)))
    written = []
    monkeypatch.setattr(to_onnx, "export", lambda bundle, directory: written.append(bundle) or [directory / "a.onnx"])
    with pytest.raises(SystemExit) as ended:
        app.main(["model", "export", str(tmp_path / "a.bundle"), "--to", "onnx", "--output", str(tmp_path / "x")])
    out, _ = capfd.readouterr()
    assert ended.value.code == 0 and out.endswith(f"Written: {tmp_path / 'x' / 'a.onnx'}\n")
    assert "NanoSleepNet (nano_sleepnet), fold 0 of 2" in out and "trained on SIMULATED SIGNALS" in out
    assert written[0].description.model == "nano_sleepnet"
    with pytest.raises(SystemExit) as ended:
        app.main(["model", "export", str(tmp_path / "a.bundle"), "--to", "wasm", "--output", str(tmp_path / "x")])
    assert ended.value.code == 2 and re.search("'wasm' is not .*onnx", capfd.readouterr().err)


def test_the_command_offers_every_target():
    (target,) = (one for one in command.commands["export"].params if one.name == "target")
    assert list(target.type.choices) == list(TARGETS)


@pytest.mark.slow
def test_the_command_writes_what_the_page_s_example_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    bundle = settled_bundle("ulw_sleepnet")
    write_bundle("ulw.bundle", bundle)
    np.save("epochs.npy", signals := microvolts(bundle, 3))
    with pytest.raises(SystemExit) as ended:
        app.main(["model", "export", "ulw.bundle", "--to", "onnx", "--output", "exported"])
    assert ended.value.code == 0 and capfd.readouterr().out.count("Written: ") == 2
    page = (documented.ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?onnxruntime.*?)```", page, re.S)
    found: dict = {}
    exec(example, found)
    assert found["stages"] == [STAGES[i] for i in probabilities_of(bundle, signals).argmax(axis=1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported(name, tmp_path):
    bundle = settled_bundle(name)
    path, sheet = export(bundle, tmp_path)
    assert read_document(sheet)["largest_difference_from_pytorch"]["logits"] <= (3e-5 if name in ROUNDING else 1e-5)
    running = session(path)
    for n in (1, 5) if describe(name).sequence_length is None else (1, 2, 23, 101):
        signals = microvolts(bundle, n)
        given = {"signals": signals if describe(name).sequence_length is None else signals[None]}
        if len(running.get_inputs()) > 1:
            given["recording"] = bundle.transformation.measure(signals)[None]
        found = running.run(["probabilities"], given)[0].reshape(n, -1)
        np.testing.assert_allclose(found, probabilities_of(bundle, signals), rtol=0, atol=1e-5)
