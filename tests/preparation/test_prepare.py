"""Prepared recordings: the three files, and the nights that are refused."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from edf_files import CHANNELS, NIGHT, recording_of, write_hypnogram, write_night, write_psg

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.recordings import Recording
from sleepbench.signals.edf import MICROVOLTS, EdfSignal, read_channels
from sleepbench.signals.prepare import load_prepared, measure_channel, prepare_recording
from sleepbench.simulation.cohort import simulate_recording


def prepare(folder: Path, recording: Recording, channels: tuple[str, ...] = CHANNELS, simulated: bool = False) -> dict:
    psg, hypnogram = folder / recording.psg, folder / recording.hypnogram
    return prepare_recording(recording, psg, hypnogram, channels, folder / "prepared" / "SC4001.npy", simulated)


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
    assert summary == json.loads((tmp_path / "prepared" / "SC4001.json").read_text())
    assert summary["epochs_in_night"] == 168 and summary["psg_seconds"] == 168 * 30
    assert summary["windows"]["standard"] == {"epochs": 137, "W": 120, "N1": 2, "N2": 5, "N3": 6, "REM": 4}
    assert summary["windows"]["released"] == {"epochs": 147, "W": 130, "N1": 2, "N2": 5, "N3": 6, "REM": 4}
    assert summary["psg"] == {"file": "SC4001E0-PSG.edf", "sha256": recording.psg_sha256}
    assert summary["simulated"] is False and "notes" not in summary
    assert "10 epochs within the signal are unknown" in handled(tmp_path)

    prepared = load_prepared(tmp_path / "prepared" / "SC4001.npy")
    assert prepared.id == "SC4001" and prepared.channels == CHANNELS
    assert isinstance(prepared.signals, np.memmap) and prepared.signals.dtype == np.float32
    kept = np.r_[10:77, 78:158]
    np.testing.assert_array_equal(prepared.epoch, kept)
    np.testing.assert_array_equal(prepared.onset_s, kept * 30)
    np.testing.assert_array_equal(prepared.stage, np.repeat([0, 1, 2, 3, 4, 0], [60, 2, 5, 6, 4, 70]))
    np.testing.assert_array_equal(prepared.window("released"), np.arange(147))
    np.testing.assert_array_equal(prepared.window("standard"), np.arange(137))

    signals = read_channels(tmp_path / recording.psg, CHANNELS)
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


def test_channels_in_the_order_asked_for(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    prepare(tmp_path, recording)
    whole = np.array(load_prepared(tmp_path / "prepared" / "SC4001.npy").signals)
    prepare(tmp_path, recording, ("EMG submental", "EEG Fpz-Cz"))
    prepared = load_prepared(tmp_path / "prepared" / "SC4001.npy")
    assert prepared.channels == ("EMG submental", "EEG Fpz-Cz")
    np.testing.assert_array_equal(prepared.signals, whole[:, [3, 0]])


def test_records_of_60_s_give_the_same_epochs(tmp_path: Path) -> None:
    prepare(tmp_path, write_night(tmp_path))
    expected = np.array(load_prepared(tmp_path / "prepared" / "SC4001.npy").signals)
    prepare(tmp_path, write_night(tmp_path, record_seconds=60))
    np.testing.assert_array_equal(load_prepared(tmp_path / "prepared" / "SC4001.npy").signals, expected)
    assert "data records last 60 s; epochs are placed by seconds" in handled(tmp_path)


def test_part_of_an_epoch_at_the_end_is_left_out(tmp_path: Path) -> None:
    recording = write_night(tmp_path, n_epochs=170, record_seconds=100)
    summary = prepare(tmp_path, recording)
    assert summary["epochs_in_night"] == 170 and summary["psg_seconds"] == 5100
    recording = write_night(tmp_path, n_epochs=160, record_seconds=25)
    path = tmp_path / recording.psg
    header = path.read_bytes()[:1280]
    records = path.read_bytes()[1280:]
    cut = len(records) // 192 * 191  # 4775 s: 159 epochs and 5 s
    path.write_bytes(header[:236] + b"191     " + header[244:] + records[:cut])
    summary = prepare(tmp_path, recording_of(path, tmp_path / recording.hypnogram))
    assert summary["epochs_in_night"] == 159
    assert "the last 5 s of the signal fill no epoch and are left out" in handled(tmp_path)


@pytest.mark.parametrize("unit, scale", [("mV", 1e3), ("V", 1e6)])
def test_other_units_become_microvolts(tmp_path: Path, unit: str, scale: float) -> None:
    prepare(tmp_path, write_night(tmp_path))
    expected = np.array(load_prepared(tmp_path / "prepared" / "SC4001.npy").signals)
    prepare(tmp_path, write_night(tmp_path, units=(unit,) * 4))
    found = load_prepared(tmp_path / "prepared" / "SC4001.npy").signals
    np.testing.assert_allclose(found, expected * scale, rtol=1e-6, atol=1e-4 * scale)


def test_signal_longer_than_the_hypnogram(tmp_path: Path) -> None:
    runs = [("W", 70), ("2", 10), ("W", 100)]
    summary = prepare(tmp_path, write_night(tmp_path, runs, n_epochs=200))
    assert summary["epochs_in_night"] == 200
    assert summary["windows"]["standard"]["epochs"] == 130
    assert summary["windows"]["released"]["epochs"] == 170
    assert "the signal outlasts the hypnogram by 20 epochs, which count as unknown" in handled(tmp_path)
    prepared = load_prepared(tmp_path / "prepared" / "SC4001.npy")
    np.testing.assert_array_equal(prepared.window("standard"), np.arange(130))


def test_hypnogram_longer_than_the_signal(tmp_path: Path) -> None:
    summary = prepare(tmp_path, write_night(tmp_path, NIGHT, n_epochs=158))
    assert summary["windows"]["released"] == summary["windows"]["standard"]
    assert "the hypnogram outlasts the signal by 10 epochs, which are cut" in handled(tmp_path)


def test_quality_of_a_night(tmp_path: Path) -> None:
    summary = prepare(tmp_path, write_night(tmp_path))
    quality = quality_of(tmp_path)
    same = ("recording", "simulated", "start", "psg_seconds", "epochs_in_night", "windows")
    assert {name: quality[name] for name in same} == {name: summary[name] for name in same}
    assert quality["stages"] == {"W": 140, "N1": 2, "N2": 5, "N3": 6, "REM": 4, "movement": 1, "unknown": 10}
    assert quality["hypnogram"] == [[0, 70], [1, 2], [2, 5], [5, 1], [3, 6], [4, 4], [0, 70], [6, 10]]
    assert list(quality["channels"]) == list(CHANNELS)
    assert quality["channels"]["EMG submental"]["sampling_rate_hz"] == 1
    assert quality["handled"] == [
        "1 epochs within the signal are movement",
        "10 epochs within the signal are unknown",
        "EMG submental is recorded at 1 Hz; each epoch is resampled to 3000 samples",
    ]


def signal_of(unit: str = "uV", inverted: bool = False, digital: tuple[int, int] = (-2048, 2047)) -> EdfSignal:
    low, high = (197, -196) if inverted else (-197, 196)
    return EdfSignal("X", unit, low, high, *digital, samples_per_record=3000)


@pytest.mark.parametrize("unit", ["uV", "mV", "V"])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("rate", [1.0, 100.0])
def test_a_channel_is_measured_exactly(unit: str, inverted: bool, rate: float) -> None:
    signal, n_epochs, samples = signal_of(unit, inverted), 12, round(30 * rate)
    digital = np.random.default_rng(1).normal(0, 900, (n_epochs + 1, samples)).round().clip(-2048, 2047)
    digital[3] = 17
    digital[5] = -2048  # flat and clipped
    digital[6, 1:] = 4  # one sample differs: not flat
    digital[12] = 0  # beyond the last whole epoch of the night: left out
    gain, offset = signal.scale
    microvolts = (digital * gain + offset) * MICROVOLTS[unit]
    measured = measure_channel(microvolts.ravel()[:-1], rate, signal, n_epochs)
    assert measured["flat_share"] == 2 / 12
    inside = digital[:12]
    assert measured["clipped_share"] == ((inside == -2048) | (inside == 2047)).mean()
    ordered = np.sort(microvolts[:12].ravel())
    for percentage, amplitude in measured["quantiles_uv"].items():
        rank = -(-len(ordered) * int(10 * float(percentage)) // 1000)
        assert amplitude == pytest.approx(ordered[rank - 1], rel=1e-12, abs=1e-6)


def test_limits_of_an_extreme_scale_are_measured() -> None:
    signal = EdfSignal("X", "V", 999999.9, 1000000, -32768, 32767, samples_per_record=3000)
    gain, offset = signal.scale
    digital = np.tile([-32768, 32767, 0], 1000)
    measured = measure_channel((digital * gain + offset) * 1e6, 100, signal, 1)
    assert measured["flat_share"] == 0 and measured["clipped_share"] == pytest.approx(2 / 3)


def test_flat_and_clipped_channels_are_named(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    psg = tmp_path / recording.psg
    content = psg.read_bytes()
    records = np.frombuffer(content[5 * 256 :], dtype="<i2").reshape(168, 9030).copy()
    records[:, :3000] = 5
    records[:20, 3000:6000] = 7  # 20 of 168 epochs
    records[:8, 6000:9000] = 2047
    psg.write_bytes(content[: 5 * 256] + records.tobytes())
    prepare(tmp_path, recording_of(psg, tmp_path / recording.hypnogram))
    shares = {label: (c["flat_share"], c["clipped_share"]) for label, c in quality_of(tmp_path)["channels"].items()}
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
    recording = simulate_recording(tmp_path, "SC4001", 1.75, seed=1)
    with pytest.raises(BenchmarkError, match=r"SC4001E0-PSG.edf: holds simulated signals.* not marked as simulated"):
        prepare(tmp_path, recording)
    assert leftovers(tmp_path) == []
    assert prepare(tmp_path, recording, simulated=True)["simulated"] is True
    assert quality_of(tmp_path)["simulated"] is True


def test_unmarked_files_are_refused_in_simulated_datasets(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"SC4001E0-PSG.edf: the dataset is marked as simulated, but the file's"):
        prepare(tmp_path, write_night(tmp_path), simulated=True)
    assert leftovers(tmp_path) == []


def test_both_files_must_say_that_they_are_simulated(tmp_path: Path) -> None:
    recording = simulate_recording(tmp_path, "SC4001", 1.75, seed=1)
    hypnogram = tmp_path / recording.hypnogram
    content = hypnogram.read_bytes()
    field = content[88:168]
    hypnogram.write_bytes(content[:88] + field.replace(b"simulated", b"something") + content[168:])
    recording = recording_of(tmp_path / recording.psg, hypnogram)
    with pytest.raises(BenchmarkError, match=r"Hypnogram.edf: the dataset is marked as simulated"):
        prepare(tmp_path, recording, simulated=True)


def test_wrong_pairs(tmp_path: Path) -> None:
    recording = write_night(tmp_path)
    other = write_hypnogram(tmp_path / "SC4002EC-Hypnogram.edf")
    wrong = recording_of(tmp_path / recording.psg, other)
    with pytest.raises(BenchmarkError, match=r"SC4002EC-Hypnogram.edf: are not a pair of recording SC4001"):
        prepare(tmp_path, wrong)
    with pytest.raises(BenchmarkError, match="are not a pair of recording SC4002"):
        prepare(tmp_path, replace(recording, id="SC4002"))
    later = write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", time=datetime.time(16, 14))
    with pytest.raises(BenchmarkError, match=r"begins at 1989-04-24 16:14:00, its PSG .* at 1989-04-24 16:13:00"):
        prepare(tmp_path, recording_of(tmp_path / recording.psg, later))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("which", ["psg", "hypnogram"])
def test_changed_bytes(tmp_path: Path, which: str) -> None:
    recording = write_night(tmp_path)
    path = tmp_path / getattr(recording, which)
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
        prepare(tmp_path, write_night(tmp_path), ("EEG Fpz-C4",))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("channels", [(), ("EEG Fpz-Cz", "EEG Fpz-Cz")])
def test_channels_must_be_one_or_more_each_once(tmp_path: Path, channels: tuple[str, ...]) -> None:
    with pytest.raises(BenchmarkError, match="expected one or more, each once"):
        prepare(tmp_path, write_night(tmp_path), channels)


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

    monkeypatch.setattr("sleepbench.signals.prepare._write_block", full)
    with pytest.raises(BenchmarkError, match=r"SC4001.npy: cannot be written \(No space left.*needs 7056000 bytes"):
        prepare(tmp_path, recording)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "prepared").iterdir()}


@pytest.mark.parametrize("name", ["SC4001.npy", "SC4001.epochs.csv", "SC4001.json"])
def test_prepared_files_must_all_be_there_and_agree(tmp_path: Path, name: str) -> None:
    prepare(tmp_path, write_night(tmp_path), CHANNELS[:1])
    folder = tmp_path / "prepared"
    content = (folder / name).read_bytes()
    damaged = [content[: len(content) // 2], b"", content + b"1,2,3\n"]
    if name.endswith("csv"):
        damaged += [
            content.replace(b",1,1\n", b",0,1\n", 1),
            content.replace(b"epoch,", b"index,"),
            content[:-1] + b"x\n",
        ]
    if name.endswith("json"):
        damaged += [content.replace(b'"epochs_kept": 147', b'"epochs_kept": 146'), b"[]", b"{}"]
    for bytes_ in damaged:
        (folder / name).write_bytes(bytes_)
        with pytest.raises(BenchmarkError, match="prepare it again"):
            load_prepared(folder / "SC4001.npy")
    (folder / name).unlink()
    with pytest.raises(BenchmarkError, match=f"{name}: missing, so SC4001 is not prepared"):
        load_prepared(folder / "SC4001.npy")


def test_unknown_window(tmp_path: Path) -> None:
    prepare(tmp_path, write_night(tmp_path), CHANNELS[:1])
    with pytest.raises(BenchmarkError, match="'all', expected one of 'standard', 'released'"):
        load_prepared(tmp_path / "prepared" / "SC4001.npy").window("all")
