"""Fetching files from a server on this machine: success, and every way to fail."""

import errno
import io
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from file_server import FOLDER, Answer, Server, serving

from sleepbench import __version__
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets import download
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.download import LogProgress, fetch_files

BELOW = "sleep-cassette"
PSG, HYPNOGRAM = "SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf"
CONTENT = {PSG: random.Random(0).randbytes(300_000), HYPNOGRAM: random.Random(1).randbytes(4_000)}
SIZE = len(CONTENT[PSG])
WHOLE = sorted(CONTENT)
PARTIAL, LOCK = f".{PSG}.partial", f".{PSG}.lock"

FETCH = """
import sys
from pathlib import Path
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.download import fetch_files
files = [SourceFile(*text.split("=")) for text in sys.argv[3:]]
fetch_files(Recording("SC4001", "00", 1, tuple(files)), Path(sys.argv[1]), sys.argv[2], "sleep-cassette")
"""


def fetch_recording(recording: Recording, directory: Path, base_url: str | None) -> dict:
    return fetch_files(recording, directory, base_url, BELOW)


@pytest.fixture
def recording() -> Recording:
    files = ((role, name, sha256(CONTENT[name]).hexdigest()) for role, name in (("psg", PSG), ("scoring", HYPNOGRAM)))
    return Recording("SC4001", "00", 1, tuple(SourceFile(*file) for file in files))


@pytest.fixture
def sized(recording: Recording) -> Recording:
    """The recording with the sizes of its files, as those of Sleep-EDF are known."""
    return replace(recording, files=tuple(replace(file, n_bytes=len(CONTENT[file.name])) for file in recording.files))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(download, "LEAST_BYTES", 10_000)
    with serving(dict(CONTENT)) as server:
        yield server


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sleep-edf"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, in seconds; they are written down instead of being waited."""
    waits: list[float] = []
    monkeypatch.setattr(download, "FIRST_WAIT_SECONDS", 2.0)
    clock = {name: getattr(time, name) for name in ("monotonic", "time", "strftime", "localtime")}
    monkeypatch.setattr(download, "time", SimpleNamespace(**clock, sleep=waits.append))
    return waits


def contents(directory: Path) -> list[str]:
    """All that lies in a folder, hidden files too."""
    return sorted(path.name for path in directory.glob("*"))


