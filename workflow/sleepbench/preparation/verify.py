"""A dataset's files, hashed again where they lie: which are missing or wrong."""

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

from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import Dataset, read_receipt, with_checksums

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


def verify_dataset(config: Config, name: str, threads: int | None = None) -> bool:
    """Hash the files of a dataset and return whether all are right.

    Prints which files are missing or wrong and what to do about them.
    """
    dataset = plan.dataset(config, name)
    directory = dataset.directory(paths.raw(dataset.files_source))
    files = expected_files(dataset, directory, Path(paths.receipt(dataset.source, "id")).parent)
    sizes = [file.path.stat().st_size for file in files if file.path.exists()]
    print(f"Hashing {len(sizes)} of {len(files)} files, {sum(sizes) / 1e9:.2f} GB", flush=True)
    progress = Progress(len(files), sum(sizes), sys.stderr)
    outcomes = verify_files(files, threads or os.cpu_count() or 1, progress)
    progress.close()
    print(report(dataset, directory, outcomes, time.monotonic() - progress.started))
    return all(outcome.right for outcome in outcomes)


def expected_files(dataset: Dataset, directory: Path, receipts: Path) -> list[ExpectedFile]:
    """The files of a dataset with their checksums, in ascending order of name.

    `receipts` is the folder of receipts (ID.json), which know the checksums that the dataset does not. BenchmarkError
    when the checksum of a file is not known yet.
    """
    recordings = dataset.used()
    unknown = [recording for recording in recordings if any(file.sha256 is None for file in recording.files)]
    if absent := [recording.id for recording in unknown if not (receipts / f"{recording.id}.json").exists()]:
        raise BenchmarkError(
            f"{receipts}: no receipt of {', '.join(absent)}, so nobody knows what the files should be; make them with "
            f"`sleepbench data fetch --datasets {dataset.name}`"
        )
    found = {recording.id: read_receipt(receipts / f"{recording.id}.json") for recording in unknown}
    known = [recording for recording in recordings if recording.id not in found] + with_checksums(unknown, found)
    names = sorted((file.name, file.sha256) for recording in known for file in recording.files)
    return [ExpectedFile(dataset.locate(name, directory), sha256) for name, sha256 in names]


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


def report(dataset: Dataset, directory: Path, outcomes: Sequence[Outcome], seconds: float) -> str:
    """The result in words: how many are right, which are not, and what to do."""
    right = sum(outcome.right for outcome in outcomes)
    missing = [outcome for outcome in outcomes if outcome.missing]
    wrong = [outcome for outcome in outcomes if not outcome.right and not outcome.missing]
    n_bytes = sum(outcome.n_bytes for outcome in outcomes)
    speed = f"{n_bytes / 1e9:.2f} GB hashed in {seconds:.1f} s, {n_bytes / max(seconds, 1e-9) / 1e6:.0f} MB/s"
    lines = [f"{dataset.name}: {right} of {len(outcomes)} files right ({speed})"]
    if missing:
        lines += [f"{len(missing)} missing:", *(f"  {outcome.file.path}" for outcome in missing)]
    if wrong:
        lines += [f"{len(wrong)} wrong:", *(f"  {_describe(outcome)}" for outcome in wrong)]
    if missing or wrong:
        steps = ["move the wrong files away"] if wrong else []
        lines.append(f"What to do: {', then '.join([*steps, dataset.how_to_restore(directory)])}")
    return "\n".join(lines)


def _describe(outcome: Outcome) -> str:
    if outcome.found is None:
        return f"{outcome.file.path}: {outcome.problem}"
    found = f"found SHA-256 {outcome.found} ({outcome.n_bytes} bytes)"
    return f"{outcome.file.path}: {found}, expected {outcome.file.sha256}"
