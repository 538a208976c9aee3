"""The Croissant of the tables of recordings is of the tables as they are, and its own library reads them by it."""

import csv
import json

import croissant
import mlcroissant as mlc
import pytest


def test_it_is_of_the_tables_as_they_are():
    written = json.loads(croissant.CROISSANT.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(croissant.described())), "make it again: python tools/croissant.py"
    listed = {one["@id"] for one in written["distribution"]}
    recordings = {
        path.relative_to(croissant.RESOURCES).as_posix()
        for path in croissant.RESOURCES.rglob("*.csv")
        if path.read_text(encoding="utf-8").partition(",")[0] in ("id", "recording")
    }
    assert recordings == listed and len(listed) >= 3


def test_the_library_finds_nothing_wrong_and_reads_every_row():
    dataset = mlc.Dataset(croissant.CROISSANT)
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    for name in croissant.tables():
        with (croissant.RESOURCES / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        stem = name.rpartition("/")[2].removesuffix(".csv")
        found = list(dataset.records(stem))
        assert len(found) == len(rows)
        first = {key.partition("/")[2]: value for key, value in found[0].items()}
        texts = {key: value.decode() if isinstance(value, bytes) else str(value) for key, value in first.items()}
        texts = {key: "" if text in ("nan", "None") else text for key, text in texts.items()}
        assert {**texts, "subject": ""} == {**rows[0], "subject": ""}


def test_a_column_without_a_meaning_is_named(tmp_path, monkeypatch):
    (tmp_path / "known_epochs.csv").write_text("recording,psg_sha256,shoe_size\n")
    monkeypatch.setattr(croissant, "RESOURCES", tmp_path)
    with pytest.raises(SystemExit, match=r"known_epochs\.csv: has a column shoe_size; say what it is in COLUMNS"):
        croissant.described()
