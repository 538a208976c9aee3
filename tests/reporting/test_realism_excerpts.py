"""Excerpts of 5 s: their statistics against ones worked out here, and the networks from side to side."""

import os
from dataclasses import fields
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from scipy import stats

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.stages import N2, N3, REM, W
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import EXCERPTS as WARNING
from sleepbench.datasets.base import SIMULATED, DataLabel
from sleepbench.reporting.figures import style
from sleepbench.reporting.realism import calibration, excerpts, excerpts_page, stager, transfer
from sleepbench.simulation.calibration import EXCERPTS

SHARED = Path(os.environ.get("SLEEPBENCH_SHARED", Path(__file__).parents[3] / "shared"))
REAL = SHARED / "sleep-edf" / "excerpts-5s"
TIME = np.arange(excerpts.N_SAMPLES) / 100


def of(subject, microvolts, stage):
    return excerpts.Excerpts(f"SC4{subject}1", subject, np.asarray(microvolts, np.float32), np.asarray(stage))


def noise(subject, seed, loudness=10.0, n=60):
    """White noise, louder the higher the stage's number."""
    random = np.random.default_rng(seed)
    stage = np.repeat(np.arange(5), n // 5)
    return of(subject, random.standard_normal((n, 500)) * loudness * (1 + stage[:, None]), stage)


def test_amplitudes_and_powers_of_white_noise():
    measured = excerpts.measure_excerpts([noise("00", 0), noise("01", 1)])
    np.testing.assert_array_equal(measured.n_excerpts, 24)
    np.testing.assert_allclose(measured.deviation_uv, 10 * np.arange(1, 6), rtol=0.05)
    np.testing.assert_allclose(measured.kurtosis, 0, atol=0.15)
    # Variance 100 over 50 Hz; frequencies lie 0.4 Hz apart, those at a band's border count for both bands.
    widths = np.array([9, 11, 11, 11, 36, 48]) * 0.4
    np.testing.assert_allclose(np.exp(measured.mean[W]), 100 * widths / 50, rtol=0.2)
    assert np.isfinite(measured.between_sd).all() and measured.log_density.shape == (5, 126)


def test_absent_stages_have_no_numbers():
    measured = excerpts.measure_excerpts([of("00", 10 * np.ones((3, 500)), [W, W, W])])
    assert measured.n_excerpts.tolist() == [3, 0, 0, 0, 0]
    assert np.isnan(measured.deviation_uv[1:]).all() and np.isnan(measured.mean[REM]).all()


def test_events_are_counted():
    spindle = 20 * np.sin(2 * np.pi * 13 * TIME) * np.exp(-(((TIME - 2.5) / 0.5) ** 2))
    slow = 60 * np.sin(2 * np.pi * 1.0 * TIME)
    quiet = 0.1 * np.random.default_rng(0).standard_normal(500)
    assert excerpts.spindle_count(np.array([spindle, slow, quiet])) == 1
    heights = excerpts.slow_wave_heights(np.array([spindle, slow, quiet]))
    assert 3 <= len(heights) <= 5 and np.median(heights) == pytest.approx(120, rel=0.1)
    density = excerpts.signal.welch(np.array([np.sin(2 * np.pi * 10 * TIME) + quiet, quiet]), 100, **excerpts.WELCH)[1]
    assert excerpts.has_alpha_peak(density).tolist() == [True, False]


def test_power_varies_over_seconds_more_in_bursts_than_in_noise():
    random = np.random.default_rng(0)
    even = random.standard_normal((200, 500))
    bursts = even * np.where(np.arange(500) // 100 == 2, 3, 0.5)
    turned = calibration.random_phases(bursts)
    np.testing.assert_allclose(np.abs(np.fft.rfft(turned)), np.abs(np.fft.rfft(bursts)), atol=1e-6)
    by_chance = excerpts.fluctuation(even)
    assert (excerpts.fluctuation(bursts) > 1.4 * by_chance).all()
    np.testing.assert_allclose(excerpts.fluctuation(turned), by_chance, rtol=0.3)


def test_mains_hum_is_found_where_it_stands_out():
    # Log powers 4, 2, 0, ... of a sine at 49.8 Hz in noise of 0.02 uV squared per Hz: the lower ones drown in it.
    random, recordings = np.random.default_rng(0), []
    levels = stats.norm.ppf((np.arange(20) + 0.5) / 20) * 4 - 2
    for i, level in enumerate(levels):
        phase = random.uniform(0, 2 * np.pi, (40, 1))
        hum = np.sqrt(2 * np.exp(level)) * np.sin(2 * np.pi * 49.8 * TIME + phase)
        recordings.append(of(f"{i:02d}", hum + random.standard_normal((40, 500)), np.zeros(40, int)))
    found = calibration.mains(recordings)
    assert found["frequency_hz"] == 49.8 and 4 <= found["recordings_humming"] < 15
    assert found["log_power_mean"] == pytest.approx(-2, abs=1.2)
    assert found["log_power_between_sd"] == pytest.approx(4, abs=1)


def test_no_hum_is_an_error_that_says_so():
    with pytest.raises(BenchmarkError, match="0 of the 2 recordings"):
        calibration.mains([noise("00", 0), noise("01", 1)])


def test_a_network_learns_what_both_sides_share():
    sides = [[noise(subject, 10 * i + j) for j, subject in enumerate(("00", "01", "02"))] for i in range(2)]
    recipe = transfer.RECIPE.model_copy(update={"training_epochs": 1, "batch_size": 32})
    found = transfer.measure_transfer(*sides, recipe=recipe, seeds=[1], report=lambda line: None)
    assert [(one.trained, one.tested) for one in found] == [
        ("simulated", "simulated"),
        ("simulated", "real"),
        ("real", "real"),
        ("real", "simulated"),
    ]
    assert all(0 <= one.accuracy[0] <= 1 and one.recall.shape == (1, 5) for one in found)
    assert len(transfer.held_to(found)) == 2


def test_a_side_without_the_held_out_subjects_is_refused():
    with pytest.raises(BenchmarkError, match=r"of subjects \['01'\]"):
        transfer.measure_transfer([noise("01", 0)], [noise("00", 0)], seeds=[1])


def test_bounds_on_the_networks():
    def found(to_real, same):
        accuracy = {("simulated", "simulated"): same, ("simulated", "real"): to_real, ("real", "real"): 0.75}
        return [transfer.Transfer(*k, (v, v), (0.6, 0.6), (0.6, 0.6), np.zeros((2, 5))) for k, v in accuracy.items()]

    assert [kept for *_, kept in transfer.held_to(found(0.69, 0.71))] == [True, True]
    assert [kept for *_, kept in transfer.held_to(found(0.67, 0.69))] == [False, False]


@pytest.mark.parametrize("with_real", [True, False])
def test_the_figure_says_what_is_simulated_and_what_is_real(with_real):
    measured = excerpts.measure_excerpts([noise("00", 0), noise("01", 1)])
    compared = excerpts_page.ExcerptComparison(measured, measured if with_real else None, "", [])
    figure = excerpts_page.draw_excerpts(compared, DataLabel("simulated-20", "simulated", SIMULATED, simulated=True))
    assert SIMULATED in figure.get_suptitle() and WARNING in figure.get_suptitle()
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    lines = {line.get_label() for line in figure.axes[0].get_lines()}
    assert lines == ({"simulated", "real excerpts"} if with_real else {"simulated"})


def test_the_report_has_both_sides_of_each_stage():
    sides = [excerpts.measure_excerpts([noise("00", i), noise("01", i + 1)]) for i in (0, 5)]
    one = transfer.Transfer("simulated", "real", (0.7, 0.69), (0.6, 0.6), (0.5, 0.5), np.full((2, 5), 0.5))
    text = "\n".join(excerpts_page.excerpt_sections(excerpts_page.ExcerptComparison(*sides, "", [one])))
    assert WARNING in text and "| simulated to real |" in text and "0.690" in text
    assert "YASA is not installed" in "\n".join(excerpts_page.stager_section(None))
    scores = stager.StagerScores({"SC4001": 0.5}, np.eye(5, dtype=int) + 1)
    assert scores.pooled == pytest.approx(1 / 3) and "0.333" in "\n".join(excerpts_page.stager_section(scores))


@pytest.mark.skipif(not REAL.exists(), reason="the real excerpts are not here")
def test_the_resource_is_what_the_real_excerpts_give():
    dataset = open_dataset("sleep-edf-20-5s", {"reader": "sleep_edf_excerpts"}, {})
    assert excerpts.are_here(dataset, REAL)
    some = dataset.recordings()[:2]
    dataset.recordings = lambda: some
    read = excerpts.read_excerpts(dataset, REAL)
    measured = excerpts.measure_excerpts(read)
    assert measured.deviation_uv[N3] > 1.5 * measured.deviation_uv[N2]
    # Two recordings of one subject lie near the table of all 39.
    table = read_json(EXCERPTS)["stages"]
    assert np.abs(measured.mean[N2] - table["N2"]["mean"]).max() < 2
    assert all(np.isfinite(getattr(measured, field.name)[N2]).all() for field in fields(measured))
