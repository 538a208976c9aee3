import hashlib
import threading
import time

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import (
    read_document,
    read_json,
    read_unchanged,
    replacing,
    replacing_directory,
    sha256_of_file,
    sha256_of_json,
    write_document,
    write_json,
)


def test_file_appears_whole_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]
    assert target.read_text() == "whole"


def test_failure_keeps_the_old_file_and_removes_the_new(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_a_directory_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "below" / "a"
    for content in ("first", "second"):
        with replacing_directory(target) as temporary:
            (temporary / f"{content}.txt").write_text(content)
            assert content == "first" or (target / "first.txt").exists()
    with pytest.raises(RuntimeError), replacing_directory(target) as temporary:
        (temporary / "third.txt").write_text("half")
        raise RuntimeError
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.txt"))] == ["below/a/second.txt"]
    assert [path.name for path in target.parent.iterdir()] == ["a"]


def test_a_directory_that_a_killed_process_had_moved_away_is_put_back(tmp_path):
    (tmp_path / ".a.old").mkdir()
    (tmp_path / ".a.old" / "first.txt").write_text("first")
    with pytest.raises(RuntimeError), replacing_directory(tmp_path / "a"):
        raise RuntimeError
    assert (tmp_path / "a" / "first.txt").read_text() == "first"


def test_what_a_killed_process_left_is_replaced(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    temporary.write_text("half, then killed")
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_is_read_as_it_was_recorded_or_not_at_all(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"as written")
    recorded = sha256_of_file(path)
    assert read_unchanged(path, recorded) == b"as written"
    path.write_bytes(b"as written, and more")
    message = (
        rf"a\.csv: was changed since it was written: SHA-256 {sha256_of_file(path)[:12]}…, expected {recorded[:12]}…"
    )
    with pytest.raises(BenchmarkError, match=message):
        read_unchanged(path, recorded)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"a\.csv: is missing"):
        read_unchanged(path, recorded)


def test_hashes(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    assert read_json(tmp_path / "a.json") == {"a": [2], "b": 1}
    assert sha256_of_file(tmp_path / "a.json") == hashlib.sha256((tmp_path / "a.json").read_bytes()).hexdigest()
    assert sha256_of_json({"a": 1, "b": 2}) == sha256_of_json({"b": 2, "a": 1}) != sha256_of_json({"a": 1, "b": 3})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "nan.json", float("nan"))
    assert not (tmp_path / "nan.json").exists()


def test_a_document_is_read_as_it_was_written_or_not_at_all(tmp_path):
    """Whichever bit is flipped: where the bytes still say the same, nothing is lost."""
    path, content = tmp_path / "a.json", {"name": "é", "rate": 1e-7, "n": [1, 2.5, None, True], "of": {"b": "c"}}
    write_document(path, content | {"n": tuple(content["n"])})
    whole = path.read_bytes()
    assert read_document(path) == content
    refused = 0
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert read_document(path) == content
        except BenchmarkError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and str(error).endswith("; delete it and run again")
    assert refused > 0.97 * 8 * len(whole)
    path.write_bytes(whole[:-20])
    with pytest.raises(BenchmarkError, match=r"a\.json: is not whole .*; delete it and make it again: quickly"):
        read_document(path, "delete it and make it again: quickly")
    write_json(path, content)
    with pytest.raises(BenchmarkError, match=r"a\.json: is no document that holds its own hash"):
        read_document(path)
    path.unlink()
    with pytest.raises(BenchmarkError, match=r"a\.json: is missing; make it again: quickly"):
        read_document(path, "delete it and make it again: quickly")


def test_two_that_write_one_file_write_it_one_after_the_other(tmp_path, capsys):
    """A job that outlived its Snakemake, and the one that was started after it."""
    path, order = tmp_path / "a.txt", []

    def second():
        with replacing(path) as temporary:
            order.append("second")
            temporary.write_text("second")

    with replacing(path) as temporary:
        temporary.write_text("fir")
        thread = threading.Thread(target=second)
        thread.start()
        said = ""
        for _ in range(1000):
            said += capsys.readouterr().err
            if said:
                break
            time.sleep(0.01)
        assert f"waiting for another process to write {path}" in said
        assert not order and not path.exists()
        temporary.write_text("first")
    thread.join(10)
    assert order == ["second"] and path.read_text() == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