def leave_partial(directory: Path, content: bytes) -> Path:
    """What an earlier run left of the PSG."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / PARTIAL).write_bytes(content)
    return directory / PARTIAL


def start_fetch(recording: Recording, directory: Path, base_url: str) -> subprocess.Popen:
    """Fetch in a process of its own, whose output can be read."""
    files = [f"{file.role}={file.name}={file.sha256}" for file in recording.files]
    command = [sys.executable, "-c", FETCH, str(directory), base_url, *files]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# ---- what is there already


@pytest.mark.parametrize("folder", ["", "sleep-cassette"])
@pytest.mark.parametrize("base_url", [None, "", "http://127.0.0.1:9/"])
def test_right_files_need_no_network_and_no_lock(
    recording: Recording, directory: Path, folder: str, base_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / folder).mkdir(parents=True)
    for name, content in CONTENT.items():
        (directory / folder / name).write_bytes(content)
    monkeypatch.setattr(download, "alone", None)
    receipt = fetch_recording(recording, directory, base_url)
    assert receipt["psg"]["path"] == str(directory / folder / PSG)
    assert contents(directory / folder) == WHOLE


def test_only_what_is_absent_is_downloaded(server: Server, recording: Recording, directory: Path) -> None:
    fetch_recording(recording, directory, server.base_url)
    (directory / HYPNOGRAM).unlink()
    server.requests.clear()
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [] and server.asked(HYPNOGRAM) == [None]


@pytest.mark.parametrize("folder", ["", "sleep-cassette"])
def test_a_wrong_file_is_named_and_left_alone(
    server: Server, recording: Recording, directory: Path, folder: str
) -> None:
    path = directory / folder / PSG
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(
        BenchmarkError, match=rf"{path}: its SHA-256 is .* \(4 bytes\), expected {recording.file('psg').sha256}"
    ):
        fetch_recording(recording, directory, server.base_url)
    assert path.read_bytes() == b"mine" and server.requests == []


def test_a_link_to_nothing_is_not_replaced(server: Server, recording: Recording, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / PSG).symlink_to("/nonexistent/disk/psg.edf")
    with pytest.raises(BenchmarkError, match=f"{PSG}: cannot be read"):
        fetch_recording(recording, directory, server.base_url)
    assert (directory / PSG).is_symlink()


def test_no_download_lists_what_is_missing(recording: Recording, directory: Path) -> None:
    with pytest.raises(BenchmarkError, match=f"{PSG} and {HYPNOGRAM} of recording SC4001 missing"):
        fetch_recording(recording, directory, None)


# ---- a server that does well


@pytest.mark.parametrize("slash", ["/", ""])
def test_both_files_are_downloaded(server: Server, recording: Recording, directory: Path, slash: str) -> None:
    receipt = fetch_recording(recording, directory, server.base_url.rstrip("/") + slash)
    assert receipt == {
        "recording": "SC4001",
        "psg": {"path": str(directory / PSG), "bytes": SIZE, "sha256": recording.file("psg").sha256},
        "scoring": {"path": str(directory / HYPNOGRAM), "bytes": 4_000, "sha256": recording.file("scoring").sha256},
    }
    assert contents(directory) == WHOLE
    assert all((directory / name).read_bytes() == content for name, content in CONTENT.items())
    assert [(request.name, request.start) for request in server.requests] == [(PSG, None), (HYPNOGRAM, None)]
    headers = server.requests[0].headers
    assert headers["User-Agent"] == f"sleepbench/{__version__}" and headers["Accept-Encoding"] == "identity"


def test_a_slow_body_is_no_failure(
    server: Server,
    recording: Recording,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(download, "LEAST_BYTES", 10)
    monkeypatch.setattr(download, "LINE_EVERY_BYTES", 100_000)
    server.answers = [Answer(piece=25_000, pause=0.03)]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None]
    printed = capsys.readouterr().out
    assert f"{PSG}: 0.1 of 0.3 MB" in printed and f"{PSG}: all {SIZE} bytes have come" in printed


@pytest.mark.parametrize("start", [0, 100_000])
def test_a_body_without_a_length(server: Server, recording: Recording, directory: Path, start: int) -> None:
    if start:
        leave_partial(directory, CONTENT[PSG][:start])
    server.answers = [Answer(chunked=True)]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [start or None] and contents(directory) == WHOLE


# ---- resuming where a transfer broke off


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_broken_transfer_resumes_there(
    server: Server, recording: Recording, directory: Path, then: str, chunked: bool
) -> None:
    server.answers = [Answer(stop_after=100_000, then=then, chunked=chunked)] * 2
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None, 100_000, 200_000]
    assert contents(directory) == WHOLE


def test_a_stall_is_broken_off_and_resumed(
    server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (15, 0.5))
    server.answers = [Answer(stop_after=100_000, then="stall")]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG)[:2] == [None, 100_000]
    assert contents(directory) == WHOLE


def test_a_drip_is_a_stall(
    server: Server,
    recording: Recording,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 0.2)
    server.answers = [Answer(stop_after=100_000, then="drip")]
    fetch_recording(recording, directory, server.base_url)
    assert 100_000 < server.asked(PSG)[1] < SIZE
    assert "bytes came in" in capsys.readouterr().out


def test_only_drips_end_in_an_error(
    server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drips bring something each time, but no more than a stall."""
    monkeypatch.setattr(download, "STALL_SECONDS", 0.1)
    server.answers = [Answer(stop_after=0, then="drip")] * 50
    with pytest.raises(BenchmarkError, match=r"6 attempts in a row .*only \d+ bytes came in.*are kept in"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 6


def test_a_long_flaky_transfer_comes_to_its_end(
    server: Server, recording: Recording, directory: Path, waits: list[float]
) -> None:
    """Many more interruptions than attempts in a row are allowed, each after some progress."""
    server.answers = [Answer(stop_after=10_000)] * 29
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None, *range(10_000, SIZE, 10_000)]
    assert waits == [2.0] * 29


def test_progress_starts_the_count_of_attempts_again(
    server: Server, recording: Recording, directory: Path, waits: list[float]
) -> None:
    bad = [Answer(status=500)] * 5
    server.answers = [*bad, Answer(stop_after=100_000), *bad, Answer(stop_after=100_000), *bad]
    fetch_recording(recording, directory, server.base_url)
    assert waits == [2, 4, 8, 16, 32, 2, 2, 4, 8, 16, 32, 2, 2, 4, 8, 16, 32]


