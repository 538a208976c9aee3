"""A table is one file: what is put into the package is found, made, rendered and told apart by its row keys."""

import sys
from pathlib import Path

import pytest
from fake_results import FakeResults

import sleepbench.reporting.tables
from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting import artefacts
from sleepbench.reporting.artefacts import find, tables
from sleepbench.reporting.reading import read_csv
from sleepbench.reporting.rendering import make_table

ADDED = '''"""Table: how many epochs each contender was tested on."""

from sleepbench.reporting.artefacts import Table
from sleepbench.reporting.reading import KEY, read_runs
from sleepbench.reporting.rendering import Column, number, text

ARTEFACT = Table(
    name="tested",
    place=25,
    heading="Tested epochs",
    caption="Epochs of all folds and seeds.",
    inputs=("runs",),
    build=lambda inputs: read_runs(inputs).groupby(list(KEY), sort=False).n_test.sum().reset_index(),
    columns=(Column("Model", text("contender"), "left"), Column("Epochs", number("n_test", ",.0f"))),
    note=text("protocol"),
    row_keys=KEY,
)
'''
TABLES = (
    *(
        "main_results",
        "ladder",
        "claims",
        "marginal_loss",
        "reproduction",
        "people",
        "audit",
        "complexity",
        "quantisation",
        "deployment",
        "published_sizes",
        "parity",
        "recipes",
    ),
    *("intervals", "classes"),
    *("inputs", "comparisons", "non_inferiority", "ranks", "groups"),
    *("night_order", "people_model", "sleep_measures", "postprocessing"),
    *("others_predictions", "quality"),
)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder whose modules are found as if they lay in reporting/tables."""
    folder = tmp_path / "added"
    folder.mkdir()
    package = sleepbench.reporting.tables
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    artefacts.tables.cache_clear()
    yield folder
    artefacts.tables.cache_clear()
    sys.modules.pop("sleepbench.reporting.tables.tested", None)


def test_tables_are_in_the_order_of_the_report() -> None:
    assert tuple(tables()) == TABLES
    places = [table.place for table in tables().values()]
    assert len(set(places)) == len(places)


def test_a_table_is_one_file(tmp_path: Path, added: Path) -> None:
    (added / "tested.py").write_text(ADDED, encoding="utf-8")
    assert list(tables())[:4] == ["main_results", "ladder", "tested", "claims"]
    results = FakeResults(tmp_path / "results", models=("ULW-SleepNet", "TinySleepNet"))
    table = find(tables, "tested")
    paths = [tmp_path / f"tested.{form}" for form in ("csv", "md", "tex")]
    make_table(table, results.inputs(table), *paths)
    rows = read_csv(paths[0])
    (mine,) = rows[(rows[list(table.row_keys)] == ["clean", "TinySleepNet", "four", "ulw"]).all(axis=1)].itertuples()
    expected = results.read_runs().query("protocol == 'clean' and title == 'TinySleepNet'").n_test.sum()
    assert mine.n_test == expected and f"{expected:,} [2] |" in paths[1].read_text()
    assert r"\label{tab:simulated:tested}" in paths[2].read_text()


def test_a_name_that_is_not_known_has_the_nearest() -> None:
    with pytest.raises(BenchmarkError, match="no table is called 'laddr'; the nearest known name is 'ladder'"):
        find(tables, "laddr")
