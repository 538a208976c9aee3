"""Fetching recordings from a server on this machine: success, and every way to fail."""

import errno
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from edf_files import write_night

from sleepbench.data import download
from sleepbench.data.download import LogProgress, fetch_recording
from sleepbench.data.recordings import Recording
from sleepbench.errors import BenchmarkError
from sleepbench.files import sha256_of_file

ROOT = "/files/sleep-edfx/1.0.0/"
FOLDER = f"{ROOT}sleep-cassette/"


@dataclass
class Server:
    """What the server serves, what it was asked for, and the answers it gives first, in order.

    An answer is an HTTP status, or "cut" for half a body.
    """

    base_url: str
    files: dict[str, bytes]
    requests: list[str] = field(default_factory=list)
    answers: list[int | str] = field(default_factory=list)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    source = tmp_path / "source"
    source.mkdir()
    return write_night(source, [("W", 10), ("2", 10)])


@pytest.fixture
def server(tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "FIRST_WAIT_SECONDS", 0.01)
    files = {FOLDER + path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            answer = state.answers.pop(0) if state.answers else 200 if self.path in files else 404
            if isinstance(answer, int) and answer != 200:
                self.send_error(answer)
                return
            body = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if answer == "cut" else body)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{httpd.server_port}{ROOT}", files)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sleep-edf"


def contents(directory: Path) -> list[str]:
    """All that lies in a folder, hidden files too."""
    return sorted(path.name for path in directory.glob("*"))


@pytest.mark.parametrize("slash", ["/", ""])
def test_both_files_are_downloaded(server: Server, recording: Recording, directory: Path, slash: str) -> None:
    receipt = fetch_recording(recording, directory, server.base_url.rstrip("/") + slash)
    assert contents(directory) == sorted([recording.psg, recording.hypnogram])
    assert server.requests == [FOLDER + recording.psg, FOLDER + recording.hypnogram]
    assert receipt == {
        "recording": "SC4001",
        "psg": {
            "path": str(directory / recording.psg),
            "bytes": len(server.files[FOLDER + recording.psg]),
            "sha256": recording.psg_sha256,
        },
        "hypnogram": {
            "path": str(directory / recording.hypnogram),
            "bytes": len(server.files[FOLDER + recording.hypnogram]),
            "sha256": recording.hypnogram_sha256,
        },
    }
    assert sha256_of_file(receipt["psg"]["path"]) == recording.psg_sha256


@pytest.mark.parametrize("folder", ["", "sleep-cassette"])
@pytest.mark.parametrize("base_url", [None, "", "http://127.0.0.1:9/"])
def test_right_files_need_no_network(tmp_path: Path, recording: Recording, folder: str, base_url: str | None) -> None:
    directory = tmp_path / "mine"
    shutil.copytree(tmp_path / "source", directory / folder)
    receipt = fetch_recording(recording, directory, base_url)
    assert receipt["psg"]["path"] == str(directory / folder / recording.psg)


def test_only_what_is_absent_is_downloaded(server: Server, recording: Recording, directory: Path) -> None:
    fetch_recording(recording, directory, server.base_url)
    (directory / recording.hypnogram).unlink()
    server.requests.clear()
    fetch_recording(recording, directory, server.base_url)
    assert server.requests == [FOLDER + recording.hypnogram]


@pytest.mark.parametrize("folder", ["", "sleep-cassette"])
def test_a_wrong_file_is_named_and_left_alone(
    server: Server, recording: Recording, directory: Path, folder: str
) -> None:
    path = directory / folder / recording.psg
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(
        BenchmarkError, match=rf"{path}: its SHA-256 is .* \(4 bytes\), expected {recording.psg_sha256}"
    ):
        fetch_recording(recording, directory, server.base_url)
    assert path.read_bytes() == b"mine" and server.requests == []


def test_a_link_to_nothing_is_not_replaced(server: Server, recording: Recording, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / recording.psg).symlink_to("/nonexistent/disk/psg.edf")
    with pytest.raises(BenchmarkError, match=f"{recording.psg}: cannot be read"):
        fetch_recording(recording, directory, server.base_url)
    assert (directory / recording.psg).is_symlink()


def test_no_download_lists_what_is_missing(recording: Recording, directory: Path) -> None:
    with pytest.raises(BenchmarkError, match=f"{recording.psg} and {recording.hypnogram} of recording SC4001 missing"):
        fetch_recording(recording, directory, None)


def test_not_found(server: Server, recording: Recording, directory: Path) -> None:
    wrong = server.base_url.replace("1.0.0", "9.9.9")
    with pytest.raises(BenchmarkError, match=rf"{wrong}sleep-cassette/{recording.psg}: not found.*check data.base_url"):
        fetch_recording(recording, directory, wrong)
    assert len(server.requests) == 1 and contents(directory) == []


