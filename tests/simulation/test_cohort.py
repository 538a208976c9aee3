"""Simulated recordings: laid out like the real ones, reproducible, close to the statistics they are calibrated to."""

import os
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import edfio
import mne
import numpy as np
import pyedflib
import pytest
from scipy import signal, stats

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file
from sleepbench.core.stages import EPOCH_SECONDS, MOVEMENT, N1, N2, N3, REM, SAMPLES_PER_EPOCH, STAGES, UNKNOWN, W
from sleepbench.datasets.simulated import STAGE_TEXTS, nights_of
from sleepbench.simulation.calibration import EXCERPTS, STATISTICS
from sleepbench.simulation.cohort import simulate_night
from sleepbench.simulation.randomness import person
from sleepbench.simulation.stages import simulated_stages

SHARED = Path(os.environ.get("SLEEPBENCH_SHARED", Path(__file__).parents[3] / "shared"))
REAL_PSG = SHARED / "sleep-edf" / "SC4001E0-PSG.first-300s.edf"
REAL_HYPNOGRAM = SHARED / "sleep-edf" / "hypnograms" / "SC4001EC-Hypnogram.edf"

DEMO_HOURS = 2.0
SEED = 2024

ELECTRODES = "Ag-AgCl electrodes"
CASSETTE = "HP:0.5Hz LP:100Hz [enhanced cassette BW]"
# label, transducer, dimension, physical range, digital range, prefiltering, samples per data record
LAYOUT = [
    ("EEG Fpz-Cz", ELECTRODES, "uV", (-192, 192), (-2048, 2047), CASSETTE, 3000),
    ("EEG Pz-Oz", ELECTRODES, "uV", (-197, 196), (-2048, 2047), CASSETTE, 3000),
    ("EOG horizontal", ELECTRODES, "uV", (-1009, 1009), (-2048, 2047), CASSETTE, 3000),
    ("Resp oro-nasal", "Oral-nasal thermistors", "", (-2048, 2047), (-2048, 2047), "HP:0.03Hz LP:0.9Hz", 30),
    ("EMG submental", ELECTRODES, "uV", (-5, 5), (-2500, 2500), "HP:16Hz Rectification LP:0.7Hz", 30),
    ("Temp rectal", "Rectal thermistor", "DegC", (34, 40), (-2849, 2731), "", 30),
    ("Event marker", "Marker button", "", (-2047, 2048), (-2047, 2048), "Hold during 2 seconds", 30),
]


NIGHTS = nights_of(6, [5])


@dataclass(frozen=True)
class Written:
    """A simulated night and its files."""

    subject: int
    night: int
    psg: Path
    scoring: Path

    @property
    def sums(self) -> list[str]:
        return [sha256_of_file(self.psg), sha256_of_file(self.scoring)]

    def stages(self, psg_hours: float = DEMO_HOURS) -> np.ndarray:
        return simulated_stages(self.subject, self.night, psg_hours, SEED)


def write(directory: Path, subject: int, night: int, hours: float = DEMO_HOURS, seed: int = SEED) -> Written:
    name = f"S{subject}N{night}"
    written = Written(subject, night, directory / f"{name}-PSG.edf", directory / f"{name}-Hypnogram.edf")
    simulate_night(written.psg, written.scoring, name, subject, night, hours, seed, STAGE_TEXTS)
    return written


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> list[Written]:
    """Eleven simulated nights of 2 h."""
    directory = tmp_path_factory.mktemp("simulated")
    return [write(directory, *night) for night in NIGHTS]


def layout(psg: edfio.Edf) -> list[tuple]:
    return [
        (
            channel.label,
            channel.transducer_type,
            channel.physical_dimension,
            channel.physical_range,
            channel.digital_range,
            channel.prefiltering,
            channel.samples_per_data_record,
        )
        for channel in psg.signals
    ]


@pytest.mark.parametrize("hours", [0.1, 24.1])
def test_impossible_lengths_are_refused(tmp_path, hours):
    with pytest.raises(BenchmarkError, match="psg_hours"):
        write(tmp_path, 0, 1, hours)


