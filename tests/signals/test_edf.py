"""EDF headers and samples: what is read, and what is refused."""

import datetime
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import edfio
import mne
import numpy as np
import pyedflib
import pytest
from edf_files import CHANNELS, patch_header, write_annotations, write_psg
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.edf import (
    Annotation,
    AnnotationList,
    check_complete,
    open_channels,
    read_annotation_lists,
    read_channels,
    read_header,
    remarks,
)

UNITS_AT = 256 + 4 * (16 + 80)  # the first signal's dimension in a file of four signals
PHYSICAL_MIN_AT = UNITS_AT + 4 * 8
PHYSICAL_MAX_AT = PHYSICAL_MIN_AT + 4 * 8
DIGITAL_MIN_AT = PHYSICAL_MAX_AT + 4 * 8
DIGITAL_MAX_AT = DIGITAL_MIN_AT + 4 * 8
SAMPLES_AT = DIGITAL_MAX_AT + 4 * (8 + 80)


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
        (244, 8, "1e-300", "lasts 1e-300 s, expected 0 .* or 0.001 to 86400 s"),
        (244, 8, "9e99", "lasts 9e\\+99 s"),
        (SAMPLES_AT, 8, "-1", "has -1 samples per record"),
        (SAMPLES_AT, 8, "3e3", "samples per record of 'EEG Fpz-Cz' is '3e3'"),
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


@pytest.mark.parametrize(
    "offset, field, message",
    [
        (PHYSICAL_MIN_AT, "-1,5", "scale is undefined: the physical minimum is '-1,5', expected a number"),
        (PHYSICAL_MIN_AT, "1e999", "scale is undefined: the physical minimum is '1e999'"),
        (PHYSICAL_MAX_AT, "nan", "scale is undefined: the physical maximum is 'nan'"),
        (PHYSICAL_MAX_AT, "", "scale is undefined: the physical maximum is ''"),
        (PHYSICAL_MIN_AT, "192", "scale is undefined: physical minimum and maximum are both 192"),
        (DIGITAL_MIN_AT, "2047", "scale is undefined: the digital minimum is 2047, the maximum 2047"),
        (DIGITAL_MAX_AT, "-3000", "scale is undefined: the digital minimum is -2048, the maximum -3000"),
        (DIGITAL_MAX_AT, "1.5", "scale is undefined: the digital maximum is '1.5', expected a whole number"),
        (DIGITAL_MAX_AT, "65535", "scale is undefined: the digital limits are -2048 and 65535, expected at most 16"),
        (PHYSICAL_MIN_AT, "-1e308", "physical limits reach 1e\\+308 uV, expected at most 1e\\+12"),
    ],
)
def test_scale_matters_in_the_channels_asked_for(psg: Path, offset: int, field: str, message: str) -> None:
    expected = read_channels(psg, CHANNELS[1:])
    patch_header(psg, offset, field, 8)
    with pytest.raises(BenchmarkError, match=f"SC4001E0-PSG.edf, channel 'EEG Fpz-Cz': its {message}"):
        read_channels(psg, CHANNELS)
    for channel, (values, _) in read_channels(psg, CHANNELS[1:]).items():
        np.testing.assert_array_equal(values, expected[channel][0])
    if "limits reach" not in message:
        said = remarks(psg, read_header(psg), CHANNELS[1:])
        assert len(said) == 1 and re.match("EEG Fpz-Cz, which is not used, has no scale: ", said[0])


def test_a_channel_without_samples(psg: Path) -> None:
    content = psg.read_bytes()
    records = np.frombuffer(content[1280:], "<i2").reshape(4, 9030)
    psg.write_bytes(content[:1280] + records[:, 3000:].tobytes())
    patch_header(psg, SAMPLES_AT, "0", 8)
    assert len(read_channels(psg, CHANNELS[1:])["EEG Pz-Oz"][0]) == 12_000
    with pytest.raises(BenchmarkError, match="channel 'EEG Fpz-Cz': has 0 samples per record"):
        read_channels(psg, CHANNELS)


