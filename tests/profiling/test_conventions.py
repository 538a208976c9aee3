from pathlib import Path

import pandas as pd
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe, model_names
from sleepbench.profiling.conventions import CONVENTIONS, NONE, agrees, counts_per_epoch, explain, printed_range
from sleepbench.profiling.operations import count_operations

PUBLISHED = pd.read_csv(
    Path(__file__).parents[2] / "workflow" / "resources" / "published_sizes.csv", dtype=str, keep_default_na=False
)
EXPLAINED = {
    "ulw_sleepnet": "flops_tensorflow",
    # 16.6 times the multiply-accumulates; with every grouped convolution counted as a dense one it is 17.1 times.
    "micro_sleepnet": NONE,
    # 2.5 % above the multiply-accumulates, 0.3 % above fvcore's count.
    "light_sleepnet": NONE,
    # 2 % above twice the multiply-accumulates of an epoch; a causal variant that is not registered.
    "nano_sleepnet_tcn": NONE,
}
BATCH_NORM = {"light_sleepnet": 896, "sleepnet_lite": 1536}
"""Parameters of batch norm, which these papers leave out."""


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [
        ("7.89M", 7_885_000, 7_895_000),
        ("13.3K", 13_250, 13_350),
        ("45.76 M", 45_755_000, 45_765_000),
        ("48,226", 48_225.5, 48_226.5),
        ("874828", 874_827.5, 874_828.5),
        ("4.60G", 4_595_000_000, 4_605_000_000),
        ("1,234.5K", 1_234_450, 1_234_550),
        ("0.14M", 135_000, 145_000),
    ],
)
def test_printed_numbers_are_read_with_their_rounding(printed, low, high):
    assert printed_range(printed) == (low, high)
    for count, expected in ((low, True), (high, True), (low - 0.1, False), (high + 0.1, False)):
        assert agrees(count, printed) is expected


@pytest.mark.parametrize("printed", ["", "M", "7.89 MFLOPs", "-3", "1e6", "4,82,26", "7.89m", "about 10K", "1.M"])
def test_what_is_no_printed_number_is_refused(printed):
    with pytest.raises(BenchmarkError, match="expected digits like"):
        printed_range(printed)


COUNTS = {
    "length": 1,
    "macs": 3_498_352,
    "flops_2x": 6_996_704,
    "flops_tensorflow": 7_885_806,
    "flops_tensorflow_graph": None,
    "fvcore_flops": 4_002_544,
}


@pytest.mark.parametrize(
    ("printed", "convention"),
    [
        ("3.50M", "macs"),
        ("3,498,352", "macs"),
        ("3,498,353", NONE),
        ("7.00M", "flops_2x"),
        ("7M", "flops_2x"),
        ("7.89M", "flops_tensorflow"),
        ("7.88M", NONE),
        ("4.003M", "fvcore_flops"),
    ],
)
def test_convention_is_named(printed, convention):
    assert explain(COUNTS, printed) == convention


def test_published_numbers_are_of_one_epoch():
    sequence = {name: None if count is None else 20 * count for name, count in COUNTS.items()}
    assert explain(sequence, "7.89M") == "flops_tensorflow"
    assert explain(sequence, "157.7M") == NONE


def test_counts_are_brought_to_one_epoch():
    sequence = {name: None if count is None else 20 * count for name, count in COUNTS.items()} | {"parameters": 7}
    expected = {name: count for name, count in COUNTS.items() if name != "length"}
    assert counts_per_epoch(sequence) == {"parameters": 7, **expected}


def test_conventions_are_counted():
    assert set(CONVENTIONS) < set(count_operations(create_model("ulw_sleepnet", 1), 1))


OF_ANOTHER_SIZE = {"seq_sleepnet", "u_sleep"}
"""Networks whose sources print more parameters; the remarks say why."""


@pytest.mark.parametrize("row", [*PUBLISHED.itertuples()], ids=lambda row: row.model)
def test_published_sizes(row):
    assert row.model in model_names()
    assert row.source and row.mark in ("published", "secondary")
    assert bool(row.flops) == bool(row.unit_printed)
    n_channels = int(row.n_channels)
    counts = count_operations(create_model(row.model, n_channels), n_channels, describe(row.model).sequence_length)
    assert agrees(counts["parameters"] - BATCH_NORM.get(row.model, 0), row.parameters) != (row.model in OF_ANOTHER_SIZE)
    assert row.remark or row.model not in OF_ANOTHER_SIZE
    if row.flops:
        assert explain(counts, row.flops) == EXPLAINED[row.model]
