"""Excerpts of 5 s: which they are, what is refused, and that they are prepared as they are."""

import csv
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from edf_files import load_night
from file_server import serving

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file
from sleepbench.datasets import open_dataset, sleep_edf_excerpts
from sleepbench.datasets.base import EXCERPTS, Dataset, SourceSettings
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.preparation.quality import read_quality

COMMIT = "/swapnil5053/AttnSleep-EEG-5s/cde8b3995c8be2a7228e6363d1d15b1fe069a198/"
STAGES = [0] * 60 + [1, 2, 3, 4, 2] * 20 + [0] * 60


def opened(base_url: str | None = None) -> Dataset:
    sources = {"sleep-edf-20-5s": SourceSettings(base_url=base_url)}
    return open_dataset("excerpts", {"reader": "sleep_edf_excerpts"}, sources)


def write_excerpts(path: Path, **members: object) -> Path:
    """A file such as the real ones, with a pickle in it, which nothing may read."""
    usual = {
        "x": np.random.default_rng(0).normal(0, 20, (len(STAGES), 500, 1)).astype(np.float32),
        **{"y": np.array(STAGES, np.int32), "fs": 100.0, "ch_label": "EEG Fpz-Cz"},
        "header_raw": np.array(Explosive(), dtype=object),
    }
    np.savez(path, **{name: value for name, value in (usual | members).items() if value is not None})
    return path