def test_inverted_polarity(psg: Path) -> None:
    expected = -read_channels(psg, CHANNELS)["EEG Fpz-Cz"][0]
    patch_header(psg, PHYSICAL_MIN_AT, "192", 8)
    patch_header(psg, PHYSICAL_MAX_AT, "-192", 8)
    np.testing.assert_allclose(read_channels(psg, CHANNELS)["EEG Fpz-Cz"][0], expected, rtol=0, atol=1e-9)
    assert remarks(psg, read_header(psg), CHANNELS) == [
        "EEG Fpz-Cz has its physical minimum above its maximum (inverted polarity); its sign is that of the header"
    ]


def test_every_digital_value_equals_mne_to_the_last_bit(tmp_path: Path) -> None:
    """The limits of the real recordings: what is prepared is what MNE would give."""
    digital = np.arange(-2048, 2048).repeat(2).astype(np.int16)[:8192]
    limits = {"EEG Fpz-Cz": (-192, 192), "EEG Pz-Oz": (-197, 196), "EOG horizontal": (-1009, 1009)}
    signals = [
        edfio.EdfSignal.from_digital(
            digital,
            8192 / 64,
            label=label,
            physical_dimension="uV",
            physical_range=physical,
            digital_range=(-2048, 2047),
        )
        for label, physical in limits.items()
    ]
    path = tmp_path / "all.edf"
    edfio.Edf(signals, data_record_duration=64).write(path)
    expected = mne.io.read_raw_edf(path, verbose="ERROR").get_data() * 1e6
    for column, (values, _) in zip(expected, read_channels(path, list(limits)).values(), strict=True):
        np.testing.assert_array_equal(values, column)


@given(st.integers(-20, 400), st.integers(-20, 400))
def test_a_slice_of_stored_samples_is_that_of_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, a: int, b: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "slices.edf"
    if not path.exists():
        write_psg(path, 4, rates=(3, 2, 1, 1))
    for channel in CHANNELS:
        samples, _ = open_channels(path, [channel])[channel]
        whole = read_channels(path, [channel])[channel][0]
        assert len(samples) == len(whole) and np.array_equal(np.asarray(samples, dtype=float), whole)
        np.testing.assert_array_equal(samples[a:b], whole[a:b])


def test_stored_samples_are_read_in_a_row(psg: Path) -> None:
    samples, _ = open_channels(psg, CHANNELS[:1])[CHANNELS[0]]
    with pytest.raises(ValueError, match="a step of 2"):
        samples[::2]


def test_a_file_that_loses_samples_while_it_is_read_is_named(psg: Path) -> None:
    samples, _ = open_channels(psg, CHANNELS[:1])[CHANNELS[0]]
    psg.write_bytes(psg.read_bytes()[:-100])
    assert len(samples[:3000]) == 3000
    with pytest.raises(
        BenchmarkError, match="channel 'EEG Fpz-Cz': ended while it was read, within data record 4 of 4"
    ):
        samples[:]


def test_patient_recording_and_whether_simulated(shared: Path, tmp_path: Path) -> None:
    header = read_header(shared / "sleep-edf" / "SC4001E0-PSG.first-300s.edf")
    assert header.patient == "X F X Female_33yr" and header.recording.startswith("Startdate 24-APR-1989")
    assert not header.simulated
    path = write_psg(tmp_path / "psg.edf", 1)
    patch_header(patch_header(path, 88, "Startdate 01-JAN-2000 X X X simulated", 80), 8, "X F X Zoë µ", 80)
    header = read_header(path)
    assert header.simulated and header.patient == "X F X Zoë µ"
    assert remarks(path, header, CHANNELS) == ["psg.edf has bytes that are not ASCII in its header (patient fields)"]
    assert not read_header(patch_header(path, 88, "Startdate 01-JAN-2000 X X X unsimulated", 80)).simulated


def test_remarks_on_units(psg: Path) -> None:
    assert remarks(psg, read_header(psg), CHANNELS) == []
    patch_header(psg, UNITS_AT + 8, "mV", 8)
    assert remarks(psg, read_header(psg), CHANNELS) == ["EEG Pz-Oz is recorded in mV; times 1000 gives microvolts"]
    assert remarks(psg, read_header(psg), CHANNELS[2:]) == []


def test_decimal_records_do_not_lose_an_epoch(tmp_path: Path) -> None:
    path = write_psg(tmp_path / "psg.edf", 7, labels=CHANNELS[:1], units=["uV"], rates=[100], record_seconds=0.07)
    header = read_header(path)
    assert (header.record_seconds, header.seconds, header.rate(header.signals[0])) == (0.07, 210.0, 100.0)


