"""Download the files of a recording that are absent, and check them.

Afterwards all files are present and right; otherwise an error says what to do.

Servers are slow and break off, so nothing that has come is given up: it stays in `.NAME.partial` beside
the file, over attempts and over processes, and the next request asks only for the rest (HTTP Range). The SHA-256 alone
decides what is whole; only then does the file get its name. Where none is known, a file is pinned at first use: it has
the size that the server says, its SHA-256 is kept beside it (`PINNED`), and from then on it must be that.

Nor is a server believed: a file takes no more room than it is known to have, or than the server has said, or than
MOST_BYTES; the room is there before it is asked for. Redirects are followed to any host, as mirrors do it and the
SHA-256 decides, but never from https to http, nor to anything but these two.
"""

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, ProtocolError

from sleepbench import __version__
from sleepbench.core.errors import BenchmarkError, printable
from sleepbench.core.files import sha256_of_file, write_text
from sleepbench.core.locks import alone
from sleepbench.datasets.base import Recording, SourceFile

ATTEMPTS = 6
"""In a row that bring nothing new; an attempt that brings LEAST_BYTES starts the count again."""
PINNED = "SHA256SUMS.pinned"
"""Beside files of which no SHA-256 was known: theirs when they were first seen, as sha256sum writes them."""
FIRST_WAIT_SECONDS = 2.0
"""Before the second attempt; doubled before each further one that follows an attempt in vain."""
MAX_WAIT_SECONDS = 300
"""The longest wait that a server may ask for; beyond it the user is told when to come back."""
TIMEOUT_SECONDS = (15, 60)
"""For the connection, and for each wait for more bytes: a server may be slow, but not silent."""
STALL_SECONDS = 60
LEAST_BYTES = 60_000
"""In STALL_SECONDS. A body that drips more slowly has stalled."""
CHUNK_BYTES = 2**20
MOST_BYTES = 2**32
"""Of a file whose size nobody has said."""
MOST_REDIRECTS = 10
LINE_EVERY_BYTES = 10_000_000
LINE_EVERY_SECONDS = 10.0

# Lengths and ranges must count the bytes of the file, not those of a compressed body.
HEADERS = {"User-Agent": f"sleepbench/{__version__}", "Accept-Encoding": "identity"}
SERVER_BUSY = (408, 429)
"""HTTP statuses below 500 after which trying again makes sense."""
MAY_PASS = (requests.ConnectionError, requests.Timeout, HTTPError)


class _Session(requests.Session):
    """Leaves redirects to `Download`: what requests reads of them has no limit."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None is seen."""


class Interrupted(Exception):
    """An attempt failed in a way that may pass.

    `wait` is the time in seconds that the server asks to wait, None if it does not ask.
    """

    def __init__(self, reason: object, wait: float | None = None) -> None:
        super().__init__(str(reason))
        self.wait = wait


