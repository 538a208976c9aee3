import os
import re

import edfio
import numpy as np
import pytest
from edf_files import CHANNELS, DATE, NIGHT, TIME, load_night, prepare_night, recording_of, write_hypnogram, write_psg
from fake_bundles import fake_bundle
from hostile import PSG, cases

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment.recording import open_recording

TOLD = fake_bundle().description


def epochs_of(recording):
    return np.concatenate(list(recording.blocks()))


def error_of(path, told=TOLD, mapping=None):
    with pytest.raises(BenchmarkError) as error:
        open_recording(path, told, mapping)
    assert str(path) in str(error.value)
    return str(error.value)


def test_epochs_are_those_that_preparation_makes_bit_for_bit(tmp_path):
    n = sum(epochs for _, epochs in NIGHT)
    psg, hypnogram = write_psg(tmp_path / "SC4001E0-PSG.edf", n), write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf")
    prepare_night(tmp_path, recording_of(psg, hypnogram))
    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    scored = open_recording(psg, TOLD)
    assert scored.n_epochs == n
    assert np.array_equal(epochs_of(scored)[prepared.epoch], prepared.signals)


def test_the_real_excerpt_is_read_with_its_own_channels(shared):
    recording = open_recording(shared / "sleep-edf" / "SC4001E0-PSG.first-300s.edf", TOLD)
    assert list(recording.channels.values()) == list(CHANNELS)
    assert recording.n_epochs == 10 and not recording.simulated
    assert recording.handled == ["EMG submental is recorded at 1 Hz; each epoch is resampled to 3000 samples"]


def test_a_file_of_256_hz_with_other_labels_gives_the_epochs_of_the_same_brain(tmp_path):
    """Slow enough that both rates hold it; the muscles' tone is 1, 2, 3, ... in each epoch."""
    n = 4

    def signals(rate):
        t = np.arange(n * 30 * rate) / rate
        return [50 * np.sin(2 * np.pi * (3 + i) * t) for i in range(3)], t

    (slow, _), (fast, t) = signals(100), signals(256)
    tone = np.repeat(np.arange(1.0, n + 1), 30 * 256) * np.sqrt(2) * np.sin(2 * np.pi * 40 * t)
    labels = ("Fpz-Cz", "Pz-Oz", "HEOG", "Chin EMG")
    channels = [
        edfio.EdfSignal(values, 256, label=label, physical_dimension="uV", physical_range=(-100, 100))
        for label, values in zip(labels, [*fast, tone], strict=True)
    ]
    recording = edfio.Recording(startdate=DATE)
    edfio.Edf(channels, recording=recording, starttime=TIME, data_record_duration=1).write(tmp_path / "other.edf")
    found = open_recording(tmp_path / "other.edf", TOLD)
    epochs = epochs_of(found)
    expected = np.stack([values.reshape(n, 3000) for values in slow], axis=1)
    assert np.abs(epochs[:, :3] - expected)[..., 50:-50].max() < 0.2
    assert np.allclose(epochs[:, 3].mean(axis=1), np.arange(1, n + 1), rtol=0.03)
    said = " ".join(found.handled)
    assert "Fpz-Cz is taken for eeg1, which was EEG Fpz-Cz in training" in said
    assert "Fpz-Cz is recorded at 256 Hz and resampled to 100 Hz behind a low-pass filter of 40 to 50 Hz" in said
    assert "Chin EMG is recorded at 256 Hz; taken is its envelope at 1 Hz" in said


@pytest.mark.parametrize("rate", [64, 100, 200])
def test_any_rate_gives_whole_epochs(tmp_path, rate):
    path = write_psg(tmp_path / "psg.edf", 3, rates=(rate, rate, rate, 1))
    recording = open_recording(path, TOLD)
    assert recording.n_epochs == 3 and epochs_of(recording).shape == (3, 4, 3000)
    assert ("so nothing is in it above 32 Hz" in " ".join(recording.handled)) == (rate == 64)


@pytest.mark.parametrize("rates", [(1, 100, 100, 1), (100, 100, 30, 1)])
def test_a_rate_that_holds_no_sleep_is_refused(tmp_path, rates):
    said = error_of(write_psg(tmp_path / "psg.edf", 3, rates=rates))
    assert f"is recorded at {min(rates[:3])} Hz, expected at least 32 Hz for" in said and "by --map e" in said