def test_absurd_lengths(tmp_path: Path) -> None:
    path = tmp_path / "long.edf"
    content = write_psg(tmp_path / "psg.edf", 1).read_bytes()
    path.write_bytes(content[:236] + b"400     86400   " + content[252:1280] + 400 * content[1280:])
    with pytest.raises(BenchmarkError, match=r"long.edf: lasts 34560000.0 s .*expected at most 31622400"):
        read_channels(path, CHANNELS)
    patch_header(path, 236, "99999999", 8)
    with pytest.raises(BenchmarkError, match=r"long.edf: is truncated"):
        read_channels(path, CHANNELS)


# EDF+ ----------------------------------------------------------------------------------------------------------------


def plus(path: Path, lists: Sequence[bytes], mark: str = "EDF+C") -> Path:
    """An EDF+ of one signal at 1 Hz and an annotation list of 40 bytes in each record, zeros at its end."""

    def fields(width: int, *values: str) -> bytes:
        return b"".join(value.encode().ljust(width) for value in values)

    described = fields(16, CHANNELS[0], "EDF Annotations") + fields(80, "", "") + fields(8, "uV", "")
    described += fields(8, "-192", "-1", "192", "1", "-2048", "-32768", "2047", "32767")
    described += fields(80, "", "") + fields(8, "30", "20") + fields(32, "", "")
    head = fields(8, "0") + fields(80, "X X X X", "Startdate 24-APR-1989 X X X") + b"24.04.8916.13.00"
    head += fields(8, "768") + fields(44, mark) + fields(8, str(len(lists)), "30") + fields(4, "2")
    samples = np.arange(30, dtype="<i2").tobytes()
    path.write_bytes(head + described + b"".join(samples + content.ljust(40, b"\0") for content in lists))
    return path


def stamps(*starts: str) -> list[bytes]:
    return [f"+{start}\x14\x14\0".encode() for start in starts]


def test_annotation_lists(tmp_path: Path) -> None:
    content = [b"+0\x14\x14Lights off\x14\0-2.5\x153\x14a\x14b\x14\0", "+30\x14\x14\0+31\x14µ\x14\0".encode()]
    path = plus(tmp_path / "plus.edf", content)
    header = read_header(path)
    check_complete(path, header)
    assert read_annotation_lists(path, header) == [
        AnnotationList(0, (Annotation(0, None, "Lights off"), Annotation(-2.5, 3, "a"), Annotation(-2.5, 3, "b"))),
        AnnotationList(30, (Annotation(31, None, "µ"),)),
    ]
    assert len(read_channels(path, CHANNELS[:1])[CHANNELS[0]][0]) == 60


def test_annotations_of_every_real_hypnogram_equal_edfio(shared: Path) -> None:
    paths = sorted((shared / "sleep-edf" / "hypnograms").glob("*.edf"))
    assert len(paths) >= 66
    for path in paths:
        header = read_header(path)
        check_complete(path, header)
        assert remarks(path, header, []) == []
        (record,) = read_annotation_lists(path, header)
        assert record.start == 0
        assert list(record.annotations) == [tuple(found) for found in edfio.read_edf(path).annotations]


@pytest.mark.parametrize("start", [0, 250_000])
@pytest.mark.parametrize("record_seconds", [1, 0.1, 30])
def test_what_edfio_writes(tmp_path: Path, start: int, record_seconds: float) -> None:
    written = [edfio.EdfAnnotation(i * 1.7, (None, 0.3, 2)[i % 3], f"ä {i}") for i in range(40)]
    path = tmp_path / "edfio.edf"
    edfio.Edf(
        [edfio.EdfSignal(np.arange(9000) % 50, 100, label="EEG", physical_dimension="uV")],
        annotations=written,
        starttime=datetime.time(16, 13, 0, start),
        data_record_duration=record_seconds,
    ).write(path)
    header = read_header(path)
    check_complete(path, header)
    lists = read_annotation_lists(path, header)
    found = [annotation for record in lists for annotation in record.annotations]
    assert [(a.duration, a.text) for a in found] == [(a.duration, a.text) for a in written]
    np.testing.assert_allclose([a.onset - start / 1e6 for a in found], [a.onset for a in written], atol=1e-6)
    said = ["edfio.edf begins 0.25 s after the start in its header; epochs are counted from its beginning"]
    assert remarks(path, header, ["EEG"]) == (said if start else [])
    assert len(read_channels(path, ["EEG"])["EEG"][0]) == 9000


