"""Run Snakemake with the project's profile, one process at a time in a directory.

A lock that a killed run left in the directory is removed.
"""

import atexit
import datetime
import fcntl
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import psutil
from filelock import Timeout

from sleepbench.cli.clock import bring_back
from sleepbench.config import paths
from sleepbench.config.load import FROM_A_CHECKOUT
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.garbage import expect_many_objects
from sleepbench.core.locks import NO_LOCKS, OWNER, owner_lock, owner_of
from sleepbench.core.logs import ERRORS_ARE_READ

PROFILE = "workflow/profiles/default"
HELD = Path(".snakemake/sleepbench.lock")
"""Locked by the kernel for as long as the process that runs Snakemake lives, however it ends; holds its id."""
DRY_RUN = {"-n", "--dry-run", "--dryrun"}
FORCERUN = ("--forcerun", "-R")
NAMES = {"snakemake", "sleepbench"}
OF_A_JOB = {("--mode", "remote"), ("--mode", "subprocess")}
"""How Snakemake calls itself for one job, as a cluster does on a node, which may be this machine: it may outlive
a run that was killed. The same job of the next run waits for it by a lock of its own."""
SAID_BY_SNAKEMAKE = DRY_RUN | {"--verbose", "--quiet", "-q", "--logger", "--sdm", "--software-deployment-method"}
"""Options with which the terminal shows what Snakemake says, as it says it."""


