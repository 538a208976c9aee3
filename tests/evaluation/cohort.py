"""Made-up predictions of a few subjects, two nights each."""

import numpy as np
import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.evaluation.bootstrap import PROBABILITIES


def cohort(n_subjects: int = 4, epochs_per_night: int = 60, skill: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """Predictions with the columns of predictions.parquet; the scored stages do not depend on `skill` or `seed`."""
    scored, generator = np.random.default_rng(1), np.random.default_rng([2, seed])
    nights = []
    for subject in range(n_subjects):
        for night in (1, 2):
            stage = scored.integers(0, len(STAGES), epochs_per_night)
            ability = skill * (0.5 + subject / n_subjects)
            logits = ability * np.eye(len(STAGES))[stage] + generator.normal(size=(epochs_per_night, len(STAGES)))
            nights.append(with_probabilities(f"SC4{subject:02d}{night}", stage, logits))
    return pd.concat(nights, ignore_index=True)


def with_probabilities(recording: str, stage: np.ndarray, logits: np.ndarray) -> pd.DataFrame:
    """Predictions of one night from logits, (n_epochs, 5); its epochs begin at index 100."""
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    epoch = 100 + np.arange(len(stage))
    return pd.DataFrame(
        {
            "recording": recording,
            "subject": recording[3:5],
            "night": int(recording[5]),
            "epoch": epoch,
            "onset_s": 30.0 * epoch,
            "stage": np.asarray(stage).astype(np.int8),
            "predicted": probability.argmax(axis=1).astype(np.int8),
            **{name: probability[:, i].astype(np.float32) for i, name in enumerate(PROBABILITIES)},
        }
    )


def certain(recording: str, stage: list[int], predicted: list[int]) -> pd.DataFrame:
    """Predictions of one night made with near certainty."""
    return with_probabilities(recording, np.array(stage), 9.0 * np.eye(len(STAGES))[predicted])