@pytest.mark.parametrize("signals", [0, 2])
def test_what_pyedflib_writes(tmp_path: Path, signals: int) -> None:
    path = tmp_path / "pyedflib.edf"
    with pyedflib.EdfWriter(str(path), signals, file_type=pyedflib.FILETYPE_EDFPLUS) as writer:
        for i in range(signals):
            writer.setLabel(i, f"EEG {i}")
            writer.setPhysicalDimension(i, "uV")
        for i in range(9):
            writer.writeAnnotation(i * 1.25, 0.5, f"event {i}")
        if signals:
            writer.writeSamples([np.arange(1000.0) % 20] * signals)
    header = read_header(path)
    check_complete(path, header)
    found = [annotation for record in read_annotation_lists(path, header) for annotation in record.annotations]
    assert [(a.onset, a.duration, a.text) for a in found] == [(i * 1.25, 0.5, f"event {i}") for i in range(9)]


@pytest.mark.parametrize(
    "content, offset, message",
    [
        (b"", 0, "there is nothing, expected a time stamp"),
        (b"\0+30\x14\x14\0", 1, "unused bytes are not zero"),
        (b"+30\x14\x14\0\0+30\x14a\x14\0", 7, "unused bytes are not zero"),
        (b"+30\x14\x14\0" + b"x" * 34, 6, "the list b'x*' does not end with a zero byte"),
        (b"30\x14\x14\0", 0, "the onset is b'30', expected a sign and a number"),
        (b"+30.\x14\x14\0", 0, "the onset is b'\\+30.'"),
        (b"+3e1\x14\x14\0", 0, "the onset is b'\\+3e1'"),
        (b"+30\x14\0", 0, "does not end with bytes 20 and 0"),
        (b"+30\0", 0, "does not end with bytes 20 and 0"),
        (b"+30\x14\x14junk\0", 0, "does not end with bytes 20 and 0"),
        (b"+30\x14text\x14\0", 0, "there is b'\\+30' b'text', expected a time stamp"),
        (b"+30\x151\x14\x14\0", 0, "there is .*, expected a time stamp"),
        (b"+30\x14\x14\0+30\x15-1\x14a\x14\0", 6, "the duration is b'-1', expected one number without sign"),
        (b"+30\x14\x14\0+30\x15\x14a\x14\0", 6, "the duration is b''"),
        (b"+30\x14\x14\0+30\x151\x152\x14a\x14\0", 6, "the duration is b'1'"),
        (b"+30\x14\x14\0+31\x14\xff\x14\0", 6, "the text b'\\\\xff' is not UTF-8"),
        (b"+30\x14\x14\0+31\x14a\x15b\x14\0", 6, "has control characters"),
    ],
)
def test_malformed_annotations_name_record_and_byte(tmp_path: Path, content: bytes, offset: int, message: str) -> None:
    path = plus(tmp_path / "plus.edf", [*stamps("0"), content])
    place = 768 + 100 + 60 + offset
    with pytest.raises(
        BenchmarkError,
        match=rf"plus\.edf: its annotations cannot be read: in data record 2 of 2, at byte {place} of.*{message}",
    ):
        read_channels(path, CHANNELS[:1])


@pytest.mark.parametrize("mark", ["EDF+C", "EDF+D", ""])
@pytest.mark.parametrize(
    "starts, message",
    [
        (("0", "30", "560"), "gap of 500 s between data record 2, which ends at 60 s, and the next.* at 560 s"),
        (("0", "30", "60.5"), "gap of 0.5 s between data record 2"),
        (("0", "15", "45"), "overlap of 15 s between data record 1, which ends at 30 s"),
        (("0.5", "30", "60"), "overlap of 0.5 s between data record 1, which ends at 30.5 s"),
        (("500", "530", "560"), "first data record begins 500 s after the start in the header"),
    ],
)
def test_gaps_and_overlaps(tmp_path: Path, mark: str, starts: tuple[str, ...], message: str) -> None:
    path = plus(tmp_path / "plus.edf", stamps(*starts), mark)
    with pytest.raises(BenchmarkError, match=rf"plus\.edf: .*{message}"):
        read_channels(path, CHANNELS[:1])