def test_a_rate_that_cuts_samples_in_two_is_resampled_all_the_same(tmp_path):
    path = write_psg(tmp_path / "psg.edf", 4, rates=(100, 100, 100, 1), record_seconds=30)
    content = bytearray(path.read_bytes())
    content[244:252] = b"31      "  # 3000 samples in 31 s: 96.77 Hz
    path.write_bytes(content)
    assert open_recording(path, TOLD).n_epochs == 4


def test_only_the_beginning_of_each_epoch_is_looked_at_as_in_training(tmp_path):
    path = write_psg(tmp_path / "psg.edf", 2)
    told = fake_bundle("nano_sleepnet", ("eeg1",), kind="excerpt", n_samples=500).description
    recording = open_recording(path, told)
    assert np.array_equal(epochs_of(recording)[:, 0], epochs_of(open_recording(path, TOLD))[:, 0, :500])
    assert "of each epoch the first 5 s are looked at, as the model was trained" in recording.handled


def test_a_file_without_a_role_says_which_and_how_to_name_it(tmp_path):
    path = write_psg(tmp_path / "psg.edf", 2, labels=("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "Resp"))
    said = error_of(path)
    assert "has no channel 'EMG submental'" in said and "--map emg=LABEL" in said
    assert open_recording(path, TOLD, {"emg": "Resp"}).channels["emg"] == "Resp"


def flat(path, channels):
    content = bytearray(path.read_bytes())
    n = 1280
    records = np.frombuffer(bytes(content[n:]), "<i2").reshape(-1, 9030).copy()
    for channel in channels:
        records[:, 3000 * channel : min(3000 * channel + 3000, 9030)] = 7
    path.write_bytes(bytes(content[:n]) + records.tobytes())
    return path


def test_one_flat_channel_is_handled_and_nothing_but_flat_ones_refused(tmp_path):
    one = open_recording(flat(write_psg(tmp_path / "one.edf", 2), [0]), TOLD)
    assert "EEG Fpz-Cz does not change in any epoch: it holds no signal; it is kept as it is" in one.handled
    assert "hold no signal, so there is nothing to score" in error_of(flat(write_psg(tmp_path / "a.edf", 2), range(4)))


def test_a_file_of_20_s_has_no_epoch(tmp_path):
    recording = edfio.Recording(startdate=DATE)
    signals = [
        edfio.EdfSignal(np.arange(20.0 * rate), rate, label=label, physical_dimension="uV")
        for label, rate in zip(CHANNELS, (100, 100, 100, 1), strict=True)
    ]
    edfio.Edf(signals, recording=recording, starttime=TIME, data_record_duration=1).write(tmp_path / "short.edf")
    assert "lasts 20 s, expected at least one whole epoch of 30 s" in error_of(tmp_path / "short.edf")


def test_a_file_that_grows_is_refused_with_what_to_do(tmp_path):
    path = write_psg(tmp_path / "psg.edf", 2)
    content = bytearray(path.read_bytes())
    content[236:244] = b"-1      "
    path.write_bytes(content)
    said = error_of(path)
    assert "the header says -1 data records" in said and "--stream" in said
    path.write_bytes(bytes(write_psg(path, 2).read_bytes()) + b"\1" * 500)
    assert "is longer than its header says" in error_of(path)


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path):
    path = write_psg(tmp_path / "psg.edf", 70)
    recording = open_recording(path, TOLD)
    os.truncate(path, 100_000)
    with pytest.raises(BenchmarkError, match="ended while it was read, within data record"):
        epochs_of(recording)


SCORED_ALL_THE_SAME = {
    "100.167 Hz, no whole number of samples an epoch",
    "PSG begins a minute later than the hypnogram",
    "PSG of another day than the hypnogram",
    "label in capitals",
    "label without its blank",
    "PSG of one record",
}
"""Hostile nights whose signals are sound: what is wrong is their scoring, or how they fit the dataset."""


def test_what_preparation_refuses_of_a_psg_is_refused_in_the_same_words(tmp_path):
    refused = [case for case in cases() if case.outcome == "refused" and case.file == "PSG"]
    scored = set()
    for number, case in enumerate(refused):
        folder = tmp_path / str(number)
        folder.mkdir()
        case.build(folder)
        try:
            open_recording(folder / PSG, TOLD)
        except BenchmarkError as error:
            assert re.search(case.says, str(error)), case.name
        else:
            scored.add(case.name)
    assert len(refused) > 35 and scored == SCORED_ALL_THE_SAME
