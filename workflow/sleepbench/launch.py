"""Run Snakemake with the project's profile, after removing a lock that a killed run has left behind.

python -m sleepbench.launch [arguments of snakemake]
"""

import os
import subprocess
import sys
from pathlib import Path

import psutil

PROFILE = "workflow/profiles/default"


def lock_is_stale(directory: Path) -> bool:
    """Whether a Snakemake lock exists in `directory` while no living process runs Snakemake there."""
    locks = directory / ".snakemake" / "locks"
    return (
        locks.is_dir()
        and any(locks.iterdir())
        and not any(_runs_snakemake(p, directory) for p in psutil.process_iter())
    )


def _runs_snakemake(process: psutil.Process, directory: Path) -> bool:
    try:
        names = [Path(argument).name for argument in process.cmdline()[:3]]
        return process.pid != os.getpid() and "snakemake" in names and Path(process.cwd()) == directory
    except psutil.Error:
        return False  # ended meanwhile, or another user's


def main(arguments: list[str]) -> None:
    """Replace this process by Snakemake's, so that Ctrl-C reaches it and its exit status is ours."""
    snakemake = [sys.executable, "-m", "snakemake", "--profile", PROFILE]
    if lock_is_stale(Path.cwd()):
        print("Removing the lock of a run that was killed.", file=sys.stderr)
        subprocess.run([*snakemake, "--unlock"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.execv(sys.executable, [*snakemake, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
