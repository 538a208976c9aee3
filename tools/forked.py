"""Run the command `sleepbench`, its Snakemake and its jobs in forks of a process that has imported everything.

A command is what a terminal would start, but for seconds of imports that each of its processes is spared: it has a
session of its own, reads and writes the files of its directory, and ends with a status and what it printed. What a
program reads while it is imported, such as a matplotlibrc, needs a process of its own: `fresh`.
"""

import contextlib
import faulthandler
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import psutil

LIMIT_S = 180
"""A command hangs that computes for longer, or does next to nothing for so long: a busy machine may make it wait."""
LEAST_S = 0.5
"""Of CPU time that a command spends in that time if it does not hang; to look whether a job has ended costs less."""
PACKAGE = Path(__file__).resolve().parents[1] / "workflow"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, None where it hung; and all that it printed."""

    status: int | None
    printed: str


def import_everything() -> None:
    """Import what the command and its jobs import; to be called once, before anything is forked."""
    import matplotlib.pyplot  # noqa: F401
    import mlflow  # noqa: F401
    import snakemake.cli
    import snakemake.script

    from sleepbench.cli import app, launch, terminal  # noqa: F401
    from sleepbench.config import load  # noqa: F401
    from sleepbench.postprocessing import job as smoothing  # noqa: F401
    from sleepbench.preparation import index, prepare, totals  # noqa: F401
    from sleepbench.profiling import parity, profile  # noqa: F401
    from sleepbench.reporting import artefacts, audit  # noqa: F401
    from sleepbench.reporting.page import report, summary  # noqa: F401
    from sleepbench.runs import mlflow as runs  # noqa: F401
    from sleepbench.training import job  # noqa: F401

    for room in (artefacts.statistics, artefacts.tables, artefacts.figures):
        room()
    snakemake.script.PythonScript.execute_script = _execute_script
    launch.subprocess = SimpleNamespace(**{**vars(subprocess), "run": _run_unlock})


def start(
    directory: Path,
    arguments: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] = lambda: None,
) -> int:
    """Start `sleepbench` in a directory, with what it prints going to a file; its process id, also that of its session.

    before : called in the new process first
    """

    def command() -> None:
        from sleepbench.cli.app import main

        os.environ.update(environment or {})
        before()
        global _server
        _server = _JobServer()
        main(list(arguments))

    return start_function(directory, command, log)


def run(
    directory: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] = lambda: None,
    limit_s: float = LIMIT_S,
) -> Ended:
    """Run `sleepbench` in a directory to its end."""
    return call(lambda log: start(directory, arguments, log, environment, before), directory, limit_s)


def call(started: Callable[[Path], int], directory: Path, limit_s: float = LIMIT_S) -> Ended:
    """Wait for a process that is started with a file to print to."""
    log = directory / "printed.txt"
    pid = started(log)
    status = wait(pid, limit_s)
    return Ended(status, log.read_text(encoding="utf-8", errors="replace"))


def calling(directory: Path, function: Callable[[], object]) -> Ended:
    """Call a function in a process of its own, as a command: errors end it the way they end commands."""

    def command() -> None:
        from sleepbench.core.errors import BenchmarkError

        try:
            function()
        except BenchmarkError as error:
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(1)

    return call(lambda log: start_function(directory, command, log), directory)


def fresh(
    directory: Path, *arguments: str, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Ended:
    """Run `sleepbench` in a process that imports everything by itself, behind a command such as unshare."""
    log = directory / "printed.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "sleepbench.cli.app", *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(directory / "workflow"), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    status = process.returncode = wait(process.pid)
    return Ended(status, log.read_text(encoding="utf-8", errors="replace"))


def wait(pid: int, limit_s: float = LIMIT_S) -> int | None:
    """Wait for a process that `start` gave; its exit status, or None where it had to be killed, with its session."""
    spent, since = 0.0, time.monotonic()
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        now = time.monotonic()
        if now - since > min(limit_s, 1):
            if (cpu := _cpu_s(pid)) > spent + LEAST_S:
                spent, since = cpu, now
            if cpu > limit_s or now - since > limit_s:
                kill(pid)
                return None
        time.sleep(0.01)


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process and all below it."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        for process in [(root := psutil.Process(pid)), *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])
    return total


def kill(pid: int) -> int:
    """Kill a command with all of its processes, as a machine does that loses power; its exit status."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def start_function(directory: Path, command: Callable[[], object], log: Path) -> int:
    """Call a function in a process, and a session, of its own; its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.chdir(directory)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        faulthandler.enable()
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    _end(command)


def _end(command: Callable[[], object]) -> NoReturn:
    """Call a function, and end this process as Python would end behind it."""
    status = 0
    try:
        command()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    os._exit(status)


def _run_unlock(command: list[str], **options: Any) -> Any:
    """In place of a Python that is started to unlock a directory: a fork of this one."""
    if "--unlock" not in command:
        return subprocess.run(command, **options)
    from snakemake.cli import main

    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        _end(lambda: main(command[command.index("snakemake") + 1 :]))
    if status := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise subprocess.CalledProcessError(status, command)
    return None


# Snakemake starts jobs from threads, and a process that is forked beside threads may find their locks held for ever. So
# a process without threads, forked before Snakemake begins, forks for it.


class _JobServer:
    """A process that runs scripts of jobs in forks of itself, for as long as the one that made it lives.

    Each connection asks for one script: it is told the id of the job's process, and its status when that has ended.
    """

    def __init__(self) -> None:
        self.address = f"\0sleepbench-jobs-{os.getpid()}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.address)
        listener.listen()
        lives, self.life = os.pipe()
        if os.fork():
            os.close(lives)
            listener.close()
            return
        os.close(self.life)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end(lambda: self._serve(listener, lives))

    def _serve(self, listener: socket.socket, lives: int) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
        while listener in (ready := select.select([listener, lives], [], [])[0]):
            connection, _ = listener.accept()
            if not os.fork():
                listener.close()
                os.close(lives)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _end(lambda connection=connection: self._answer(connection))
            connection.close()
        assert ready == [lives]

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw", encoding="utf-8") as file:
            asked = json.loads(file.readline())
            pid = os.fork()
            if not pid:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.environ.clear()
                os.environ.update(asked["environment"])
                _end(lambda: runpy.run_path(asked["script"], run_name="__main__"))
            print(pid, file=file, flush=True)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=file, flush=True)

    def run(self, script: str, meanwhile: Callable[[int], contextlib.AbstractContextManager]) -> int:
        """Run a script to its end; its exit status."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.address)
            with connection.makefile("rw", encoding="utf-8") as file:
                print(json.dumps({"script": script, "environment": dict(os.environ)}), file=file, flush=True)
                with meanwhile(int(file.readline())):
                    return int(file.readline())


_server: _JobServer | None = None


def jobs_of(pid: int) -> list[psutil.Process]:
    """The jobs that run below a command."""
    found = []
    with contextlib.suppress(psutil.Error):
        for server in psutil.Process(pid).children():
            for answering in server.children():
                found += answering.children()
    return found


def _execute_script(self: Any, fname: str, edit: bool = False) -> None:
    """In place of a Python that is started for a job's script: a fork of one that has imported everything."""
    from snakemake.benchmark import benchmarked

    def measured(pid: int) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext() if self.bench_record is None else benchmarked(pid, self.bench_record)

    assert _server is not None
    if status := _server.run(fname, measured):
        raise subprocess.CalledProcessError(status, ["python", fname])
