"""Checkpoints, from which a training that was killed is resumed.

A checkpoint holds the state after the last completed training epoch. Its first line says what it is and the SHA-256 of
what follows: a damaged or foreign file is never resumed from.
"""

import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sleepbench.core.files import replacing

FIRST_LINE = b"sleepbench checkpoint, SHA-256 %s\n"


class Checkpoint:
    """A file beside a fold's directory, there only while the fold is trained.

    identity : what must be the same for a training to be resumed: settings, code, device, threads. A checkpoint of
        anything else is no use and is overwritten.
    """

    def __init__(self, path: Path, identity: dict, report: Callable[[str], None] = print):
        self.path, self.identity, self.report = path, identity, report
        self._started, self._spent_before = time.monotonic(), 0.0

    @property
    def spent_s(self) -> float:
        """Seconds of this process and, of those before it, what came to be kept."""
        return self._spent_before + time.monotonic() - self._started

    def load(self) -> dict:
        """What was saved last; empty where there is nothing to resume, which is said of what is of something else."""
        content = self._read()
        if content is None:
            return {}
        if content["identity"] != self.identity:
            self.report(f"{self.path} is of other settings, code, device, engine or threads: the training starts again")
            return {}
        self._spent_before = content["spent_s"]
        return content["state"]

    def peek(self) -> dict:
        """What `load` gives, without a word on what is of something else."""
        content = self._read()
        return content["state"] if content and content["identity"] == self.identity else {}

    def _read(self) -> dict | None:
        """What was saved last, whatever it is of; what is not as it was saved is said and dropped."""
        if not self.path.exists():
            return None
        line, newline, saved = self.path.read_bytes().partition(b"\n")
        if line + newline != FIRST_LINE % hashlib.sha256(saved).hexdigest().encode():
            self.report(f"{self.path} is damaged or no checkpoint, and is dropped: the training starts again")
            self.remove()
            return None
        return torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)

    def save(self, state: dict) -> None:
        """Write a state atomically.

        It may hold tensors, states of torch's generators, numbers, texts and containers of them.
        """
        content = io.BytesIO()  # torch's own file writer hides why it failed
        torch.save({"identity": self.identity, "spent_s": self.spent_s, "state": state}, content)
        saved = content.getbuffer()
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            file.write(FIRST_LINE % hashlib.sha256(saved).hexdigest().encode())
            file.write(saved)

    def remove(self) -> None:
        """It is not needed any more."""
        self.path.unlink(missing_ok=True)