def test_a_server_that_never_finishes_is_given_up(server: Server, recording: Recording, directory: Path) -> None:
    """It ignores ranges and breaks off at the same place each time: what comes again is no progress."""
    server.answers = [Answer(stop_after=100_000, ranges=False)] * 50
    with pytest.raises(BenchmarkError, match=f"6 attempts in a row.*100000 bytes are kept in {directory / PARTIAL}"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 7 and contents(directory) == [PARTIAL]


def test_a_server_that_forgets_is_given_up(server: Server, recording: Recording, directory: Path) -> None:
    """Breaking off, then refusing to go on: what comes again after a new start is no progress either."""
    server.answers = [Answer(stop_after=100_000), Answer(status=416)] * 20
    with pytest.raises(BenchmarkError, match="6 attempts in a row"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 7


def test_a_server_that_gives_only_pieces(server: Server, recording: Recording, directory: Path) -> None:
    """Each answer is whole, the file is not."""
    leave_partial(directory, CONTENT[PSG][:100_000])
    piece = {"Content-Range": f"bytes 100000-199999/{SIZE}", "Content-Length": "100000"}
    server.answers = [Answer(headers=piece, stop_after=100_000)]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [100_000, 200_000] and contents(directory) == WHOLE


def test_the_next_process_resumes(server: Server, recording: Recording, directory: Path) -> None:
    leave_partial(directory, CONTENT[PSG][:123_456])
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [123_456] and contents(directory) == WHOLE


def test_a_whole_partial_file_needs_no_request(server: Server, recording: Recording, directory: Path) -> None:
    leave_partial(directory, CONTENT[PSG])
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [] and contents(directory) == WHOLE


def test_a_server_without_ranges_starts_over(server: Server, recording: Recording, directory: Path) -> None:
    leave_partial(directory, CONTENT[PSG][:100_000])
    server.answers = [Answer(ranges=False)]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [100_000] and contents(directory) == WHOLE


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers={"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}),
        Answer(headers={"Content-Range": "nonsense"}),
        Answer(status=416),
    ],
)
def test_a_wrong_range_starts_over(server: Server, recording: Recording, directory: Path, answer: Answer) -> None:
    leave_partial(directory, CONTENT[PSG][:100_000])
    server.answers = [answer]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [100_000, None] and contents(directory) == WHOLE


def test_a_partial_file_that_is_too_long_starts_over(server: Server, recording: Recording, directory: Path) -> None:
    leave_partial(directory, CONTENT[PSG] + b"more")
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [SIZE + 4, None] and contents(directory) == WHOLE


def test_pieces_of_two_versions_are_not_joined(server: Server, recording: Recording, directory: Path) -> None:
    leave_partial(directory, bytes(100_000))
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [100_000, None] and contents(directory) == WHOLE


# ---- lengths and bytes that are wrong


def test_a_length_that_is_too_large_costs_one_attempt(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(headers={"Content-Length": str(SIZE + 10)}, stop_after=SIZE)]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None] and contents(directory) == WHOLE


@pytest.mark.parametrize("length", [str(SIZE - 10), "many", "-1"])
def test_a_wrong_length_never_gives_a_wrong_file(
    server: Server, recording: Recording, directory: Path, length: str
) -> None:
    """The connection ends after the body, so that a length that says nothing does no harm."""
    server.answers = [Answer(headers={"Content-Length": length}, stop_after=SIZE)]
    fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == WHOLE and (directory / PSG).read_bytes() == CONTENT[PSG]


def test_wrong_bytes_of_the_right_size(server: Server, recording: Recording, directory: Path) -> None:
    wrong = bytes(SIZE)
    server.files[PSG] = wrong
    found = sha256(wrong).hexdigest()
    with pytest.raises(
        BenchmarkError,
        match=rf"what came is not {PSG}, twice, and was removed: its SHA-256 is {found} \({SIZE} bytes\), expected "
        f"{recording.file('psg').sha256}; check base_url and whether a proxy",
    ):
        fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None, None] and contents(directory) == []


def test_wrong_bytes_once(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(body=bytes(SIZE))]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None, None] and contents(directory) == WHOLE


