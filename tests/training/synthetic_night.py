"""Prepared recordings for tests of training, written as preparation writes them, without any EDF file."""

from pathlib import Path

import numpy as np

from sleepbench.core.files import write_json
from sleepbench.core.stages import SAMPLES_PER_EPOCH

CHANNELS = ("EEG Fpz-Cz", "EOG horizontal")


def write_night(directory: Path, recording_id: str, n_epochs: int, seed: int) -> Path:
    """A night whose stages differ in amplitude; every other epoch is in the standard window only. Returns the .npy."""
    generator = np.random.default_rng(seed)
    stage = generator.integers(0, 5, n_epochs)
    noise = generator.standard_normal((n_epochs, len(CHANNELS), SAMPLES_PER_EPOCH))
    path = directory / f"{recording_id}.npy"
    np.save(path, (noise * (4.0**stage)[:, None, None]).astype(np.float32))
    released = np.arange(n_epochs) % 2
    lines = [f"{10 + i},{30 * (10 + i)},{stage[i]},1,{released[i]}" for i in range(n_epochs)]
    path.with_suffix(".epochs.csv").write_text("\n".join(["epoch,onset_s,stage,standard,released", *lines]) + "\n")
    windows = {"standard": {"epochs": n_epochs}, "released": {"epochs": int(released.sum())}}
    summary = {"recording": recording_id, "channels": list(CHANNELS), "epochs_kept": n_epochs, "windows": windows}
    write_json(path.with_suffix(".json"), summary)
    return path
