"""Preparation of nights: the four files, and what is refused."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from edf_files import (
    CHANNELS,
    NIGHT,
    Nights,
    load_night,
    prepare_night,
    receipt_of,
    recording_of,
    write_hypnogram,
    write_night,
    write_psg,
)

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Recording, Signal
from sleepbench.datasets.sleep_edf_cassette import CassetteFiles
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.signals.edf import read_channels

ROLES = ("eeg1", "eeg2", "eog", "emg")
FPZ = {"eeg1": "EEG Fpz-Cz"}
prepare = prepare_night


def simulated_night(folder: Path) -> Recording:
    """A simulated recording, whose files are in a folder."""
    definition = {"reader": "simulated", "subjects": 1, "single_night_subjects": [0], "psg_hours": 1.75, "seed": 1}
    cohort = open_dataset("nights", definition, {})
    (recording,) = cohort.recordings()
    cohort.fetch(recording, folder)
    return recording_of(*(folder / file.name for file in recording.files))


def quality_of(folder: Path) -> dict:
    return json.loads((folder / "prepared" / "SC4001.quality.json").read_text())


def handled(folder: Path) -> list[str]:
    return quality_of(folder)["handled"]


def leftovers(folder: Path) -> list[str]:
    """What lies in the output folder, hidden files too."""
    return sorted(path.name for path in (folder / "prepared").glob("*"))


def test_a_night(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    summary = prepare(tmp_path, recording)
    assert leftovers(tmp_path) == ["SC4001.epochs.csv", "SC4001.json", "SC4001.npy", "SC4001.quality.json"]
    assert summary == read_document(tmp_path / "prepared" / "SC4001.json")
    assert summary["epochs_in_night"] == 168 and summary["psg_seconds"] == 168 * 30
    assert summary["trimmings"]["standard"] == {"epochs": 137, "W": 120, "N1": 2, "N2": 5, "N3": 6, "REM": 4}
    assert summary["trimmings"]["authors"] == {"epochs": 147, "W": 130, "N1": 2, "N2": 5, "N3": 6, "REM": 4}
    assert summary["sources"]["psg"] == {"file": "SC4001E0-PSG.edf", "sha256": recording.file("psg").sha256}
    assert summary["simulated"] is False and "notes" not in summary
    assert "10 epochs within the signal are unknown" in handled(tmp_path)

    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    assert (prepared.id, prepared.subject, prepared.night) == ("SC4001", "00", 1)
    assert prepared.roles == ROLES and summary["channels"] == list(CHANNELS)
    assert isinstance(prepared.signals, np.memmap) and prepared.signals.dtype == np.float32
    kept = np.r_[10:77, 78:158]
    np.testing.assert_array_equal(prepared.epoch, kept)
    np.testing.assert_array_equal(prepared.onset_s, kept * 30)
    np.testing.assert_array_equal(prepared.stage, np.repeat([0, 1, 2, 3, 4, 0], [60, 2, 5, 6, 4, 70]))
    np.testing.assert_array_equal(prepared.trimmed("authors"), np.arange(147))
    np.testing.assert_array_equal(prepared.trimmed("standard"), np.arange(137))

    signals = read_channels(tmp_path / recording.file("psg").name, CHANNELS)
    for column, channel in enumerate(CHANNELS[:3]):
        expected = signals[channel][0].reshape(168, 3000)[kept].astype(np.float32)
        np.testing.assert_array_equal(prepared.signals[:, column], expected)
    emg = signals["EMG submental"][0].reshape(168, 30)[kept]
    resampled = np.stack([scipy.signal.resample(epoch, 3000) for epoch in emg])
    np.testing.assert_allclose(prepared.signals[:, 3], resampled, rtol=0, atol=1e-4)
    np.testing.assert_allclose(prepared.signals[:, 3, ::100], emg, rtol=0, atol=1e-4)


def test_the_same_night_gives_the_same_bytes(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    prepare(tmp_path, recording)
    first = {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()}
    prepare(tmp_path, recording)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()}


def test_channels_in_the_order_of_the_montage(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    prepare(tmp_path, recording)
    whole = np.array(load_night(tmp_path / "prepared" / "SC4001.npy").signals)
    prepare(tmp_path, recording, montage={"emg": "EMG submental", "eeg1": "EEG Fpz-Cz"})
    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    assert prepared.roles == ("emg", "eeg1")
    np.testing.assert_array_equal(prepared.signals, whole[:, [3, 0]])


def test_records_of_60_s_give_the_same_epochs(tmp_path: Path) -> None:
    prepare(tmp_path, write_night(tmp_path))
    expected = np.array(load_night(tmp_path / "prepared" / "SC4001.npy").signals)
    prepare(tmp_path, write_night(tmp_path, record_seconds=60))
    np.testing.assert_array_equal(load_night(tmp_path / "prepared" / "SC4001.npy").signals, expected)
    assert "data records last 60 s; epochs are placed by seconds" in handled(tmp_path)


def test_part_of_an_epoch_at_the_end_is_left_out(tmp_path: Path) -> None:
    recording = write_night(tmp_path, n_epochs=170, record_seconds=100)
    summary = prepare(tmp_path, recording)
    assert summary["epochs_in_night"] == 170 and summary["psg_seconds"] == 5100
    recording = write_night(tmp_path, n_epochs=160, record_seconds=25)
    path = tmp_path / recording.file("psg").name
    header = path.read_bytes()[:1280]
    records = path.read_bytes()[1280:]
    cut = len(records) // 192 * 191  # 4775 s: 159 epochs and 5 s
    path.write_bytes(header[:236] + b"191     " + header[244:] + records[:cut])
    summary = prepare(tmp_path, recording_of(path, tmp_path / recording.file("scoring").name))
    assert summary["epochs_in_night"] == 159
    assert "the last 5 s of the signal fill no epoch and are left out" in handled(tmp_path)


def test_other_units_become_microvolts(tmp_path: Path) -> None:
    prepare(tmp_path, write_night(tmp_path))
    expected = np.array(load_night(tmp_path / "prepared" / "SC4001.npy").signals)
    prepare(tmp_path, write_night(tmp_path, units=("mV",) * 4))
    found = load_night(tmp_path / "prepared" / "SC4001.npy").signals
    np.testing.assert_allclose(found, expected * 1e3, rtol=1e-6, atol=0.1)


def test_signal_longer_than_the_hypnogram(tmp_path: Path) -> None:
    runs = [("W", 70), ("2", 10), ("W", 100)]
    summary = prepare(tmp_path, write_night(tmp_path, runs, n_epochs=200))
    assert summary["epochs_in_night"] == 200
    assert summary["trimmings"]["standard"]["epochs"] == 130
    assert summary["trimmings"]["authors"]["epochs"] == 170
    assert "the signal outlasts the hypnogram by 20 epochs, which count as unknown" in handled(tmp_path)
    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    np.testing.assert_array_equal(prepared.trimmed("standard"), np.arange(130))


def test_hypnogram_longer_than_the_signal(tmp_path: Path) -> None:
    summary = prepare(tmp_path, write_night(tmp_path, NIGHT, n_epochs=158))
    assert summary["trimmings"]["authors"] == summary["trimmings"]["standard"]
    assert "the hypnogram outlasts the signal by 10 epochs, which are cut" in handled(tmp_path)


def test_quality_of_a_night(tmp_path: Path) -> None:
    summary = prepare(tmp_path, write_night(tmp_path))
    quality = quality_of(tmp_path)
    same = ("recording", "subject", "night", "simulated", "start", "psg_seconds", "epochs_in_night", "trimmings")
    assert {name: quality[name] for name in same} == {name: summary[name] for name in same}
    assert quality["stages"] == {"W": 140, "N1": 2, "N2": 5, "N3": 6, "REM": 4, "movement": 1, "unknown": 10}
    assert quality["hypnogram"] == [[0, 70], [1, 2], [2, 5], [5, 1], [3, 6], [4, 4], [0, 70], [6, 10]]
    assert {role: channel["label"] for role, channel in quality["channels"].items()} == dict(
        zip(ROLES, CHANNELS, strict=True)
    )
    assert quality["channels"]["emg"]["sampling_rate_hz"] == 1
    assert quality["handled"] == [
        "1 epochs within the signal are movement",
        "10 epochs within the signal are unknown",
        "EMG submental is recorded at 1 Hz; each epoch is resampled to 3000 samples",
    ]


def test_flat_and_clipped_channels_are_named(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    psg = tmp_path / recording.file("psg").name
    content = psg.read_bytes()
    records = np.frombuffer(content[5 * 256 :], dtype="<i2").reshape(168, 9030).copy()
    records[:, :3000] = 5
    records[:20, 3000:6000] = 7  # 20 of 168 epochs
    records[:8, 6000:9000] = 2047
    psg.write_bytes(content[: 5 * 256] + records.tobytes())
    prepare(tmp_path, recording_of(psg, tmp_path / recording.file("scoring").name))
    channels = quality_of(tmp_path)["channels"].values()
    shares = {c["label"]: (c["flat_share"], c["clipped_share"]) for c in channels}
    assert shares["EEG Fpz-Cz"] == (1, 0)
    assert shares["EEG Pz-Oz"][0] == 20 / 168
    assert shares["EOG horizontal"] == pytest.approx((8 / 168, 8 / 168), abs=5e-4)
    sentences = handled(tmp_path)
    assert "EEG Fpz-Cz does not change in any epoch: it holds no signal; it is kept as it is" in sentences
    assert "EEG Pz-Oz does not change in 11.9 % of the epochs; they are kept as they are" in sentences
    assert [s for s in sentences if "EOG" in s] == [
        "EOG horizontal is at the recorder's limits in 4.8 % of the samples"
    ]


def test_oddities_of_the_files_are_handled_aloud(tmp_path: Path) -> None:
    prepare(tmp_path, write_night(tmp_path, units=("mV", "uV", "uV", "uV")))
    assert "EEG Fpz-Cz is recorded in mV; times 1000 gives microvolts" in handled(tmp_path)


def test_simulated_files_only_in_simulated_datasets(tmp_path: Path) -> None:
    recording = simulated_night(tmp_path)
    with pytest.raises(BenchmarkError, match=r"SC4001E0-PSG.edf: holds simulated signals.* not marked as simulated"):
        prepare(tmp_path, recording)
    assert leftovers(tmp_path) == []
    assert prepare(tmp_path, recording, simulated=True)["simulated"] is True
    assert quality_of(tmp_path)["simulated"] is True


def test_unmarked_files_are_refused_in_simulated_datasets(tmp_path: Path) -> None:
    with pytest.raises(
        BenchmarkError, match=r"SC4001E0-PSG.edf: the dataset nights is marked as simulated, but the file's"
    ):
        prepare(tmp_path, write_night(tmp_path), simulated=True)
    assert leftovers(tmp_path) == []


def test_both_files_must_say_that_they_are_simulated(tmp_path: Path) -> None:
    recording = simulated_night(tmp_path)
    hypnogram = tmp_path / recording.file("scoring").name
    content = hypnogram.read_bytes()
    field = content[88:168]
    hypnogram.write_bytes(content[:88] + field.replace(b"simulated", b"something") + content[168:])
    recording = recording_of(tmp_path / recording.file("psg").name, hypnogram)
    with pytest.raises(BenchmarkError, match=r"Hypnogram.edf: the dataset nights is marked as simulated"):
        prepare(tmp_path, recording, simulated=True)


def test_wrong_pairs(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    other = write_hypnogram(tmp_path / "SC4002EC-Hypnogram.edf")
    wrong = recording_of(tmp_path / recording.file("psg").name, other)
    with pytest.raises(BenchmarkError, match=r"SC4002EC-Hypnogram.edf: are not a pair of recording SC4001"):
        prepare(tmp_path, wrong)
    with pytest.raises(BenchmarkError, match="are not a pair of recording SC4002"):
        prepare(tmp_path, replace(recording, id="SC4002"))
    later = write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", time=datetime.time(16, 14))
    with pytest.raises(BenchmarkError, match=r"begins at 1989-04-24 16:14:00, its PSG .* at 1989-04-24 16:13:00"):
        prepare(tmp_path, recording_of(tmp_path / recording.file("psg").name, later))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("which", ["psg", "scoring"])
def test_changed_bytes(tmp_path: Path, which: str) -> None:
    recording = write_night(tmp_path)
    path = tmp_path / recording.file(which).name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=f"{path.name}: its SHA-256 is [0-9a-f]{{64}}, expected [0-9a-f]{{64}}"):
        prepare(tmp_path, recording)
    path.unlink()
    with pytest.raises(BenchmarkError, match=f"{path.name}: does not exist; fetch it first"):
        prepare(tmp_path, recording)
    assert leftovers(tmp_path) == []


def test_missing_channel(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"has no channel 'EEG Fpz-C4'.*did you mean 'EEG Fpz-Cz'"):
        prepare(tmp_path, write_night(tmp_path), montage={"eeg1": "EEG Fpz-C4"})
    assert leftovers(tmp_path) == []


def test_a_montage_has_a_channel(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no channel is asked for, expected one or more"):
        prepare(tmp_path, write_night(tmp_path), montage={})


@pytest.mark.parametrize("runs, n_epochs", [([("W", 20), ("?", 5)], 25), ([("W", 20), ("2", 5)], 20)])
def test_no_sleep_within_the_signal(tmp_path: Path, runs: list, n_epochs: int) -> None:
    with pytest.raises(BenchmarkError, match=r"SC4001EC-Hypnogram.edf: in the .* no epoch is scored as sleep"):
        prepare(tmp_path, write_night(tmp_path, runs, n_epochs))
    assert leftovers(tmp_path) == []


def test_rate_without_whole_epochs(tmp_path: Path) -> None:
    hypnogram = write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", [("W", 2), ("2", 8)])
    psg = write_psg(tmp_path / "SC4001E0-PSG.edf", 10, record_seconds=100)
    content = psg.read_bytes()
    psg.write_bytes(content[:244] + b"99      " + content[252:])
    with pytest.raises(BenchmarkError, match="an epoch has no whole number of samples"):
        prepare(tmp_path, recording_of(psg, hypnogram))


def test_failure_keeps_the_previous_preparation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = write_night(tmp_path)
    prepare(tmp_path, recording)
    before = {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sleepbench.preparation.cut.NightSignals.epochs", full)
    with pytest.raises(
        BenchmarkError, match=r"SC4001.npy: cannot be written \(No space left.*needs 7056000 bytes .*: make room"
    ):
        prepare(tmp_path, recording)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()}


# ------------------------------------------------------------------------------------------- other databases than EDF's


class Arrays(CassetteFiles):
    """A night whose files are arrays, of any lengths and rates."""

    printed = "Arrays"
    montage = FPZ | {"emg": "chin"}

    def __init__(self, folder: Path, signals: dict[str, Signal], stages: np.ndarray, trimmings=("standard", "authors")):
        super().__init__("arrays", None)
        self.signals, self.stages, self.trimmings = signals, stages, trimmings
        self.path = folder / "night.bin"
        self.path.write_bytes(b"night")

    def recordings(self) -> list[Recording]:
        return [recording_of(self.path, self.path)]

    def fetch(self, recording: Recording, directory: Path) -> dict:
        return receipt_of(directory, recording)

    def read_signals(self, files, roles) -> dict[str, Signal]:
        return self.signals

    def read_stages(self, files) -> np.ndarray:
        return self.stages

    def check(self, recording, files) -> None:
        pass

    def start(self, files) -> None:
        return None

    def remarks(self, files, roles) -> list[str]:
        return []


def prepare_arrays(folder: Path, *values: object, **options: object) -> dict:
    dataset = Arrays(folder, *values, **options)
    (recording,) = dataset.recordings()
    return prepare_recording(dataset, dataset.fetch(recording, folder), folder / "prepared" / "SC4001.npy")


def signals_of(rate: float, n_eeg: int, n_emg: int) -> dict[str, Signal]:
    random = np.random.default_rng(0)
    return {"eeg1": Signal(random.normal(0, 20, n_eeg), rate), "emg": Signal(random.normal(0, 2, n_emg), 10)}


STAGES = np.array([0, 1, 2, 3, 4, 0], dtype=np.int8)


def test_signals_of_any_storage_and_start(tmp_path: Path) -> None:
    signals = signals_of(128, 6 * 30 * 128, 6 * 300)
    signals["emg"].microvolts[:300] = 1.5
    summary = prepare_arrays(tmp_path, signals, STAGES)
    assert (summary["start"], summary["epochs_in_night"], summary["roles"]) == (None, 6, ["eeg1", "emg"])
    channels = quality_of(tmp_path)["channels"]
    assert channels["eeg1"]["clipped_share"] is None and channels["emg"]["flat_share"] == 1 / 6
    ordered = np.sort(signals["eeg1"].microvolts)
    assert channels["eeg1"]["quantiles_uv"]["50"] == round(ordered[len(ordered) // 2 - 1], 6)
    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    expected = scipy.signal.resample(signals["eeg1"].microvolts.reshape(6, -1), 3000, axis=1)
    np.testing.assert_allclose(prepared.signals[:, 0], expected, rtol=1e-6, atol=1e-4)


def test_a_night_is_as_long_as_its_shortest_signal(tmp_path: Path) -> None:
    summary = prepare_arrays(tmp_path, signals_of(100, 6 * 3000, 4 * 300 + 50), STAGES)
    assert (summary["epochs_in_night"], summary["psg_seconds"]) == (4, 125.0)
    assert "the last 5 s of the signal fill no epoch and are left out" in handled(tmp_path)
    assert load_night(tmp_path / "prepared" / "SC4001.npy").epoch.tolist() == [0, 1, 2, 3]


def test_a_trimming_that_a_database_does_not_offer_keeps_nothing(tmp_path: Path) -> None:
    summary = prepare_arrays(tmp_path, signals_of(100, 6 * 3000, 6 * 300), STAGES, trimmings=("standard",))
    assert [summary["trimmings"][name]["epochs"] for name in ("standard", "authors")] == [6, 0]
    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    assert (len(prepared.trimmed("standard")), len(prepared.trimmed("authors"))) == (6, 0)


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    signals = signals_of(100, 6 * 3000, 6 * 300)
    signals["eeg1"].microvolts[7] = np.nan
    with pytest.raises(BenchmarkError, match=r"night.bin, channel 'EEG Fpz-Cz': has samples that are no numbers"):
        prepare_arrays(tmp_path, signals, STAGES)


def test_files_that_were_prepared_are_described_by_their_checksums(tmp_path: Path) -> None:
    summary = prepare(tmp_path, write_night(tmp_path))
    folder = tmp_path / "prepared"
    assert set(summary["sha256"]) == {"SC4001.npy", "SC4001.epochs.csv", "SC4001.quality.json"}
    assert summary["sha256"] == {name: sha256_of_file(folder / name) for name in summary["sha256"]}


def test_an_unknown_recording(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    receipt = receipt_of(tmp_path, recording) | {"recording": "SC4002"}
    with pytest.raises(BenchmarkError, match="nights: recording SC4002 is not among its 1 recordings"):
        prepare_recording(Nights(tmp_path, [recording]), receipt, tmp_path / "x.npy")
