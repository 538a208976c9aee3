"""Noticing that the MLflow store was lost, replaced or damaged, without importing MLflow."""

import re
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_json

SQLITE = "sqlite:///"
SERVERS = ("http", "https", "databricks", "databricks-uc")
"""How the URI of a tracking server begins."""
SURROUNDINGS = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT),
}
"""What SQLite says that is no fault of the file."""
WITHOUT_LOCKS = (
    "On a shared file system without locks, set tracking.uri to a file on a local disk or to an MLflow server"
)
USER_VERSION = slice(60, 64)
"""Where a SQLite file holds the number that is left to its users; MLflow does not use it."""


def store_file(uri: str) -> Path | None:
    """The file of a local SQLite store; None where the store is elsewhere."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def is_server(uri: str) -> bool:
    """Whether a store is MLflow's own server, which has a place for artefacts; any other leaves that to who logs."""
    return uri.partition(":")[0] in SERVERS


def shown(uri: str) -> str:
    """A tracking URI as it may be printed: without a password."""
    return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", uri)


def store_state(uri: str) -> str:
    """The state of the store at `uri`, by which a lost or replaced store is noticed.

    It is a parameter of the rule that logs runs, so that the rule runs again when the store is another one.

    A store has a number, which `number_store` writes into it when runs are first logged. While it is there, the number
    is its state. Where it is lost, or was never logged into, the state is the number that it is going to have, which
    follows from the newest list of logged runs: so it differs from that of the store that was lost, and is still the
    same when the rule has made the store. A store that is no local SQLite file has one state: it is asked for its runs
    before a run of the workflow (`mlflow.lost`). Nothing is written, and reading takes no time.
    """
    file = store_file(uri)
    return "elsewhere" if file is None else str(_number(file) or _next_number())


def require_store(uri: str) -> None:
    """BenchmarkError where the store cannot be opened; without importing MLflow where it is a local file.

    A local file may be damaged: the job that logs runs sees to that.
    """
    file = store_file(uri)
    if file is None:
        from sleepbench.runs import mlflow

        mlflow.require_store(uri)
    elif file.exists():
        try:
            _begin_to_write(file)
        except sqlite3.OperationalError as error:
            raise BenchmarkError(
                f"{file}: the MLflow store cannot be opened or written to ({error}); correct its permissions or move "
                f"it away: the runs are logged from their files. {WITHOUT_LOCKS}"
            ) from error
        except sqlite3.DatabaseError:
            pass
    else:
        _require_locks(file)


def _begin_to_write(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=20)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # it can be written to
        connection.rollback()


def _require_locks(file: Path) -> None:
    """BenchmarkError where no store could be made: on a file system without locks SQLite does not work."""
    place = next(parent for parent in file.resolve().parents if parent.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=".sleepbench-", dir=place) as directory:
            _begin_to_write(Path(directory, file.name))
    except sqlite3.OperationalError as error:
        raise BenchmarkError(f"{file}: no MLflow store can be made there ({error}). {WITHOUT_LOCKS}") from error
    except OSError:
        pass  # a place that cannot be written to is said by what writes there first


def number_store(uri: str, state: str) -> None:
    """Give a store that has no number the one of `state`.

    `state` is what `store_state` said before the job began.
    """
    file = store_file(uri)
    if file and not _number(file):
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA user_version = {int(state)}")


def damage(file: Path) -> str:
    """What is wrong with a store as a file; empty if nothing is, or there is no store.

    BenchmarkError where it cannot be opened for another reason, which MLflow would try to for minutes.
    """
    if not file.exists() or not file.stat().st_size:
        return ""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        if is_of_damage(error):
            return str(error)
        raise BenchmarkError(
            f"{file}: the MLflow store cannot be used ({error}); see that it can be read and written, that no other "
            "program holds it, and run again"
        ) from error
    return "" if found == "ok" else " ".join(found.split())


def is_of_damage(error: BaseException) -> bool:
    """Whether what SQLite says is of a file that is damaged; not that it is locked, or the disk full, or read-only."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF not in SURROUNDINGS


def set_aside(file: Path) -> Path:
    """Give a damaged store another name, which it takes from an earlier one, so that a new one can be filled."""
    for suffix in ("-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    return file.replace(file.with_name(f"{file.name}.damaged"))


def _number(file: Path) -> int:
    try:
        with file.open("rb") as opened:
            return int.from_bytes(opened.read(USER_VERSION.stop)[USER_VERSION])
    except OSError:
        return 0


def _next_number() -> int:
    newest = max((path.stat().st_mtime_ns for path in Path().glob(paths.logged("*"))), default=0)
    return 1 + int(sha256_of_json(newest)[:7], 16)  # is positive, and fits into 32 bits with a sign
