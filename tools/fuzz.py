"""Damage valid EDF files at random and check what the readers do with them.

    python tools/fuzz.py --cases 20000 --seed 1

A sound PSG (plain EDF, or EDF+C with time stamps and annotations) or its hypnogram is damaged in one to three places,
and the pair is read by every function of `signals` that reads EDF, and prepared as a night. A case depends only
on (seed, number), so that `--only NUMBER` repeats it alone. It fails
- when anything but a BenchmarkError is raised, a warning included, or the error does not name the damaged file;
- when it takes more than LIMIT seconds;
- when a channel has not as many samples as the header promises, or one that is not finite, or `read_scoring` gives
  stages other than 0 to 6;
- when the night is prepared although one of the functions refuses a file;
- when the night is prepared with a number of epochs, or from a hypnogram with a number of epochs, that is not the true
  one, and the quality file does not show it: its sentences on the length of data records, on sampling rates, on what
  fills no epoch, and on which file outlasts the other by how much, are those of the sound pair.
Changed samples, and one stage's name that became another's, are beyond this: for them there are checksums.
"""

import argparse
import json
import re
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import edfio
import numpy as np
from edf_files import CHANNELS, DATE, TIME, load_night, prepare_night, recording_of, write_hypnogram, write_psg
from hostile import FIELDS, HYPNOGRAM, PSG

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.sleep_edf_cassette import STAGES_BY_TEXT
from sleepbench.signals.edf import check_complete, read_annotation_lists, read_channels, read_header, remarks
from sleepbench.signals.scoring import read_scoring

LIMIT = 2.0
"""Seconds a case may take."""
N_EPOCHS = 12
RUNS = ("W", 2), ("1", 1), ("2", 4), ("3", 1), ("4", 1), ("R", 1), ("W", 1), ("?", 3)
N_SCORED = 14
RATES = (10, 10, 10, 1)
VISIBLE = re.compile("data records last|is recorded at|fill no epoch|outlasts")
"""The sentences that tell of another number of epochs."""

OUTCOMES = ("refused", "accepted, same bytes", "accepted, same night", "accepted, another night", "failed")
PLAUSIBLE = (
    *(
        "",
        "0",
        "-1",
        "1",
        "+1",
        "2",
        "7",
        "12",
        "15",
        "29",
        "30",
        "60",
        "0.5",
        "29.9",
        "30.0",
        "300",
        "9999",
        "99999999",
    ),
    *("1e9", "9e99", "1e-5", "1e-300", "nan", "inf", "0x10", "1_0", "1,5", "-192", "192", "2047", "-2048", "32767"),
    *("-32768", "uV", "mV", "V", "EDF+C", "EDF+D", "EDF Annotations", *CHANNELS, "16.13.00", "24.04.89", "31.02.89"),
)
"""What a header's field may be replaced with."""

Random = np.random.Generator


@dataclass(frozen=True)
class Pair:
    """A sound pair as bytes, and what its quality file says."""

    files: dict[str, bytes]
    handled: frozenset[str]
    night: bytes


class TooLongError(BaseException):
    """No Exception, so that nothing that is tested can catch it."""