def test_same_bytes_for_the_same_seed_whatever_else_is_simulated(cohort, tmp_path):
    again = [write(tmp_path, 3, 1), write(tmp_path, 1, 2)]
    assert [one.sums for one in again] == [one.sums for one in cohort if (one.subject, one.night) in [(1, 2), (3, 1)]][
        ::-1
    ]


def test_other_bytes_for_another_seed_or_night(cohort, tmp_path):
    other = write(tmp_path, 0, 1, seed=SEED + 1)
    sums = {one for written in [*cohort, other] for one in written.sums}
    assert len(sums) == 2 * (len(cohort) + 1)


def test_nights_are_of_any_subject_number(tmp_path):
    """Even of one whose recordings would begin in a year that the header of an EDF file cannot hold."""
    psg = edfio.read_edf(write(tmp_path, 123_456, 2, 1.75).psg)
    assert date(2000, 1, 1) <= psg.startdate < date(2084, 1, 1)


def test_psg_has_the_layout_of_the_real_files(cohort):
    path = cohort[0].psg
    psg = edfio.read_edf(path)
    assert layout(psg) == LAYOUT
    assert (psg.reserved, psg.data_record_duration, psg.num_data_records) == ("", 30, DEMO_HOURS * 120)
    assert psg.bytes_in_header_record == 2048
    assert path.stat().st_size == 2048 + 240 * 2 * (3 * 3000 + 4 * 30)


@pytest.mark.skipif(not REAL_PSG.exists(), reason="the excerpt of a real recording is not here")
def test_psg_has_the_layout_of_the_real_excerpt(cohort):
    real, simulated = edfio.read_edf(REAL_PSG), edfio.read_edf(cohort[0].psg)
    assert layout(simulated) == layout(real)
    for field in ("version", "reserved", "data_record_duration", "bytes_in_header_record"):
        assert getattr(simulated, field) == getattr(real, field)
    # The headers of the signals are the same to the byte.
    header = cohort[0].psg.read_bytes()[256:2048]
    assert header == REAL_PSG.read_bytes()[256:2048]


@pytest.mark.skipif(not REAL_HYPNOGRAM.exists(), reason="the real hypnograms are not here")
def test_hypnogram_has_the_layout_of_a_real_one(cohort):
    real, simulated = REAL_HYPNOGRAM.read_bytes(), cohort[0].scoring.read_bytes()
    assert simulated[184:244] == real[184:244]  # header bytes, EDF+C, one record of duration 0
    assert simulated[252:352] == real[252:352]  # one signal, of annotations
    assert simulated[512:520] == real[512:520]  # the first of them, at 0 s with a duration


def test_headers_say_that_the_data_is_simulated(cohort):
    for recording in cohort:
        psg, hypnogram = (edfio.read_edf(path) for path in (recording.psg, recording.scoring))
        age, sex = person(SEED, recording.subject)
        for edf in (psg, hypnogram):
            assert edf.patient.name == f"Simulated_S{recording.subject}N{recording.night}"
            assert edf.patient.sex == sex
            assert edf.patient.additional == (f"{age}yr",)
            assert edf.recording.additional == ("simulated",)
            assert edf.startdate >= date(2000, 1, 1)
        assert psg.startdatetime == hypnogram.startdatetime


def test_hypnogram_covers_24_hours_without_gaps_and_ends_unscored(cohort):
    descriptions = set()
    for recording in cohort:
        annotations = edfio.read_edf(recording.scoring).annotations
        ends = [annotation.onset + annotation.duration for annotation in annotations]
        assert [annotation.onset for annotation in annotations] == [0, *ends[:-1]]
        assert annotations[-1] == (DEMO_HOURS * 3600, (24 - DEMO_HOURS) * 3600, "Sleep stage ?")
        texts = [annotation.text for annotation in annotations]
        assert all(text != following for text, following in pairwise(texts))
        assert all(annotation.duration % 30 == 0 for annotation in annotations)
        assert texts[0] == texts[-2] == "Sleep stage W"
        descriptions |= set(texts)
    assert descriptions == {*(f"Sleep stage {stage}" for stage in "W1234R?"), "Movement time"}