def test_a_web_page_is_recognised_and_costs_nothing(server: Server, recording: Recording, directory: Path) -> None:
    leave_partial(directory, CONTENT[PSG][:100_000])
    server.answers = [Answer(body=b"\n<!DOCTYPE html><title>Log in</title>", ranges=False)]
    with pytest.raises(BenchmarkError, match=r"a web page came instead of .*Log in.*100000 bytes are kept.*proxy"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 1 and (directory / PARTIAL).stat().st_size == 100_000


# ---- sizes that are known

MUCH = 10**12
LONG = "9" * 5000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(headers={"Content-Length": str(SIZE + 1)}), f"says that it has {SIZE + 1} bytes, expected {SIZE}; "),
        (Answer(headers={"Content-Length": str(SIZE - 1)}), f"says that it has {SIZE - 1} bytes, expected {SIZE}; "),
        (Answer(headers={"Content-Length": str(MUCH)}), f"says that it has {MUCH} bytes, expected {SIZE}; check"),
        (Answer(body=b"EDF"), f"says that it has 3 bytes, expected {SIZE}; check base_url and whether a proxy"),
        (Answer(body=b"<html>Log in\x1b]0;owned\x07"), "a web page came instead of .*Log in"),
        (Answer(body=b"\x1b[2J<"), "says that it has 5 bytes, expected"),
    ],
)
def test_a_server_that_has_another_size_is_not_believed(
    server: Server, sized: Recording, directory: Path, answer: Answer, said: str
) -> None:
    server.answers = [answer]
    with pytest.raises(BenchmarkError, match=said) as error:
        fetch_recording(sized, directory, server.base_url)
    assert len(server.requests) == 1 and contents(directory) == []
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "length", [LONG, f"-{LONG}", "-1", "+300000", " ", "many", "٣", "1e6", f"{SIZE}, {SIZE}", "0x10"]
)
@pytest.mark.parametrize("which", ["recording", "sized"])
def test_a_length_that_says_nothing_does_no_harm(
    server: Server, directory: Path, length: str, which: str, request: pytest.FixtureRequest
) -> None:
    server.answers = [Answer(headers={"Content-Length": length.encode().decode("latin-1")}, stop_after=SIZE)]
    fetch_recording(request.getfixturevalue(which), directory, server.base_url)
    assert contents(directory) == WHOLE


@pytest.mark.parametrize(
    "extent", [f"bytes {LONG}-1/2", f"bytes 100-1/{LONG}", f"bytes 100-{LONG}/*", "bytes -1/-1", "bytes ٣"]
)
def test_a_range_that_says_nothing_starts_over(server: Server, sized: Recording, directory: Path, extent: str) -> None:
    leave_partial(directory, CONTENT[PSG][:100])
    server.answers = [Answer(headers={"Content-Range": extent.encode().decode("latin-1")})]
    fetch_recording(sized, directory, server.base_url)
    assert server.asked(PSG) == [100, None] and contents(directory) == WHOLE