@pytest.mark.parametrize(
    "mark, starts, said",
    [
        ("EDF+C", ("0", "30", "60"), []),
        ("EDF+C", ("0.25", "30.25", "60.25"), ["begins 0.25 s after the start in its header"]),
        ("EDF+D", ("0", "30", "60"), ["is marked EDF+D (discontinuous), but its time stamps have no gap"]),
        ("", ("0", "30", "60"), ["is not marked EDF+, but has time stamps, which were checked"]),
    ],
)
def test_no_gaps(tmp_path: Path, mark: str, starts: tuple[str, ...], said: list[str]) -> None:
    path = plus(tmp_path / "plus.edf", stamps(*starts), mark)
    assert len(read_channels(path, CHANNELS[:1])[CHANNELS[0]][0]) == 90
    found = remarks(path, read_header(path), CHANNELS[:1])
    assert len(found) == len(said)
    assert all(sentence.startswith(f"plus.edf {part}") for sentence, part in zip(found, said, strict=True))


def test_continuous_mark_without_time_stamps(psg: Path) -> None:
    patch_header(psg, 192, "EDF+C", 44)
    assert len(read_channels(psg, CHANNELS)) == 4
    assert remarks(psg, read_header(psg), CHANNELS) == [
        "SC4001E0-PSG.edf is marked EDF+C, but has no time stamps, so no gap can be seen"
    ]


def test_file_of_annotations_has_no_channels(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "hypnogram.edf", [(0, 30, "Sleep stage W")])
    with pytest.raises(BenchmarkError, match="annotations only"):
        read_channels(path, ["EDF Annotations"])


def test_importing_does_not_import_mne() -> None:
    modules = "sleepbench.signals.edf, sleepbench.signals.scoring, sleepbench.preparation.prepare"
    subprocess.run([sys.executable, "-c", f"import sys, {modules}; assert 'mne' not in sys.modules"], check=True)


def test_text_in_latin_1_is_said_and_the_remedy_works(tmp_path: Path) -> None:
    path = plus(tmp_path / "plus.edf", [*stamps("0"), b"+30\x14\x14\0+30\x14Sleep stage \xb2\x14\0"])
    with pytest.raises(BenchmarkError, match=r"is not UTF-8; EDF\+ asks .*Latin-1 it says 'Sleep stage ²'") as refused:
        read_annotation_lists(path, read_header(path))
    assert "move it away" not in str(refused.value)
    path.write_bytes(path.read_bytes().replace(b"\xb2", b"2"))  # as it says
    (annotation,) = read_annotation_lists(path, read_header(path))[1].annotations
    assert annotation.text == "Sleep stage 2"


@pytest.mark.parametrize("field", ["version", "label", "number"])
def test_a_header_padded_with_nul_bytes_is_said_and_the_remedy_works(psg: Path, field: str) -> None:
    at, end = {"version": (1, 8), "label": (256 + 10, 256 + 16), "number": (SAMPLES_AT + 4, SAMPLES_AT + 8)}[field]
    content = psg.read_bytes()
    psg.write_bytes(content[:at] + b"\0" * (end - at) + content[end:])
    with pytest.raises(BenchmarkError, match="padded with NUL bytes where EDF has blanks") as refused:
        read_channels(psg, ["EEG Fpz-Cz"])
    assert "fetch it again" not in str(refused.value)
    n = 256 * 5
    psg.write_bytes(psg.read_bytes()[:n].replace(b"\0", b" ") + content[n:])  # as it says
    assert psg.read_bytes() == content and read_channels(psg, ["EEG Fpz-Cz"])


def test_zeros_after_the_last_record_can_be_cut_off(psg: Path) -> None:
    content = psg.read_bytes()
    psg.write_bytes(content + bytes(4096))
    with pytest.raises(BenchmarkError, match=rf"all bytes beyond these are zero: .*truncate -s {len(content)} "):
        check_complete(psg, read_header(psg))
    subprocess.run(["truncate", "-s", str(len(content)), psg], check=True)  # as it says
    check_complete(psg, read_header(psg))
