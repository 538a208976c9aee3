"""Run Snakemake with the project's profile, one process at a time in a directory.

A lock that a killed run left in the directory is removed.
"""

import datetime
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.garbage import expect_many_objects
from sleepbench.core.locks import NO_LOCKS

PROFILE = "workflow/profiles/default"
HELD = Path(".snakemake/sleepbench.lock")
"""Locked by the kernel for as long as the process that runs Snakemake lives, however it ends; holds its id."""
DRY_RUN = {"-n", "--dry-run", "--dryrun"}
FORCERUN = ("--forcerun", "-R")
NAMES = {"snakemake", "sleepbench"}
PACKAGE = Path(__file__).parents[1]


def snakemake(arguments: Sequence[str], again: Callable[[], Sequence[str]] = tuple) -> int:
    """Run Snakemake within this process, so that signals reach it; its exit status.

    `again` gives files to be made again, and is asked when nobody else works in the directory. BenchmarkError where
    another process works there. A dry run changes nothing, so it need not wait.
    """
    options, here = ["--profile", PROFILE], Path.cwd()
    require_own_workflow(here)
    if not DRY_RUN & set(arguments):
        pid = hold(here)
        locked = has_locks(here)
        if pid is None and locked:
            pid = running_there(here)
        if pid is not None:
            raise BenchmarkError(in_use(here, pid))
        if locked:
            print("Removing the lock of a run that was killed.", file=sys.stderr)
            unlock = [sys.executable, "-m", "snakemake", *options, "--unlock"]
            subprocess.run(unlock, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return _run(with_forced(again(), [*options, *arguments]))


def with_forced(files: Sequence[str], options: Sequence[str]) -> list[str]:
    """Options of Snakemake by which files are made again.

    Snakemake takes the last --forcerun alone: one among the options gets them as well.
    """
    if not files:
        return list(options)
    own = options[: options.index("--")] if "--" in options else options
    place = next((n + 1 for n, option in enumerate(own) if option in FORCERUN), 0)
    return [*options[:place], *([] if place else FORCERUN[:1]), *files, *options[place:]]


def _run(arguments: list[str]) -> int:
    from snakemake.cli import main  # takes a second, which a refusal does without

    expect_many_objects()
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
    return 0


def require_own_workflow(directory: Path) -> None:
    """Raise BenchmarkError where the directory's workflow belongs to another sleepbench.

    Its rules and its jobs would run different code.
    """
    there = directory / "workflow" / "sleepbench"
    if there.exists() and not there.samefile(PACKAGE):
        raise BenchmarkError(
            f"{there}: is not this sleepbench, which is {PACKAGE}; run the one that `make setup` installs here: "
            f"{directory}/.venv/bin/sleepbench"
        )


def hold(directory: Path) -> int | None:
    """Lock the directory until this process ends; the id of the process that has it, or else None.

    The id is 0 where that process has not written its own yet. Jobs do not inherit the lock: they may outlive it.
    """
    path = directory / HELD
    path.parent.mkdir(exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(file, 32) or 0)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None  # a file system without such locks: the processes that run Snakemake decide
    os.truncate(file, 0)
    os.write(file, str(os.getpid()).encode())
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
        # "python -u -m snakemake ...", or a script of that name: behind Python and what its options take.
        names = [Path(argument).name for argument in process.cmdline() if not argument.startswith("-")]
        is_one = names and (names[0] in NAMES or (names[0].startswith("python") and not NAMES.isdisjoint(names[1:3])))
        return process.pid != os.getpid() and bool(is_one) and Path(process.cwd()) == directory
    except psutil.Error:
        return False  # ended meanwhile, or another user's


def in_use(directory: Path, pid: int) -> str:
    """What is said instead of starting beside another run."""
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
