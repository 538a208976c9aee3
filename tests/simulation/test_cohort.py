"""Simulated recordings: laid out like the real ones, reproducible, close to the statistics they are calibrated to."""

import os
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
from sleepbench.datasets.recordings import read_recordings
from sleepbench.simulation import cohort as simulation
from sleepbench.simulation import realism
from sleepbench.simulation.cohort import shape_ids, simulate_cohort, simulate_recording, simulated_ids, simulated_stages

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


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eleven simulated 2-h recordings: (directory, recordings)."""
    directory = tmp_path_factory.mktemp("simulated")
    recordings = simulate_cohort(directory, directory / "recordings.csv", simulated_ids(6, [5]), DEMO_HOURS, SEED)
    return directory, recordings


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


def test_ids_are_two_nights_a_subject_but_for_those_with_one():
    assert simulated_ids(3, [1]) == ["SC4001", "SC4002", "SC4011", "SC4021", "SC4022"]


@pytest.mark.parametrize(("subjects", "single"), [(0, []), (101, []), (3, [3])])
def test_impossible_cohorts_are_refused(subjects, single):
    with pytest.raises(BenchmarkError, match="expected"):
        simulated_ids(subjects, single)


@pytest.mark.parametrize("recording_id", ["SC4003", "SC400", "ST7011", "SC40a1", "SC40011"])
def test_impossible_ids_are_refused(tmp_path, recording_id):
    with pytest.raises(BenchmarkError, match="SC4ssN"):
        simulate_recording(tmp_path, recording_id, DEMO_HOURS, SEED)


def test_shapes_have_the_subjects_and_nights_of_the_real_data():
    assert shape_ids("demo") == simulated_ids(6, [5])
    twenty, all_of_them = shape_ids("sleep-edf-20"), shape_ids("sleep-edf-78")
    assert len(twenty) == 39 and len({id[3:5] for id in twenty}) == 20 and twenty == simulated_ids(20, [13])
    assert len(all_of_them) == 153 and len({id[3:5] for id in all_of_them}) == 78 and all_of_them[:39] == twenty
    # Subject 36 lost the first night; there is no subject 39.
    assert "SC4362" in all_of_them and "SC4361" not in all_of_them and "SC4391" not in all_of_them


def test_an_unknown_shape_is_refused():
    with pytest.raises(BenchmarkError, match="'sleep-edf-30', expected one of 'demo', 'sleep-edf-20', 'sleep-edf-78'"):
        shape_ids("sleep-edf-30")


@pytest.mark.parametrize("hours", [0.1, 24.1])
def test_impossible_lengths_are_refused(tmp_path, hours):
    with pytest.raises(BenchmarkError, match="psg_hours"):
        simulate_recording(tmp_path, "SC4001", hours, SEED)


def test_files_and_manifest_are_paired_and_named_as_the_real_ones(cohort):
    directory, recordings = cohort
    assert recordings == read_recordings(directory / "recordings.csv")
    assert [recording.id for recording in recordings] == simulated_ids(6, [5])
    for recording in recordings:
        assert recording.psg == f"{recording.id}E0-PSG.edf"
        assert recording.hypnogram.startswith(f"{recording.id}E")
        assert recording.hypnogram.endswith("-Hypnogram.edf")
        assert (recording.subject, recording.night) == (recording.id[3:5], int(recording.id[5]))
        assert sha256_of_file(directory / recording.psg) == recording.psg_sha256
        assert sha256_of_file(directory / recording.hypnogram) == recording.hypnogram_sha256
    assert len(list(directory.iterdir())) == 2 * len(recordings) + 1
    nights = {recording.id: recording for recording in recordings}
    assert (nights["SC4001"].age, nights["SC4001"].sex) == (nights["SC4002"].age, nights["SC4002"].sex)


def test_same_bytes_for_the_same_seed_alone_or_in_a_cohort_on_several_processes(cohort, tmp_path):
    _, recordings = cohort
    again = simulate_cohort(tmp_path, tmp_path / "recordings.csv", ["SC4031", "SC4012"], DEMO_HOURS, SEED, processes=2)
    assert again == [recording for recording in recordings if recording.id in ("SC4012", "SC4031")]
    assert simulate_recording(tmp_path, "SC4031", DEMO_HOURS, SEED) == again[1]


def test_other_bytes_for_another_seed_or_night(cohort, tmp_path):
    _, recordings = cohort
    other = simulate_recording(tmp_path, "SC4001", DEMO_HOURS, SEED + 1)
    sums = [recording.psg_sha256 for recording in [*recordings, other]]
    sums += [recording.hypnogram_sha256 for recording in [*recordings, other]]
    assert len(set(sums)) == 2 * (len(recordings) + 1)


def test_psg_has_the_layout_of_the_real_files(cohort):
    directory, recordings = cohort
    path = directory / recordings[0].psg
    psg = edfio.read_edf(path)
    assert layout(psg) == LAYOUT
    assert (psg.reserved, psg.data_record_duration, psg.num_data_records) == ("", 30, DEMO_HOURS * 120)
    assert psg.bytes_in_header_record == 2048
    assert path.stat().st_size == 2048 + 240 * 2 * (3 * 3000 + 4 * 30)


@pytest.mark.skipif(not REAL_PSG.exists(), reason="the excerpt of a real recording is not here")
def test_psg_has_the_layout_of_the_real_excerpt(cohort):
    directory, recordings = cohort
    real, simulated = edfio.read_edf(REAL_PSG), edfio.read_edf(directory / recordings[0].psg)
    assert layout(simulated) == layout(real)
    for field in ("version", "reserved", "data_record_duration", "bytes_in_header_record"):
        assert getattr(simulated, field) == getattr(real, field)
    # The headers of the signals are the same to the byte.
    header = (directory / recordings[0].psg).read_bytes()[256:2048]
    assert header == REAL_PSG.read_bytes()[256:2048]


@pytest.mark.skipif(not REAL_HYPNOGRAM.exists(), reason="the real hypnograms are not here")
def test_hypnogram_has_the_layout_of_a_real_one(cohort):
    directory, recordings = cohort
    real, simulated = REAL_HYPNOGRAM.read_bytes(), (directory / recordings[0].hypnogram).read_bytes()
    assert simulated[184:244] == real[184:244]  # header bytes, EDF+C, one record of duration 0
    assert simulated[252:352] == real[252:352]  # one signal, of annotations
    assert simulated[512:520] == real[512:520]  # the first of them, at 0 s with a duration


def test_headers_say_that_the_data_is_simulated(cohort):
    directory, recordings = cohort
    for recording in recordings:
        psg, hypnogram = (edfio.read_edf(directory / name) for name in (recording.psg, recording.hypnogram))
        for edf in (psg, hypnogram):
            assert edf.patient.name == f"Simulated_{recording.id}"
            assert edf.patient.sex == recording.sex
            assert edf.patient.additional == (f"{recording.age}yr",)
            assert edf.recording.additional == ("simulated",)
            assert edf.startdate >= date(2000, 1, 1)
        assert psg.startdatetime == hypnogram.startdatetime


def test_hypnogram_covers_24_hours_without_gaps_and_ends_unscored(cohort):
    directory, recordings = cohort
    descriptions = set()
    for recording in recordings:
        annotations = edfio.read_edf(directory / recording.hypnogram).annotations
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
    _, recordings = cohort
    for recording in recordings:
        scored = simulated_stages(recording.id, DEMO_HOURS, SEED)
        assert (np.bincount(scored, minlength=5)[:5] >= 2).all()
        asleep = np.flatnonzero(scored != W)
        assert asleep[0] >= 35 and len(scored) - 1 - asleep[-1] >= 35
        assert 150 <= asleep[-1] - asleep[0] + 1 <= 170


def test_two_and_a_half_hours_leave_more_wake_than_the_window_keeps():
    for recording_id in simulated_ids(6, [5]):
        asleep = np.flatnonzero(simulated_stages(recording_id, 2.5, SEED) != W)
        assert asleep[0] > 60 and 300 - 1 - asleep[-1] > 60
        assert 150 <= asleep[-1] - asleep[0] + 1 <= 170


def test_stages_of_a_hypnogram_are_the_simulated_ones(cohort):
    directory, recordings = cohort
    code = {"W": W, "1": N1, "2": 2, "3": N3, "4": N3, "R": 4, "?": UNKNOWN, "e": MOVEMENT}
    annotations = edfio.read_edf(directory / recordings[2].hypnogram).annotations
    stages = np.concatenate([np.full(round(a.duration / 30), code[a.text[-1]]) for a in annotations])
    np.testing.assert_array_equal(stages[:240], simulated_stages(recordings[2].id, DEMO_HOURS, SEED))


@pytest.fixture(scope="module")
def standard_nights():
    """Stages of the standard window of 39 nights of 24 h."""
    nights = []
    for recording_id in shape_ids("sleep-edf-20"):
        scored = simulated_stages(recording_id, 24, SEED)
        stages = scored[scored <= 4]
        asleep = np.flatnonzero(stages != W)
        nights.append(stages[asleep[0] - 60 : asleep[-1] + 61])
    return nights


def test_transitions_and_shares_of_39_nights_are_the_tables(standard_nights):
    real = realism.real_statistics()
    likely = real.transitions > realism.TRANSITIONS_ABOVE
    transitions = realism.transition_probabilities(standard_nights)
    np.testing.assert_allclose(transitions[likely], real.transitions[likely], atol=realism.TRANSITION_TOLERANCE)
    np.testing.assert_allclose(realism.stage_shares(standard_nights), real.shares, atol=realism.SHARE_TOLERANCE)
    lengths = [len(night) - 120 for night in standard_nights]
    assert min(lengths) > 820 and max(lengths) <= 1020


def test_bouts_of_39_nights_are_as_long_as_the_tables_on_average(standard_nights):
    mean, real = realism.bout_lengths(standard_nights)[:, 0], realism.real_statistics().bouts[:, 0]
    np.testing.assert_allclose(mean, real, rtol=0.15)


def test_n3_is_early_and_rem_late(standard_nights):
    shares = realism.shares_by_decile(standard_nights)
    np.testing.assert_allclose(shares, realism.real_statistics().shares_by_decile, atol=0.13)
    assert shares[:4, N3].sum() > 1.5 * shares[6:, N3].sum()
    assert shares[6:, REM].sum() > 1.5 * shares[:4, REM].sum()


# ------------------------------------------------------------------------------------------ a whole day, 24 h of signal


@pytest.fixture(scope="module")
def whole_day(tmp_path_factory):
    """A recording of 24 h: (PSG, hypnogram's annotations, scored stages)."""
    directory = tmp_path_factory.mktemp("day")
    recording = simulate_recording(directory, "SC4001", 24, SEED)
    annotations = edfio.read_edf(directory / recording.hypnogram).annotations
    return edfio.read_edf(directory / recording.psg), annotations, simulated_stages("SC4001", 24, SEED)


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
    table = read_json(simulation.STATISTICS)["epoch_standard_deviation_uv"]
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


# --------------------------------------------------------------------------------- what the stages are known by, in uV


@pytest.fixture(scope="module")
def signals(cohort):
    """All epochs of the cohort: (scored stages, (3, n, 3000) microvolts, 1-Hz EMG (n, 30))."""
    directory, recordings = cohort
    psgs = [edfio.read_edf(directory / recording.psg) for recording in recordings]
    scored = np.concatenate([simulated_stages(recording.id, DEMO_HOURS, SEED) for recording in recordings])
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
    assert burstiness[N2] > 0.5 and max(burstiness[:N2] + burstiness[N3:]) < 0.15


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
    assert height[N3] > 1.5 * max(height[W], height[N2]) and height[N3] > 25


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
    directory, recordings = cohort
    table = read_json(simulation.STATISTICS)["epoch_standard_deviation_uv"]
    deviations = {(channel, stage): [] for channel in ("FpzCz", "PzOz", "EOG") for stage in STAGES}
    for recording in recordings:
        psg = edfio.read_edf(directory / recording.psg)
        for channel in psg.signals:
            assert np.isin(channel.digital, channel.digital_range).mean() < 0.005
        scored = simulated_stages(recording.id, DEMO_HOURS, SEED)
        for name, channel in zip(("FpzCz", "PzOz", "EOG"), psg.signals[:3], strict=True):
            epochs = channel.data.reshape(-1, SAMPLES_PER_EPOCH)
            for code, stage in enumerate(STAGES):
                deviations[name, stage].extend(epochs[scored == code].std(axis=1))
    for (name, stage), values in deviations.items():
        p10, *_, p90 = table[name][stage]
        assert p10 < np.median(values) < p90, (name, stage)


def test_epochs_do_not_show_their_borders(cohort):
    directory, recordings = cohort
    for channel in edfio.read_edf(directory / recordings[0].psg).signals[:3]:
        steps = np.abs(np.diff(channel.data)).reshape(-1)
        at_borders = steps[SAMPLES_PER_EPOCH - 1 :: SAMPLES_PER_EPOCH]
        assert at_borders.mean() < 1.3 * steps.mean()


def test_mne_and_pyedflib_read_the_files(cohort):
    directory, recordings = cohort
    recording = recordings[0]
    labels = ["EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal"]
    expected = edfio.read_edf(directory / recording.psg)

    raw = mne.io.read_raw_edf(directory / recording.psg, include=labels, verbose="error")
    assert (raw.ch_names, raw.info["sfreq"], raw.n_times) == (labels, 100, DEMO_HOURS * 3600 * 100)
    np.testing.assert_allclose(raw.get_data(units="uV")[0], expected.get_signal(labels[0]).data, atol=1e-6)
    annotations = mne.read_annotations(directory / recording.hypnogram)
    assert annotations.duration.sum() == 24 * 3600

    with pyedflib.EdfReader(str(directory / recording.psg)) as psg:
        assert psg.datarecord_duration == 30
        np.testing.assert_array_equal(psg.getSampleFrequencies(), [100, 100, 100, 1, 1, 1, 1])
        np.testing.assert_allclose(psg.readSignal(4), expected.signals[4].data, atol=1e-6)
    with pyedflib.EdfReader(str(directory / recording.hypnogram)) as hypnogram:
        _, durations, texts = hypnogram.readAnnotations()
        assert durations.sum() == 24 * 3600
        assert texts[-1] == "Sleep stage ?"