def test_every_short_night_has_all_stages_and_wake_around_them(cohort):
    for recording in cohort:
        scored = recording.stages()
        assert (np.bincount(scored, minlength=5)[:5] >= 2).all()
        asleep = np.flatnonzero(scored != W)
        assert asleep[0] >= 35 and len(scored) - 1 - asleep[-1] >= 35
        assert 150 <= asleep[-1] - asleep[0] + 1 <= 170


def test_two_and_a_half_hours_leave_more_wake_than_the_window_keeps():
    for night in NIGHTS:
        asleep = np.flatnonzero(simulated_stages(*night, 2.5, SEED) != W)
        assert asleep[0] > 60 and 300 - 1 - asleep[-1] > 60
        assert 150 <= asleep[-1] - asleep[0] + 1 <= 170


def test_stages_of_a_hypnogram_are_the_simulated_ones(cohort):
    code = {"W": W, "1": N1, "2": 2, "3": N3, "4": N3, "R": 4, "?": UNKNOWN, "e": MOVEMENT}
    annotations = edfio.read_edf(cohort[2].scoring).annotations
    stages = np.concatenate([np.full(round(a.duration / 30), code[a.text[-1]]) for a in annotations])
    np.testing.assert_array_equal(stages[:240], cohort[2].stages())


# ------------------------------------------------------------------------------------------ a whole day, 24 h of signal


@pytest.fixture(scope="module")
def whole_day(tmp_path_factory):
    """A recording of 24 h: (PSG, hypnogram's annotations, scored stages)."""
    directory = tmp_path_factory.mktemp("day")
    recording = write(directory, 0, 1, 24)
    return edfio.read_edf(recording.psg), edfio.read_edf(recording.scoring).annotations, recording.stages(24)


def test_24_hours_have_no_unscored_tail_and_wake_on_both_sides(whole_day):
    psg, annotations, scored = whole_day
    assert psg.num_data_records == len(scored) == 2880
    assert annotations[-1].onset + annotations[-1].duration == 24 * 3600
    assert annotations[0].text == annotations[-1].text == "Sleep stage W"
    asleep = np.flatnonzero(scored != W)
    assert 6 * 120 < asleep[0] < 10 * 120 and 6 * 120 < 2880 - asleep[-1] < 10 * 120


def test_the_day_is_awake_with_blinks_alpha_and_plausible_amplitudes(whole_day):
    psg, _, scored = whole_day
    frontal, posterior, eyes = (channel.data.reshape(-1, SAMPLES_PER_EPOCH) for channel in psg.signals[:3])
    day = np.ones(len(scored), dtype=bool)
    asleep = np.flatnonzero(scored != W)
    day[asleep[0] - 60 : asleep[-1] + 61] = False
    table = read_json(STATISTICS)["epoch_standard_deviation_uv"]
    for name, epochs in (("FpzCz", frontal), ("PzOz", posterior), ("EOG", eyes)):
        p10, *_, p90 = table[name]["W"]
        assert p10 < np.median(epochs[day].std(axis=1)) < p90
        assert np.isin(epochs[day], (epochs.min(), epochs.max())).mean() < 0.005
    # Eyes are closed for less of the day than of the wake in bed.
    closed = alpha_peak(posterior) > 4
    assert 0.05 < closed[day].mean() < 0.3 < closed[~day & (scored == W)].mean() < 0.7
    assert np.mean(steps(eyes[day & ~closed])) > np.mean(steps(eyes[scored == N3])) + 0.2


def test_electrodes_pop_now_and_then(whole_day):
    psg, _, scored = whole_day
    asleep = (scored != W) & (scored <= 4)
    jumps = []
    for channel in psg.signals[:3]:
        epochs = channel.data.reshape(-1, SAMPLES_PER_EPOCH)[asleep]
        jumps.append(np.abs(np.diff(epochs)).max(axis=1) > 0.4 * channel.physical_range[1])
    assert 2 <= np.sum(jumps) <= 20  # about one an hour