def fetch_files(
    recording: Recording, directory: Path, base_url: str | None, folder: str = "", pin: bool = False
) -> dict[str, Any]:
    """Make the files of a recording present and right; return what was found, as a receipt.

    A file that is there already, in `directory` or its `folder`, is hashed, never trusted, and never changed; where its
    SHA-256 is not known it is right as it is. What is absent comes from `base_url`/`folder`/, if there is an address.
    With `pin`, what has no SHA-256 is right as it is first seen, and from then on must be that.
    Returns {"recording": id, role: {"path", "bytes", "sha256"}, ...}. BenchmarkError when a file is wrong or cannot be
    had; what has come of it then stays in `.NAME.partial`, from where the next call resumes.
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise BenchmarkError(f"{directory}: is a file, expected the folder of the recordings; correct its `directory`")
    unpinned = [file.name for file in recording.files if pin and file.sha256 is None]
    if unpinned:
        known = read_pinned(directory)
        files = (replace(file, sha256=file.sha256 or known.get(file.name)) for file in recording.files)
        recording = replace(recording, files=tuple(files))
    found = {file.role: find_right(directory, folder, file) for file in recording.files}
    missing = [file for file in recording.files if found[file.role] is None]
    if missing and not (base_url and (pin or all(file.sha256 for file in missing))):
        why = "no SHA-256 is known to check a download by" if base_url else "there is no address to fetch from"
        raise BenchmarkError(
            f"{directory}: {' and '.join(file.name for file in missing)} of recording {recording.id} missing, and "
            f"{why}; put them into {directory}{f' or {directory / folder}' if folder else ''}, or set base_url"
        )
    _require_room(directory, missing)
    address = "/".join(part for part in (str(base_url).rstrip("/"), folder) if part)
    for file in missing:
        found[file.role] = Download(f"{address}/{file.name}", directory, file).run()
    receipt = {"recording": recording.id, **{f.role: describe(found[f.role], f) for f in recording.files}}
    if unpinned:
        pin_files(directory, {f.name: receipt[f.role]["sha256"] for f in recording.files if f.name in unpinned})
    return receipt


def read_pinned(directory: Path) -> dict[str, str]:
    """The SHA-256 by name of the files that were pinned at first use; BenchmarkError for a line that is none."""
    path = Path(directory) / PINNED
    return read_checksums(path) if path.exists() else {}


def read_checksums(path: Path) -> dict[str, str]:
    """A list as sha256sum writes it, or with one blank as PhysioNet does: name, with its folders, -> SHA-256.

    BenchmarkError for a file that is no such list.
    """
    known: dict[str, str] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: cannot be read as a list of checksums ({error}); move it away") from error
    for number, line in enumerate(lines, start=1):
        parts = re.fullmatch(r"([0-9a-fA-F]{64}) [ *]?(\S.*)", line)
        if line.strip() and not parts:
            raise BenchmarkError(
                f"{path}, line {number}: found {line[:80]!r}, expected a SHA-256, a blank and the name of a file; "
                "move the list away and run again"
            )
        if parts:
            known[parts[2]] = parts[1].lower()
    return known


def pin_files(directory: Path, checksums: Mapping[str, str]) -> None:
    """Keep the SHA-256 of files that were seen for the first time."""
    path = Path(directory) / PINNED
    with alone(path.with_name(".pinning.lock"), lambda: None):
        known = read_pinned(directory)
        if new := {name: sha256 for name, sha256 in checksums.items() if name not in known}:
            write_text(path, "".join(f"{sha256}  {name}\n" for name, sha256 in sorted((known | new).items())))
            print(f"{path}: pinned, as nobody publishes their SHA-256: {', '.join(new)}", flush=True)


def _require_room(directory: Path, files: Sequence[SourceFile]) -> None:
    """BenchmarkError where the disk has no room for files whose sizes are known, beside what has come of them."""
    there = directory
    while not there.exists():
        there = there.parent
    downloads = [Download("", directory, file) for file in files]
    needed = sum(max(0, (one.file.n_bytes or 0) - one.size) for one in downloads)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise BenchmarkError(f"{there}: cannot be searched ({error.strerror}); check its permissions") from error
    if needed > free:
        names = " and ".join(file.name for file in files)
        raise BenchmarkError(
            f"{directory}: the disk has {free} bytes free, {needed} are needed for {names}; make room, or set "
            "`directory` of the recordings to another disk"
        )


def describe(path: Path, file: SourceFile) -> dict[str, Any]:
    """What a receipt says of a file that is right."""
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": file.sha256 or sha256_of_file(path)}


def find_file(directory: Path, folder: str, name: str) -> Path | None:
    """Where a file lies: in `directory` or its `folder`. None if it is absent; a dead link is not."""
    paths = (directory / name, directory / folder / name)
    try:
        return next((path for path in paths if path.is_symlink() or path.exists()), None)
    except OSError as error:
        raise BenchmarkError(f"{directory}: cannot be searched ({error.strerror}); check its permissions") from error


def find_right(directory: Path, folder: str, file: SourceFile) -> Path | None:
    """The file if it is there and right, None if it is absent, BenchmarkError if it is there and wrong."""
    path = find_file(directory, folder, file.name)
    if path is None:
        return None
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror}); repair it or move it away") from error
    if file.sha256 not in (None, found):
        raise BenchmarkError(
            f"{path}: its SHA-256 is {found} ({path.stat().st_size} bytes), expected {file.sha256}{_size(file)}; "
            "move it away and run again"
        )
    return path


def _size(file: SourceFile) -> str:
    return "" if file.n_bytes is None else f" ({file.n_bytes} bytes)"


@dataclass
class Download:
    """A file that is being downloaded into `directory`.

    `total` is its size in bytes once the server has told it, 0 before.
    """

    url: str
    directory: Path
    file: SourceFile
    total: int = 0

    @property
    def most(self) -> int:
        """The most bytes that the file can have."""
        return self.total or MOST_BYTES if self.file.n_bytes is None else self.file.n_bytes

    @property
    def path(self) -> Path:
        return self.directory / self.file.name

    @property
    def partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.partial.lstat().st_size if self.partial.exists() else 0

    def run(self) -> Path:
        """Download the file, unless another process does so meanwhile; return where it is."""
        try:
            with alone(self.path.with_name(f".{self.path.name}.lock"), self._say_that_it_waits):
                if there := find_right(self.directory, "", self.file):
                    return there
                self._remove_what_is_not_ours()
                return self._fetch_right().replace(self.path)
        except OSError as error:
            raise BenchmarkError(self._explain_disk(error)) from error

    def _remove_what_is_not_ours(self) -> None:
        """Start over where a link or somebody else's file has the name of the partial one.

        In a folder that others can write to, what comes would be written to where they like.
        """
        if os.path.lexists(self.partial) and not _is_own_file(self.partial.lstat()):
            self.partial.unlink()
            print(f"{self.partial}: was no file of this user alone, and was removed", flush=True)
        if self.size > self.most:
            self.partial.unlink()

    def _say_that_it_waits(self) -> None:
        print(f"{self.path}: another process is fetching it; waiting for that one", flush=True)

    def _fetch_right(self) -> Path:
        """Return the partial file when its bytes are right; if wrong ones come, once more from the start."""
        for chance in ("once more from the start", "given up"):  # pieces of two versions may have been joined
            self._fetch_whole()
            size, found = self.size, sha256_of_file(self.partial)
            if self.file.sha256 in (None, found):
                print(f"{self.path.name}: all {size} bytes have come", flush=True)
                return self.partial
            self.partial.unlink()
            said = f"more than the {size - 1}" if size > self.most else f"{size}"
            print(f"{self.url}: {said} bytes with SHA-256 {found} came, and were removed; {chance}", flush=True)
        raise BenchmarkError(
            f"{self.url}: what came is not {self.path.name}, twice, and was removed: its SHA-256 is {found} "
            f"({size} bytes), expected {self.file.sha256}{_size(self.file)}; check base_url and whether a "
            "proxy answers in its place"
        )

    def _fetch_whole(self) -> None:
        """Fill the partial file until it is right or the server has sent all it has.

        BenchmarkError if that fails.
        """
        most, in_vain = self.size, 0
        with _Session() as session:
            session.headers.update(HEADERS)
            # a process may have been killed, or a connection lost, when all had come
            while not self._is_right():
                print(f"{self.url}: from byte {self.size}", flush=True)
                try:
                    return self._attempt(session)
                except Interrupted as error:
                    in_vain = 0 if self.size - most >= LEAST_BYTES else in_vain + 1
                    most = max(most, self.size)
                    wait = FIRST_WAIT_SECONDS * 2 ** max(in_vain - 1, 0) if error.wait is None else error.wait
                    if wait > MAX_WAIT_SECONDS:
                        then = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + wait))
                        raise BenchmarkError(
                            f"{self.url}: {error}, and the server asks to come back in {wait:.0f} s, expected at most "
                            f"{MAX_WAIT_SECONDS} s; {self._kept()}run again after {then}"
                        ) from error
                    if in_vain == ATTEMPTS:
                        raise BenchmarkError(
                            f"{self.url}: {ATTEMPTS} attempts in a row brought next to nothing (the last: {error}); "
                            f"{self._kept()}check the network, or {self._by_hand()}"
                        ) from error
                    print(printable(f"{self.url}: {error}; trying again in {wait:g} s"), flush=True)
                    time.sleep(wait)

    def _is_right(self) -> bool:
        """Whether all has come, as far as the SHA-256 tells; where none is known, the server tells."""
        known = self.file.sha256
        return known is not None and self.partial.exists() and sha256_of_file(self.partial) == known

    def _attempt(self, session: requests.Session) -> None:
        """Request the missing bytes once and append them to the partial file.

        Interrupted if not all came but a later attempt may succeed; BenchmarkError if the file cannot be fetched.
        """
        have = self.size
        try:
            headers = {"Range": f"bytes={have}-"} if have else {}
            with self._answer(session, headers) as response:
                self._check_status(response)
                self._receive(response, self._start(response, have))
        except MAY_PASS as error:
            # a ProtocolError's text repeats its cause
            raise Interrupted(error.args[0] if isinstance(error, ProtocolError) else error) from error
        except (requests.RequestException, ValueError) as error:  # ValueError: an address that is none
            raise BenchmarkError(
                f"{self.url}: cannot be fetched ({error}); check base_url, or {self._by_hand()}"
            ) from error
        if self.file.sha256 is None and not self.total:
            raise BenchmarkError(
                f"{self.url}: nobody publishes its SHA-256, and the server does not say its size, so nobody can tell "
                f"whether all has come; {self._by_hand()}"
            )
        if self.size < self.total:
            raise Interrupted(f"the answer ended after {self.size} of {self.total} bytes")

    def _answer(self, session: requests.Session, headers: Mapping[str, str]) -> requests.Response:
        """The answer to a request, behind redirects, whose bodies are not read: they may be endless."""
        url = self.url
        for _ in range(MOST_REDIRECTS + 1):
            response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS, allow_redirects=False)
            if (target := requests.Session.get_redirect_target(session, response)) is None:
                return response
            response.close()
            url = followed(response.url, target)
        raise requests.TooManyRedirects(f"Exceeded {MOST_REDIRECTS} redirects")

    def _check_status(self, response: requests.Response) -> None:
        """Interrupted for what may pass, BenchmarkError for what will not."""
        status = f"{response.status_code} {response.reason}"
        if response.status_code >= 500 or response.status_code in SERVER_BUSY:
            raise Interrupted(f"the server answered {status}", _retry_after(response.headers))
        if response.status_code not in (200, 206, 416):
            problem = "not found" if response.status_code == 404 else "the server refuses the file"
            raise BenchmarkError(
                f"{self.url}: {problem} ({status}, expected 200); check base_url, or {self._by_hand()}"
            )

    def _start(self, response: requests.Response, have: int) -> int:
        """The position in the file, in bytes, at which the response's body begins.

        Interrupted if the server cannot resume at byte `have`.
        """
        if response.status_code == 200:
            self.total = _number_of_bytes(response.headers.get("Content-Length", ""))
            return 0
        told = response.headers.get("Content-Range", "")
        extent = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", told)
        if response.status_code == 206 and extent and int(extent[1]) == have:
            self.total = _number_of_bytes(extent[2])
            return have
        self.partial.unlink(missing_ok=True)
        raise Interrupted(
            f"asked to resume at byte {have}, the server answered {response.status_code} with "
            f"{told or 'no Content-Range'}; starting over"
        )

    def _check_length(self) -> None:
        """BenchmarkError where the server says another size than is known, or has more than there is room for."""
        if self.total and self.file.n_bytes not in (None, self.total):
            raise BenchmarkError(
                f"{self.url}: the server says that it has {self.total} bytes, expected {self.file.n_bytes}; "
                f"{self._kept()}check base_url and whether a proxy answers in its place, or {self._by_hand()}"
            )
        if self.total > MOST_BYTES and self.file.n_bytes is None:
            raise BenchmarkError(
                f"{self.url}: the server says that it has {self.total} bytes, expected at most {MOST_BYTES} of a "
                f"recording; check base_url, or {self._by_hand()}"
            )
        if self.total - self.size > shutil.disk_usage(self.directory).free:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _receive(self, response: requests.Response, start: int) -> None:
        """Write a body from byte `start` on; Interrupted if it drips, BenchmarkError if it is a web page."""
        # read1 returns what is there; to read a whole chunk would be to wait as long as single bytes drip in
        chunk = response.raw.read1(CHUNK_BYTES)
        if start == 0 and chunk.lstrip().startswith(b"<"):  # before it takes the place of what has come
            raise BenchmarkError(
                f"{response.url}: a web page came instead of {self.path.name}, beginning with {chunk[:80]!r}; "
                f"{self._kept()}check base_url and whether a proxy or a log-in page answers in its place"
            )
        self._check_length()
        progress = LogProgress(self.path.name, start, self.total)
        since, n_bytes = time.monotonic(), 0
        room = self.most + 1 - start  # one byte more tells that there are too many
        with open(self.partial, "ab" if start else "wb", opener=_open_own) as file:
            while chunk and room > 0:
                chunk = chunk[:room]
                room -= len(chunk)
                file.write(chunk)
                file.flush()  # a process that is killed must leave what has come
                progress.update(len(chunk))
                n_bytes += len(chunk)
                elapsed = time.monotonic() - since
                if elapsed > STALL_SECONDS:
                    if n_bytes < LEAST_BYTES * elapsed / STALL_SECONDS:
                        raise Interrupted(f"only {n_bytes} bytes came in {elapsed:.0f} s")
                    since, n_bytes = time.monotonic(), 0
                chunk = response.raw.read1(CHUNK_BYTES)

    def _kept(self) -> str:
        """What a message says of the bytes that have come."""
        return f"{self.size} bytes are kept in {self.partial}, the next run resumes there; " if self.size else ""

    def _by_hand(self) -> str:
        return f"put {self.path.name} into {self.directory} by hand"

    def _explain_disk(self, error: OSError) -> str:
        """What went wrong on this machine, and what to do."""
        folder = self.directory
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = f"{self.total} bytes are needed in {folder}; {self._kept()}make room and run again"
            return f"{self.path}: the disk is full: {needed}"
        problem = error.strerror or error
        return f"{self.path}: cannot be written ({problem}); check the folder {folder} and its permissions"


def followed(url: str, target: str) -> str:
    """Where a redirect from `url` leads to; a RequestException where it is not followed."""
    there = urljoin(url, target)
    before, scheme = (urlsplit(one).scheme for one in (url, there))
    if scheme != "https" and (before, scheme) != ("http", "http"):
        raise requests.exceptions.InvalidSchema(f"it redirects to {there[:200]!r}, which is not followed")
    return there


def _number_of_bytes(text: str) -> int:
    """A size that a server says, 0 where it says none that makes sense."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def _is_own_file(found: os.stat_result) -> bool:
    """Whether what is there is a file of this user, under this name alone."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def _open_own(path: str, flags: int) -> int:
    """Open a file for writing, unless it has become a link or another user's since it was looked at."""
    file = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    if not _is_own_file(os.fstat(file)):
        os.close(file)
        raise OSError(errno.EPERM, "it is not this user's file")
    return file


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait, in seconds; None if it does not say.

    A date is compared with the server's own clock.
    """
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", asked):
        return float(asked)
    try:
        now = parsedate_to_datetime(headers.get("Date") or formatdate(usegmt=True))
        return max(0.0, (parsedate_to_datetime(asked) - now).total_seconds())
    except (TypeError, ValueError):
        return None


class LogProgress:
    """Progress of one response as lines for a log.

    It starts at `done` of `total` bytes; `total` is 0 where the server has not told it.
    """

    def __init__(self, name: str, done: int, total: int) -> None:
        self.name, self.done, self.total = name, done, total
        self.printed_bytes, self.printed_at = done, time.monotonic()

    def update(self, n_bytes: int) -> None:
        """Count bytes; print a line every 10 MB or 10 s, whichever comes first."""
        self.done += n_bytes
        now = time.monotonic()
        if self.done - self.printed_bytes >= LINE_EVERY_BYTES or now - self.printed_at >= LINE_EVERY_SECONDS:
            print(f"{self.name}: {self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB", flush=True)
            self.printed_bytes, self.printed_at = self.done, now
