"""Hostile files: each has the outcome that is promised for it, with the right values where it is handled."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from edf_files import load_night, prepare_night, recording_of
from hostile import HYPNOGRAM, PSG, Case, cases, noise
from hostile_matrix import DOCUMENT, OWN_COLUMN, describe_own, own_outcomes_of_document

from sleepbench.core.errors import BenchmarkError

CASES = cases()
ROUNDING = 384 / 4095
"""Microvolts of one digital step of the noise; Fourier's method may enlarge its error a few times."""


SOUND = {"a sound pair", "EDF+C with time stamps", "patient field with weight=50=kg"}
"""Cases in which there is nothing to say."""


def prepare(case: Case, folder: Path) -> Path:
    """Prepare a hostile pair, whose checksums are right: it must be its content that is seen through."""
    case.build(folder)
    prepare_night(folder, recording_of(folder / PSG, folder / HYPNOGRAM))
    return folder / "prepared" / "SC4001.npy"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_outcome(case: Case, tmp_path: Path) -> None:
    if case.outcome == "refused":
        with pytest.raises(BenchmarkError, match=case.says) as refused:
            prepare(case, tmp_path)
        assert str(tmp_path) in str(refused.value)
        assert not list(tmp_path.glob("prepared/*"))
        return
    output = prepare(case, tmp_path)
    quality = json.loads(output.with_suffix(".quality.json").read_text())
    assert not case.says or any(re.search(case.says, sentence) for sentence in quality["handled"]), quality["handled"]
    assert quality["epochs_in_night"] == case.epochs
    assert quality["channels"]["eeg1"]["flat_share"] == case.flat
    assert quality["channels"]["eeg1"]["clipped_share"] == pytest.approx(case.clipped, abs=0.01)

    prepared = load_night(output)
    assert len(prepared.epoch) == case.kept
    for column, values in enumerate(case.microvolts(noise(case.epochs, case.rates))):
        epochs = values.reshape(case.epochs, -1)[prepared.epoch]
        expected = epochs if epochs.shape[1] == 3000 else scipy.signal.resample(epochs, 3000, axis=1)
        step = ROUNDING * max(1, np.abs(values).max() / 192)
        np.testing.assert_allclose(prepared.signals[:, column], expected, rtol=0, atol=4 * step)
        error = np.abs(prepared.signals[:, column] - expected)
        assert np.sqrt((error**2).mean()) < step


def test_cases_are_told_apart() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 60
    assert {case.outcome for case in CASES} == {"refused", "handled"}
    assert {case.name for case in CASES if not case.says} <= SOUND


def test_document_says_what_is_done_now(tmp_path: Path) -> None:
    found = own_outcomes_of_document(DOCUMENT.read_text(encoding="utf-8"))
    assert found == {case.name: describe_own(case, tmp_path) for case in CASES}, (
        f"{DOCUMENT.name}: the column {OWN_COLUMN!r} is not what the code does: run tools/hostile_matrix.py"
    )
