"""An archive of somebody else is a file like any other: whatever is in it gives one error, and nothing else."""

import contextlib
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from malformed_archives import MANIFEST, WRITTEN, packed, signed
from planned_results import DATASET

from sleepbench.cli import app
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.limits import bounded_memory
from sleepbench.runs import archive as exchange
from sleepbench.runs.schema import check_file
from sleepbench.runs.unpack import unpack

MEMORY = 500 * 2**20
REAL = Path(__file__).parents[2] / "docs" / "real-5s" / "sleep-edf-20-5s-results.zip"


@pytest.fixture(scope="module")
def members(pristine, tmp_path_factory):
    """The members of an ordinary archive."""
    archive = tmp_path_factory.mktemp("archive") / "ordinary.zip"
    with contextlib.chdir(pristine.root):
        exchange.export(pristine.config, DATASET, archive)
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def everything(*roots):
    """All files below some directories, and when they were written."""
    return {path: path.lstat().st_mtime_ns for root in roots for path in root.rglob("*") if not path.is_dir()}


LARGE = ("predictions_with_three_million_rows", "training_of_many_lists", "bomb_of_many")


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] * (k in LARGE)) for k in WRITTEN])
def test_a_malformed_archive_is_one_error(kind, members, pristine, tmp_path, monkeypatch, capsys):
    made = WRITTEN[kind](dict(members))
    archive, temporary = tmp_path / "theirs.zip", tmp_path / "temporary"
    with pytest.warns() if kind in ("same_name_twice", "manifest_twice") else contextlib.nullcontext():
        archive.write_bytes(made if isinstance(made, bytes) else packed(made))
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(pristine.root)
    before = everything(pristine.root, tmp_path)
    with bounded_memory(MEMORY), pytest.raises(SystemExit) as ended:
        app.main(["results", "compare", DATASET, str(archive), "--csv", str(tmp_path / "comparison.csv")])
    said = capsys.readouterr()
    assert ended.value.code == 1 and said.out == ""
    assert said.err.startswith(f"Error: {archive}: ") and said.err.count("Error:") == 1
    assert "Traceback" not in said.err and len(said.err) < 3000
    assert said.err.replace("\n", "").isprintable()
    assert "cannot be read as results" not in said.err, "a check has foreseen it"
    assert everything(pristine.root, tmp_path) == before


def test_there_are_enough_kinds():
    assert len(WRITTEN) >= 60


def test_an_ordinary_archive_is_none_of_them(members, pristine, tmp_path, monkeypatch, capsys):
    (tmp_path / "theirs.zip").write_bytes(packed(list(signed(members).items())))
    monkeypatch.chdir(pristine.root)
    with bounded_memory(MEMORY), pytest.raises(SystemExit) as ended:
        app.main(["results", "compare", DATASET, str(tmp_path / "theirs.zip")])
    assert ended.value.code == 0 and "identical" in capsys.readouterr().out


def test_the_archive_of_real_results_is_within_the_limits(tmp_path):
    assert len(unpack(REAL, tmp_path, "sleep-edf-20-5s")["files"]) == 928


def test_a_link_in_place_of_an_archive_to_a_device(tmp_path):
    (tmp_path / "theirs.zip").symlink_to("/dev/zero")
    with pytest.raises(BenchmarkError, match="no such file"):
        unpack(tmp_path / "theirs.zip", tmp_path, DATASET)


def test_what_export_writes_can_be_unpacked_or_is_not_written(pristine, tmp_path, monkeypatch):
    monkeypatch.chdir(pristine.root)
    monkeypatch.setattr("sleepbench.runs.unpack.MOST_FILES", 3)
    with pytest.raises(BenchmarkError, match=r"its directory has \d+ files in \d+ bytes, expected at most 3"):
        exchange.export(pristine.config, DATASET, tmp_path / "mine.zip")
    assert list(tmp_path.iterdir()) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(document, before=()):
    """The ways to everything in a document."""
    yield before
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*before, key))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["training.json", "metrics.json", "validation0.json"]), value=values)
def test_whatever_stands_in_a_document_is_an_error_or_harmless(members, tmp_path, data, name, value):
    member = next(one for one in members if one.endswith(name))
    document = json.loads(members[member])
    way = data.draw(st.sampled_from(list(places(document))))
    if way:
        inside = document
        for key in way[:-1]:
            inside = inside[key]
        inside[way[-1]] = value
    else:
        document = value
    path = tmp_path / member
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    with contextlib.suppress(BenchmarkError):
        check_file(tmp_path, member)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 255)), min_size=1, max_size=5))
def test_damaged_bytes_are_an_error_or_harmless(members, tmp_path, changes):
    content = bytearray(packed([(name, members[name]) for name in (MANIFEST, *list(members)[:3])]))
    for at, byte in changes:
        content[-1 - at % len(content)] = byte
    (tmp_path / "damaged.zip").write_bytes(content)
    with contextlib.suppress(BenchmarkError):
        unpack(tmp_path / "damaged.zip", tmp_path / "unpacked", DATASET)


def test_predictions_as_bytes_are_an_error_or_harmless(members, tmp_path):
    name = next(one for one in members if one.endswith("predictions.parquet"))
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    for at in range(0, len(members[name]), max(1, len(members[name]) // 60)):
        content = bytearray(members[name])
        content[at] ^= 0x55
        path.write_bytes(content)
        with contextlib.suppress(BenchmarkError):
            check_file(tmp_path, name)
