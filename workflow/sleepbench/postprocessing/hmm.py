"""Smooth a night's predictions: filter the probabilities, then decode a hidden Markov model.

The post-processing that MobileSleepNet (https://github.com/dongdongzhou1017/MobileSleepNet) adds to ULW-SleepNet on one
channel: the stage probabilities are smoothed by a Savitzky-Golay filter, and a hidden Markov model, whose states are
the scored stages and whose observations are the predicted ones, is decoded by Viterbi's algorithm. MobileSleepNet
decodes a whole test fold as if it were one night; here everything stays within a segment, an unbroken run of epochs of
one recording, as `sleepbench.training.sequences.segments` cuts them: no recording and no removed epoch is ever crossed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import savgol_filter

from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import confusion_matrix

WINDOW_LENGTH = 5
POLYNOMIAL_ORDER = 2
"""Of the Savitzky-Golay filter, in epochs."""

PSEUDOCOUNT = 1.0
"""Added here to every count (Laplace): no probability is 0, and those of a stage that is not in training are equal."""


@dataclass(frozen=True)
class HiddenMarkovModel:
    """Probabilities of the scored stages, which are hidden, and of the predicted ones, which are seen.

    initial : (5,), of the first stage of a segment
    transition : (5, 5), of the next stage (columns) after a stage (rows)
    emission : (5, 5), of the predicted stage (columns) where a stage (rows) is scored
    """

    initial: np.ndarray
    transition: np.ndarray
    emission: np.ndarray


def filtered(probabilities: np.ndarray, segments: Sequence[np.ndarray]) -> np.ndarray:
    """Smooth probabilities (n_epochs, 5) over time within each segment.

    The result is float64 of the same shape, not below 0, and adds up to 1 for each epoch.

    `segments` holds the indices of the epochs of each segment. At a segment's ends the polynomial is that of its first
    and last five epochs; a segment of fewer is left as it is.
    """
    smooth = probabilities.astype(np.float64)
    for segment in segments:
        if len(segment) >= WINDOW_LENGTH:
            smooth[segment] = savgol_filter(smooth[segment], WINDOW_LENGTH, POLYNOMIAL_ORDER, axis=0)
    # The filter keeps the sum of an epoch: something above 0 is always left.
    smooth = smooth.clip(min=0)
    return smooth / smooth.sum(axis=1, keepdims=True)


def estimate(stage: np.ndarray, predicted: np.ndarray, segments: Sequence[np.ndarray]) -> HiddenMarkovModel:
    """The model of training epochs, from their scored and predicted stages (n_epochs,), codes 0..4."""
    n = len(STAGES)
    first = [int(stage[segment[0]]) for segment in segments]
    before, after = (
        np.concatenate([np.empty(0, np.int64), *(stage[segment[part]] for segment in segments)])
        for part in (slice(None, -1), slice(1, None))
    )
    return HiddenMarkovModel(
        initial=_shares(np.bincount(first, minlength=n)),
        transition=_shares(confusion_matrix(before, after)),
        emission=_shares(confusion_matrix(stage, predicted)),
    )


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts, each with the pseudocount added, as shares of their row."""
    counts = counts + PSEUDOCOUNT
    return counts / counts.sum(axis=-1, keepdims=True)


def viterbi(model: HiddenMarkovModel, predicted: np.ndarray) -> np.ndarray:
    """The most probable stages, int64 (n,), of a segment whose predicted stages are given; n >= 1.

    Where several are equally probable, the stage with the lowest code is taken, from the last epoch backwards.
    """
    initial, transition, emission = (np.log(part) for part in (model.initial, model.transition, model.emission))
    best = initial + emission[:, predicted[0]]
    came_from = np.zeros((len(predicted), len(best)), np.int64)
    for i, seen in enumerate(predicted[1:], start=1):
        scores = best[:, None] + transition
        came_from[i] = scores.argmax(axis=0)
        best = scores.max(axis=0) + emission[:, seen]
    path = np.empty(len(predicted), np.int64)
    path[-1] = best.argmax()
    for i in range(len(predicted) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def decoded(model: HiddenMarkovModel, predicted: np.ndarray, segments: Sequence[np.ndarray]) -> np.ndarray:
    """The most probable stages, int64 (n_epochs,), each segment decoded by itself.

    `segments` must hold every epoch once.
    """
    stages = np.empty(len(predicted), np.int64)
    for segment in segments:
        stages[segment] = viterbi(model, predicted[segment])
    return stages