def test_some_recordings_hum_at_the_frequency_of_the_mains(cohort):
    mains = read_json(EXCERPTS)["mains"]
    stands_out = []
    for recording in cohort:
        frontal = edfio.read_edf(recording.psg).signals[0].data
        frequencies, density = signal.welch(frontal, 100, nperseg=500, average="median")
        at = np.argmin(np.abs(frequencies - mains["frequency_hz"]))
        stands_out.append(density[at] / np.median(density[(frequencies > 42) & (frequencies < 48)]))
    assert min(stands_out) < 2 and max(stands_out) > 20


# --------------------------------------------------------------------------------- what the stages are known by, in uV


@pytest.fixture(scope="module")
def signals(cohort):
    """All epochs of the cohort: (scored stages, (3, n, 3000) microvolts, 1-Hz EMG (n, 30))."""
    psgs = [edfio.read_edf(recording.psg) for recording in cohort]
    scored = np.concatenate([recording.stages() for recording in cohort])
    waves = [np.concatenate([psg.signals[i].data.reshape(-1, SAMPLES_PER_EPOCH) for psg in psgs]) for i in range(3)]
    emg = np.concatenate([psg.signals[4].data.reshape(-1, EPOCH_SECONDS) for psg in psgs])
    return scored, np.array(waves), emg


def band_pass(epochs, low, high):
    return signal.sosfiltfilt(signal.butter(4, [low, high], "bandpass", fs=100, output="sos"), epochs, axis=-1)


def alpha_peak(epochs):
    """Power at 10 Hz over that at 8 and 12 Hz, per epoch."""
    frequencies, power = signal.welch(epochs, 100, nperseg=400, axis=-1)
    at = [int(np.argmin(np.abs(frequencies - f))) for f in (8, 10, 12)]
    return power[:, at[1]] / power[:, [at[0], at[2]]].mean(axis=1)


def steps(epochs):
    """Excess kurtosis of the change over 100 ms, per epoch: 0 for noise, more where there are sudden deflections."""
    slow = band_pass(epochs, 0.4, 8)
    return stats.kurtosis(slow[:, 10:] - slow[:, :-10], axis=1)


def test_n2_has_spindles(signals):
    scored, (frontal, _, _), _ = signals
    burstiness = [np.median(stats.kurtosis(band_pass(frontal[scored == s], 11, 15.5), axis=1)) for s in range(5)]
    # The sigma band comes in bursts in every stage, and N3 has spindles too, but fewer.
    assert burstiness[N2] > 1.3 * burstiness[N3] > 1.3 * max(burstiness[W], burstiness[N1], burstiness[REM])


def test_n2_has_k_complexes(signals):
    scored, (frontal, _, _), _ = signals
    delta = band_pass(frontal, 0.4, 4)
    # A deep negative wave, of which noise is as often a positive one.
    deep = delta.min(axis=1) < -3.6 * delta.std(axis=1)
    high = delta.max(axis=1) > 3.6 * delta.std(axis=1)
    excess = [deep[scored == stage].mean() - high[scored == stage].mean() for stage in range(5)]
    assert excess[N2] > 0.05 and max(excess[N1], excess[N3], excess[REM]) < excess[N2] / 2


def test_n3_has_slow_waves(signals):
    scored, (frontal, _, _), _ = signals
    height = [np.median(band_pass(frontal[scored == stage], 0.4, 2).std(axis=1)) for stage in range(5)]
    assert height[N3] > 1.5 * max(height[W], height[N2]) and height[N3] > 20


def test_rem_and_wake_have_eye_movements(signals):
    scored, (_, _, eyes), _ = signals
    deflections = [np.mean(steps(eyes[scored == stage])) for stage in range(5)]
    assert min(deflections[REM], deflections[W]) > 0.15 + max(np.median(steps(eyes[scored == s])) for s in (N2, N3))


