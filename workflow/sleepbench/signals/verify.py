"""Hash a dataset's files again, and say which are missing or wrong.

python -m sleepbench.signals.verify DATASET [--threads N]
"""

import argparse
import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sleepbench.config.load import data_directory, dataset_of, load
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.recordings import first_subjects, read_recordings
from sleepbench.signals.download import find_file

CONFIG = Path("config.yaml")
BLOCK_BYTES = 2**22
"""Read at once: large enough that a disk reads in sequence though several files are read side by side."""
LINE_EVERY_SECONDS = 5.0
REDRAW_EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class ExpectedFile:
    """A file as it should be; `path` is where it is, or where it is missing."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """What a file is; `found` is None, and `problem` set, where it could not be read."""

    file: ExpectedFile
    n_bytes: int = 0
    found: str | None = None
    problem: str = ""
    missing: bool = False

    @property
    def right(self) -> bool:
        return self.found == self.file.sha256


def expected_files(config: dict, name: str) -> list[ExpectedFile]:
    """The files of a dataset of a validated config; BenchmarkError when there is no such dataset, or no table yet."""
    dataset = dataset_of(config, name)
    if dataset.simulation:
        home = Path("results/data") / dataset.source
        if not (home / "recordings.csv").exists():
            raise BenchmarkError(
                f"{home / 'recordings.csv'}: not found, expected the table of the simulated cohort '{name}'; "
                f"write it with `make data DATASET={name}`"
            )
        recordings, directory = read_recordings(home / "recordings.csv"), home / "raw"
    else:
        table = read_recordings(config["data"]["table"])
        recordings, directory = first_subjects(table, dataset.subjects), data_directory(config)
    pairs = [(r.psg, r.psg_sha256) for r in recordings] + [(r.hypnogram, r.hypnogram_sha256) for r in recordings]
    return [ExpectedFile(find_file(directory, file) or directory / file, sha256) for file, sha256 in sorted(pairs)]


def verify_files(
    files: Sequence[ExpectedFile], threads: int, progress: Callable[[int, int], None] = lambda n_bytes, n_files: None
) -> list[Outcome]:
    """Hash files side by side; the outcomes are in the files' order.

    Hashing and reading release Python's lock, so threads run in parallel. `progress` is told of every block (bytes, 0)
    and of every file that is done (0, 1), from several threads.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        return list(pool.map(lambda file: _verify(file, progress), files))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for all that is queued


def _verify(file: ExpectedFile, progress: Callable[[int, int], None]) -> Outcome:
    try:
        if not file.path.is_symlink() and not file.path.exists():
            return Outcome(file, missing=True)
        digest, n_bytes, block = hashlib.sha256(), 0, memoryview(bytearray(BLOCK_BYTES))
        with file.path.open("rb", buffering=0) as stream:
            while n := stream.readinto(block):
                digest.update(block[:n])
                n_bytes += n
                progress(n, 0)
        return Outcome(file, n_bytes, digest.hexdigest())
    except OSError as error:
        return Outcome(file, problem=f"cannot be read ({error.strerror or error})")
    finally:
        progress(0, 1)


class Progress:
    """Files and bytes done: one line that is redrawn on a terminal, a line every few seconds elsewhere."""

    def __init__(self, n_files: int, total_bytes: int, stream: TextIO) -> None:
        self.n_files, self.total_bytes, self.stream = n_files, total_bytes, stream
        self.on_terminal = stream.isatty()
        self.every = REDRAW_EVERY_SECONDS if self.on_terminal else LINE_EVERY_SECONDS
        self.files = self.bytes = 0
        self.started = self.printed = time.monotonic()
        self.lock = threading.Lock()

    def __call__(self, n_bytes: int, n_files: int) -> None:
        """Count, and print where it is time to."""
        with self.lock:
            self.bytes += n_bytes
            self.files += n_files
            now = time.monotonic()
            if now - self.printed >= self.every:
                self.printed = now
                line = self.line(now - self.started)
                self.stream.write(f"\r{line}\033[K" if self.on_terminal else f"{line}\n")
                self.stream.flush()

    def line(self, seconds: float) -> str:
        """What is done after so many seconds."""
        rate = self.bytes / max(seconds, 1e-9)
        left = f"{max(self.total_bytes - self.bytes, 0) / rate:.0f} s left" if self.bytes else "unknown time left"
        return f"{self.files} of {self.n_files} files, {rate / 1e6:.0f} MB/s, {left}"

    def close(self) -> None:
        """Wipe the line of a terminal."""
        if self.on_terminal:
            self.stream.write("\r\033[K")
            self.stream.flush()


def report(name: str, outcomes: Sequence[Outcome], seconds: float, config: dict) -> str:
    """The result in words: how many are right, which are not, and what to do."""
    right = sum(outcome.right for outcome in outcomes)
    missing = [outcome for outcome in outcomes if outcome.missing]
    wrong = [outcome for outcome in outcomes if not outcome.right and not outcome.missing]
    n_bytes = sum(outcome.n_bytes for outcome in outcomes)
    speed = f"{n_bytes / 1e9:.2f} GB hashed in {seconds:.1f} s, {n_bytes / max(seconds, 1e-9) / 1e6:.0f} MB/s"
    lines = [f"{name}: {right} of {len(outcomes)} files right ({speed})"]
    if missing:
        lines += [f"{len(missing)} missing:", *(f"  {outcome.file.path}" for outcome in missing)]
    if wrong:
        lines += [f"{len(wrong)} wrong:", *(f"  {_describe(outcome)}" for outcome in wrong)]
    if missing or wrong:
        lines.append(f"What to do: {_what_to_do(name, bool(missing), bool(wrong), config)}")
    return "\n".join(lines)


def _describe(outcome: Outcome) -> str:
    if outcome.found is None:
        return f"{outcome.file.path}: {outcome.problem}"
    found = f"found SHA-256 {outcome.found} ({outcome.n_bytes} bytes)"
    return f"{outcome.file.path}: {found}, expected {outcome.file.sha256}"


def _what_to_do(name: str, missing: bool, wrong: bool, config: dict) -> str:
    dataset = dataset_of(config, name)
    if dataset.simulation:
        return (
            f"delete results/data/{dataset.source}/recordings.csv and run `make data DATASET={name}`, which writes it"
        )
    parts = ["move the wrong files away"] if wrong else []
    if config["data"]["base_url"]:
        parts.append(f"run `make data DATASET={name}`, which fetches what is missing")
    else:
        parts.append(f"put what is missing into {data_directory(config)}, or set data.base_url")
    return ", then ".join(parts) if wrong else parts[0]


def main(arguments: Sequence[str]) -> int:
    """Verify a dataset of config.yaml; 0 if all its files are right, else 1."""
    parser = argparse.ArgumentParser(prog="python -m sleepbench.signals.verify", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a name under `datasets` in config.yaml")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="files hashed side by side")
    options = parser.parse_args(arguments)
    try:
        config = load(CONFIG)
        files = expected_files(config, options.dataset)
    except BenchmarkError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    sizes = [file.path.stat().st_size for file in files if file.path.exists()]
    print(f"Hashing {len(sizes)} of {len(files)} files, {sum(sizes) / 1e9:.2f} GB", flush=True)
    progress = Progress(len(files), sum(sizes), sys.stderr)
    outcomes = verify_files(files, max(1, options.threads), progress)
    progress.close()
    print(report(options.dataset, outcomes, time.monotonic() - progress.started, config))
    return 0 if all(outcome.right for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
