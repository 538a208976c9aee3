"""Labels beside hypnograms: every difference is counted, and a move of all labels is recognised."""

import numpy as np
import pandas as pd
from hypothesis import assume, given
from hypothesis import strategies as st

from sleepbench.core.stages import STAGES, UNKNOWN
from sleepbench.runs.others.labels import FARTHEST, Night, place
from sleepbench.signals.trimming import select_trimming

BOUTS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30)), min_size=3, max_size=20)


def table(epoch: np.ndarray, stage: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"recording": "n1", "epoch": epoch, "stage": stage.astype(np.int8)})


def night(bouts: list[tuple[int, int]]) -> np.ndarray:
    stages = np.repeat(*np.array([*bouts, (UNKNOWN, 2)]).T).astype(np.int8)
    assume((stages[stages < len(STAGES)] > 0).any())
    return stages


@given(BOUTS, st.sampled_from(["night", "standard"]))
def test_labels_of_the_hypnogram_agree(bouts, epochs):
    stages = night(bouts)
    kept = select_trimming(stages, "standard")
    epoch = kept if epochs == "night" else np.arange(len(kept))
    placed, (labels,) = place(table(epoch, stages[kept]), epochs, {"n1": Night(stages, "")})
    assert (labels.differing, labels.cut, labels.outside, labels.moved_by) == (0, 0, 0, None)
    assert placed.epoch.tolist() == kept.tolist() and (placed.hypnogram == placed.stage).all()
    assert list(labels.sentences()) == []


@given(BOUTS, st.integers(-FARTHEST, FARTHEST))
def test_labels_that_are_moved_are_counted_and_the_move_is_named(bouts, move):
    stages = night(bouts)
    kept = select_trimming(stages, "standard")
    truth = stages[kept]
    there = np.arange(max(0, -move), min(len(truth), len(truth) - move))
    assume(len(there) > 2 * FARTHEST)
    _, (labels,) = place(table(there, truth[there + move]), "standard", {"n1": Night(stages, "")})
    assert labels.differing == (truth[there] != truth[there + move]).sum()
    assert labels.cut == abs(move)
    if labels.differing:
        assert abs(labels.moved_by) <= abs(move)
        moved = there + labels.moved_by
        inside = (moved >= 0) & (moved < len(truth))
        assert (truth[moved[inside]] == truth[there + move][inside]).all()
        assert labels.first == there[truth[there] != truth[there + move]][0]
    else:
        assert labels.moved_by is None


def test_an_epoch_that_the_hypnogram_has_no_stage_for_differs():
    stages = np.array([0, 1, 2, UNKNOWN, 2, 2], dtype=np.int8)
    _, (labels,) = place(table(np.arange(6), np.array([0, 1, 2, 2, 2, 2])), "night", {"n1": Night(stages, "")})
    assert (labels.differing, labels.first, labels.outside) == (1, 3, 1)
