"""Checkpoints: what was saved is loaded, and nothing else."""

import numpy as np
import pytest
import torch

from sleepbench.training.checkpoint import Checkpoint

STATE = {"weights": torch.arange(500.0), "generator": torch.Generator().get_state(), "of": [1, 2.5, "three", None]}


@pytest.fixture
def saved(tmp_path):
    """A checkpoint that was saved, what it says, and its bytes."""
    lines = []
    checkpoint = Checkpoint(tmp_path / ".fold-0.checkpoint", {"settings": "s"}, lines.append)
    checkpoint.save(STATE)
    return checkpoint, lines, checkpoint.path.read_bytes()


def test_what_was_saved_is_loaded(saved):
    checkpoint, lines, _ = saved
    loaded = checkpoint.load()
    assert torch.equal(loaded["weights"], STATE["weights"]) and loaded["of"] == STATE["of"] and not lines
    assert checkpoint.peek().keys() == loaded.keys()


def test_a_checkpoint_that_is_not_as_it_was_saved_is_said_and_dropped(saved):
    checkpoint, lines, whole = saved
    random = np.random.default_rng(1)
    damaged = [whole[:n] for n in (0, 1, 30, 90, 100, len(whole) // 2, len(whole) - 1)]
    damaged += [whole + b"\0", b"PK\x03\x04 half a file", whole.partition(b"\n")[2]]
    for bit in (*range(8), *random.integers(8 * len(whole), size=200)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for content in damaged:
        checkpoint.path.write_bytes(content)
        lines.clear()
        assert checkpoint.load() == {} and not checkpoint.path.exists()
        assert lines == [f"{checkpoint.path} is damaged or no checkpoint, and is dropped: the training starts again"]
    assert checkpoint.load() == {} and len(lines) == 1


def test_a_checkpoint_of_something_else_is_said_and_left(saved):
    checkpoint, lines, whole = saved
    other = Checkpoint(checkpoint.path, {"settings": "others"}, lines.append)
    assert other.peek() == {} and not lines
    assert other.load() == {} and "is of other settings, code, device, engine or threads" in lines[0]
    assert checkpoint.path.read_bytes() == whole