class FailureError(Exception):
    """The oracle says no."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this case alone")
    arguments = parser.parse_args()
    numbers = range(arguments.cases) if arguments.only is None else [arguments.only]
    begin = time.perf_counter()
    counts: dict[str, Counter] = {}
    with scratch() as folder:
        pairs = sound_pairs(folder)
        for number in numbers:
            what, outcome, message = run_case(pairs, folder, arguments.seed, number)
            counts.setdefault(what, Counter())[outcome] += 1
            if outcome == "failed" or arguments.only is not None:
                print(f"case {number}, {what}: {outcome}: {message}")
    print(table(counts, time.perf_counter() - begin))
    return int(any(count["failed"] for count in counts.values()))


def table(counts: dict[str, Counter], seconds: float) -> str:
    """Cases and outcomes per kind of file, and how long they took."""
    lines = [" | ".join(("file".ljust(16), "cases", *OUTCOMES))]
    for what, count in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        cells = [str(count[outcome]).rjust(len(outcome)) for outcome in OUTCOMES]
        lines.append(" | ".join((what.ljust(16), str(count.total()).rjust(5), *cells)))
    cases = sum(count.total() for count in counts.values())
    return "\n".join([*lines, f"{seconds:.0f} s, {cases / seconds:.0f} cases/s"])


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, where there is one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def sound_pairs(folder: Path) -> dict[str, Pair]:
    """Two sound pairs, by the kind of their PSG."""
    write_hypnogram(folder / HYPNOGRAM, RUNS)
    hypnogram = (folder / HYPNOGRAM).read_bytes()
    pairs = {}
    for kind, write in {"EDF": _write_plain, "EDF+C": _write_continuous}.items():
        write(folder / PSG)
        quality, night = _prepare(folder)
        pairs[kind] = Pair(
            {PSG: (folder / PSG).read_bytes(), HYPNOGRAM: hypnogram}, frozenset(quality["handled"]), night
        )
    return pairs


def _write_plain(path: Path) -> None:
    labels, units, rates = (*CHANNELS, "Event marker"), ("uV",) * 5, (*RATES, 1)
    write_psg(path, N_EPOCHS, labels=labels, units=units, rates=rates)


def _write_continuous(path: Path) -> None:
    random = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(
            random.uniform(-190, 190, N_EPOCHS * 30 * rate),
            rate,
            label=label,
            physical_dimension="uV",
            physical_range=(-192, 192),
            digital_range=(-2048, 2047),
        )
        for label, rate in zip(CHANNELS, RATES, strict=True)
    ]
    annotations = [edfio.EdfAnnotation(20.5 * i, 1 if i % 2 else None, f"event {i}") for i in range(10)]
    edfio.Edf(
        signals,
        annotations=annotations,
        recording=edfio.Recording(startdate=DATE),
        starttime=TIME,
        data_record_duration=30,
    ).write(path)


def run_case(pairs: dict[str, Pair], folder: Path, seed: int, number: int) -> tuple[str, str, str]:
    """What was damaged, the outcome (one of OUTCOMES), and the message of an error."""
    random = np.random.default_rng([seed, number])
    kind = str(random.choice(list(pairs)))
    pair = pairs[kind]
    name = PSG if random.random() < 0.6 else HYPNOGRAM
    what = f"{kind} PSG" if name == PSG else "EDF+C hypnogram"
    damaged = damage(pair.files[name], random)
    for file, content in pair.files.items():
        (folder / file).write_bytes(damaged if file == name else content)
    same = damaged == pair.files[name]
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("error")
            night = _read_all(pair, folder, name)
    except BenchmarkError as error:
        if name not in str(error):
            return what, "failed", f"the error does not name {name}: {error}"
        return what, "failed" if same else "refused", str(error)
    except TooLongError:
        return what, "failed", f"took more than {LIMIT} s"
    except Exception as error:
        return what, "failed", f"{type(error).__name__}: {error}"
    if same:
        return what, "accepted, same bytes", ""
    return what, "accepted, same night" if night == pair.night else "accepted, another night", ""


def _read_all(pair: Pair, folder: Path, name: str) -> bytes:
    """Read a pair with every function, and return the bytes of the prepared night.

    BenchmarkError where a file is refused; FailureError where the night is prepared all the same, or wrongly.
    """
    errors = []
    for read in (_check_headers, _check_samples, _check_stages):
        try:
            read(folder)
        except BenchmarkError as error:
            if name not in str(error):
                raise
            errors.append(error)
    # Whatever the readers alone say, the night as a whole must be refused or right as well.
    quality, night = _prepare(folder)
    if errors:
        raise FailureError(f"prepared, though a reader refuses it: {errors[0]}")
    told = {sentence for sentence in pair.handled ^ set(quality["handled"]) if VISIBLE.search(sentence)}
    found = quality["epochs_in_night"], len(read_scoring(folder / HYPNOGRAM, STAGES_BY_TEXT))
    if found != (N_EPOCHS, N_SCORED) and not told:
        raise FailureError(f"{found[0]} and {found[1]} epochs, expected {N_EPOCHS} and {N_SCORED}, and nothing is said")
    return night


def _check_headers(folder: Path) -> None:
    """Headers, completeness, annotations and remarks of both files."""
    for name, channels in ((PSG, CHANNELS), (HYPNOGRAM, ())):
        header = read_header(folder / name)
        check_complete(folder / name, header)
        read_annotation_lists(folder / name, header)
        remarks(folder / name, header, channels)


def _check_samples(folder: Path) -> None:
    """Channels have the samples that the header promises."""
    header = read_header(folder / PSG)
    promised = {signal.label: header.n_records * signal.samples_per_record for signal in header.signals}
    for channel, (values, rate) in read_channels(folder / PSG, CHANNELS).items():
        if len(values) != promised[channel] or not np.isfinite(values).all() or not np.isfinite(rate):
            raise FailureError(
                f"{channel}: {len(values)} samples at {rate} Hz, expected {promised[channel]}, all finite"
            )


def _check_stages(folder: Path) -> None:
    """Stages are stages."""
    stages = read_scoring(folder / HYPNOGRAM, STAGES_BY_TEXT)
    if not len(stages) or stages.min() < 0 or stages.max() > 6:
        raise FailureError(f"read_scoring gives {len(stages)} stages: {stages}")


def _prepare(folder: Path) -> tuple[dict, bytes]:
    """The quality file's content and the bytes of a prepared night."""
    output = folder / "prepared" / "SC4001.npy"
    prepare_night(folder, recording_of(folder / PSG, folder / HYPNOGRAM))
    quality = json.loads(output.with_suffix(".quality.json").read_text(encoding="utf-8"))
    prepared = load_night(output)
    return quality, prepared.signals.tobytes() + prepared.epoch.tobytes() + prepared.stage.tobytes()


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TooLongError after LIMIT seconds."""

    def stop(*_: object) -> None:
        raise TooLongError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# Damage --------------------------------------------------------------------------------------------------------------


def damage(content: bytes, random: Random) -> bytes:
    """Damage a file in one to three places."""
    for _ in range(random.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
        content = DAMAGES[random.integers(len(DAMAGES))](content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    """A position, in the header more often than its size would have it."""
    header_bytes = 256 * (1 + _n_signals(content))
    end = header_bytes if random.random() < 0.4 else len(content)
    return int(random.integers(max(1, min(end, len(content)))))


def _n_signals(content: bytes) -> int:
    """The number of signals in the header; 1 where it is damaged."""
    text = content[252:256].strip()
    return int(text) if text.isdigit() and 0 < int(text) < 20 else 1


def _stretch(content: bytes, random: Random) -> slice:
    """A stretch of 1 to 4000 bytes, mostly short."""
    start = _place(content, random)
    return slice(start, start + int(4000 ** random.random()))


def _change_byte(content: bytes, random: Random) -> bytes:
    i = _place(content, random)
    return content[:i] + random.bytes(1) + content[i + 1 :]


def _flip_bit(content: bytes, random: Random) -> bytes:
    i = _place(content, random)
    return content[:i] + bytes([b ^ 1 << int(random.integers(8)) for b in content[i : i + 1]]) + content[i + 1 :]


def _insert(content: bytes, random: Random) -> bytes:
    i = _place(content, random)
    return content[:i] + random.bytes(int(random.integers(1, 9))) + content[i:]


def _double(content: bytes, random: Random) -> bytes:
    part = _stretch(content, random)
    return content[: part.stop] + content[part] + content[part.stop :]


def _cut(content: bytes, random: Random) -> bytes:
    part = _stretch(content, random)
    return content[: part.start] + content[part.stop :]


def _blank(content: bytes, random: Random) -> bytes:
    """Zeros or blanks, as many as there were bytes."""
    part = _stretch(content, random)
    filler = b" " if random.random() < 0.5 else b"\0"
    return content[: part.start] + filler * len(content[part]) + content[part.stop :]


def _truncate(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _replace_field(content: bytes, random: Random) -> bytes:
    """A header's field with another plausible value."""
    n_signals = _n_signals(content)
    fixed = [(0, 8), (8, 80), (88, 80), (168, 8), (176, 8), (184, 8), (192, 44), (236, 8), (244, 8), (252, 4)]
    starts = 256 + n_signals * np.cumsum([0, *FIELDS[:-1]])
    described = [
        (int(start) + i * width, width) for start, width in zip(starts, FIELDS, strict=True) for i in range(n_signals)
    ]
    fields = fixed if random.random() < 0.4 else described
    offset, width = fields[random.integers(len(fields))]
    value = PLAUSIBLE[random.integers(len(PLAUSIBLE))].encode("latin-1")[:width].ljust(width)
    return content[:offset] + value + content[offset + width :]


