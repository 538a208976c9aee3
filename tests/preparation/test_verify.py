"""Hashing a dataset's files again."""

import io
import os
import re
import shutil
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from sleepbench.datasets.recordings import Recording, write_recordings
from sleepbench.signals import verify
from sleepbench.signals.verify import ExpectedFile, Progress, main, verify_files

REPOSITORY = Path(__file__).resolve().parents[2]
SUBJECTS = 20
TABLE = "workflow/resources/sleep_edf_recordings.csv"
RAW = Path("results/data/sleep-edf/raw")
SIMULATED = Path("results/data/simulated")


def content_of(name: str) -> bytes:
    return name.encode() * 1000


def recordings(n_subjects: int) -> list[Recording]:
    """One night each of so many subjects."""
    return [
        Recording(f"SC4{n:02}1", f"{n:02}", 1, psg, hash_of(psg), hypnogram, hash_of(hypnogram), 33, "F")
        for n in range(n_subjects)
        for psg, hypnogram in [(f"SC4{n:02}1E0-PSG.edf", f"SC4{n:02}1EC-Hypnogram.edf")]
    ]


def hash_of(name: str) -> str:
    return sha256(content_of(name)).hexdigest()


def write_files(folder: Path, n_subjects: int) -> None:
    folder.mkdir(parents=True)
    for recording in recordings(n_subjects):
        for name in (recording.psg, recording.hypnogram):
            (folder / name).write_bytes(content_of(name))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the config, the table of 21 subjects, and the right files of the first 20."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "config.yaml", "config.yaml")
    write_recordings(TABLE, recordings(SUBJECTS + 1))
    write_files(RAW, SUBJECTS)
    return tmp_path


def set_config(**data: object) -> None:
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    config["data"] |= data
    Path("config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def test_all_right(repository: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sleep-edf-20"]) == 0
    printed = capsys.readouterr().out
    assert "sleep-edf-20: 40 of 40 files right (0.00 GB hashed in " in printed
    assert "missing" not in printed and "wrong" not in printed and "What to do" not in printed


def test_a_copy_of_the_whole_data_set(repository: Path) -> None:
    """The user's own folder holds sleep-cassette/."""
    Path("mine").mkdir()
    RAW.rename("mine/sleep-cassette")
    assert main(["sleep-edf-20"]) == 1
    set_config(directory="mine")
    assert main(["sleep-edf-20"]) == 0


def test_another_table(repository: Path) -> None:
    write_recordings("other.csv", recordings(SUBJECTS + 1))
    Path(TABLE).unlink()
    set_config(table="other.csv", simulated=True)
    assert main(["sleep-edf-20"]) == 0


def test_missing_and_wrong_files_are_listed(repository: Path, capsys: pytest.CaptureFixture) -> None:
    first, second, third, *_ = (recording.psg for recording in recordings(3))
    (RAW / first).unlink()
    (RAW / second).write_bytes(b"mine")
    (RAW / third).unlink()
    (RAW / third).mkdir()
    Path(RAW / recordings(4)[3].psg).unlink()
    Path(RAW / recordings(4)[3].psg).symlink_to("/nonexistent/psg.edf")
    assert main(["sleep-edf-20"]) == 1
    printed = capsys.readouterr().out
    assert "sleep-edf-20: 36 of 40 files right" in printed
    assert f"1 missing:\n  {RAW / first}\n" in printed
    found = sha256(b"mine").hexdigest()
    assert f"3 wrong:\n  {RAW / second}: found SHA-256 {found} (4 bytes), expected {hash_of(second)}\n" in printed
    assert f"{RAW / third}: cannot be read (Is a directory)" in printed
    assert "SC4031E0-PSG.edf: cannot be read (No such file or directory)" in printed
    assert "What to do: move the wrong files away, then run `make data DATASET=sleep-edf-20`, which" in printed
    assert (RAW / second).read_bytes() == b"mine"


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: bytes([b[0] ^ 1]) + b[1:]])
def test_one_byte_is_enough(repository: Path, change: object) -> None:
    path = RAW / recordings(1)[0].hypnogram
    path.write_bytes(change(path.read_bytes()))
    assert main(["sleep-edf-20"]) == 1


def test_what_to_do_without_a_server(repository: Path, capsys: pytest.CaptureFixture) -> None:
    set_config(base_url=None)
    shutil.rmtree(RAW)
    assert main(["sleep-edf-20"]) == 1
    printed = capsys.readouterr().out
    assert "0 of 40 files right" in printed and "40 missing:" in printed
    assert f"What to do: put what is missing into {RAW}, or set data.base_url" in printed


def test_a_simulated_cohort(repository: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["simulated"]) == 1
    assert f"{SIMULATED / 'recordings.csv'}: not found" in capsys.readouterr().err
    write_recordings(SIMULATED / "recordings.csv", recordings(3))
    write_files(SIMULATED / "raw", 3)
    assert main(["simulated"]) == 0
    (SIMULATED / "raw" / recordings(1)[0].psg).write_bytes(b"")
    assert main(["simulated"]) == 1
    assert (
        f"What to do: delete {SIMULATED / 'recordings.csv'} and run `make data DATASET=simulated`"
        in capsys.readouterr().out
    )


def test_an_unknown_dataset(repository: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sleep-edf20"]) == 1
    error = capsys.readouterr().err
    assert "config.yaml: unknown dataset 'sleep-edf20'; the nearest known name is 'sleep-edf-20'" in error


def test_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulated"]) == 1
    assert re.search(r"config.yaml: not found in .*; run this from the root", capsys.readouterr().err)


def test_a_wrong_config(repository: Path, capsys: pytest.CaptureFixture) -> None:
    set_config(directry="mine")
    assert main(["sleep-edf-20"]) == 1
    assert "unknown key 'directry'" in capsys.readouterr().err


def test_as_a_command(repository: Path) -> None:
    """Its exit status and lines, not those of a call."""
    (RAW / recordings(1)[0].psg).unlink()
    command = [sys.executable, "-m", "sleepbench.signals.verify", "sleep-edf-20"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "39 of 40 files right" in result.stdout and result.stderr == ""


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