def test_an_endless_body_ends_where_the_file_would(
    server: Server, sized: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(download, "CHUNK_BYTES", 10_000)
    server.answers = [Answer(body=bytes(50 * SIZE), chunked=True)] * 2
    with pytest.raises(
        BenchmarkError, match=rf"what came is not {PSG}, twice, and was removed.*expected .*{SIZE} byte"
    ):
        fetch_recording(sized, directory, server.base_url)
    assert f"more than the {SIZE} bytes with" in capsys.readouterr().out
    assert len(server.requests) == 2 and contents(directory) == []


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_without_end_of_a_file_of_unknown_size(
    server: Server, recording: Recording, directory: Path, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MOST_BYTES", 50_000)
    server.answers = [Answer(body=bytes(2 * SIZE), chunked=chunked)] * 2
    said = "50001 bytes" if chunked else f"has {2 * SIZE} bytes, expected at most 50000 of a recording"
    with pytest.raises(BenchmarkError, match=said):
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == []


def test_a_body_that_is_packed_is_not_unpacked(server: Server, sized: Recording, directory: Path) -> None:
    """A bomb would be."""
    server.answers = [Answer(headers={"Content-Encoding": "gzip"})]
    fetch_recording(sized, directory, server.base_url)
    assert contents(directory) == WHOLE


def test_a_partial_file_that_is_too_long_is_not_asked_about(server: Server, sized: Recording, directory: Path) -> None:
    leave_partial(directory, CONTENT[PSG] + b"more")
    fetch_recording(sized, directory, server.base_url)
    assert server.asked(PSG) == [None] and contents(directory) == WHOLE


@pytest.mark.parametrize(
    "line", [b"banana\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 " + b"x" * 100_000, b""]
)
def test_an_answer_that_is_no_http(
    server: Server, sized: Recording, directory: Path, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [Answer(raw=line)] * 20
    with pytest.raises(BenchmarkError, match=r"6 attempts in a row.*check the network"):
        fetch_recording(sized, directory, server.base_url)
    assert len(server.requests) == 6 and contents(directory) == []


def test_headers_without_end(server: Server, sized: Recording, directory: Path) -> None:
    server.answers = [Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200)] * 20
    with pytest.raises(BenchmarkError, match=r"6 attempts in a row .*headers"):
        fetch_recording(sized, directory, server.base_url)


def test_what_a_server_says_cannot_act_on_the_terminal(
    server: Server, sized: Recording, directory: Path, capsys: pytest.CaptureFixture
) -> None:
    server.answers = [Answer(raw=b"HTTP/1.1 503 \x1b[2Jbusy\r\nContent-Length: 0\r\n\r\n")] * 5
    server.answers.append(Answer(raw=b"HTTP/1.1 403 \x1b]0;owned\x07\r\nContent-Length: 0\r\n\r\n"))
    with pytest.raises(BenchmarkError, match=r"refuses the file \(403 ") as error:
        fetch_recording(sized, directory, server.base_url)
    said = str(error.value) + capsys.readouterr().out.replace("\n", "")
    assert said.isprintable() and "\\x1b[2Jbusy" in said


# ---- statuses


def test_not_found(server: Server, recording: Recording, directory: Path) -> None:
    wrong = server.base_url.replace("1.0.0", "9.9.9")
    with pytest.raises(BenchmarkError, match=rf"{wrong}sleep-cassette/{PSG}: not found \(404.*check base_url"):
        fetch_recording(recording, directory, wrong)
    assert len(server.requests) == 1 and contents(directory) == []


def test_refused_by_the_server(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(status=403)]
    with pytest.raises(BenchmarkError, match=r"refuses the file \(403 Forbidden, expected 200\)"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 1 and contents(directory) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507])
def test_busy_servers_are_asked_again_ever_later(
    server: Server, recording: Recording, directory: Path, waits: list[float], status: int
) -> None:
    server.answers = [Answer(status=status)] * 3
    fetch_recording(recording, directory, server.base_url)
    assert waits == [2, 4, 8] and contents(directory) == WHOLE


def test_a_server_that_stays_busy(server: Server, recording: Recording, directory: Path, waits: list[float]) -> None:
    server.answers = [Answer(status=503)] * 50
    with pytest.raises(BenchmarkError, match=r"6 attempts in a row .*503 Service Unavailable.*into .* by hand"):
        fetch_recording(recording, directory, server.base_url)
    assert waits == [2, 4, 8, 16, 32] and len(server.requests) == 6 and contents(directory) == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("clock", [0, -7200, 7200], ids=["right", "slow", "fast"])
def test_the_server_says_how_long_to_wait(
    server: Server, recording: Recording, directory: Path, waits: list[float], status: int, clock: int
) -> None:
    """In seconds or as a date, which is read by the server's own clock, however wrong that is."""
    now = time.time() + clock
    date = {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + 120, usegmt=True)}
    past = {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now - 120, usegmt=True)}
    server.answers = [Answer(status=status, headers=headers) for headers in ({"Retry-After": "77"}, date, past)]
    server.answers.append(Answer(status=status, headers={"Retry-After": "soon"}))
    fetch_recording(recording, directory, server.base_url)
    assert waits == [77, 120, 0, 16]


@pytest.mark.parametrize("as_date", [False, True])
def test_a_wait_that_is_too_long_is_left_to_the_user(
    server: Server, recording: Recording, directory: Path, waits: list[float], as_date: bool
) -> None:
    asked = formatdate(time.time() + 3600, usegmt=True) if as_date else "3600"
    leave_partial(directory, CONTENT[PSG][:100_000])
    server.answers = [Answer(status=503, headers={"Retry-After": asked})]
    with pytest.raises(
        BenchmarkError,
        match=r"503 .*come back in 3[56]\d\d s, expected at most 300 s; 100000 bytes are kept.*run again after 20\d\d-",
    ):
        fetch_recording(recording, directory, server.base_url)
    assert waits == [] and len(server.requests) == 1 and contents(directory) == [PARTIAL]


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_followed_and_keep_the_range(
    server: Server, recording: Recording, directory: Path, status: int
) -> None:
    """To another path of another host, and on from where the transfer broke off."""
    with serving({"elsewhere": CONTENT[PSG]}) as other:
        location = {"Location": other.base_url.replace("127.0.0.1", "localhost") + "sleep-cassette/elsewhere"}
        server.answers = [Answer(status=status, headers=location)] * 2
        other.answers = [Answer(stop_after=100_000)]
        fetch_recording(recording, directory, server.base_url)
    assert other.asked("elsewhere") == [None, 100_000]
    assert contents(directory) == WHOLE


