"""Hostile files: each way a night's PSG or hypnogram may be odd or damaged, and the expected outcome."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from edf_files import CHANNELS, RATES, Runs, patch_header, write_annotations, write_hypnogram, write_psg

PSG, HYPNOGRAM = "SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf"
RUNS: Runs = ("W", 8), ("1", 2), ("2", 12), ("3", 4), ("4", 4), ("R", 4), ("W", 4), ("?", 4)
N_EPOCHS, N_SCORED = 42, 38
FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Widths of a signal's header fields, in order: label, transducer, unit, physical and digital limits, ..."""
LABEL, UNIT, PHYSICAL_MIN, PHYSICAL_MAX, DIGITAL_MIN, DIGITAL_MAX, SAMPLES = 0, 2, 3, 4, 5, 6, 8

Samples = list[np.ndarray]


def _unchanged(samples: Samples) -> Samples:
    return samples


@dataclass(frozen=True)
class Case:
    """A hostile pair and its outcome.

    `build` writes the two files into a folder. `says` is a pattern of the error's message ("refused"), or of a sentence
    in the quality file ("handled"; "" where there is nothing to say). `epochs` are those of the night, `kept` those
    that are kept; `rates` in Hz and `microvolts` (from the noise that `noise` gives) say what the samples must be.
    `seconds` is how long the signal really lasted, None where that has no answer; `file` is the hostile one.
    """

    name: str
    build: Callable[[Path], None]
    outcome: str
    says: str
    file: str = "PSG"
    epochs: int = N_EPOCHS
    kept: int = N_SCORED
    rates: Sequence[int] = RATES
    microvolts: Callable[[Samples], Samples] = _unchanged
    flat: float = 0.0
    clipped: float = 0.0
    seconds: float | None = N_EPOCHS * 30


def noise(n_epochs: int = N_EPOCHS, rates: Sequence[int] = RATES) -> Samples:
    """The noise that `write_psg` writes: values (n_epochs * 30 * rate,) of each channel.

    They are within ±192, and not yet rounded to one of 4096 levels.
    """
    random = np.random.default_rng(0)
    return [random.uniform(-192, 192, n_epochs * 30 * rate) for rate in rates]


def field_at(signal: int, field: int, n_signals: int = 4) -> int:
    """Where a signal's header field begins in the file."""
    return 256 + n_signals * sum(FIELDS[:field]) + signal * FIELDS[field]


def with_time_stamps(path: Path, starts: Sequence[float], mark: str) -> Path:
    """Make a plain EDF an EDF+, with one signal more that holds these time stamps, in seconds."""
    content = path.read_bytes()
    n_signals, width = int(content[252:256]), 20
    bounds = list(accumulate((n_signals * size for size in FIELDS), initial=256))
    added = ("EDF Annotations", "", "", "-1", "1", "-32768", "32767", "", str(width), "")
    described = b"".join(
        content[start:end] + value.encode().ljust(size)
        for (start, end), value, size in zip(pairwise(bounds), added, FIELDS, strict=True)
    )
    head = bytearray(content[:256])
    head[184:192] = str(256 + 256 * (n_signals + 1)).encode().ljust(8)
    head[192:236] = mark.encode().ljust(44)
    head[252:256] = str(n_signals + 1).encode().ljust(4)
    records = np.frombuffer(content[bounds[-1] :], np.uint8).reshape(len(starts), -1)
    lists = b"".join(f"+{start:g}\x14\x14\0".encode().ljust(2 * width, b"\0") for start in starts)
    stamps = np.frombuffer(lists, np.uint8).reshape(len(starts), -1)
    path.write_bytes(bytes(head) + described + np.concatenate([records, stamps], axis=1).tobytes())
    return path


def cases() -> list[Case]:
    """All of them."""
    return [
        *_sound(),
        *_incomplete(),
        *_timing(),
        *_channels(),
        *_scales(),
        *_lengths(),
        *_annotations(),
        *_strangers(),
    ]