def test_refused_by_the_server(server: Server, recording: Recording, directory: Path) -> None:
    server.answers = [403]
    with pytest.raises(BenchmarkError, match="the server answered 403 Forbidden, expected 200"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 1 and contents(directory) == []


@pytest.mark.parametrize("answer", [503, 429, "cut"])
def test_failures_that_pass_are_tried_again(
    server: Server, recording: Recording, directory: Path, answer: int | str
) -> None:
    server.answers = [answer, answer]
    fetch_recording(recording, directory, server.base_url)
    assert server.requests == [FOLDER + recording.psg] * 3 + [FOLDER + recording.hypnogram]
    assert contents(directory) == sorted([recording.psg, recording.hypnogram])


@pytest.mark.parametrize("answer, message", [(503, "answered 503"), ("cut", "no whole one in 4 attempts")])
def test_failures_that_stay(
    server: Server, recording: Recording, directory: Path, answer: int | str, message: str
) -> None:
    server.answers = [answer] * 10
    with pytest.raises(BenchmarkError, match=message):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 4 and contents(directory) == []


def test_wrong_bytes_from_the_server(server: Server, recording: Recording, directory: Path) -> None:
    server.files[FOLDER + recording.psg] = b"<html>log in</html>"
    with pytest.raises(BenchmarkError, match=f"what came is not {recording.psg}.*{recording.psg_sha256}"):
        fetch_recording(recording, directory, server.base_url)
    assert len(server.requests) == 1 and contents(directory) == []


def test_nobody_listens(server: Server, recording: Recording, directory: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(BenchmarkError, match=f"{recording.psg}: no answer.*refused.*check the network"):
            fetch_recording(recording, directory, url)
    assert contents(directory) == []


def test_no_such_host(server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(BenchmarkError, match=r"no answer.*name resolution.*check the network"):
        fetch_recording(recording, directory, "https://physionet.example/files/")


def test_not_a_url(server: Server, recording: Recording, directory: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"physionet\.org/files/sleep-cassette.*cannot be fetched.*data.base_url"):
        fetch_recording(recording, directory, "physionet.org/files")
    assert contents(directory) == []


def test_full_disk(server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: LogProgress, n_bytes: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LogProgress, "update", full)
    n_bytes = len(server.files[FOLDER + recording.psg])
    with pytest.raises(BenchmarkError, match=f"disk is full: {n_bytes} bytes are needed in {directory}"):
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == []


def test_interruption(server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: LogProgress, n_bytes: int) -> None:
        assert contents(directory) == [f".{recording.psg}.partial"]
        raise KeyboardInterrupt

    monkeypatch.setattr(LogProgress, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == []


def test_leftovers_of_a_killed_process_are_removed(server: Server, recording: Recording, directory: Path) -> None:
    stale = directory / f".{recording.psg}.partial"
    stale.mkdir(parents=True)
    (stale / "tmpabc").write_bytes(b"half")
    fetch_recording(recording, directory, server.base_url)
    assert contents(directory) == sorted([recording.psg, recording.hypnogram])


def test_folder_without_permission(
    server: Server, recording: Recording, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BenchmarkError, match=rf"{recording.psg}: cannot be written \(Permission denied\).*permissions"):
        fetch_recording(recording, directory, server.base_url)


def test_directory_that_is_a_file(server: Server, recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BenchmarkError, match=f"{tmp_path / 'file' / recording.psg}: cannot be written"):
        fetch_recording(recording, tmp_path / "file", server.base_url)


def test_one_file_right_the_other_wrong_on_the_server(server: Server, recording: Recording, directory: Path) -> None:
    """What is whole and right stays, so that the next run need not fetch it again."""
    with pytest.raises(BenchmarkError, match=recording.hypnogram):
        fetch_recording(replace(recording, hypnogram_sha256="0" * 64), directory, server.base_url)
    assert contents(directory) == [recording.psg]


def test_progress_is_printed_in_lines(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(download.time, "monotonic", lambda: now[0])
    progress = LogProgress("SC4001E0-PSG.edf")
    progress.total = 24_000_000
    for _ in range(24):
        progress.update(1_000_000)
    now[0] = 11
    progress.update(1)
    progress.reset()
    progress.update(progress.total)
    progress.close()
    assert capsys.readouterr().out.splitlines() == [
        "SC4001E0-PSG.edf: 10.0 of 24.0 MB",
        "SC4001E0-PSG.edf: 20.0 of 24.0 MB",
        "SC4001E0-PSG.edf: 24.0 of 24.0 MB",
        "SC4001E0-PSG.edf: all 24.0 MB have come",
    ]
