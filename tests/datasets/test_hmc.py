"""HMC: files of 256 Hz, lights between the stages, checksums that are fetched and kept."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edfio import EdfAnnotation
from file_server import Server, serving

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.stages import UNKNOWN, W
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset, SourceSettings
from sleepbench.datasets.hmc import CHECKSUMS
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.preparation.quality import read_qualities
from sleepbench.signals import edf
from sleepbench.simulation.databases.hmc import simulate_hmc
from sleepbench.simulation.databases.night import simulate, write_scoring

ROOT = "/hmc-sleep-staging/1.1/"


def opened(base_url: str | None = None, **settings: object) -> Dataset:
    definition = {"reader": "hmc", "simulated": True, "psg_hours": 1, "subjects": 2, **settings}
    return open_dataset("hmc", definition, {"hmc": SourceSettings(base_url=base_url)})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A simulated night under the names of a real one."""
    folder = tmp_path_factory.mktemp("hmc")
    paths = {"psg": folder / "SN001.edf", "scoring": folder / "SN001_sleepscoring.edf"}
    simulate_hmc(paths["psg"], paths["scoring"], "SN001", 0, 1, 1)
    return paths


@pytest.fixture
def server(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The night as PhysioNet serves it, with the list of the database."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = {f"recordings/{path.name}": path.read_bytes() for path in files.values()}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in served.items())
    served[CHECKSUMS] = sums.encode()
    with serving(served, ROOT, ROOT) as serves:
        yield serves


def test_151_nights_of_151_people() -> None:
    nights = opened(subjects=None).recordings()
    assert len(nights) == len({night.subject for night in nights}) == 151
    assert not {"SN014", "SN064", "SN135"} & {night.id for night in nights} and nights[-1].id == "SN154"


def test_files_are_checked_by_the_list_which_is_fetched_once(server: Server, tmp_path: Path) -> None:
    dataset = opened(server.base_url)
    night = dataset.recordings()[0]
    receipt = dataset.fetch(night, tmp_path)
    assert dataset.fetch(night, tmp_path) == receipt and len(server.asked(CHECKSUMS)) == 1
    assert receipt["psg"]["sha256"] == hashlib.sha256(server.files["recordings/SN001.edf"]).hexdigest()
    # another list at the server changes nothing: the first one was kept
    server.files[CHECKSUMS] = b""
    assert dataset.fetch(night, tmp_path) == receipt
    (tmp_path / "SN001.edf").write_bytes(b"other")
    with pytest.raises(BenchmarkError, match=r"SN001.edf: its SHA-256 is .*, expected .*; move it away"):
        dataset.fetch(night, tmp_path)


def test_a_list_that_was_changed_or_is_of_another_version_is_refused(server: Server, tmp_path: Path) -> None:
    dataset = opened(server.base_url)
    with pytest.raises(BenchmarkError, match=r"does not list SN002.edf and .*: it is of another version"):
        dataset.fetch(dataset.recordings()[1], tmp_path)
    (tmp_path / CHECKSUMS).write_text("0" * 64 + "  SN001.edf\n")
    with pytest.raises(BenchmarkError, match=rf"{CHECKSUMS}: its SHA-256 is"):
        dataset.fetch(dataset.recordings()[0], tmp_path)


def test_what_comes_broken_is_fetched_again(server: Server, tmp_path: Path) -> None:
    server.files["recordings/SN001.edf"] = server.files["recordings/SN001.edf"][:-2]
    with pytest.raises(BenchmarkError, match=r"what came is not SN001.edf, twice"):
        opened(server.base_url).fetch(opened().recordings()[0], tmp_path)


def test_a_night_is_read_as_it_was_written(files: dict[str, Path]) -> None:
    dataset, night = opened(), simulate(0, 1, 1, 1, 256)
    stages = dataset.read_stages(files)
    np.testing.assert_array_equal(stages, night.true)
    signals = dataset.read_signals(files, list(dataset.montage))
    step = 6000 / 65535
    eyes = night.signals["eog_left"] - night.signals["eog_right"]
    np.testing.assert_allclose(signals["eog"].microvolts, eyes, atol=1.01 * step)
    np.testing.assert_allclose(signals["eeg2"].microvolts, night.signals["eeg2"], atol=0.51 * step)
    assert {signal.rate for signal in signals.values()} == {256}
    assert signals["eog"].storage is None and signals["eeg1"].storage.high == 32767
    said = dataset.remarks(files, list(dataset.montage))
    assert [one for one in said if "Lights" in one] == [
        "'Lights off@@EEG F4-A1' in SN001_sleepscoring.edf says no stage and is ignored (1 annotation)",
        "'Lights on@@EEG Fpz-Cz' in SN001_sleepscoring.edf says no stage and is ignored (1 annotation)",
    ]


def prepared(dataset: Dataset, paths: dict[str, Path], folder: Path) -> dict:
    receipt = {
        "recording": "SN001",
        **{
            role: {
                "path": str(path),
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for role, path in paths.items()
        },
    }
    return prepare_recording(dataset, receipt, folder / "SN001.npy")


def test_a_night_is_prepared_at_100_hz_in_microvolts(files: dict[str, Path], tmp_path: Path) -> None:
    summary = prepared(opened(), files, tmp_path)
    quality = read_json(tmp_path / "SN001.quality.json")
    assert summary["trimmings"]["whole"]["epochs"] == summary["epochs_in_night"] == 120
    assert (
        "EMG chin, envelope is made of a signal of 256 Hz: the root mean square of each second, above 10 Hz"
        in quality["handled"]
    )
    assert any(
        one.startswith("recorded at 256 Hz and resampled to 100 Hz: EEG F4-M1, EEG") for one in quality["handled"]
    )
    assert quality["channels"]["emg"]["sampling_rate_hz"] == 1
    signals = np.load(tmp_path / "SN001.npy")
    theirs = simulate(0, 1, 1, 1, 100).signals["eeg1"].reshape(-1, 3000)
    # between the simulator's rate, 100 Hz, and the file's there and back: the same but for the highest frequencies
    assert np.corrcoef(signals[:, 0].ravel(), theirs.ravel())[0, 1] > 0.99


def test_a_recording_that_lacks_a_channel_is_left_out_with_the_reason(files: dict[str, Path], tmp_path: Path) -> None:
    psg = tmp_path / "SN001.edf"
    psg.write_bytes(files["psg"].read_bytes().replace(b"EOG E2-M2", b"EOG E2-A1"))
    summary = prepared(opened(), {**files, "psg": psg}, tmp_path)
    assert summary["excluded"].startswith("SN001.edf: has no channel 'EOG E2-M2' (did you mean 'EOG E1-M2'?); it has")
    assert np.load(tmp_path / "SN001.npy").shape == (0, 7, 3000)
    assert read_qualities([tmp_path / "SN001.quality.json"], simulated=True) == []


@pytest.mark.parametrize(
    "annotations, said",
    [
        ([(0, 30, "Sleep stage W"), (30, 30, "Sleep stage 2")], "'Sleep stage 2' at 30 s is not a known stage"),
        ([(0, 30, "Sleep stage W"), (30, 30, "Movement")], "'Movement' at 30 s is not a known stage"),
        (
            [(i * 20.0, 20, "Sleep stage W") for i in range(9)],
            r"is scored in epochs of 20 s, expected 30 s. They are not",
        ),
        ([(0, 30, "Sleep stage W"), (15, 30, "Sleep stage N1")], "not on the 30-s grid"),
        ([(0, 60, "Sleep stage W"), (30, 30, "Sleep stage N1")], "overlap between"),
        ([(0, 0, "Lights off@@ECG")], "has no annotations, expected sleep stages"),
    ],
)
def test_scorings_that_cannot_be_read_are_refused(tmp_path: Path, annotations: list, said: str) -> None:
    path, night = tmp_path / "x.edf", simulate(0, 1, 1, 1, 100)
    write_scoring(path, night, [EdfAnnotation(*map(float, one[:2]), one[2]) for one in annotations], "SN001")
    with pytest.raises(BenchmarkError, match=said):
        opened().read_stages({"scoring": path})


def test_a_scoring_that_does_not_cover_the_night_leaves_unknown_epochs(tmp_path: Path) -> None:
    path, night = tmp_path / "x.edf", simulate(0, 1, 1, 1, 100)
    found = [(60, 30, "Sleep stage W"), (150, 30, "Sleep stage N2"), (99.5, 0, "Lights on@@SaO2")]
    write_scoring(path, night, [EdfAnnotation(*map(float, one[:2]), one[2]) for one in found], "SN001")
    assert opened().read_stages({"scoring": path}).tolist() == [UNKNOWN, UNKNOWN, W, UNKNOWN, UNKNOWN, 2]
    said = opened().remarks({"psg": path, "scoring": path}, [])
    assert "the scoring begins 60 s into the night; the epochs before count as unknown" in said
    assert "the scoring has 1 gap of 60 s in all, which count as unknown" in said


def test_files_are_known_as_simulated(files: dict[str, Path]) -> None:
    night = opened().recordings()[0]
    opened().check(night, files)
    assert edf.read_header(files["psg"]).simulated and edf.read_header(files["scoring"]).simulated
    with pytest.raises(BenchmarkError, match="holds simulated signals, but the dataset hmc is not marked"):
        opened(simulated=False).check(night, files)