def _night(
    change: Callable[[Path], object] | None = None,
    change_hypnogram: Callable[[Path], object] | None = None,
    n_epochs: int = N_EPOCHS,
    runs: Runs = RUNS,
    **psg: object,
) -> Callable[[Path], None]:
    """A builder of a sound pair, to either file of which something may then be done."""

    def build(folder: Path) -> None:
        write_psg(folder / PSG, n_epochs, **psg)
        write_hypnogram(folder / HYPNOGRAM, runs)
        if change:
            change(folder / PSG)
        if change_hypnogram:
            change_hypnogram(folder / HYPNOGRAM)

    return build


def _patched(*patches: tuple[int, str, int]) -> Callable[[Path], None]:
    """Overwrite header fields: (offset, text, width)."""

    def change(path: Path) -> None:
        for offset, text, width in patches:
            patch_header(path, offset, text, width)

    return change


def _signal_fields(*patches: tuple[int, int, str], n_signals: int = 4) -> Callable[[Path], None]:
    """Overwrite fields of signals: (signal, field, text)."""
    return _patched(*((field_at(signal, field, n_signals), text, FIELDS[field]) for signal, field, text in patches))


def _rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Replace a file's bytes."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _stamped(mark: str, start: float = 0, gap: float = 0, damage: bytes = b"") -> Callable[[Path], None]:
    """Time stamps of 30-s records, with a gap after the tenth; the last one's bytes may be damaged."""

    def change(path: Path) -> None:
        with_time_stamps(path, [start + 30 * i + gap * (i >= 10) for i in range(N_EPOCHS)], mark)
        if damage:
            content = path.read_bytes()
            path.write_bytes(content[:-40] + damage.ljust(40, b"\0"))

    return change


def _scored(*annotations: tuple[float, float | None, str]) -> Callable[[Path], None]:
    """A builder of a sound PSG with these annotations: (onset, duration, text after "Sleep stage")."""
    named = [(onset, duration, f"Sleep stage {text}") for onset, duration, text in annotations]
    return _night(change_hypnogram=lambda path: write_annotations(path, named))


def _sound() -> list[Case]:
    return [
        Case("a sound pair", _night(), "handled", ""),
        Case("EDF+C with time stamps", _night(_stamped("EDF+C")), "handled", ""),
    ]


def _incomplete() -> list[Case]:
    record = 2 * (3 * 3000 + 30)
    return [
        Case("truncated inside a record", _night(_rewritten(lambda b: b[:-1000])), "refused", "PSG.edf: is truncated"),
        Case("truncated by ten records", _night(_rewritten(lambda b: b[: -10 * record])), "refused", "is truncated"),
        Case("truncated inside the header", _night(_rewritten(lambda b: b[:900])), "refused", "ends inside its header"),
        Case("bytes after the last record", _night(_rewritten(lambda b: b + b"\0" * 64)), "refused", "is longer than"),
        Case("number of records -1", _night(_patched((236, "-1", 8))), "refused", "says -1 data records"),
        Case(
            "number of records too small", _night(_patched((236, "20", 8))), "refused", "is longer than its header says"
        ),
        Case(
            "number of signals 9999",
            _night(_patched((252, "9999", 4))),
            "refused",
            "but 9999 signals make",
            seconds=None,
        ),
        Case(
            "truncated hypnogram",
            _night(change_hypnogram=_rewritten(lambda b: b[:-30])),
            "refused",
            "Hypnogram.edf: is truncated",
            "hypnogram",
        ),
    ]


