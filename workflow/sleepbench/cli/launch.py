"""Run Snakemake with the project's profile, alone in its directory, and where a killed run has left a lock, remove it.

python -m sleepbench.cli.launch [arguments of snakemake]
"""

import datetime
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import psutil

from sleepbench.core.files import NO_LOCKS

PROFILE = "workflow/profiles/default"
HELD = Path(".snakemake/sleepbench.lock")
"""Locked by the kernel for as long as the process lives that was started here, however it ends; holds its id."""
DRY_RUN = {"-n", "--dry-run", "--dryrun"}


def hold(directory: Path) -> int | None:
    """Lock the directory for this process and what it becomes; the id of the process that has it, or else None.

    The id is 0 where that process has not written its own yet.

    The file stays open through `os.execv`, and Snakemake closes it in the jobs it starts: these may outlive it.
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
    os.set_inheritable(file, True)
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
        is_snakemake = names[:1] == ["snakemake"] or ("snakemake" in names[1:3] and names[0].startswith("python"))
        return process.pid != os.getpid() and is_snakemake and Path(process.cwd()) == directory
    except psutil.Error:
        return False  # ended meanwhile, or another user's


def in_use(directory: Path, pid: int) -> str:
    """What is said instead of starting beside another run."""
    if not pid:
        return (
            f"Error: {directory} is in use by another make or snakemake that has just started. Wait until it has ended."
        )
    try:
        started = f"{datetime.datetime.fromtimestamp(psutil.Process(pid).create_time()):%Y-%m-%d %H:%M:%S}"
    except (psutil.Error, ValueError):
        started = "just now"
    return (
        f"Error: {directory} is in use by process {pid}, started {started}: another make or snakemake works there. "
        f"Wait until it has ended, or stop it: kill -INT {pid}"
    )


def main(arguments: list[str]) -> None:
    """Replace this process by Snakemake's, so that Ctrl-C reaches it and its exit status is ours."""
    snakemake, here = [sys.executable, "-m", "snakemake", "--profile", PROFILE], Path.cwd()
    if not DRY_RUN & set(arguments):
        pid = hold(here)
        locked = has_locks(here)
        if pid is None and locked:
            pid = running_there(here)
        if pid is not None:
            sys.exit(in_use(here, pid))
        if locked:
            print("Removing the lock of a run that was killed.", file=sys.stderr)
            subprocess.run([*snakemake, "--unlock"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.execv(sys.executable, [*snakemake, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
