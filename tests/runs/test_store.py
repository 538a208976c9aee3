"""Which MLflow store there is, told without MLflow."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.runs.store import damage, number_store, require_store, set_aside, store_state


@pytest.fixture
def uri(tmp_path, monkeypatch):
    """A store that is not there yet, in the current directory."""
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def log(uri: str, dataset: str = "simulated", seconds: int = 0) -> str:
    """What the job does that logs runs: fill the store, and list the runs; returns the parameter it was given."""
    state = store_state(uri)
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS runs (key TEXT)")
        connection.execute("INSERT INTO runs VALUES ('a')")
    connection.close()
    number_store(uri, state)
    listed = Path(paths.logged(dataset))
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("[]")
    os.utime(listed, (seconds, seconds))
    return state


def test_nothing_is_written_by_asking(uri, tmp_path):
    assert store_state(uri) == store_state(uri)
    assert list(tmp_path.iterdir()) == []


def test_the_state_that_a_job_was_given_is_that_of_the_store_it_made(uri):
    given = log(uri)
    assert store_state(uri) == given
    assert log(uri, seconds=10) == given == store_state(uri)  # logging more changes nothing


def test_runs_of_another_dataset_in_the_same_store_change_nothing(uri):
    given = log(uri)
    assert log(uri, "another", seconds=10) == given == store_state(uri)


def test_a_store_that_was_lost_has_another_state_each_time(uri, tmp_path):
    given = [log(uri, seconds=1)]
    for seconds in (2, 3):
        (tmp_path / "mlflow.db").unlink()
        assert store_state(uri) not in given
        given.append(log(uri, seconds=seconds))
        assert store_state(uri) == given[-1]


def test_a_store_that_was_replaced_is_noticed(uri, tmp_path):
    given = log(uri, seconds=1)
    (tmp_path / "mlflow.db").unlink()
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:  # as `mlflow ui` makes one
        connection.execute("CREATE TABLE runs (key TEXT)")
    connection.close()
    assert store_state(uri) != given


def test_a_store_that_cannot_be_written_to_is_said_before_any_training(uri, tmp_path):
    require_store(uri)  # none yet
    assert list(tmp_path.iterdir()) == []
    log(uri)
    require_store(uri)
    (tmp_path / "mlflow.db").unlink()
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(BenchmarkError, match=r"mlflow\.db: .* \(unable to open database file\); .*move it away"):
        require_store(uri)
    (tmp_path / "mlflow.db").rename(tmp_path / "away")  # as it says
    require_store(uri)


NO_LOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#define LOCKLESS(name) int name(int fd, int command, ...) { \\
    va_list rest; va_start(rest, command); void *of = va_arg(rest, void *); va_end(rest); \\
    if (command == F_SETLK || command == F_SETLKW || command == F_GETLK) { errno = ENOLCK; return -1; } \\
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #name))(fd, command, of); }
LOCKLESS(fcntl)
LOCKLESS(fcntl64)
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("gcc"), reason="needs gcc, on Linux")
@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_system_without_locks_is_said_before_any_training(tmp_path, is_there):
    (tmp_path / "no_locks.c").write_text(NO_LOCKS)
    library = tmp_path / "no_locks.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, tmp_path / "no_locks.c", "-ldl"], check=True)
    store = tmp_path / "results" / "mlflow.db"
    if is_there:
        store.parent.mkdir()
        store.touch()
    code = (
        "import sqlite3, sys; from sleepbench.runs import store; plain = sqlite3.connect\n"
        "sqlite3.connect = lambda file, timeout: plain(file, timeout=0.1)\n"
        "store.require_store('sqlite:///' + sys.argv[1])"
    )
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    ended = subprocess.run([sys.executable, "-c", code, store], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1 and "BenchmarkError" in ended.stderr, ended.stderr
    assert "without locks, set tracking.uri to a file on a local disk or to an MLflow server" in ended.stderr
    assert [*tmp_path.rglob("*sleepbench-*")] == []


def test_of_a_server_nothing_is_noticed(uri):
    assert store_state("http://elsewhere") == store_state("http://another")
    number_store("http://elsewhere", "elsewhere")


def test_a_damaged_file_is_told_from_a_whole_one_and_from_one_that_is_held(uri, tmp_path):
    file = tmp_path / "mlflow.db"
    assert damage(file) == ""
    with closing(sqlite3.connect(file)) as store:
        store.execute("CREATE TABLE runs (key TEXT)")
        store.executemany("INSERT INTO runs VALUES (?)", [["a" * 100]] * 1000)
        store.commit()
        assert damage(file) == ""
    content = file.read_bytes()
    kinds = {"header": b"x" + content[1:], "half": content[: len(content) // 2], "page": content[:8192] + b"\xff" * 64}
    for kind, damaged in kinds.items():
        file.write_bytes(damaged + content[len(damaged) :] * (kind == "page"))
        assert damage(file), kind
    assert set_aside(file).name == "mlflow.db.damaged" and not file.exists()
    file.mkdir()
    with pytest.raises(BenchmarkError, match=r"mlflow\.db: the MLflow store cannot be used .*run again"):
        damage(file)