def _timing() -> list[Case]:
    gap = "gap of 500 s between data record 10, which ends at 300 s, and the next, which begins at 800 s"
    return [
        Case(
            "EDF+D with a gap of 500 s",
            _night(_stamped("EDF+D", gap=500)),
            "refused",
            rf"discontinuous \(EDF\+D\): {gap}",
            seconds=1760,
        ),
        Case(
            "EDF+C whose time stamps have a gap of 500 s",
            _night(_stamped("EDF+C", gap=500)),
            "refused",
            rf"though marked EDF\+C: {gap}",
            seconds=1760,
        ),
        Case(
            "EDF+C whose time stamps overlap by 15 s",
            _night(_stamped("EDF+C", gap=-15)),
            "refused",
            "overlap of 15 s between data record 10, which ends at 300 s",
            seconds=None,
        ),
        Case("EDF+D without a gap", _night(_stamped("EDF+D")), "handled", r"marked EDF\+D .* time stamps have no gap"),
        Case(
            "EDF+D without time stamps",
            _night(_patched((192, "EDF+D", 44))),
            "refused",
            r"discontinuous \(EDF\+D\) and has no time stamps",
            seconds=None,
        ),
        Case(
            "EDF+C without time stamps",
            _night(_patched((192, "EDF+C", 44))),
            "handled",
            r"marked EDF\+C, but has no time stamps",
        ),
        Case(
            "EDF+C that begins half a second late",
            _night(_stamped("EDF+C", start=0.5)),
            "handled",
            "PSG.edf begins 0.5 s after the start in its header",
        ),
        Case(
            "EDF+C with a damaged time stamp",
            _night(_stamped("EDF+C", damage=b"*1230\x14\x14\0")),
            "refused",
            r"annotations cannot be read: in data record 42 of 42, at byte \d+ of the file, the onset is b'\*1230'",
        ),
        Case("records of 60 s", _night(record_seconds=60), "handled", "data records last 60 s"),
        Case("records of 45 s", _night(record_seconds=45), "handled", "data records last 45 s"),
        Case("records of 7 s", _night(record_seconds=7), "handled", "data records last 7 s"),
        Case("records of 1 s", _night(record_seconds=1), "handled", "data records last 1 s"),
        Case(
            "records of 0.5 s",
            _night(record_seconds=0.5, rates=(100, 100, 100, 2)),
            "handled",
            "data records last 0.5 s",
            rates=(100, 100, 100, 2),
        ),
        Case(
            "records of 0 s",
            _night(_patched((244, "0", 8))),
            "refused",
            "its data records last 0 s",
            seconds=None,
        ),
        Case(
            "records of 1e-9 s",
            _night(_patched((244, "1e-9", 8))),
            "refused",
            "a data record lasts 1e-09 s",
            seconds=None,
        ),
        Case(
            "records of 9e99 s", _night(_patched((244, "9e99", 8))), "refused", r"record lasts 9e\+99 s", seconds=None
        ),
        *(
            Case(
                f"EEG at {rate} Hz",
                _night(rates=(rate, rate, 100, 1)),
                "handled",
                f"EEG Fpz-Cz is recorded at {rate} Hz",
                rates=(rate, rate, 100, 1),
            )
            for rate in (50, 128, 256)
        ),
        Case(
            "100.167 Hz, no whole number of samples an epoch",
            _night(_patched((244, "59.9", 8)), record_seconds=60),
            "refused",
            r"channel 'EEG Fpz-Cz': at 100.16\d+ Hz an epoch has no whole number of samples",
            seconds=59.9 * 21,
        ),
        Case(
            "PSG begins a minute later than the hypnogram",
            _night(_patched((176, "16.14.00", 8))),
            "refused",
            "Hypnogram.edf: begins at 1989-04-24 16:13:00, its PSG .* at 1989-04-24 16:14:00",
        ),
        Case(
            "PSG of another day than the hypnogram",
            _night(_patched((168, "25.04.89", 8))),
            "refused",
            "begins at 1989-04-24 16:13:00, its PSG .* at 1989-04-25 16:13:00",
        ),
    ]


def _channels() -> list[Case]:
    three = {"labels": CHANNELS[1:], "units": ("uV",) * 3, "rates": RATES[1:]}
    return [
        Case("missing channel", _night(**three), "refused", "has no channel 'EEG Fpz-Cz' .*it has 'EEG Pz-Oz'"),
        Case(
            "renamed channel",
            _night(_signal_fields((0, LABEL, "EEG Fpz-A2"))),
            "refused",
            r"has no channel 'EEG Fpz-Cz' \(did you mean 'EEG Fpz-A2'\?\)",
        ),
        Case(
            "doubled channel",
            _night(_signal_fields((1, LABEL, CHANNELS[0]))),
            "refused",
            "has 2 channels called 'EEG Fpz-Cz', expected one",
        ),
        Case(
            "label in capitals",
            _night(_signal_fields((0, LABEL, "EEG FPZ-CZ"))),
            "refused",
            r"has no channel 'EEG Fpz-Cz' \(it has 'EEG FPZ-CZ': case and blanks count\)",
        ),
        Case(
            "label without its blank",
            _night(_signal_fields((0, LABEL, "EEGFpz-Cz"))),
            "refused",
            r"\(it has 'EEGFpz-Cz': case and blanks count\)",
        ),
        Case(
            "label after a blank", _night(_signal_fields((0, LABEL, " EEG Fpz-Cz"))), "handled", "begins with a blank"
        ),
    ]


