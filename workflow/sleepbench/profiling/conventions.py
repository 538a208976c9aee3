"""Which way of counting explains a published number of operations.

The numbers are in workflow/resources/published_sizes.csv, as their sources print them.
"""

import re
from collections.abc import Mapping

from sleepbench.core.errors import BenchmarkError

CONVENTIONS = {
    "macs": "multiply-accumulates",
    "flops_2x": "2 × multiply-accumulates",
    "flops_tensorflow": "TensorFlow profiler",
    "flops_tensorflow_graph": "TensorFlow profiler, Keras graph",
    "fvcore_flops": "fvcore",
}
"""Counts of `count_operations` that a published number may be, the most common first, and what tables call them."""

NONE = "none of those counted"

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def printed_range(printed: str) -> tuple[float, float]:
    """The range of numbers that round to one as printed.

    "7.89M" gives 7,885,000 to 7,895,000, and "48,226" gives 48,225.5 to 48,226.5.

    BenchmarkError when `printed` is not a number, with commas or a point, and an optional K, M or G.
    """
    match = re.fullmatch(r"(\d+(?:,\d{3})*)(?:\.(\d+))?\s*([KMG]?)", printed.strip())
    if match is None:
        raise BenchmarkError(f"printed number {printed!r}: expected digits like 7.89M, 13.3K or 48,226")
    whole, decimals, unit = match.group(1), match.group(2) or "", match.group(3)
    # In integers, so that no bound is moved by rounding.
    digits, scale = int(whole.replace(",", "") + decimals), UNITS[unit]
    return (2 * digits - 1) * scale / (2 * 10 ** len(decimals)), (2 * digits + 1) * scale / (2 * 10 ** len(decimals))


def agrees(count: float, printed: str) -> bool:
    """Whether a count is the printed number, to within half a unit of its last digit."""
    low, high = printed_range(printed)
    return low <= count <= high


def counts_per_epoch(counts: Mapping[str, int | None]) -> dict[str, int | None]:
    """Parameters, and operations of one 30-s epoch by convention, from those of `count_operations`.

    What a sequence model does for a whole sequence is divided by its length, rounded; None stays None.
    """
    of_pass = {name: counts.get(name) for name in CONVENTIONS}
    return {
        "parameters": counts["parameters"],
        **{name: None if count is None else round(count / counts["length"]) for name, count in of_pass.items()},
    }


def explain(counts: Mapping[str, int | None], published_flops: str) -> str:
    """Name the convention whose count is the published number.

    Returns a key of `CONVENTIONS`, or `NONE` when none is.

    Parameters
    ----------
    counts : of `count_operations`; a convention whose count is None is not considered
    published_flops : of one epoch, as its source prints it, for example "7.89M"
    """
    for convention in CONVENTIONS:
        count = counts[convention]
        if count is not None and agrees(count / counts["length"], published_flops):
            return convention
    return NONE
