"""Hashing a dataset's files again."""

import io
import os
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from sleepbench.config.models import Config, DatasetDefinition
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Recording, SourceFile, SourceSettings
from sleepbench.datasets.recordings_table import write_recordings
from sleepbench.preparation import verify
from sleepbench.preparation.verify import ExpectedFile, Progress, verify_dataset, verify_files

SUBJECTS = 20
RAW = Path("results/data/sleep-edf/raw")
COHORT = Path("results/data/simulated")
SLEEP_EDF = {"reader": "sleep_edf_cassette", "subjects": SUBJECTS, "table": "recordings.csv", "simulated": True}
SIMULATED = {"reader": "simulated", "subjects": 3, "single_night_subjects": [0, 1, 2], "psg_hours": 2, "seed": 1}


def content_of(name: str) -> bytes:
    return name.encode() * 1000


def hash_of(name: str) -> str:
    return sha256(content_of(name)).hexdigest()


def recordings(n_subjects: int) -> list[Recording]:
    """One night each of so many subjects."""
    return [
        Recording(f"SC4{n:02}1", f"{n:02}", 1, tuple(SourceFile(role, name, hash_of(name)) for role, name in files))
        for n in range(n_subjects)
        for files in [[("psg", f"SC4{n:02}1E0-PSG.edf"), ("scoring", f"SC4{n:02}1EC-Hypnogram.edf")]]
    ]


def name_of(number: int, role: str = "psg") -> str:
    return recordings(number + 1)[number].file(role).name


def write_files(folder: Path, chosen: list[Recording]) -> None:
    folder.mkdir(parents=True)
    for recording in chosen:
        for file in recording.files:
            (folder / file.name).write_bytes(content_of(file.name))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a table of 21 subjects, and the right files of the first 20."""
    monkeypatch.chdir(tmp_path)
    write_recordings("recordings.csv", recordings(SUBJECTS + 1))
    write_files(RAW, recordings(SUBJECTS))
    return tmp_path


def verified(base_url: str | None = "http://127.0.0.1:9/", directory: Path = RAW, **dataset: object) -> bool:
    """Verify the dataset "d" of a configuration."""
    definition = DatasetDefinition.model_validate(dataset or SLEEP_EDF)
    data = {"sleep-edf": SourceSettings(directory=str(directory), base_url=base_url)}
    return verify_dataset(Config.model_construct(datasets={"simulated": definition}, data=data), "simulated", 2)


def test_all_right(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert verified()
    printed = capsys.readouterr().out
    assert "simulated: 40 of 40 files right (0.00 GB hashed in " in printed
    assert "missing" not in printed and "wrong" not in printed and "What to do" not in printed


def test_a_copy_of_the_whole_database(project: Path) -> None:
    """The user's own folder holds sleep-cassette/."""
    Path("mine").mkdir()
    RAW.rename("mine/sleep-cassette")
    assert not verified()
    assert verified(directory=Path("mine"))


def test_missing_and_wrong_files_are_listed(project: Path, capsys: pytest.CaptureFixture) -> None:
    first, second, third, fourth = map(name_of, range(4))
    (RAW / first).unlink()
    (RAW / second).write_bytes(b"mine")
    (RAW / third).unlink()
    (RAW / third).mkdir()
    (RAW / fourth).unlink()
    (RAW / fourth).symlink_to("/nonexistent/psg.edf")
    assert not verified()
    printed = capsys.readouterr().out
    assert "simulated: 36 of 40 files right" in printed
    assert f"1 missing:\n  {RAW / first}\n" in printed
    found = sha256(b"mine").hexdigest()
    assert f"3 wrong:\n  {RAW / second}: found SHA-256 {found} (4 bytes), expected {hash_of(second)}\n" in printed
    assert f"{RAW / third}: cannot be read (Is a directory)" in printed
    assert f"{fourth}: cannot be read (No such file or directory)" in printed
    assert "What to do: move the wrong files away, then run `sleepbench data fetch --datasets simulated`, wh" in printed
    assert (RAW / second).read_bytes() == b"mine"


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: bytes([b[0] ^ 1]) + b[1:]])
def test_one_byte_is_enough(project: Path, change: Callable[[bytes], bytes]) -> None:
    path = RAW / name_of(0, "scoring")
    path.write_bytes(change(path.read_bytes()))
    assert not verified()


def test_what_to_do_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Of the real files, which nobody can make again."""
    monkeypatch.chdir(tmp_path)
    assert not verified(base_url=None, reader="sleep_edf_cassette", subjects=20)
    printed = capsys.readouterr().out
    assert "0 of 78 files right" in printed and "78 missing:" in printed
    assert f"What to do: put what is missing into {RAW}, or set data.sleep-edf.base_url" in printed


def test_a_simulated_cohort_is_known_by_its_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchmarkError, match=r"no receipt of SC4001, SC4011, SC4021.*data fetch --datasets simulated"):
        verified(**SIMULATED)
    cohort = open_dataset("simulated", SIMULATED, {})
    write_files(COHORT / "raw", cohort.recordings())
    for recording in cohort.recordings():
        files = {
            file.role: {"path": str(COHORT / "raw" / file.name), "bytes": 1, "sha256": hash_of(file.name)}
            for file in recording.files
        }
        write_document(COHORT / "verified" / f"{recording.id}.json", {"recording": recording.id, **files})
    assert verified(**SIMULATED)
    (COHORT / "raw" / name_of(0)).write_bytes(b"")
    assert not verified(**SIMULATED)
    assert "What to do: move the wrong files away, then run `sleepbench data fetch" in capsys.readouterr().out


def test_files_are_read_side_by_side_and_outcomes_keep_their_order(tmp_path: Path) -> None:
    """Each of the four files ends only when all four have begun."""
    files = []
    for n in range(4):
        path = tmp_path / str(n)
        path.write_bytes(bytes([n]) * (4 - n))
        files.append(ExpectedFile(path, sha256(path.read_bytes()).hexdigest()))
    together = threading.Barrier(4, timeout=60)
    counted = []

    def progress(n_bytes: int, n_files: int) -> None:
        counted.append((n_bytes, n_files))
        if n_bytes:
            together.wait()

    outcomes = verify_files(files, 4, progress)
    assert [outcome.n_bytes for outcome in outcomes] == [4, 3, 2, 1] and all(outcome.right for outcome in outcomes)
    assert (sum(n for n, _ in counted), sum(n for _, n in counted)) == (10, 4)


def test_files_of_several_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "BLOCK_BYTES", 1000)
    content = os.urandom(12_345)
    (tmp_path / "file").write_bytes(content)
    (outcome,) = verify_files([ExpectedFile(tmp_path / "file", sha256(content).hexdigest())], 1)
    assert outcome.right and outcome.n_bytes == 12_345


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "stream, expected",
    [
        (io.StringIO(), "1 of 2 files, 10 MB/s, 5 s left\n2 of 2 files, 10 MB/s, 0 s left\n"),
        (Terminal(), "\r1 of 2 files, 10 MB/s, 5 s left\033[K\r2 of 2 files, 10 MB/s, 0 s left\033[K\r\033[K"),
    ],
)
def test_progress(stream: io.StringIO, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(verify.time, "monotonic", lambda: now[0])
    progress = Progress(2, 100_000_000, stream)
    progress(50_000_000, 0)  # too soon for a line
    now[0] = 5
    progress(0, 1)
    progress(50_000_000, 0)
    now[0] = 10
    progress(0, 1)
    progress.close()
    assert stream.getvalue() == expected
