"""Tables of others are files of strangers: what is in them gives one error, takes little memory, and writes nothing."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sleepbench.cli import app
from sleepbench.core.limits import bounded_memory

ROOT = Path(__file__).parents[3]
ESCAPE = "\x1b]0;owned\x07"
HEAD = b"recording,epoch,stage,predicted\n"


def csv(content):
    return lambda table: Path("theirs.csv").write_bytes(content)


def changed(**columns):
    return lambda table: table.assign(**columns).to_csv("theirs.csv", index=False)


def parquet(**columns):
    def write(table):
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        for name, values in columns.items():
            arrow = arrow.set_column(arrow.column_names.index(name), name, values(len(table)))
        pq.write_table(arrow, "theirs.parquet")

    return write


@pytest.fixture
def theirs(theirs):
    """Where the command is started, its configuration is."""
    shutil.copy(ROOT / "config.yaml", ".")
    return theirs


def many_rows(_):
    columns = HEAD.decode().strip().split(",")
    pq.write_table(pa.table({name: pa.repeat("W", 3_000_000) for name in columns}), "theirs.parquet")


TABLES = {
    "escape_in_a_recording": changed(recording=ESCAPE),
    "escape_in_a_stage": changed(stage=ESCAPE),
    "escape_in_a_name": lambda table: table.rename(columns={"stage": ESCAPE}).to_csv("theirs.csv", index=False),
    "epoch_that_is_huge": changed(epoch=1e300),
    "epoch_that_is_large": changed(epoch=2**40),
    "epoch_that_is_infinite": changed(epoch=np.inf),
    "a_line_without_end": csv(HEAD + b"x" * 10**6),
    "a_million_columns": csv(HEAD[:-1] + b",a" * 20_000 + b"\n"),
    "columns_without_end": csv(b"," * 10_000_000),
    "a_character_0": csv(HEAD + b"SC4001,\0,W,W\n"),
    "a_quote_left_open": csv(HEAD + b'"SC4001,0,W,W\n' * 5),
    "no_utf8": csv(HEAD + b"\xff,0,W,W\n"),
    "nothing": csv(b""),
    "blanks": csv(b"\n\n\n"),
    "texts_as_lists": parquet(stage=lambda n: pa.array([["W"]] * n)),
    "epochs_as_times": parquet(epoch=lambda n: pa.array(pd.date_range("2020", periods=n))),
    "recordings_as_bytes": parquet(recording=lambda n: pa.array([b"x"] * n)),
    "predicted_as_mapping": parquet(predicted=lambda n: pa.array([{"a": 1}] * n)),
    "rows_without_end": many_rows,
    "a_parquet_that_is_none": lambda _: Path("theirs.parquet").write_bytes(b"PAR1" + bytes(50) + b"PAR1"),
}
SAID = {
    "an_escape": {"title": f"Their {ESCAPE}"},
    "a_list_as_title": {"title": ["a"]},
    "a_name_that_leaves": {"name": "../outside"},
    "a_text_without_end": {"protocol": "x" * 5000},
}
DESCRIPTIONS = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]\n",
    "much": "name: theirs\n" * 10_000,
    "nested": "[" * 30_000,
    "a_tag_that_runs": "name: !!python/object/apply:os.system ['touch made']\n",
    "a_date_that_is_none": "name: 2020-99-99\n",
    "a_list": "- a\n",
}


def error_of(table, capsys):
    before = sorted(Path().rglob("*"))
    with bounded_memory(500 * 2**20), pytest.raises(SystemExit) as ended:
        app.main(["results", "import", str(table)])
    said = capsys.readouterr()
    assert ended.value.code == 1 and said.out == "" and said.err.startswith(f"Error: {table.with_suffix('')}.")
    assert "Traceback" not in said.err and said.err.replace("\n", "").isprintable() and len(said.err) < 3000
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("kind", TABLES)
def test_a_hostile_table_is_one_error(kind, theirs, capsys):
    theirs.write(theirs.table())
    Path("theirs.csv").unlink()
    TABLES[kind](theirs.table())
    error_of(next(path for path in map(Path, ("theirs.csv", "theirs.parquet")) if path.exists()), capsys)


@pytest.mark.parametrize("kind", SAID)
def test_a_hostile_description_is_one_error(kind, theirs, capsys):
    error_of(theirs.write(theirs.table(), **SAID[kind]), capsys)


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_a_description_that_is_no_plain_mapping_is_one_error(kind, theirs, capsys):
    path = theirs.write(theirs.table())
    path.with_suffix(".yaml").write_text(DESCRIPTIONS[kind])
    error_of(path, capsys)


def test_an_index_that_pandas_noted_is_a_column_like_others(theirs, capsys):
    table = theirs.write(theirs.table(), "theirs.parquet")
    theirs.table().set_index("recording").to_parquet(table)
    with pytest.raises(SystemExit) as ended:
        app.main(["results", "import", str(table)])
    assert ended.value.code == 0 and yaml.safe_load(Path("theirs.yaml").read_text())["title"] in capsys.readouterr().out
