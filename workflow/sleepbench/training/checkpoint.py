"""Checkpoints, from which a training that was killed is resumed.

A checkpoint holds the state after the last completed training epoch.
"""

import io
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import torch

from sleepbench.core.files import replacing


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
        """What was saved last; empty where there is nothing to resume."""
        if not self.path.exists():
            return {}
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError) as error:
            self.report(f"{self.path} cannot be read ({type(error).__name__}): the training starts again")
            return {}
        if content["identity"] != self.identity:
            self.report(f"{self.path} is of other settings, code, device, engine or threads: the training starts again")
            return {}
        self._spent_before = content["spent_s"]
        return content["state"]

    def save(self, state: dict) -> None:
        """Write a state atomically.

        It may hold tensors, states of torch's generators, numbers, texts and containers of them.
        """
        content = io.BytesIO()  # torch's own file writer hides why it failed
        torch.save({"identity": self.identity, "spent_s": self.spent_s, "state": state}, content)
        with replacing(self.path) as temporary:
            temporary.write_bytes(content.getbuffer())

    def remove(self) -> None:
        """The training is finished."""
        self.path.unlink(missing_ok=True)
