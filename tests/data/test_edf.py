"""EDF headers and samples: what is read, and what is refused."""

import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyedflib
import pytest
from edf_files import CHANNELS, patch_header, write_annotations, write_psg

from sleepbench.data.edf import check_complete, read_channels, read_header
from sleepbench.errors import BenchmarkError

UNITS_AT = 256 + 4 * (16 + 80)  # the first signal's dimension in a file of four signals
PHYSICAL_MIN_AT = UNITS_AT + 4 * 8


@pytest.fixture
def psg(tmp_path: Path) -> Path:
    return write_psg(tmp_path / "SC4001E0-PSG.edf", n_epochs=4)


def test_header_of_the_real_excerpt(shared: Path) -> None:
    path = shared / "sleep-edf" / "SC4001E0-PSG.first-300s.edf"
    header = read_header(path)
    check_complete(path, header)
    assert header.start == datetime.datetime(1989, 4, 24, 16, 13)
    assert (header.header_bytes, header.reserved, header.n_records, header.record_seconds) == (2048, "", 10, 30.0)
    assert header.seconds == 300
    assert [signal.label for signal in header.signals] == [
        "EEG Fpz-Cz",
        "EEG Pz-Oz",
        "EOG horizontal",
        "Resp oro-nasal",
        "EMG submental",
        "Temp rectal",
        "Event marker",
    ]
    assert [signal.samples_per_record for signal in header.signals] == [3000] * 3 + [30] * 4
    assert header.signals[0].dimension == "uV" and header.signals[0].physical_min == -192


def test_channels_of_the_real_excerpt_equal_pyedflib(shared: Path) -> None:
    path = shared / "sleep-edf" / "SC4001E0-PSG.first-300s.edf"
    asked = ["EMG submental", "EOG horizontal", "EEG Fpz-Cz", "EEG Pz-Oz"]
    read = read_channels(path, asked)
    assert list(read) == asked
    assert [rate for _, rate in read.values()] == [1, 100, 100, 100]
    with pyedflib.EdfReader(str(path)) as reader:
        labels = reader.getSignalLabels()
        for channel, (microvolts, _) in read.items():
            np.testing.assert_allclose(microvolts, reader.readSignal(labels.index(channel)), rtol=0, atol=1e-9)
    assert len(read["EMG submental"][0]) == 300 and len(read["EEG Pz-Oz"][0]) == 30_000


@pytest.mark.parametrize("channel, unit", [("Temp rectal", "DegC"), ("Event marker", ""), ("Resp oro-nasal", "")])
def test_channels_not_in_volts_are_refused(shared: Path, channel: str, unit: str) -> None:
    with pytest.raises(BenchmarkError, match=f"{channel}.*unit is '{unit}', expected one of uV"):
        read_channels(shared / "sleep-edf" / "SC4001E0-PSG.first-300s.edf", [channel])


def test_header_of_a_real_hypnogram(shared: Path) -> None:
    path = shared / "sleep-edf" / "hypnograms" / "SC4001EC-Hypnogram.edf"
    header = read_header(path)
    check_complete(path, header)
    assert header.reserved == "EDF+C" and header.seconds == 0
    assert header.start == datetime.datetime(1989, 4, 24, 16, 13)


@pytest.mark.parametrize("unit, scale", [("uV", 1), ("µV", 1), ("mV", 1e3), ("V", 1e6)])
@pytest.mark.parametrize("channel", [0, 3])
def test_microvolts_whatever_the_unit(tmp_path: Path, unit: str, scale: float, channel: int) -> None:
    plain = write_psg(tmp_path / "plain.edf", 3)
    other = patch_header(write_psg(tmp_path / "other.edf", 3), UNITS_AT + 8 * channel, unit, 8)
    asked = [CHANNELS[channel]]
    expected = read_channels(plain, asked)[asked[0]][0] * scale
    np.testing.assert_allclose(read_channels(other, asked)[asked[0]][0], expected, rtol=1e-12)


def test_rates_and_lengths_do_not_mix(psg: Path) -> None:
    read = read_channels(psg, CHANNELS)
    assert [(len(values), rate) for values, rate in read.values()] == [(12_000, 100)] * 3 + [(120, 1)]
    alone = read_channels(psg, ["EMG submental"])["EMG submental"][0]
    np.testing.assert_array_equal(read["EMG submental"][0], alone)


def test_records_of_60_s(tmp_path: Path) -> None:
    short = read_channels(write_psg(tmp_path / "a.edf", 4), CHANNELS)
    path = write_psg(tmp_path / "b.edf", 4, record_seconds=60)
    header = read_header(path)
    assert (header.n_records, header.record_seconds, header.seconds) == (2, 60, 120)
    for channel, (values, rate) in read_channels(path, CHANNELS).items():
        assert rate == short[channel][1]
        np.testing.assert_array_equal(values, short[channel][0])


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>" + b" " * 400, "is not an EDF file but a web page"),
        (b"\xffBIOSEMI" + b" " * 400, "is not an EDF file"),
        (b"0       short", "ends inside its header, after 13 bytes"),
    ],
)
def test_not_edf(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "SC4001E0-PSG.edf"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=f"SC4001E0-PSG.edf: {message}"):
        read_header(path)


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"nowhere\.edf: cannot be read \(No such file"):
        read_header(tmp_path / "nowhere.edf")


