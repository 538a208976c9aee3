"""Noticing that the MLflow store was lost, without importing MLflow."""

import time
from pathlib import Path

from sleepbench.core.files import read_json, write_json

SQLITE = "sqlite:///"


def renew_store_mark(uri: str, mark: Path) -> None:
    """Rewrite `mark`, an input of the rule that logs runs, when the store at `uri` is another one or is gone.

    The store may be lost while everything that was made from it is still there, and Snakemake then sees nothing to do.
    A new mark makes it log the runs again, from their files, and make the tables again. Of a store that is no local
    SQLite file only a change of the URI is noticed.
    """
    lost = uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists()
    if lost or _uri_of(mark) != uri:
        # Snakemake does not take a small file for changed by its time alone: the content must differ.
        write_json(mark, {"uri": uri, "renewed_ns": time.time_ns()})


def _uri_of(mark: Path) -> str | None:
    """The URI that a mark was made for; None when there is no readable mark."""
    try:
        return read_json(mark)["uri"]
    except (OSError, ValueError, KeyError):
        return None


def store_state(uri: str) -> str:
    """Placeholder until the runs room has it."""
    return uri
