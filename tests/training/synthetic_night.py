"""Prepared recordings for tests of training, written as preparation writes them, without any EDF file."""

from pathlib import Path

import numpy as np

from sleepbench.core.files import write_document
from sleepbench.core.stages import SAMPLES_PER_EPOCH

ROLES = ("eeg1", "eog")
PEOPLE = {"SC4001": ("00", 1), "SC4002": ("00", 2), "SC4011": ("01", 1), "SC4021": ("02", 1), "SC4031": ("03", 1)}
"""Subject and night of recordings."""


def write_night(
    directory: Path, recording_id: str, n_epochs: int, seed: int, subject: str | None = None, night: int | None = None
) -> Path:
    """A night whose stages differ in amplitude; every other epoch is in the standard trimming only. Returns the .npy.

    Subject and night are those of PEOPLE unless they are given.
    """
    generator = np.random.default_rng(seed)
    stage = generator.integers(0, 5, n_epochs)
    noise = generator.standard_normal((n_epochs, len(ROLES), SAMPLES_PER_EPOCH))
    path = directory / f"{recording_id}.npy"
    np.save(path, (noise * (4.0**stage)[:, None, None]).astype(np.float32))
    authors = np.arange(n_epochs) % 2
    lines = [f"{10 + i},{30 * (10 + i)},{stage[i]},1,{authors[i]}" for i in range(n_epochs)]
    path.with_suffix(".epochs.csv").write_text("\n".join(["epoch,onset_s,stage,standard,authors", *lines]) + "\n")
    known_subject, known_night = PEOPLE.get(recording_id, (subject, night))
    summary = {
        "recording": recording_id,
        "subject": subject or known_subject,
        "night": night or known_night,
        "roles": list(ROLES),
        "epochs_kept": n_epochs,
        "samples_per_epoch": SAMPLES_PER_EPOCH,
        "trimmings": {"standard": {"epochs": n_epochs}, "authors": {"epochs": int(authors.sum())}},
    }
    write_document(path.with_suffix(".json"), summary)
    return path
