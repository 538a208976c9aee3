"""Surroundings of a user that must change nothing: settings of other programs, odd places and file systems."""

import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forked
from damage import ask_again
from trials import (
    HEALED,
    HOME,
    REPOSITORY,
    SAME,
    SILENT,
    SKIPPED,
    TRACEBACK,
    TRAINING,
    Kind,
    Result,
    Workshop,
)

FIGURE = (f"{HOME}/figures/ladder.*",)
WRITERS, WRITES = 8, 6
NO_LOCKS = {"ENOLCK": errno.ENOLCK, "ENOTSUP": errno.ENOTSUP, "ENOSYS": errno.ENOSYS}


def kinds() -> list[Kind]:
    """Every kind of surroundings, once."""
    cases: dict[str, Callable[[Workshop, random.Random], Result]] = {
        "matplotlibrc with usetex": lambda w, s: _styled(w, "text.usetex: True\n"),
        "matplotlibrc of a dark style": lambda w, s: _styled(w, "axes.facecolor: black\nfigure.facecolor: black\n"
                                                                "font.size: 20\nsavefig.dpi: 50\n"),
        "home that cannot be written": _without_home,
        "no /dev/shm": _without_shared_memory,
        "braces and blanks in the path": _braces,
        "checkout with core.autocrlf": _autocrlf,
        "file system that is read-only in the middle": _read_only,
        "results from a clock in the future": _future,
        "umask 0": _umask,
        "copied checkout beside the first one": _copied,
        "unpacked into another's git repository": _in_other_repository,
    }  # fmt: skip
    found = [Kind("surroundings", name, 1, _once(case)) for name, case in cases.items()]
    found += [
        Kind("surroundings", f"{WRITERS} writers where locks answer {name}", 3, _writers(number), 1)
        for name, number in NO_LOCKS.items()
    ]
    return found


def _once(case: Callable[[Workshop, random.Random], Result]) -> Callable[[Workshop, random.Random, int], Result]:
    return lambda workshop, source, number: case(workshop, source)


def _styled(workshop: Workshop, style: str) -> Result:
    project = workshop.copy()
    home = project.directory / "home"
    (home / "matplotlib").mkdir(parents=True)
    (home / "matplotlib" / "matplotlibrc").write_text(style)
    targets = ask_again(project, list(FIGURE))
    environment = {"XDG_CONFIG_HOME": str(home)}
    return project.judge(
        targets, targets, command=lambda: forked.fresh(project.directory, "run", *targets, environment=environment)
    )


def _without_home(workshop: Workshop, source: random.Random) -> Result:
    """Neither the home nor what is usually below it can be written."""
    project = workshop.copy()
    targets = ask_again(project, [*FIGURE, TRAINING])
    nowhere = {name: "/proc/nowhere" for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    predictions = f"{TRAINING}/*/predictions.parquet"
    return project.judge(
        targets,
        [*targets[1:], predictions],
        command=lambda: forked.fresh(project.directory, "run", *targets, environment=nowhere),
    )


def _without_shared_memory(workshop: Workshop, source: random.Random) -> Result:
    project = workshop.copy()
    targets = ask_again(project, [TRAINING])
    prefix = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        return Result(SKIPPED, "no mount can be changed here")
    return project.judge(
        targets,
        [f"{TRAINING}/*/predictions.parquet"],
        command=lambda: forked.fresh(project.directory, "run", *targets, prefix=prefix),
    )


def _braces(workshop: Workshop, source: random.Random) -> Result:
    project = workshop.copy(name="a {dataset} é %s of $HOME")
    return project.judge(targets := ask_again(project, [*FIGURE, f"{HOME}/runs.csv"]), targets)


def _autocrlf(workshop: Workshop, source: random.Random) -> Result:
    """A checkout as Git for Windows makes it runs the same code: what is finished stays so."""
    project = workshop.copy()
    for name in ("Snakefile", "workflow", "envs"):
        (project.directory / name).unlink()
    clone = project.directory / "clone"
    git = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    made = subprocess.run([*git, "clone", "--quiet", str(REPOSITORY), str(clone)], capture_output=True, text=True)
    if made.returncode:
        return Result(SKIPPED, f"no repository to clone: {made.stderr.strip()}")
    for name in ("Snakefile", "workflow", "envs"):
        (clone / name).rename(project.directory / name)
    texts = [
        path for path in project.directory.glob("workflow/**/*") if path.suffix in (".py", ".yaml", ".smk", ".csv")
    ]
    windows = [path for path in texts if b"\r\n" in path.read_bytes()]
    here = {path: (REPOSITORY / path.relative_to(project.directory)).read_bytes() for path in windows}
    changed = [path for path in windows if path.read_bytes() != here[path]]
    if changed:
        return Result(SILENT, f"{len(changed)} of {len(texts)} files have CRLF, so that their hashes are others")
    return Result(SAME)


def _read_only(workshop: Workshop, source: random.Random) -> Result:
    """results/ becomes read-only while a training runs, and can be written again when that was said."""
    project = workshop.copy()
    results = project.directory / "results"
    moved = results.rename(project.directory / "results.whole")
    results.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "results", str(results)], capture_output=True).returncode:
        return Result(SKIPPED, "nothing can be mounted here")
    try:
        shutil.copytree(moved, results, symlinks=True, dirs_exist_ok=True)
        targets = ask_again(project, [TRAINING])
        tries: list[int] = []

        def run() -> forked.Ended:
            tries.append(1)
            if len(tries) > 1:
                subprocess.run(["mount", "-o", "remount,rw", str(results)], check=True)
                return project.sleepbench("run", *targets)
            pid = forked.start(project.directory, ["run", *targets], project.directory / "printed.txt")
            log = results / "logs" / TRAINING.removeprefix("results/")
            end = time.monotonic() + 120
            while time.monotonic() < end and "epochs" not in _text(log.with_suffix(".log")):
                time.sleep(0.02)
            while subprocess.run(["mount", "-o", "remount,ro", str(results)], capture_output=True).returncode:
                time.sleep(0.01)
            status = forked.wait(pid)
            return forked.Ended(status, _text(project.directory / "printed.txt"))

        return project.judge(targets, [f"{TRAINING}/*/predictions.parquet"], command=run)
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _future(workshop: Workshop, source: random.Random) -> Result:
    """Everything seems made next year; what is missing is made again, and then nothing is left to do."""
    project = workshop.copy()
    later = time.time() + 365 * 24 * 3600
    for path in [project.directory / "results", *(project.directory / "results").rglob("*")]:
        os.utime(path, (later, later), follow_symlinks=False)
    targets = ask_again(project, [f"{HOME}/runs.csv"])
    result = project.judge(targets, targets)
    if not result.is_bad:
        again = project.sleepbench("run", *targets)
        if "Nothing to be done" not in again.printed:
            return Result(SILENT, "what was made is made again at each run")
    return result