def _replace_digit(content: bytes, random: Random) -> bytes:
    """A digit, anywhere, with another one."""
    digits = [match.start() for match in re.finditer(rb"[0-9]", content)]
    if not digits:
        return content
    i = digits[random.integers(len(digits))]
    return content[:i] + str(random.integers(10)).encode() + content[i + 1 :]


def _records(content: bytes, random: Random) -> bytes:
    """Drop or double a whole record; the number of records in the header may follow."""
    header_bytes, count = 256 * (1 + _n_signals(content)), content[236:244].strip()
    n_records = int(count) if count.isdigit() and int(count) else 1
    size = (len(content) - header_bytes) // n_records
    if size < 1:
        return content
    start = header_bytes + size * int(random.integers(n_records))
    doubled = random.random() < 0.5
    content = content[: start + size * doubled] + content[start + size * (not doubled) :]
    if random.random() < 0.7:
        number = str(n_records + (1 if doubled else -1)).encode()[:8].ljust(8)
        content = content[:236] + number + content[244:]
    return content


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _change_byte,
    _flip_bit,
    _insert,
    _double,
    _cut,
    _blank,
    _truncate,
    _replace_field,
    _replace_field,
    _replace_digit,
    _records,
)


if __name__ == "__main__":
    sys.exit(main())
