"""Prepared recordings: they load when their files are as an index lists them, and not otherwise."""

from pathlib import Path

import numpy as np
import pytest
from edf_files import files_of, load_night, prepare_night, write_night

from sleepbench.core.errors import BenchmarkError
from sleepbench.preparation.prepared import load_prepared

FPZ = {"eeg1": "EEG Fpz-Cz"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared night."""
    folder = tmp_path_factory.mktemp("night")
    prepare_night(folder, write_night(folder), montage=FPZ)
    return folder / "prepared"


@pytest.mark.parametrize("name", ["SC4001.npy", "SC4001.epochs.csv", "SC4001.json"])
def test_a_file_that_is_not_as_it_was_prepared_is_named_with_what_to_delete(folder: Path, name: str) -> None:
    """Any bit of any file counts: here twenty of each are flipped, and the file is cut short, and longer."""
    files, path = files_of(folder / "SC4001.npy"), folder / name
    whole, random = path.read_bytes(), np.random.default_rng(0)
    damaged = [b"", whole[: len(whole) // 2], whole + b"1,2,3\n"]
    for bit in random.integers(8 * len(whole), size=20):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    every = ", ".join(f"{folder}/SC4001{suffix}" for suffix in (".npy", ".epochs.csv", ".json", ".quality.json"))
    remedy = f"; delete {every} and {folder}/recordings.json and run again: it is prepared again"
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(BenchmarkError) as refused:
            load_prepared(files)
        assert str(refused.value).startswith(f"{path}: was changed since it was written")
        assert str(refused.value).endswith(remedy)
    path.unlink()
    with pytest.raises(BenchmarkError, match=f"{name}: is missing"):
        load_prepared(files)
    path.write_bytes(whole)
    assert load_prepared(files).id == "SC4001"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("SC4001.epochs.csv", b",1,1\n", b",0,1\n"),
        ("SC4001.epochs.csv", b"epoch,", b"index,"),
        ("SC4001.epochs.csv", b"\n", b"\nx"),
        ("SC4001.json", b'"epochs_kept": 147', b'"epochs_kept": 146'),
        ("SC4001.json", b'"epochs_kept"', b'"epochs"'),
    ],
)
def test_files_must_agree(folder: Path, name: str, old: bytes, new: bytes) -> None:
    """Whatever their hashes are."""
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole.replace(old, new, 1))
    with pytest.raises(BenchmarkError, match=r"prepare it again|it is prepared again"):
        load_night(folder / "SC4001.npy")
    (folder / name).write_bytes(whole)


def test_unknown_trimming(folder: Path) -> None:
    with pytest.raises(BenchmarkError, match="the trimming is 'all'; the nearest known name is "):
        load_night(folder / "SC4001.npy").trimmed("all")