def _umask(workshop: Workshop, source: random.Random) -> Result:
    """Nothing that is run or unpickled later can be written by others."""
    project = workshop.copy()
    cache = project.directory / "cache"
    project.environment["XDG_CACHE_HOME"] = str(cache)
    targets = ask_again(project, [TRAINING])

    def run() -> forked.Ended:
        return forked.run(
            project.directory, "run", *targets, environment=project.environment, before=lambda: os.umask(0) and None
        )

    result = project.judge(targets, [f"{TRAINING}/*/predictions.parquet"], command=run)
    open_to_all = [path for path in cache.rglob("*") if path.stat().st_mode & stat.S_IWOTH]
    if open_to_all and not result.is_bad:
        return Result(SILENT, f"anyone may change {open_to_all[0].relative_to(cache)}, which is run")
    return result


def _copied(workshop: Workshop, source: random.Random) -> Result:
    """A copy of a finished run logs into its own place, not into that of the first one."""
    project = workshop.copy()
    first = sorted(project.reference.rglob("*"))
    targets = ask_again(project, [f"{HOME}/logged_runs.json", f"{HOME}/runs.csv", TRAINING])
    result = project.judge(targets, [f"{HOME}/runs.csv"])
    if not result.is_bad and (more := {*project.reference.rglob("*")} - {*first}):
        for path in more:
            if path.is_file():
                path.unlink()
        return Result(SILENT, f"{len(more)} files were written into the first one, such as {min(more)}")
    return result


def _in_other_repository(workshop: Workshop, source: random.Random) -> Result:
    """An archive that is unpacked inside somebody's repository has no commit."""
    project = workshop.copy()
    around = project.directory / "around"
    inner = around / "sleepbench"
    inner.mkdir(parents=True)
    commands = (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"])
    for command in commands:
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=around, capture_output=True
        )
        if done.returncode:
            return Result(SKIPPED, "no git here")

    def commit() -> None:
        from sleepbench.core.provenance import git_commit

        print(git_commit(inner))

    ended = forked.calling(project.directory, commit)
    if bad := forked_crash(ended):
        return bad
    said = ended.printed.strip()
    return Result(SAME) if said == "unknown" else Result(SILENT, f"the commit is said to be {said}")


def forked_crash(ended: forked.Ended) -> Result | None:
    """A traceback of a function that was called."""
    return Result(TRACEBACK, ended.printed[-1500:]) if ended.status else None


def _writers(number: int) -> Callable[[Workshop, random.Random, int], Result]:
    """Several processes write the same file, one after the other, on a file system that does not lock."""

    def attempt(workshop: Workshop, source: random.Random, trial: int) -> Result:
        folder = workshop.folder / "writers"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

        def write(writer: int) -> Callable[[], None]:
            def command() -> None:
                import fcntl

                from sleepbench.core.files import write_text

                def flock(*_: object) -> None:
                    raise OSError(number, os.strerror(number))

                fcntl.flock = flock
                for _ in range(WRITES):
                    write_text(folder / "file.txt", f"{writer}" * 200_000)

            return command

        pids = []
        for writer in range(WRITERS):
            (folder / str(writer)).mkdir()
            pids.append(forked.start_function(folder, _ending(write(writer)), folder / str(writer) / "printed.txt"))
        statuses = [forked.wait(pid, 60) for pid in pids]
        printed = [_text(folder / str(writer) / "printed.txt") for writer in range(len(pids))]
        content = _text(folder / "file.txt")
        failed = [text for text, status in zip(printed, statuses, strict=True) if status]
        if any("Traceback" in text for text in failed) or None in statuses:
            said = next((text for text in failed if "Traceback" in text), "a writer hangs")
            return Result(TRACEBACK, f"{len(failed)} of {len(pids)} writers failed: {said[-600:]}")
        if len(content) != 200_000 or len({*content}) != 1:
            return Result(SILENT, f"{len(content)} bytes of {len({*content})} writers")
        return Result(HEALED if failed else SAME, failed[0] if failed else "")

    return attempt


def _ending(command: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        from sleepbench.core.errors import BenchmarkError

        try:
            command()
        except BenchmarkError as error:
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(1)

    return call
