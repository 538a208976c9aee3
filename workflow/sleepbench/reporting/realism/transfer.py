"""From simulated to real: a network trained on the one side's excerpts and tested on the other's.

The honest measure of the simulation. ULW-SleepNet, one channel, the first 5 s of each epoch; where both are of one
side, four subjects are held out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.metrics import confusion_matrix, summary
from sleepbench.models import create_model, describe
from sleepbench.preparation.prepared import PreparedRecording
from sleepbench.reporting.realism.excerpts import ROLE, Excerpts
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.loop import predict_probabilities, train, use_device

MODEL, ENGINE = "ulw_sleepnet", "fast"
RECIPE = Recipe(name="transfer", learning_rate=2e-3, schedule="cosine", batch_size=128, training_epochs=8)
SEEDS = (1, 2)
HELD_OUT = ("00", "05", "10", "15")
"""Subjects tested where the same side is trained on."""
LEAST_TO_REAL, SAME_SIDE_TOLERANCE = 0.68, 0.05
"""Least mean accuracy from simulated to real; most that simulated to simulated may lie from real to real."""


@dataclass(frozen=True)
class Transfer:
    """Scores of a network trained on one side and tested on the other, by seed.

    trained, tested : "simulated" or "real". accuracy, macro_f1, cohen_kappa : one for each of SEEDS. recall (n_seeds,
    5)
    """

    trained: str
    tested: str
    accuracy: tuple[float, ...]
    macro_f1: tuple[float, ...]
    cohen_kappa: tuple[float, ...]
    recall: np.ndarray


def measure_transfer(
    simulated: Sequence[Excerpts],
    real: Sequence[Excerpts],
    recipe: Recipe = RECIPE,
    seeds: Sequence[int] = SEEDS,
    report: Callable[[str], None] = print,
) -> list[Transfer]:
    """All four directions; eight trainings of a few minutes each on one thread.

    BenchmarkError where a side has none of the subjects that are held out, or no others.
    """
    use_device("cpu", 1)
    sides = {"simulated": simulated, "real": real}
    found = []
    for trained, side in sides.items():
        held = [recording for recording in side if recording.subject in HELD_OUT]
        rest = [recording for recording in side if recording.subject not in HELD_OUT]
        if not (held and rest):
            raise BenchmarkError(
                f"the {trained} excerpts are of subjects {sorted({r.subject for r in side})}: expected some of "
                f"{', '.join(HELD_OUT)}, which are tested, and others; take a cohort of 20 subjects"
            )
        (other,) = set(sides) - {trained}
        for tested, training_set, test_set in ((trained, rest, held), (other, side, sides[other])):
            report(f"trained on {trained}, tested on {tested}")
            scores = [_scores(_set(training_set), _set(test_set), recipe, seed, report) for seed in seeds]
            found.append(
                Transfer(
                    trained,
                    tested,
                    *(tuple(row[name] for row in scores) for name in ("accuracy", "macro_f1", "cohen_kappa")),
                    recall=np.array([row["recall"] for row in scores]),
                )
            )
    return found


def _set(recordings: Sequence[Excerpts]) -> EpochSet:
    """Excerpts as the training takes them."""
    prepared = []
    for recording in recordings:
        n = len(recording.stage)
        everything = np.ones(n, dtype=bool)
        prepared.append(
            PreparedRecording(
                id=recording.recording,
                subject=recording.subject,
                night=1,
                roles=(ROLE,),
                signals=recording.microvolts[:, None],
                epoch=np.arange(n),
                onset_s=np.arange(n),
                stage=recording.stage.astype(np.int8),
                standard=everything,
                authors=everything,
            )
        )
    return epoch_set(prepared, (ROLE,), "standard", describe(MODEL).input_transformation)


def _scores(
    training_set: EpochSet, test_set: EpochSet, recipe: Recipe, seed: int, report: Callable[[str], None]
) -> dict[str, float | np.ndarray]:
    """Scores of the last training epoch's network on the test set, which decides nothing."""
    info = describe(MODEL)
    torch.manual_seed(seed)
    model = create_model(MODEL, 1, n_samples=training_set.n_samples)
    # Tested after each training epoch on a few epochs only, which takes no time and is not looked at.
    shown = EpochSet(test_set.recordings[:1], test_set.channels, *_first(test_set), test_set.transformation)
    nothing = EpochSet((), test_set.channels, *(np.empty(0, np.int64) for _ in range(3)))
    train(model, recipe, {"train": training_set, "validation": nothing, "test": shown}, seed, ENGINE, info, report)
    predicted = predict_probabilities(model, test_set, ENGINE, info).argmax(axis=1)
    confusion = confusion_matrix(test_set.stage, predicted)
    scores = summary(confusion)
    with np.errstate(invalid="ignore"):
        recall = np.diag(confusion) / confusion.sum(axis=1)
    return {name: scores[name] for name in ("accuracy", "macro_f1", "cohen_kappa")} | {"recall": recall}


def _first(epochs: EpochSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    own = np.flatnonzero(epochs.recording == 0)
    return epochs.recording[own], epochs.row[own], epochs.stage[own]


def held_to(found: Sequence[Transfer]) -> list[tuple[str, float, float, bool]]:
    """What is asked of the accuracies: quantity, found, bound and whether it is kept."""
    mean = {(one.trained, one.tested): float(np.mean(one.accuracy)) for one in found}
    difference = abs(mean["simulated", "simulated"] - mean["real", "real"])
    to_real = mean["simulated", "real"]
    return [
        ("accuracy from simulated to real", to_real, LEAST_TO_REAL, to_real >= LEAST_TO_REAL),
        (
            "distance of simulated to simulated from real to real",
            difference,
            SAME_SIDE_TOLERANCE,
            difference <= SAME_SIDE_TOLERANCE,
        ),
    ]
