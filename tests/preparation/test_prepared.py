"""Prepared recordings: they load when their files are all there and agree, and not otherwise."""

from pathlib import Path

import pytest
from edf_files import prepare_night, write_night

from sleepbench.core.errors import BenchmarkError
from sleepbench.preparation.prepared import load_prepared

FPZ = {"eeg1": "EEG Fpz-Cz"}


@pytest.mark.parametrize("name", ["SC4001.npy", "SC4001.epochs.csv", "SC4001.json"])
def test_prepared_files_must_all_be_there_and_agree(tmp_path: Path, name: str) -> None:
    prepare_night(tmp_path, write_night(tmp_path), montage=FPZ)
    folder = tmp_path / "prepared"
    content = (folder / name).read_bytes()
    damaged = [content[: len(content) // 2], b"", content + b"1,2,3\n"]
    if name.endswith("csv"):
        damaged += [
            content.replace(b",1,1\n", b",0,1\n", 1),
            content.replace(b"epoch,", b"index,"),
            content[:-1] + b"x\n",
        ]
    if name.endswith("json"):
        damaged += [content.replace(b'"epochs_kept": 147', b'"epochs_kept": 146'), b"[]", b"{}"]
    for bytes_ in damaged:
        (folder / name).write_bytes(bytes_)
        with pytest.raises(BenchmarkError, match="prepare it again"):
            load_prepared(folder / "SC4001.npy")
    (folder / name).unlink()
    with pytest.raises(BenchmarkError, match=f"{name}: missing, so SC4001 is not prepared"):
        load_prepared(folder / "SC4001.npy")


def test_unknown_trimming(tmp_path: Path) -> None:
    prepare_night(tmp_path, write_night(tmp_path), montage=FPZ)
    with pytest.raises(BenchmarkError, match="the trimming is 'all'; the nearest known name is "):
        load_prepared(tmp_path / "prepared" / "SC4001.npy").trimmed("all")