def snakemake(arguments: Sequence[str], again: Callable[[], Sequence[str]] = tuple, *, verbose: bool = False) -> int:
    """Run Snakemake within this process, so that signals reach it; its exit status.

    `again` gives files to be made again, and is asked when nobody else works in the directory. BenchmarkError where
    another process works there. A dry run changes nothing, so it need not wait. What it does is shown as `terminal`
    shows it, or, `verbose` or planning only, as Snakemake does.
    """
    options, here = ["--profile", PROFILE], Path.cwd()
    if not Path(PROFILE).is_dir():
        raise BenchmarkError(f"{here}: has no workflow ({PROFILE} is missing); {FROM_A_CHECKOUT}")
    if not DRY_RUN & set(arguments):
        pid, host = hold(here) or (None, None)
        locked = has_locks(here)
        if pid is None and locked:
            pid = running_there(here)
        if pid is not None:
            raise BenchmarkError(in_use(here, pid, host))
        bring_back(here / paths.RESULTS)
        if locked:
            print("Removing the lock of a run that was killed.", file=sys.stderr)
            unlock = [sys.executable, "-m", "snakemake", *options, "--unlock"]
            subprocess.run(unlock, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    plainly = verbose or bool(SAID_BY_SNAKEMAKE & set(arguments))
    return _run(with_forced(again(), [*options, *arguments]), plainly)


def with_forced(files: Sequence[str], options: Sequence[str]) -> list[str]:
    """Options of Snakemake by which files are made again.

    Snakemake takes the last --forcerun alone: one among the options gets them as well.
    """
    if not files:
        return list(options)
    own = options[: options.index("--")] if "--" in options else options
    place = next((n + 1 for n, option in enumerate(own) if option in FORCERUN), 0)
    return [*options[:place], *([] if place else FORCERUN[:1]), *files, *options[place:]]


def _require_place(directory: Path) -> None:
    """BenchmarkError where Snakemake would take the path of its own files for a pattern that it cannot read."""
    if any(not name.isidentifier() for name in re.findall(r"\{([^{}]*)\}", str(directory))):
        raise BenchmarkError(
            f"{directory}: Snakemake cannot work where the path has braces around anything but a name; move the "
            "project, or rename the directory, and run again"
        )


def _run(arguments: list[str], plainly: bool) -> int:
    _require_place(Path.cwd())
    from snakemake.cli import main  # takes a second, which a refusal does without

    expect_many_objects()
    said = logging.getLogger("snakemake.logging")
    if plainly:
        said.addFilter(_is_news)
    else:
        from sleepbench.cli import terminal

        os.environ[ERRORS_ARE_READ] = "1"
        arguments = ["--logger", terminal.register(), *arguments]
    interruptions = []

    def interrupt(number: int, frame: object) -> None:
        interruptions.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a shell's background jobs ignore Ctrl-C
        signal.signal(signal.SIGINT, interrupt)
    try:
        main(arguments)
    except SystemExit as ended:
        if interruptions:  # Snakemake has ended its jobs, and says only that it failed
            raise KeyboardInterrupt from None
        return int(ended.code or 0)
    finally:
        signal.signal(signal.SIGINT, before)
        said.removeFilter(_is_news)
        os.environ.pop(ERRORS_ARE_READ, None)
    return 0


def _is_news(record: logging.LogRecord) -> bool:
    """Whether what Snakemake says of a job that failed was not said already: a job says itself why it failed."""
    if getattr(record, "exception", None) == "RuleException":
        return "CalledProcessError in file" not in record.getMessage()
    if hasattr(record, "rule_msg") and hasattr(record, "log"):  # Snakemake's error of a job
        record.rule_msg = record.rule_msg or "see above"
        return not any(explained_itself(Path(log)) for log in record.log)
    return True


def explained_itself(log: Path) -> bool:
    """Whether a job's log ends with an error that a user can fix."""
    try:
        return re.search(r"^Error: ", log.read_text(encoding="utf-8", errors="replace"), re.MULTILINE) is not None
    except OSError:
        return False


def hold(directory: Path) -> tuple[int, str | None] | None:
    """Lock the directory until this process ends; the process that has it, with its host where known, or None.

    The id is 0 where that process has not written its own yet. Jobs do not inherit the lock: they may outlive it.
    """
    path = directory / HELD
    path.parent.mkdir(exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(file, 32) or 0), None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return _hold_as_owner(path)
    os.truncate(file, 0)
    os.write(file, str(os.getpid()).encode())
    return None


def _hold_as_owner(path: Path) -> tuple[int, str | None] | None:
    """The same on a file system without kernel locks."""
    lock = owner_lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return owner_of(lock) or (0, None)
    atexit.register(lock.release)
    return None


def has_locks(directory: Path) -> bool:
    """Whether a Snakemake that runs, or was killed, has locked files in `directory`."""
    locks = directory / ".snakemake" / "locks"
    return locks.is_dir() and any(locks.iterdir())


def running_there(directory: Path) -> int | None:
    """Id of a process that runs Snakemake in `directory`, also one that was started by hand."""
    return next((process.pid for process in psutil.process_iter() if _runs_snakemake(process, directory)), None)


def _runs_snakemake(process: psutil.Process, directory: Path) -> bool:
    try:
        command = process.cmdline()
        if OF_A_JOB & {*pairwise(command)}:
            return False
        # "python -u -m snakemake ...", or a script of that name: behind Python and what its options take.
        names = [Path(argument).name for argument in command if not argument.startswith("-")]
        is_one = names and (names[0] in NAMES or (names[0].startswith("python") and not NAMES.isdisjoint(names[1:3])))
        return process.pid != os.getpid() and bool(is_one) and Path(process.cwd()) == directory
    except psutil.Error:
        return False  # ended meanwhile, or another user's


def in_use(directory: Path, pid: int, host: str | None = None) -> str:
    """What is said instead of starting beside another run."""
    if host not in (None, socket.gethostname()):
        return (
            f"{directory} is in use by process {pid} on {host}: another sleepbench or snakemake works there. Wait "
            f"until it has ended, or stop it there; if it has ended already, remove {directory / HELD}{OWNER}"
        )
    if not pid:
        return f"{directory} is in use by another run that has just started. Wait until it has ended."
    try:
        started = f"{datetime.datetime.fromtimestamp(psutil.Process(pid).create_time()):%Y-%m-%d %H:%M:%S}"
    except (psutil.Error, ValueError):
        started = "just now"
    return (
        f"{directory} is in use by process {pid}, started {started}: another sleepbench or snakemake works there. "
        f"Wait until it has ended, or stop it: kill -INT {pid}"
    )
