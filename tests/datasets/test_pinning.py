"""Files of which nobody publishes a SHA-256: right as they are first seen, and never others afterwards."""

import hashlib
from pathlib import Path

import pytest
from file_server import Answer, serving

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets import download
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.download import PINNED, fetch_files, read_checksums, read_pinned

CONTENT = bytes(range(256)) * 400
NIGHT = Recording("n", "n", 1, (SourceFile("h5", "a/n.h5"),))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "FIRST_WAIT_SECONDS", 0.0)


def test_a_file_is_pinned_when_it_is_first_fetched(tmp_path: Path) -> None:
    with serving({"a/n.h5": CONTENT}, "/", "/") as server:
        receipt = fetch_files(NIGHT, tmp_path, server.base_url, pin=True)
        assert receipt["h5"]["sha256"] == SHA256 and read_pinned(tmp_path) == {"a/n.h5": SHA256}
        assert fetch_files(NIGHT, tmp_path, None, pin=True) == receipt and len(server.requests) == 1
        # gone, and another one at the server: what was pinned is what must come
        (tmp_path / "a" / "n.h5").unlink()
        server.files["a/n.h5"] = CONTENT[:-1] + b"x"
        with pytest.raises(BenchmarkError, match=r"what came is not n.h5, twice, .* expected " + SHA256):
            fetch_files(NIGHT, tmp_path, server.base_url, pin=True)


def test_what_is_there_by_hand_is_pinned_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "n.h5").write_bytes(CONTENT)
    fetch_files(NIGHT, tmp_path, None, pin=True)
    (tmp_path / "a" / "n.h5").write_bytes(b"other")
    with pytest.raises(BenchmarkError, match=r"n.h5: its SHA-256 is .*, expected .*; move it away"):
        fetch_files(NIGHT, tmp_path, None, pin=True)


def test_a_file_that_breaks_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    with serving({"a/n.h5": CONTENT}, "/", "/") as server:
        server.answers = [Answer(stop_after=70_000)]
        assert fetch_files(NIGHT, tmp_path, server.base_url, pin=True)["h5"]["sha256"] == SHA256
        assert server.asked("a/n.h5") == [None, 70_000]


def test_where_neither_checksum_nor_size_is_said_nothing_is_believed(tmp_path: Path) -> None:
    with serving({"a/n.h5": CONTENT}, "/", "/") as server:
        server.answers = [Answer(chunked=True)]
        with pytest.raises(BenchmarkError, match=r"nobody can tell whether all has come; put n.h5 into"):
            fetch_files(NIGHT, tmp_path, server.base_url, pin=True)
    assert not (tmp_path / "a" / "n.h5").exists() and not (tmp_path / PINNED).exists()


def test_without_pinning_nothing_is_fetched_that_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no SHA-256 is known to check a download by"):
        fetch_files(NIGHT, tmp_path, "http://127.0.0.1:1/")


@pytest.mark.parametrize("text", ["<html>", f"{SHA256[:-1]}  x", f"{SHA256}"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(f"{SHA256} *recordings/b.edf\n\n{text}\n")
    with pytest.raises(BenchmarkError, match=r"list, line 3: found .*, expected a SHA-256, a blank and the name"):
        read_checksums(tmp_path / "list")


def test_physionets_own_list_is_read(shared: Path) -> None:
    known = read_checksums(shared / "sleep-edf" / "SHA256SUMS.txt")
    path = shared / "sleep-edf" / "ST-subjects.xls"
    assert known["ST-subjects.xls"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sum(name.startswith("sleep-telemetry/") for name in known) == 88