class Explosive:
    """What ends the test when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("a pickle was loaded",))


def test_recordings_are_those_of_the_official_table() -> None:
    recordings = opened().recordings()
    assert [recordings[0].id, recordings[-1].id, len(recordings)] == ["SC4001", "SC4192", 39]
    assert len({one.subject for one in recordings}) == 20
    first = recordings[0]
    assert (first.subject, first.night, first.age, first.sex) == ("00", 1, 33, "F")
    assert (first.files[0].role, first.files[0].name, first.files[0].n_bytes) == ("excerpts", "SC4001E0.npz", 1689363)


def test_every_title_says_what_the_numbers_are_of() -> None:
    dataset = opened()
    assert dataset.label.title("Ladder") == f"Ladder ({EXCERPTS})"
    assert not dataset.label.simulated and not dataset.label.comparable
    dataset.training_epochs, dataset.only_folds = 18, [0]
    assert dataset.label.warning == f"{EXCERPTS}; 18 training epochs; not all folds"


def test_files_come_from_the_repository_at_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = write_excerpts(tmp_path / "SC4001E0.npz").read_bytes()
    table = tmp_path / "files.csv"
    table.write_text(f"id,file,sha256,bytes\nSC4001,SC4001E0.npz,{sha256(content).hexdigest()},{len(content)}\n")
    monkeypatch.setattr(sleep_edf_excerpts, "FILES", table)
    folder = f"{COMMIT}edf_true_5s_npz/"
    with serving({"SC4001E0.npz": content}, COMMIT, folder) as server:
        dataset = opened(server.base_url)
        (recording,) = dataset.recordings()
        receipt = dataset.fetch(recording, tmp_path / "raw")
    assert server.asked("SC4001E0.npz") == [None]
    assert receipt["excerpts"]["sha256"] == sha256(content).hexdigest()
    assert dataset.locate("SC4001E0.npz", tmp_path / "raw") == tmp_path / "raw" / "SC4001E0.npz"
    (tmp_path / "raw" / "SC4001E0.npz").write_bytes(content[:-1])
    with pytest.raises(BenchmarkError, match=rf"SHA-256 is .* \({len(content) - 1} bytes\), .* \({len(content)} bytes"):
        dataset.fetch(recording, tmp_path / "raw")


def test_excerpts_are_prepared_as_they_are(tmp_path: Path) -> None:
    path, dataset = write_excerpts(tmp_path / "SC4001E0.npz"), opened()
    receipt = {
        "recording": "SC4001",
        "excerpts": {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)},
    }
    known = dataset.recordings()[0].files[0].sha256
    with pytest.raises(BenchmarkError, match=known):
        prepare_recording(dataset, receipt, tmp_path / "SC4001.npy")
    made_up = sleep_edf_excerpts._files(sleep_edf_excerpts.FILES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(made_up, "SC4001", made_up["SC4001"].__class__("excerpts", "SC4001E0.npz"))
        prepare_recording(dataset, receipt, tmp_path / "SC4001.npy")
    prepared = load_night(tmp_path / "SC4001.npy")
    with np.load(path) as members:
        assert np.array_equal(prepared.signals, members["x"].transpose(0, 2, 1))
    assert prepared.stage.tolist() == STAGES and prepared.standard.all() and not prepared.authors.any()
    assert prepared.onset_s.tolist() == [30 * i for i in range(len(STAGES))]
    quality = read_quality(tmp_path / "SC4001.quality.json")
    assert quality["psg_seconds"] == 30 * len(STAGES) and "first 5 s" in quality["handled"][0]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"x": np.zeros((220, 3000, 1), np.float32)}, r"holds float32 \(220, 3000, 1\).*expected float32"),
        ({"x": np.zeros((219, 500, 1), np.float32)}, "expected float32"),
        ({"x": np.zeros((220, 500, 1))}, "holds float64"),
        ({"ch_label": "EEG Pz-Oz"}, "of 'EEG Pz-Oz'.*expected .* 'EEG Fpz-Cz'"),
        ({"fs": 125.0}, "at 125.0 Hz"),
        ({"y": np.array([*STAGES[:-1], 5], np.int32)}, r"has the stages \[5\], expected 0 to 4"),
        ({"y": None}, "is no file of excerpts .*y"),
        ({"x": np.array(Explosive(), dtype=object)}, "is no file of excerpts .*allow_pickle"),
    ],
)  # fmt: skip
def test_another_file_is_refused(tmp_path: Path, members: dict, message: str) -> None:
    path = tmp_path / "SC4001E0.npz"
    write_excerpts(path, **members)
    with pytest.raises(BenchmarkError, match=message):
        opened().check(opened().recordings()[0], {"excerpts": path})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"no zip at all"])
def test_a_damaged_file_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "SC4001E0.npz").write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"is no file of excerpts .*; fetch it again"):
        opened().read_stages({"excerpts": tmp_path / "SC4001E0.npz"})


def test_the_real_files_hold_the_known_epochs(shared: Path) -> None:
    dataset, known = opened(), opened().known_epochs()
    directory, total = shared / "sleep-edf" / "excerpts-5s", np.zeros(5, int)
    with (directory / "SHA256SUMS.txt").open() as file:
        sums = {name: checksum for checksum, name in csv.reader(file, delimiter=" ", skipinitialspace=True)}
    for recording in dataset.recordings():
        file = recording.files[0]
        assert sums[file.name] == file.sha256 and (directory / file.name).stat().st_size == file.n_bytes
        counts = np.bincount(np.load(directory / file.name)["y"], minlength=5)
        assert known.get((recording.id, "standard"), tuple(counts)) == tuple(counts)
        total += counts
    (whole,) = [one for one in dataset.known_totals() if one.covers("standard", [r.id for r in dataset.recordings()])]
    assert tuple(total) == whole.counts


def test_a_real_file_is_prepared(shared: Path, tmp_path: Path) -> None:
    dataset = opened()
    receipt = dataset.fetch(dataset.recordings()[0], shared / "sleep-edf" / "excerpts-5s")
    prepare_recording(dataset, receipt, tmp_path / "SC4001.npy")
    prepared = load_night(tmp_path / "SC4001.npy")
    assert prepared.signals.shape == (841, 1, 500)
    assert tuple(np.bincount(prepared.stage)) == dataset.known_epochs()["SC4001", "standard"]


def test_real_excerpts_lie_on_a_recorders_grid_and_stages_have_the_power_they_should(shared: Path) -> None:
    """Slow waves are highest in N3, spindles in N2; samples are whole steps of an analogue-to-digital converter."""
    powers = []
    for recording in opened().recordings()[:4]:
        with np.load(shared / "sleep-edf" / "excerpts-5s" / recording.files[0].name) as members:
            excerpts, stage = members["x"][..., 0].astype(np.float64), members["y"]
        values = np.unique(excerpts) - excerpts.min()
        steps = values / (values[-1] / round(values[-1] / np.diff(values).min()))
        assert len(values) <= 4096 and np.abs(steps - steps.round()).max() < 0.01
        spectrum = np.abs(np.fft.rfft(excerpts - excerpts.mean(axis=1, keepdims=True))) ** 2
        hertz = np.fft.rfftfreq(500, 0.01)
        slow, all_, sigma = (
            spectrum[:, (hertz >= low) & (hertz < high)].sum(axis=1) for low, high in ((0.5, 4), (0.5, 30), (12, 15))
        )
        of_stage = [stage == code for code in range(1, 5)]
        powers.append([[slow[one].mean() for one in of_stage], [(sigma / all_)[one].mean() for one in of_stage]])
    slow, sigma = np.mean(powers, axis=0)
    assert slow.argmax() + 1 == 3 and sigma.argmax() + 1 == 2