def test_wake_has_alpha_with_eyes_closed_and_blinks_with_eyes_open(signals):
    scored, (frontal, posterior, _), _ = signals
    closed = alpha_peak(posterior[scored == W]) > 4
    assert 0.3 < closed.mean() < 0.7
    blinks = stats.skew(band_pass(frontal[scored == W], 0.4, 8), axis=1)
    assert np.median(blinks[~closed]) > 0.05 + np.median(blinks[closed])
    # It lasts: an epoch is mostly followed by its like.
    follows = np.mean(closed[1:] == closed[:-1])
    assert follows > 0.6
    # And waxes and wanes within an epoch more than noise does.
    envelope = np.abs(signal.hilbert(band_pass(posterior[scored == W][closed], 8, 12)))
    assert np.mean(envelope.std(axis=1) / envelope.mean(axis=1)) > 0.55


def test_muscle_tone_falls_from_wake_to_rem_which_twitches(signals):
    scored, _, emg = signals
    tone = [np.median(emg[scored == stage]) for stage in (W, N1, N2, N3, REM)]
    assert all(higher > lower for higher, lower in pairwise(tone))
    twitch = [(emg[scored == s] > 1.5 * np.median(emg[scored == s], axis=1, keepdims=True)).mean() for s in range(5)]
    assert twitch[REM] > 0.01 > 5 * max(twitch[:REM])


def test_movement_is_louder_than_the_sleep_around_it(signals):
    scored, waves, emg = signals
    moving, asleep = scored == MOVEMENT, (scored != W) & (scored <= 4)
    for epochs in waves:
        assert np.median(epochs[moving].std(axis=1)) > 1.8 * np.median(epochs[asleep].std(axis=1))
    assert np.median(emg[moving]) > 1.5 * np.median(emg[asleep])


def test_amplitudes_are_those_of_each_stage_and_rarely_clipped(cohort):
    table = read_json(STATISTICS)["epoch_standard_deviation_uv"]
    deviations = {(channel, stage): [] for channel in ("FpzCz", "PzOz", "EOG") for stage in STAGES}
    for recording in cohort:
        psg = edfio.read_edf(recording.psg)
        for channel in psg.signals:
            assert np.isin(channel.digital, channel.digital_range).mean() < 0.005
        scored = recording.stages()
        for name, channel in zip(("FpzCz", "PzOz", "EOG"), psg.signals[:3], strict=True):
            epochs = channel.data.reshape(-1, SAMPLES_PER_EPOCH)
            for code, stage in enumerate(STAGES):
                deviations[name, stage].extend(epochs[scored == code].std(axis=1))
    for (name, stage), values in deviations.items():
        p10, *_, p90 = table[name][stage]
        assert p10 < np.median(values) < p90, (name, stage)


def test_epochs_do_not_show_their_borders(cohort):
    for channel in edfio.read_edf(cohort[0].psg).signals[:3]:
        steps = np.abs(np.diff(channel.data)).reshape(-1)
        at_borders = steps[SAMPLES_PER_EPOCH - 1 :: SAMPLES_PER_EPOCH]
        assert at_borders.mean() < 1.3 * steps.mean()


def test_mne_and_pyedflib_read_the_files(cohort):
    recording = cohort[0]
    labels = ["EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal"]
    expected = edfio.read_edf(recording.psg)

    raw = mne.io.read_raw_edf(recording.psg, include=labels, verbose="error")
    assert (raw.ch_names, raw.info["sfreq"], raw.n_times) == (labels, 100, DEMO_HOURS * 3600 * 100)
    np.testing.assert_allclose(raw.get_data(units="uV")[0], expected.get_signal(labels[0]).data, atol=1e-6)
    annotations = mne.read_annotations(recording.scoring)
    assert annotations.duration.sum() == 24 * 3600

    with pyedflib.EdfReader(str(recording.psg)) as psg:
        assert psg.datarecord_duration == 30
        np.testing.assert_array_equal(psg.getSampleFrequencies(), [100, 100, 100, 1, 1, 1, 1])
        np.testing.assert_allclose(psg.readSignal(4), expected.signals[4].data, atol=1e-6)
    with pyedflib.EdfReader(str(recording.scoring)) as hypnogram:
        _, durations, texts = hypnogram.readAnnotations()
        assert durations.sum() == 24 * 3600
        assert texts[-1] == "Sleep stage ?"