def _first_times(factor: float) -> Callable[[Samples], Samples]:
    return lambda samples: [factor * samples[0], *samples[1:]]


def _digital(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change the digital values of the first channel, (n_records, 3000)."""

    def rewrite(content: bytes) -> bytes:
        records = np.frombuffer(content[1280:], "<i2").reshape(N_EPOCHS, -1).copy()
        records[:, :3000] = change(records[:, :3000])
        return content[:1280] + records.tobytes()

    return _rewritten(rewrite)


def _scales() -> list[Case]:
    marker = {"labels": (*CHANNELS, "Event marker"), "units": ("uV",) * 5, "rates": (*RATES, 1)}
    undefined = "channel 'EEG Fpz-Cz': its scale is undefined: "
    step = 384 / 4095
    return [
        Case("unit µV", _night(_signal_fields((0, UNIT, "µV"))), "handled", "bytes that are not ASCII"),
        Case(
            "unit mV",
            _night(_signal_fields((0, UNIT, "mV"))),
            "handled",
            "EEG Fpz-Cz is recorded in mV; times 1000 gives microvolts",
            microvolts=_first_times(1e3),
        ),
        Case(
            "unit V",
            _night(_signal_fields((0, UNIT, "V"), (0, PHYSICAL_MIN, "-192e-6"), (0, PHYSICAL_MAX, "192e-6"))),
            "handled",
            r"EEG Fpz-Cz is recorded in V; times 1e\+06 gives microvolts",
        ),
        Case(
            "unit V, of microvolts",
            _night(_signal_fields((0, UNIT, "V"))),
            "refused",
            r"'EEG Fpz-Cz': half of its samples lie within 9.6e\+07 uV of their middle, which no electrode gives",
        ),
        Case(
            "unit uV, of millivolts",
            _night(_signal_fields((0, PHYSICAL_MIN, "-0.192"), (0, PHYSICAL_MAX, "0.192"))),
            "handled",
            r"EEG Fpz-Cz: half of its samples lie within 0.096 uV of their middle, .*: is its unit right\?",
            microvolts=_first_times(1e-3),
        ),
        Case(
            "unit uV, of volts",
            _night(_signal_fields((0, PHYSICAL_MIN, "-192e-6"), (0, PHYSICAL_MAX, "192e-6"))),
            "refused",
            "'EEG Fpz-Cz': half of its samples lie within 9.6e-05 uV of their middle, which no electrode gives",
        ),
        Case(
            "no unit", _night(_signal_fields((0, UNIT, ""))), "refused", "'EEG Fpz-Cz': its unit is '', expected one of"
        ),
        Case(
            "inverted polarity: physical minimum above maximum",
            _night(_signal_fields((0, PHYSICAL_MIN, "192"), (0, PHYSICAL_MAX, "-192"))),
            "handled",
            r"EEG Fpz-Cz has its physical minimum above its maximum \(inverted polarity\)",
            microvolts=_first_times(-1),
        ),
        Case(
            "physical minimum and maximum are the same",
            _night(_signal_fields((0, PHYSICAL_MIN, "192"))),
            "refused",
            f"{undefined}physical minimum and maximum are both 192",
        ),
        Case(
            "physical minimum and maximum are the same in a channel that is not used",
            _night(_signal_fields((4, PHYSICAL_MIN, "192"), n_signals=5), **marker),
            "handled",
            "Event marker, which is not used, has no scale: physical minimum and maximum are both 192",
        ),
        Case(
            "digital range reversed",
            _night(_signal_fields((0, DIGITAL_MIN, "2047"), (0, DIGITAL_MAX, "-2048"))),
            "refused",
            f"{undefined}the digital minimum is 2047, the maximum -2048",
        ),
        Case(
            "digital range of 0 to 0",
            _night(_signal_fields((0, DIGITAL_MIN, "0"), (0, DIGITAL_MAX, "0"))),
            "refused",
            f"{undefined}the digital minimum is 0, the maximum 0",
        ),
        Case(
            "NaN in the physical limits",
            _night(_signal_fields((0, PHYSICAL_MIN, "nan"), (0, PHYSICAL_MAX, "nan"))),
            "refused",
            f"{undefined}the physical minimum is 'nan', expected a number",
        ),
        Case(
            "physical limits of 1e308",
            _night(_signal_fields((0, PHYSICAL_MIN, "-1e308"), (0, PHYSICAL_MAX, "1e308"))),
            "refused",
            r"channel 'EEG Fpz-Cz': its physical limits reach 1e\+308 uV",
        ),
        Case(
            "wholly flat channel",
            _night(_digital(lambda values: 0 * values)),
            "handled",
            "EEG Fpz-Cz does not change in any epoch",
            microvolts=lambda samples: [np.full_like(samples[0], step / 2), *samples[1:]],
            flat=1.0,
        ),
        Case(
            "clipped channel",
            _night(_digital(lambda values: np.clip(2 * values.astype(int), -2048, 2047))),
            "handled",
            "EEG Fpz-Cz is at the recorder's limits in 49.* % of the samples",
            microvolts=lambda samples: [np.clip(2 * samples[0] - step / 2, -192, 192), *samples[1:]],
            clipped=0.5,
        ),
        Case(
            "samples beyond the digital limits",
            _night(_signal_fields((0, DIGITAL_MIN, "-2000"), (0, DIGITAL_MAX, "1999"))),
            "handled",
            "EEG Fpz-Cz is at the recorder's limits in 2.* % of the samples",
            microvolts=lambda samples: [(samples[0] - step / 2) / step * 384 / 3999 + 192 / 3999, *samples[1:]],
            clipped=0.0234,
        ),
    ]


def _lengths() -> list[Case]:
    return [
        Case(
            "PSG shorter than the hypnogram",
            _night(n_epochs=30),
            "handled",
            "the hypnogram outlasts the signal by 12 epochs, which are cut",
            epochs=30,
            kept=30,
            seconds=900,
        ),
        Case(
            "PSG longer than the hypnogram",
            _night(n_epochs=50),
            "handled",
            "the signal outlasts the hypnogram by 8 epochs, which count as unknown",
            epochs=50,
            seconds=1500,
        ),
        Case("PSG of one record", _night(n_epochs=1), "refused", "no epoch is scored as sleep", seconds=30),
        Case(
            "no sleep in the hypnogram",
            _night(runs=(("W", 40), ("?", 2))),
            "refused",
            "no epoch is scored as sleep",
            "hypnogram",
        ),
    ]


def _annotations() -> list[Case]:
    def refused(name: str, build: Callable[[Path], None], says: str) -> Case:
        return Case(name, build, "refused", f"Hypnogram.edf: .*{says}", "hypnogram")

    def edited(old: bytes, new: bytes) -> Callable[[Path], None]:
        """Replace bytes of the annotations, as many as there were."""
        assert len(old) == len(new)
        return _night(change_hypnogram=_rewritten(lambda b: b[:512] + b[512:].replace(old, new, 1)))

    def blanked(content: bytes) -> bytes:
        return content[:517] + bytes(len(content) - 517)

    return [
        refused(
            "annotations overlap", _scored((0, 60, "W"), (30, 60, "2")), "overlap between 'Sleep stage W', which ends"
        ),
        refused(
            "annotations leave a gap", _scored((0, 30, "W"), (90, 60, "2")), "gap between 'Sleep stage W', which ends"
        ),
        refused("annotations begin late", _scored((30, 30, "W"), (60, 60, "2")), "gap between 'start of the file'"),
        refused(
            "annotations off the 30-s grid",
            _scored((0, 40, "W"), (40, 60, "2")),
            "'Sleep stage W' at 0 s lasting 40 s is not on the 30-s grid",
        ),
        refused(
            "annotations that begin off the grid",
            _scored((0.5, 30, "W"), (30.5, 60, "2")),
            "at 0.5 s lasting 30 s is not on the 30-s grid",
        ),
        refused(
            "annotation of 45 s, no multiple of 30",
            _scored((0, 60, "W"), (60, 45, "2")),
            "'Sleep stage 2' at 60 s lasting 45 s is not on the 30-s grid",
        ),
        refused("annotation without a duration", _scored((0, 60, "W"), (60, None, "2")), "has duration None"),
        refused(
            "unknown annotation", _scored((0, 60, "W"), (60, 30, "5")), "'Sleep stage 5' at 60 s is not a known stage"
        ),
        refused(
            "no annotations", _night(change_hypnogram=_rewritten(blanked)), "has no annotations, expected sleep stages"
        ),
        refused(
            "annotations of 300 years", _scored((0, 9_999_999_990, "2")), "annotations cover 1e.10 s, expected at most"
        ),
        refused(
            "hypnogram marked EDF+D",
            _night(change_hypnogram=_patched((192, "EDF+D", 44))),
            r"is discontinuous \(EDF\+D\)",
        ),
        refused(
            "hypnogram marked plain EDF",
            _night(change_hypnogram=_patched((192, "", 44))),
            "is not a hypnogram: .*found plain EDF",
        ),
        refused("a separator of the annotations is lost", edited(b"\x14\0+660", b"\x14 +660"), "has control char"),
        refused(
            "an annotation is blotted out", edited(b"+240\x1560\x14Sleep stage 1\x14\0", b"\0" * 23), "are not zero"
        ),
        refused("an onset without its sign", edited(b"\0+660", b"\0 660"), "the onset is b' 660', expected a sign"),
        refused("text that is not UTF-8", edited(b"stage 2", b"stage \xb2"), "is not UTF-8"),
        Case(
            "both files begin half a second late",
            _night(_stamped("EDF+C", start=0.5), lambda path: _write_late(path)),
            "handled",
            "Hypnogram.edf begins 0.5 s after the start in its header",
            "both",
        ),
    ]


def _write_late(path: Path) -> None:
    """The hypnogram, half a second after its header's start."""
    write_hypnogram(path, RUNS, datetime.time(16, 13, 0, 500_000))


def _strangers() -> list[Case]:
    page = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body></body></html>\n" * 20

    def replaced(content: bytes) -> Callable[[Path], None]:
        return _rewritten(lambda _: content)

    def swap(folder: Path) -> None:
        write_psg(folder / HYPNOGRAM, N_EPOCHS)
        write_hypnogram(folder / PSG, RUNS)

    bdf = _rewritten(lambda content: b"\xffBIOSEMI" + content[8:])
    patient = _patched((8, "X F 24-APR-1955 Zoë_Müller", 80))
    equals = _patched((8, "X F 24-APR-1955 Zoe weight=50=kg", 80))
    return [
        Case("empty PSG", _night(replaced(b"")), "refused", "PSG.edf: is empty", seconds=None),
        Case("empty hypnogram", _night(None, replaced(b"")), "refused", "Hypnogram.edf: is empty", "hypnogram"),
        Case("web page as PSG", _night(replaced(page)), "refused", "not an EDF file but a web page", seconds=None),
        Case("web page as hypnogram", _night(None, replaced(page)), "refused", "but a web page", "hypnogram"),
        Case("BDF as PSG", _night(bdf), "refused", "not an EDF file but something that begins", seconds=None),
        Case("PSG and hypnogram swapped", swap, "refused", "PSG and hypnogram may be swapped", "both", seconds=None),
        Case("patient field with weight=50=kg", _night(equals), "handled", ""),
        Case("patient field with non-ASCII letters", _night(patient), "handled", r"not ASCII in its header \(patient"),
        Case(
            "reserved bytes of a signal are not ASCII",
            _night(_signal_fields((0, 9, "é"))),
            "handled",
            r"not ASCII in its header \(other",
        ),
        Case(
            "impossible date",
            _night(_patched((168, "31.02.89", 8))),
            "refused",
            "the start is '31.02.8916.13.00', expected",
        ),
    ]