@pytest.mark.parametrize(
    "offset, width, field, message",
    [
        (168, 8, "24/04/89", "the start is '24/04/8916.13.00'"),
        (168, 8, "31.02.89", "the start is '31.02.8916.13.00'"),
        (184, 8, "1024", "says it has 1024 bytes, but 4 signals make 1280"),
        (192, 44, "EDF+X", "reserved field is 'EDF\\+X'"),
        (236, 8, "1_0", "number of data records is '1_0'"),
        (236, 8, "", "number of data records is ''"),
        (244, 8, "nan", "duration of a data record is 'nan'"),
        (244, 8, "-30", "lasts -30.0 s"),
        (252, 4, "0", "says 0 signals"),
        (252, 4, "x", "number of signals is 'x'"),
        (252, 4, "9000", "says it has 1280 bytes, but 9000 signals"),
        (PHYSICAL_MIN_AT, 8, "-1,5", "physical minimum of 'EEG Fpz-Cz' is '-1,5'"),
        (PHYSICAL_MIN_AT, 8, "1e999", "physical minimum of 'EEG Fpz-Cz' is '1e999'"),
        (PHYSICAL_MIN_AT, 8, "192", "scale is undefined"),
        (PHYSICAL_MIN_AT + 64, 8, "2047", "scale is undefined"),
        (PHYSICAL_MIN_AT + 128 + 320, 8, "0", "has 0 samples per record"),
    ],
)
def test_damaged_headers(psg: Path, offset: int, width: int, field: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=f"SC4001E0-PSG.edf.*{message}"):
        read_header(patch_header(psg, offset, field, width))


def test_file_cut_in_its_header(psg: Path) -> None:
    psg.write_bytes(psg.read_bytes()[:700])
    with pytest.raises(BenchmarkError, match="ends inside its header, after 700 of 1280 bytes"):
        read_header(psg)


@pytest.mark.parametrize("change, message", [(-1, "is truncated"), (-18060, "is truncated"), (1, "is longer than")])
def test_size_must_agree_with_the_header(psg: Path, change: int, message: str) -> None:
    content = psg.read_bytes()
    psg.write_bytes(content[:change] if change < 0 else content + b"\0")
    expected = 1280 + 4 * 2 * (3 * 3000 + 30)
    with pytest.raises(BenchmarkError, match=f"{message}.*: {expected + change} bytes, expected {expected}"):
        read_channels(psg, ["EEG Fpz-Cz"])


@pytest.mark.parametrize("records", ["-1", "0"])
def test_unfinished_recording(psg: Path, records: str) -> None:
    patch_header(psg, 236, records, 8)
    with pytest.raises(BenchmarkError, match=f"header says {records} data records"):
        read_channels(psg, ["EEG Fpz-Cz"])


def test_discontinuous_file(psg: Path) -> None:
    patch_header(psg, 192, "EDF+D", 44)
    with pytest.raises(BenchmarkError, match=r"discontinuous \(EDF\+D\)"):
        read_channels(psg, ["EEG Fpz-Cz"])


@pytest.mark.parametrize(
    "channel, hint",
    [
        ("EEG Fpz-CZ", r"\(it has 'EEG Fpz-Cz': case and blanks count\)"),
        ("EEGFpz-Cz", r"\(it has 'EEG Fpz-Cz': case and blanks count\)"),
        ("EMG submentl", r"\(did you mean 'EMG submental'\?\)"),
        ("xyzzy", "; it has 'EEG Fpz-Cz', 'EEG Pz-Oz', 'EOG horizontal', 'EMG submental'"),
    ],
)
def test_missing_channel(psg: Path, channel: str, hint: str) -> None:
    with pytest.raises(BenchmarkError, match=f"SC4001E0-PSG.edf: has no channel '{channel}'.*{hint}|'{channel}'{hint}"):
        read_channels(psg, ["EEG Pz-Oz", channel])


def test_doubled_label(tmp_path: Path) -> None:
    path = write_psg(
        tmp_path / "doubled.edf", 2, labels=("EEG Fpz-Cz", "EEG Fpz-Cz", "EOG horizontal", "EMG submental")
    )
    with pytest.raises(BenchmarkError, match="has 2 channels called 'EEG Fpz-Cz'"):
        read_channels(path, ["EEG Fpz-Cz"])
    assert len(read_channels(path, ["EOG horizontal"])["EOG horizontal"][0]) == 6000


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # MNE overflows, which is the point
def test_values_must_be_finite(psg: Path) -> None:
    patch_header(psg, PHYSICAL_MIN_AT, "-1e308", 8)
    patch_header(psg, PHYSICAL_MIN_AT + 32, "1e308", 8)
    with pytest.raises(BenchmarkError, match="not finite"):
        read_channels(psg, ["EEG Fpz-Cz"])


def test_file_of_annotations_has_no_channels(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "hypnogram.edf", [(0, 30, "Sleep stage W")])
    with pytest.raises(BenchmarkError, match="annotations only"):
        read_channels(path, ["EDF Annotations"])


def test_importing_does_not_import_mne() -> None:
    modules = "sleepbench.data.edf, sleepbench.data.hypnogram, sleepbench.data.preparation"
    subprocess.run([sys.executable, "-c", f"import sys, {modules}; assert 'mne' not in sys.modules"], check=True)
