"""Files from a clock that was ahead: Snakemake goes by time stamps."""

import datetime
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CLOCKS_DIFFER_NS = 2 * 10**9
"""By which a file server's clock may differ from this machine's."""


def bring_back(directory: Path) -> None:
    """Date what is dated in the future now, in the same order: else it stays newer than what is made of it.

    It is said how many files these are.
    """
    now = time.time_ns()
    later: dict[int, list[Path]] = {}
    for path in _all_below(directory):
        with suppress(OSError):
            if (dated := path.lstat().st_mtime_ns) > now + CLOCKS_DIFFER_NS:
                later.setdefault(dated, []).append(path)
    if not later:
        return
    print(
        f"{sum(map(len, later.values()))} files and folders in {directory} are dated in the future, up to "
        f"{datetime.datetime.fromtimestamp(max(later) / 1e9):%Y-%m-%d %H:%M}: a clock was wrong, or is. They are now "
        "dated now, in the same order.",
        file=sys.stderr,
    )
    for place, dated in enumerate(sorted(later, reverse=True)):
        for path in later[dated]:
            os.utime(path, ns=(now - 1000 * place, now - 1000 * place), follow_symlinks=False)


def _all_below(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            yield Path(folder, name)