@pytest.mark.parametrize(
    ("before", "target", "leads_to"),
    [
        ("http://a/b/c", "d", "http://a/b/d"),
        ("http://a/b", "HTTP://c/d", "http://c/d"),
        ("http://a/b", "https://c/d", "https://c/d"),
        ("https://a/b", "//c/d", "https://c/d"),
        ("https://a/b", "http://a/b", None),
        ("https://a/b", "file:///etc/passwd", None),
        ("http://a/b", "file:///etc/passwd", None),
        ("http://a/b", "ftp://a/b", None),
        ("http://a/b", "data:text/plain,x", None),
        ("http://a/b", "javascript:1", None),
    ],
)
def test_where_redirects_are_followed_to(before: str, target: str, leads_to: str | None) -> None:
    if leads_to:
        assert download.followed(before, target) == leads_to
    else:
        with pytest.raises(requests.RequestException, match=r"redirects to .* not followed"):
            download.followed(before, target)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[::1", "http://", "http://\x01"])
def test_a_redirect_to_what_is_no_address(server: Server, sized: Recording, directory: Path, target: str) -> None:
    server.answers = [Answer(status=302, headers={"Location": target})] * 20
    with pytest.raises(BenchmarkError, match=f"{PSG}: (cannot be fetched .*check base_url|6 attempts in a row)"):
        fetch_recording(sized, directory, server.base_url)
    assert contents(directory) == []


def test_the_body_of_a_redirect_is_not_read(server: Server, sized: Recording, directory: Path) -> None:
    """It may have no end."""
    location = b"Location: " + (FOLDER + PSG).encode() + b"\r\n"
    server.answers = [Answer(raw=b"HTTP/1.1 302 Found\r\n" + location + b"\r\n", then="stall")]
    fetch_recording(sized, directory, server.base_url)
    assert contents(directory) == WHOLE


def test_a_redirect_in_circles(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(status=302, headers={"Location": FOLDER + PSG})] * 100
    with pytest.raises(BenchmarkError, match=r"cannot be fetched \(Exceeded \d+ redirects.*check base_url"):
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == []


# ---- no server


def test_nobody_listens(server: Server, recording: Recording, directory: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(BenchmarkError, match=f"{PSG}: 6 attempts .*refused.*check the network"):
            fetch_recording(recording, directory, url)
    assert contents(directory) == []


def test_no_such_host(server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(BenchmarkError, match=r"6 attempts.*name resolution.*check the network"):
        fetch_recording(recording, directory, "https://physionet.example/files/")


def test_not_a_url(server: Server, recording: Recording, directory: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"physionet\.org/files/sleep-cassette.*cannot be fetched.*base_url"):
        fetch_recording(recording, directory, "physionet.org/files")
    assert contents(directory) == []


# ---- disks and folders


def test_a_full_disk_loses_nothing(
    server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [120_000]

    class SmallDisk(io.FileIO):
        def write(self, data: memoryview) -> int:
            written = super().write(data[: room[0]])
            room[0] -= written
            if not written:
                raise OSError(errno.ENOSPC, "No space left on device")
            return written

    def open_on_small_disk(path: Path, mode: str, **_: object) -> object:
        return io.BufferedWriter(SmallDisk(path, mode[0]))

    monkeypatch.setattr(download, "open", open_on_small_disk, raising=False)
    with pytest.raises(
        BenchmarkError,
        match=f"{directory / PSG}: the disk is full: {SIZE} bytes are needed in {directory}; "
        f"120000 bytes are kept in {directory / PARTIAL}, the next run resumes there; make room and run again",
    ):
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == [PARTIAL]
    room[0] = SIZE
    server.requests.clear()
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [120_000] and contents(directory) == WHOLE


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that cannot be written, with both files in right/; root, who can write anywhere, becomes nobody."""
    folder = Path(tempfile.mkdtemp())
    (folder / "right").mkdir()
    for name, content in CONTENT.items():
        (folder / "right" / name).write_bytes(content)
    (folder / "right").chmod(0o555)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    (folder / "right").chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_cannot_be_written(
    server: Server, recording: Recording, locked_folder: Path, below: bool
) -> None:
    folder = locked_folder / "data" if below else locked_folder
    with pytest.raises(
        BenchmarkError, match=rf"{folder / PSG}: cannot be written \(Permission denied\); check the folder {folder} and"
    ):
        fetch_recording(recording, folder, server.base_url)
    assert server.requests == [] and contents(locked_folder) == ["right"]


def test_files_in_a_folder_that_cannot_be_written_are_fine(recording: Recording, locked_folder: Path) -> None:
    fetch_recording(recording, locked_folder / "right", "http://127.0.0.1:9/")
    assert contents(locked_folder / "right") == WHOLE


def test_a_folder_that_cannot_be_searched(recording: Recording, locked_folder: Path) -> None:
    euid = os.geteuid()
    os.seteuid(os.getuid())
    locked_folder.chmod(0o444)
    os.seteuid(euid)
    with pytest.raises(BenchmarkError, match=rf"{locked_folder}: cannot be searched \(Permission denied\)"):
        fetch_recording(recording, locked_folder, "http://127.0.0.1:9/")


def test_room_is_looked_for_before_anything_is_fetched(
    server: Server, sized: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=SIZE - 100_000))
    monkeypatch.setattr(download, "shutil", usage)
    with pytest.raises(
        BenchmarkError,
        match=f"{directory}: the disk has 200000 bytes free, {SIZE + 4000} are needed for {PSG} and {HYPNOGRAM}; make",
    ):
        fetch_recording(sized, directory, server.base_url)
    assert server.requests == [] and not directory.exists()
    leave_partial(directory, CONTENT[PSG][:150_000])  # takes its room already
    fetch_recording(sized, directory, server.base_url)
    assert contents(directory) == WHOLE


def test_room_for_what_the_server_says(
    server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=1000)))
    with pytest.raises(BenchmarkError, match=rf"{PSG}: the disk is full: {SIZE} bytes are needed in"):
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == []


def become_a_link(partial: Path, victim: Path) -> None:
    partial.symlink_to(victim)


def become_a_second_name(partial: Path, victim: Path) -> None:
    partial.hardlink_to(victim)


def become_a_dead_link(partial: Path, victim: Path) -> None:
    partial.symlink_to(victim.with_name("new"))


def become_a_pipe(partial: Path, _: Path) -> None:
    os.mkfifo(partial)


@pytest.mark.parametrize("become", [become_a_link, become_a_second_name, become_a_dead_link, become_a_pipe])
def test_nothing_is_written_through_what_lies_there(
    server: Server, sized: Recording, directory: Path, tmp_path: Path, become: Callable[[Path, Path], None]
) -> None:
    directory.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_bytes(b"of somebody")
    become(directory / PARTIAL, victim)
    fetch_recording(sized, directory, server.base_url)
    assert victim.read_bytes() == b"of somebody" and contents(tmp_path) == ["data", "victim"]
    assert contents(directory) == WHOLE and (directory / PSG).stat().st_nlink == 1


def test_a_partial_file_of_somebody_else_is_not_continued(
    server: Server, sized: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could still write to it after it was checked."""
    leave_partial(directory, CONTENT[PSG][:1000])
    with (
        monkeypatch.context() as patch,
        pytest.raises(BenchmarkError, match=r"cannot be written \(it is not this user"),
    ):
        patch.setattr(download.os, "geteuid", lambda: os.getuid() + 1)
        fetch_recording(sized, directory, server.base_url)  # nor is what was made a moment ago, by another
    assert server.asked(PSG) == [None]


def test_a_link_in_place_of_the_lock_is_not_followed(
    server: Server, sized: Recording, directory: Path, tmp_path: Path
) -> None:
    directory.mkdir(parents=True)
    (tmp_path / "victim").write_bytes(b"of somebody")
    (directory / LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(BenchmarkError, match=f"{PSG}: cannot be written"):
        fetch_recording(sized, directory, server.base_url)
    assert (tmp_path / "victim").read_bytes() == b"of somebody"


def test_directory_that_is_a_file(server: Server, recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BenchmarkError, match=f"{tmp_path / 'file'}: is a file, expected the folder"):
        fetch_recording(recording, tmp_path / "file", server.base_url)


def test_one_file_right_the_other_wrong_on_the_server(server: Server, recording: Recording, directory: Path) -> None:
    """What is whole and right stays, so that the next run need not fetch it again."""
    psg, scoring = recording.files
    wrong = replace(recording, files=(psg, replace(scoring, sha256="0" * 64)))
    with pytest.raises(BenchmarkError, match=HYPNOGRAM):
        fetch_recording(wrong, directory, server.base_url)
    assert contents(directory) == [PSG]


# ---- processes


def test_interruption_keeps_what_has_come(
    server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: LogProgress, n_bytes: int) -> None:
        assert contents(directory) == [LOCK, PARTIAL]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LogProgress, "update", interrupt)
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == [PARTIAL]
    fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == WHOLE


def test_a_killed_process_loses_nothing(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(stop_after=200_000, then="stall")]
    with start_fetch(recording, directory, server.base_url) as process:
        wait_until(lambda: (directory / PARTIAL).exists() and (directory / PARTIAL).stat().st_size == 200_000)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert contents(directory) == [LOCK, PARTIAL]
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None, 200_000] and contents(directory) == WHOLE


def test_a_process_killed_between_two_files(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(), Answer(stop_after=1_000, then="stall")]
    partial = directory / f".{HYPNOGRAM}.partial"
    with start_fetch(recording, directory, server.base_url) as process:
        wait_until(lambda: partial.exists() and partial.stat().st_size == 1_000)
        process.send_signal(signal.SIGKILL)
    fetch_recording(recording, directory, server.base_url)
    assert server.asked(PSG) == [None] and server.asked(HYPNOGRAM) == [None, 1_000]
    assert contents(directory) == WHOLE


def test_two_processes_download_once(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [Answer(stop_after=200_000, then="stall")]
    with start_fetch(recording, directory, server.base_url) as first:
        wait_until(lambda: (directory / PARTIAL).exists() and (directory / PARTIAL).stat().st_size == 200_000)
        with start_fetch(recording, directory, server.base_url) as second:
            line = second.stdout.readline()
            assert line == f"{directory / PSG}: another process is fetching it; waiting for that one\n"
            server.released.set()  # the first one's connection ends, and it goes on
            assert second.wait(60) == 0, second.stdout.read()
        assert first.wait(60) == 0, first.stdout.read()
    assert server.asked(PSG) == [None, 200_000] and server.asked(HYPNOGRAM) == [None]
    assert contents(directory) == WHOLE


def test_many_at_once_download_once(server: Server, recording: Recording, directory: Path) -> None:
    """Locks are removed while others wait for them; none may slip through."""
    server.answers = [Answer(piece=50_000, pause=0.01)]
    threads = [threading.Thread(target=fetch_recording, args=(recording, directory, server.base_url)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked(PSG) == [None] and server.asked(HYPNOGRAM) == [None]
    assert contents(directory) == WHOLE


# ---- progress


def test_progress_is_printed_in_lines(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(download, "time", SimpleNamespace(monotonic=lambda: now[0]))
    progress = LogProgress(PSG, done=2_000_000, total=26_000_000)
    for _ in range(23):
        progress.update(1_000_000)
    now[0] = 11
    progress.update(1)
    assert capsys.readouterr().out.splitlines() == [
        f"{PSG}: 12.0 of 26.0 MB",
        f"{PSG}: 22.0 of 26.0 MB",
        f"{PSG}: 25.0 of 26.0 MB",
    ]


# ---- databases whose checksums nobody knows


def unknown(recording: Recording) -> Recording:
    return replace(recording, files=tuple(replace(file, sha256=None) for file in recording.files))


def test_files_without_a_known_checksum_are_right_as_they_are(recording: Recording, directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, content in CONTENT.items():
        (directory / name).write_bytes(content)
    receipt = fetch_files(unknown(recording), directory, None)
    assert receipt["psg"]["sha256"] == recording.file("psg").sha256 and receipt["scoring"]["bytes"] == 4_000


def test_files_without_a_known_checksum_are_not_downloaded(
    server: Server, recording: Recording, directory: Path
) -> None:
    with pytest.raises(BenchmarkError, match=f"no SHA-256 is known to check a download by; put them into {directory}"):
        fetch_files(unknown(recording), directory, server.base_url)
    assert server.requests == []
