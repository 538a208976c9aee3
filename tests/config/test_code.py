"""What makes a number stale: the code that decides it, and nothing else."""

import dataclasses

import pytest

from sleepbench.config import code
from sleepbench.models import describe, registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of our own in place of sleepbench, whose files a test may change."""
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    yield lambda name, text: _write(tmp_path / name, text)
    monkeypatch.undo()
    _forget()


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    _forget()


def _forget():
    for cached in (code.code_sha256, code.module_sha256, code.imported_by, code._imports, code._text):
        cached.cache_clear()


def test_a_caption_of_a_table_is_no_code_of_the_statistics(package):
    package("reporting/tables/one.py", "from sleepbench.reporting.cells import text\nCAPTION = 'a'\n")
    package("reporting/statistics/two.py", "from sleepbench.reporting import (\n    cells,\n)\n")
    package("reporting/cells.py", "def f():\n    import sleepbench.numbers\n")
    package("numbers.py", "")

    def hashes():
        return [code.module_sha256(f"sleepbench.reporting.{name}") for name in ("tables.one", "statistics.two")]

    table, statistics = hashes()
    package("reporting/tables/one.py", "from sleepbench.reporting.cells import text\nCAPTION = 'b'\n")
    assert hashes()[0] != table and hashes()[1] == statistics
    package("numbers.py", "ONE = 1\n")
    assert hashes()[1] != statistics


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("training/loop.py", {"train"}),
        ("preparation/prepare.py", {"prepare", "train"}),
        ("signals/edf/samples.py", {"fetch", "prepare", "train"}),
        ("datasets/one.py", {"prepare", "train"}),
        ("datasets/download.py", set()),
        ("protocols/selection.py", set()),
        ("models/other.py", set()),
        ("reporting/tables/one.py", set()),
    ],
)
def test_what_a_change_makes_stale(package, monkeypatch, changed, stale):
    monkeypatch.setattr(code, "model_sources", lambda model: ())
    for name in ("training/loop.py", "preparation/prepare.py", "signals/edf/samples.py", "models/other.py"):
        package(name, "")
    package("datasets/download.py", "")
    package("datasets/one.py", "from sleepbench.datasets import download\n")

    def hashes():
        return {kind: code.code_sha256(kind, "one", "ulw_sleepnet") for kind in ("fetch", "prepare", "train")}

    before = hashes()
    package(changed, "# changed\nfrom sleepbench.datasets import download\n")
    assert {kind for kind, sha256 in hashes().items() if sha256 != before[kind]} == stale


def test_profiles_and_parity_are_of_files_of_their_own(package, monkeypatch):
    monkeypatch.setattr(code, "model_sources", lambda model: ())
    for name in ("profile", "operations", "latency", "parity", "conventions"):
        package(f"profiling/{name}.py", "")

    def hashes():
        return {kind: code.code_sha256(kind, model="ulw_sleepnet") for kind in ("profile", "parity")}

    before = hashes()
    package("profiling/conventions.py", "# changed\n")
    assert hashes() == before
    package("profiling/parity.py", "# changed\n")
    assert {kind for kind, sha256 in hashes().items() if sha256 != before[kind]} == {"parity"}


def test_two_models_have_hashes_of_their_own():
    assert code.code_sha256("train", model="eegnet") != code.code_sha256("train", model="chambon2018")
    assert code.code_sha256("train", "simulated") != code.code_sha256("train")


@pytest.fixture
def entries(monkeypatch):
    """The registry, of which a test may replace an entry."""
    yield lambda name, **change: _replace(monkeypatch, name, change)
    _forget()


def _replace(monkeypatch, name, change):
    monkeypatch.setitem(registry.MODELS, name, dataclasses.replace(describe(name), **change))
    _forget()


def of_models() -> dict[str, str]:
    return {name: code.code_sha256("train", model=name) for name in registry.model_names()}


@pytest.mark.parametrize(
    "change",
    [
        {"sequence_length": 11},
        {"authors_batch": 11},
        {"inference": "windows"},
        {"architecture": "Another"},
        {"kind": "estimator"},
        {"input_transformation": {"unit": 20}},
    ],
)
def test_what_the_registry_decides_of_a_model_is_in_its_hash_alone(entries, change):
    before = of_models()
    entries("u_time", **change)
    after = of_models()
    assert {name for name in before if before[name] != after[name]} == {"u_time"}


def test_a_title_makes_nothing_stale(entries):
    before = of_models()
    entries("u_time", title="Another", paper="Another", published_recipe="common")
    assert of_models() == before
