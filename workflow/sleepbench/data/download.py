"""Fetching recordings: both files present and right, or an error that says what to do.

pooch does the transfer (a temporary file, the checksum, then the move); the retries are ours, because pooch's own would
also repeat what no repetition mends: a missing page or a wrong checksum.
"""

import errno
import shutil
import time
from pathlib import Path

import pooch
from requests import exceptions

from sleepbench.data.recordings import Recording
from sleepbench.errors import BenchmarkError
from sleepbench.files import sha256_of_file

# What a job prints goes to its log; pooch's logger would write to the terminal instead.
pooch.get_logger().setLevel("WARNING")

FOLDER = "sleep-cassette"
"""Where the files lie under the base URL, and in a copy of the whole data set."""

ATTEMPTS = 4
FIRST_WAIT_SECONDS = 2.0
"""Before the second attempt; doubled before each further one."""
TIMEOUT_SECONDS = (15, 60)
"""For the connection, and for each wait for more bytes: PhysioNet is slow, but not silent."""
CHUNK_BYTES = 2**16
LINE_EVERY_BYTES = 10_000_000
LINE_EVERY_SECONDS = 10.0
SERVER_BUSY = (408, 429)
"""HTTP statuses below 500 after which trying again makes sense."""


def fetch_recording(recording: Recording, directory: Path, base_url: str | None) -> dict[str, object]:
    """Make both files of a recording present and right under `directory`; return what was found, for the record.

    A file that is there already, in `directory` or its sleep-cassette folder, is hashed, never trusted, and never
    changed. What is absent comes from `base_url`/sleep-cassette/, unless `base_url` is empty. Returns {"recording": id,
    "psg": {"path", "bytes", "sha256"}, "hypnogram": {...}}. BenchmarkError when a file is wrong or cannot be had; then
    no partial file is left.
    """
    directory = Path(directory)
    wanted = {
        "psg": (recording.psg, recording.psg_sha256),
        "hypnogram": (recording.hypnogram, recording.hypnogram_sha256),
    }
    found = {role: _find_right(directory, *file) for role, file in wanted.items()}
    missing = [wanted[role][0] for role, path in found.items() if path is None]
    if missing and not base_url:
        raise BenchmarkError(
            f"{directory}: {' and '.join(missing)} of recording {recording.id} missing, and there is no data.base_url "
            f"to fetch from; put them there (or into {directory / FOLDER}), or set data.base_url "
            "(a simulated cohort is written again once its recordings.csv is deleted)"
        )
    for role, path in found.items():
        if path is None:
            name, sha256 = wanted[role]
            found[role] = _download(f"{base_url.rstrip('/')}/{FOLDER}/{name}", directory / name, sha256)
    return {
        "recording": recording.id,
        **{
            role: {"path": str(path), "bytes": path.stat().st_size, "sha256": wanted[role][1]}
            for role, path in found.items()
        },
    }


def _find_right(directory: Path, name: str, sha256: str) -> Path | None:
    """The file if it is there and right, None if it is absent, BenchmarkError if it is there and wrong."""
    for path in (directory / name, directory / FOLDER / name):
        if path.is_symlink() or path.exists():
            try:
                found = sha256_of_file(path)
            except OSError as error:
                raise BenchmarkError(f"{path}: cannot be read ({error.strerror}); mend it or move it away") from error
            if found != sha256:
                raise BenchmarkError(
                    f"{path}: its SHA-256 is {found} ({path.stat().st_size} bytes), expected {sha256}; "
                    "move it away and run again"
                )
            return path
    return None


def _download(url: str, path: Path, sha256: str) -> Path:
    """Download one file to `path`, whole and right or not at all, with a few attempts."""
    # pooch names its temporary files at random; in a folder of their own those of a killed process can be found.
    partial = path.parent / f".{path.name}.partial"
    progress = LogProgress(path.name)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _retrieve(url, partial / path.name, sha256, progress)
        return (partial / path.name).replace(path)
    except exceptions.RequestException as error:
        raise BenchmarkError(_explain(url, path, error)) from error
    except ValueError as error:  # what pooch raises for a wrong checksum
        raise BenchmarkError(
            f"{url}: what came is not {path.name}, and was removed ({error}); "
            "check data.base_url and whether a proxy answers in its place"
        ) from error
    except OSError as error:
        raise BenchmarkError(_explain_disk(path, error, progress.total)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _retrieve(url: str, path: Path, sha256: str, progress: "LogProgress") -> None:
    """Let pooch download and check; try again, ever later, after failures that may pass."""
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_SECONDS)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            print(f"{url}: attempt {attempt} of {ATTEMPTS}", flush=True)
            pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=downloader)
            return
        except exceptions.RequestException as error:
            if attempt == ATTEMPTS or not _may_pass(error):
                raise
            wait = FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
            print(f"{url}: {error}; trying again in {wait:g} s", flush=True)
            progress.reset()
            time.sleep(wait)


def _may_pass(error: exceptions.RequestException) -> bool:
    """Whether a later attempt may succeed."""
    if isinstance(error, exceptions.HTTPError):
        status = error.response.status_code
        return status >= 500 or status in SERVER_BUSY
    return isinstance(error, exceptions.ConnectionError | exceptions.Timeout | exceptions.ChunkedEncodingError)


def _explain(url: str, path: Path, error: exceptions.RequestException) -> str:
    """What went wrong on the network, and what to do."""
    by_hand = f"or put {path.name} into {path.parent} by hand"
    if isinstance(error, exceptions.HTTPError):
        status = f"{error.response.status_code} {error.response.reason}"
        if error.response.status_code == 404:
            return f"{url}: not found ({status}); check data.base_url, {by_hand}"
        return f"{url}: the server answered {status}, expected 200; check data.base_url, try again later, {by_hand}"
    if _may_pass(error):
        return f"{url}: no answer or no whole one in {ATTEMPTS} attempts ({error}); check the network, {by_hand}"
    return f"{url}: cannot be fetched ({error}); check data.base_url, {by_hand}"


def _explain_disk(path: Path, error: OSError, n_bytes: int) -> str:
    """What went wrong on this machine, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: the disk is full: {n_bytes} bytes are needed in {path.parent}; make room and run again"
    return f"{path}: cannot be written ({error.strerror}); check the folder {path.parent} and its permissions"


class LogProgress:
    """Progress as lines for a log, through the four calls pooch makes on a progress bar (it sets `total`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = self.done = self.printed_bytes = 0
        self.printed_at = time.monotonic()

    def reset(self) -> None:
        """Start counting anew; pooch does so at the end too, before it counts the whole."""
        self.done = 0

    def update(self, n_bytes: int) -> None:
        """Count bytes; print a line every 10 MB or 10 s, whichever comes first."""
        self.done += n_bytes
        now = time.monotonic()
        if self.done - self.printed_bytes >= LINE_EVERY_BYTES or now - self.printed_at >= LINE_EVERY_SECONDS:
            print(f"{self.name}: {self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB", flush=True)
            self.printed_bytes, self.printed_at = self.done, now

    def close(self) -> None:
        """Say that all has come."""
        print(f"{self.name}: all {self.total / 1e6:.1f} MB have come", flush=True)
