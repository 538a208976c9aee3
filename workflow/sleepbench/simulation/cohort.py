"""A simulated cohort, written as EDF and EDF+ files laid out like Sleep-EDF's sleep-cassette recordings.

It is a stand-in for demos and tests: everything downstream treats its files as it treats the real ones, from the first
byte on. **Results on it are never results on Sleep-EDF**, and the headers of the files say that they are simulated.

Calibrated to summary statistics of the 153 recordings of Sleep-EDF Expanded 1.0.0 (ODC-By 1.0; B. Kemp et al., IEEE
Trans. Biomed. Eng. 47(9):1185-1194, 2000; A. L. Goldberger et al., Circulation 101(23), 2000), which are in
workflow/resources/sleep_stage_statistics.json:

- the stages: transition probabilities and, over the sleep period, the share of each stage by decile of the night;
- the signals of the two EEG channels and the EOG: per stage the mean log power of five bands, its covariance between
  and within recordings and its lag-1 autocorrelation; amplitudes in microvolts.

Chosen by hand to be plausible, not calibrated: everything about the four 1-Hz channels; waveforms (spindles,
K-complexes, alpha with eyes closed, eye movements, blinks), coherence between channels and phase; how much of the
deviation between recordings a subject's two nights share; artefacts (movement, electrode pops), movement time, the day
but for its amplitude, when a night begins. Nights differ less in their stage shares than real ones do, and their bouts
are geometric given the time of night, where real bouts of wake have a longer tail. Age and sex are in the header only:
nothing depends on them.

The same (seed, recording id, psg_hours) gives the same bytes, whatever else is simulated; what the two nights of a
subject share is drawn from (seed, subject).
"""

import datetime
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal
from edfio import Patient as EdfPatient
from edfio import Recording as EdfRecording
from scipy import fft, signal

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing, sha256_of_file
from sleepbench.core.stages import (
    EPOCH_SECONDS,
    MOVEMENT,
    N1,
    N2,
    N3,
    REM,
    SAMPLES_PER_EPOCH,
    SAMPLING_RATE,
    STAGES,
    UNKNOWN,
    W,
)
from sleepbench.datasets.recordings import Recording, first_subjects, read_recordings, write_recordings

RESOURCES = Path(__file__).parents[2] / "resources"
STATISTICS = RESOURCES / "sleep_stage_statistics.json"
SLEEP_EDF_RECORDINGS = RESOURCES / "sleep_edf_recordings.csv"
EPOCHS_PER_HOUR = 3600 // EPOCH_SECONDS
EPOCHS_PER_DAY = 24 * EPOCHS_PER_HOUR
WINDOW_EPOCHS = 60
"""Wake kept either side of sleep in the recordings that the statistics are of (30 min)."""

N_CHANNELS, N_BANDS = 3, 5
DELTA, _, ALPHA, SIGMA, _ = range(N_BANDS)

# ---------------------------------------------------------------------------------------------------------------------
# Names and random numbers
# ---------------------------------------------------------------------------------------------------------------------


def simulated_ids(subjects: int, single_night_subjects: Sequence[int]) -> list[str]:
    """Recording ids SC4ssN of `subjects` subjects with two nights each, but for those who have the first only."""
    if not 1 <= subjects <= 100:
        raise BenchmarkError(
            f"{subjects} simulated subjects: expected 1 to 100, as an id SC4ssN has two digits for them"
        )
    unknown = sorted(set(single_night_subjects) - set(range(subjects)))
    if unknown:
        raise BenchmarkError(f"single-night subjects {unknown}: expected subjects from 0 to {subjects - 1}")
    return [
        f"SC4{subject:02d}{night}"
        for subject in range(subjects)
        for night in (1, 2)
        if night == 1 or subject not in single_night_subjects
    ]


SHAPES = ("demo", "sleep-edf-20", "sleep-edf-78")
"""Cohorts by name: a small one, and two of the size, subject numbers and night numbers of the real data sets."""


def shape_ids(shape: str) -> list[str]:
    """Recording ids, ascending, of a cohort of this shape: demo 11, sleep-edf-20 39, sleep-edf-78 153.

    BenchmarkError for another name.
    """
    if shape not in SHAPES:
        raise BenchmarkError(f"the shape is {shape!r}, expected one of {', '.join(map(repr, SHAPES))}")
    if shape == "demo":
        return simulated_ids(6, [5])
    subjects = 20 if shape == "sleep-edf-20" else None
    return [recording.id for recording in first_subjects(read_recordings(SLEEP_EDF_RECORDINGS), subjects)]


def _subject_and_night(recording_id: str) -> tuple[int, int]:
    subject, night = recording_id[3:5], recording_id[5:]
    if not (recording_id.startswith("SC4") and subject.isdigit() and night in ("1", "2")):
        raise BenchmarkError(f"simulated recording {recording_id!r}: expected SC4ssN, subject ss and night N = 1 or 2")
    return int(subject), int(night)


def _generator(seed: int, *key: int) -> np.random.Generator:
    """An independent stream of random numbers for each key; its numbers do not depend on other streams."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


# Streams: each part of a recording has its own, so that drawing more of one leaves the others as they were.
_SUBJECT, _STAGES, _POWER, _SIGNALS, _SLOW, _HEADER = range(6)


@dataclass(frozen=True)
class _Randomness:
    """The random streams of one recording."""

    seed: int
    subject: int
    night: int

    def of_subject(self) -> np.random.Generator:
        """A stream that both nights of the subject share."""
        return _generator(self.seed, _SUBJECT, self.subject)

    def of_recording(self, part: int) -> np.random.Generator:
        """A stream of this recording alone."""
        return _generator(self.seed, part, self.subject, self.night)

    def partly_shared(self, part: int, size: int | tuple[int, ...], shared: float = 0.6) -> np.ndarray:
        """Standard normal deviates whose correlation between a subject's two nights is `shared`."""
        subject = _generator(self.seed, _SUBJECT, self.subject, part).standard_normal(size)
        night = _generator(self.seed, _SUBJECT, self.subject, part, self.night).standard_normal(size)
        return np.sqrt(shared) * subject + np.sqrt(1 - shared) * night


# ---------------------------------------------------------------------------------------------------------------------
# Statistics
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _StagePowers:
    """Natural log band powers of one stage: 3 channels x 5 bands = 15 features, of z-scored channels."""

    mean: np.ndarray
    between_recording: np.ndarray
    within_recording: np.ndarray
    lag1_autocorrelation: np.ndarray


@cache
def _statistics() -> dict:
    return read_json(STATISTICS)


@cache
def _stage_powers() -> tuple[_StagePowers, ...]:
    keys = ("mean", "between_recording_cov", "within_recording_cov", "lag1_autocorrelation")
    stages = _statistics()["stages"]
    return tuple(_StagePowers(*(np.array(stages[stage][key]) for key in keys)) for stage in STAGES)


# ---------------------------------------------------------------------------------------------------------------------
# Stages
# ---------------------------------------------------------------------------------------------------------------------

MEAN_SLEEP_PERIOD = 930
"""Epochs from falling asleep to the last awakening in a full night, on average over recordings (7 h 45 min)."""

CANDIDATE_NIGHTS = 48
SHARE_DEVIATION = np.array([0.25, 0.2, 0.1, 0.35, 0.2])
"""Standard deviation between recordings of the log of each stage's share."""


@dataclass(frozen=True)
class _Night:
    """The stages of one recording: `true` has a stage 0-4 for every epoch, `scored` also MOVEMENT and UNKNOWN."""

    true: np.ndarray
    scored: np.ndarray


def _fit_margins(table: np.ndarray, margins: Sequence[tuple[int, np.ndarray]], iterations: int = 200) -> np.ndarray:
    """Iterative proportional fitting: scale `table` until its sum over each axis is the margin wanted."""
    for _ in range(iterations):
        for axis, margin in margins:
            total = table.sum(axis=axis, keepdims=True)
            table = table * np.divide(np.expand_dims(margin, axis), total, out=np.zeros_like(total), where=total > 0)
    return table


@cache
def _sleep_period_statistics() -> tuple[np.ndarray, np.ndarray]:
    """Stage shares (5,) in the sleep period and transition probabilities (10, 5, 5) in each decile of it.

    The smallest change to the table's pooled transitions (in the log-linear sense) under which the shares of the stages
    follow the table's deciles, while transitions pooled over the night and the 30 min of wake either side of it stay
    those of the table.
    """
    hypnogram = _statistics()["hypnogram"]
    pooled = np.array(hypnogram["transition_probability_30s"])
    eigenvalues, vectors = np.linalg.eig(pooled.T)
    share = np.real(vectors[:, np.argmax(eigenvalues.real)])
    share /= share.sum()
    counts = (MEAN_SLEEP_PERIOD + 2 * WINDOW_EPOCHS) * share[:, None] * pooled
    # Outside the sleep period: the wake either side, falling asleep and waking up.
    counts[W, W] -= 2 * WINDOW_EPOCHS
    counts[W, N1:] *= 1 - 1 / counts[W, N1:].sum()
    counts[N1:, W] *= 1 - 1 / counts[N1:, W].sum()
    counts /= counts.sum()
    share_asleep = counts.sum(axis=0)

    by_decile = np.array(hypnogram["stage_share_by_decile_of_sleep_period"])
    by_decile = _fit_margins(by_decile, [(0, share_asleep), (1, np.full(10, 0.1))])
    joint = np.broadcast_to(counts / 10, (10, *counts.shape))
    joint = _fit_margins(joint, [(2, by_decile), (1, by_decile), (0, counts)])
    return share_asleep, joint / joint.sum(axis=2, keepdims=True)


def _sleep_period_epochs(psg_epochs: int, random: np.random.Generator) -> int:
    """Length of the sleep period: 7 to 8.5 h, less when the recording is too short to have as much wake around it.

    A recording of `m` minutes has a sleep period of at most m - 75 min, so that more than 35 min of wake remain either
    side; but of 80 min, or two thirds of the recording if that is less, even so: five stages need time.
    """
    full = random.integers(840, 1021)
    shortest = min(160, round(2 / 3 * psg_epochs))
    return int(min(full, max(shortest, psg_epochs - 150)))


def _sleep_period(epochs: int, log_share_deviation: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Stages (epochs,) of a sleep period, which begins with N1 and ends asleep.

    Of several nights drawn from the chain the one is kept whose stage shares are nearest (in Hellinger distance) to the
    recording's own. That makes nights of a subject alike, and keeps all five stages in a short night: its deciles are
    shorter, but its transition probabilities, and with them its bouts, are those of a full night.
    """
    share, transitions = _sleep_period_statistics()
    thresholds = transitions.cumsum(axis=2)[:, :, :-1]
    uniform = random.random((epochs, CANDIDATE_NIGHTS, 1))
    nights = np.empty((epochs, CANDIDATE_NIGHTS), dtype=np.int8)
    nights[0] = N1
    for epoch in range(1, epochs):
        decile = 10 * epoch // epochs
        nights[epoch] = (uniform[epoch] > thresholds[decile, nights[epoch - 1]]).sum(axis=1)

    wanted = share * np.exp(log_share_deviation)
    shares = (nights[:, :, None] == np.arange(len(STAGES))).mean(axis=0)
    distance = ((np.sqrt(shares) - np.sqrt(wanted / wanted.sum())) ** 2).sum(axis=1)
    distance[nights[-1] == W] += 1
    return nights[:, np.argmin(distance)]


def _bout_interior(stages: np.ndarray, length: int) -> np.ndarray:
    """Positions where `length` epochs lie within one bout of sleep or wake, an epoch of the same stage either side."""
    windows = np.lib.stride_tricks.sliding_window_view(stages, length + 2)
    return np.flatnonzero((windows == windows[:, :1]).all(axis=1)) + 1


def _simulate_night(randomness: _Randomness, psg_epochs: int) -> _Night:
    """Wake, a sleep period, wake; a few epochs of it scored as movement time, and now and then some left unscored."""
    random = randomness.of_recording(_STAGES)
    sleep_epochs = _sleep_period_epochs(psg_epochs, random)
    onset = round((psg_epochs - sleep_epochs) * random.uniform(0.48, 0.52))
    deviation = SHARE_DEVIATION * randomness.partly_shared(_STAGES, len(STAGES))
    period = _sleep_period(sleep_epochs, deviation, random)
    true = np.full(psg_epochs, W, dtype=np.int8)
    true[onset : onset + sleep_epochs] = period

    scored = true.copy()
    asleep = scored[onset : onset + sleep_epochs]
    # Within bouts, so that leaving these epochs out, as the standard window does, changes no transition.
    interior = _bout_interior(period, 1)
    n_movements = min(random.poisson(3), len(interior))
    asleep[random.choice(interior, n_movements, replace=False)] = MOVEMENT
    if random.random() < 0.15 and len(interior := _bout_interior(period, 2)):
        asleep[random.choice(interior) + np.arange(2)] = UNKNOWN
    return _Night(true, scored)


def simulated_stages(recording_id: str, psg_hours: float, seed: int) -> np.ndarray:
    """Scored stages (n_epochs,) int8 of a simulated recording, without simulating its signals.

    Codes are those of `core.stages`, MOVEMENT and UNKNOWN among them; the unscored tail after the PSG is not.
    """
    return _simulate_night(_Randomness(seed, *_subject_and_night(recording_id)), _psg_epochs(psg_hours)).scored


def _psg_epochs(psg_hours: float) -> int:
    epochs = round(psg_hours * EPOCHS_PER_HOUR)
    if not EPOCHS_PER_HOUR // 2 <= epochs <= EPOCHS_PER_DAY:
        raise BenchmarkError(f"psg_hours: {psg_hours}: expected at least 0.5 h, and at most the hypnogram's 24 h")
    return epochs


# ---------------------------------------------------------------------------------------------------------------------
# Band powers
# ---------------------------------------------------------------------------------------------------------------------

EOG_BETA_ATTENUATION = -2.45
"""The log gain of the low-pass at 15 Hz through which the table's EOG beta power was seen; raw signals lack it."""

STAGES_IN_COMMON = 0.7
"""Correlation over recordings of the deviations of different stages: a high alpha in wake is one in N2 too."""

ARTEFACT_LOG_GAIN = 2.0
ARTEFACT_SHARE_OF_WAKE = 0.005
"""About the share of wake epochs whose extreme amplitude kept them out of the table (348 of 65,951)."""


def _matrix_square_root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def _autoregressive(powers: _StagePowers, epochs: int, random: np.random.Generator) -> np.ndarray:
    """Deviations (epochs, 15) within a recording: stationary AR(1) processes, correlated over the features."""
    rho = powers.lag1_autocorrelation
    innovation = _matrix_square_root(powers.within_recording * (1 - np.outer(rho, rho)))
    noise = random.standard_normal((epochs, len(rho))) @ innovation
    first = random.standard_normal(len(rho)) @ _matrix_square_root(powers.within_recording)
    deviations = np.empty_like(noise)
    for feature, coefficient in enumerate(rho):
        start = [coefficient * first[feature]]
        deviations[:, feature] = signal.lfilter([1], [1, -coefficient], noise[:, feature], zi=start)[0]
    return deviations


def _log_band_powers(randomness: _Randomness, stages: np.ndarray) -> np.ndarray:
    """Log band powers (n_epochs, 3, 5) of channels of variance one.

    Stage mean + deviation of the recording + deviation of the epoch; successive epochs *of a stage* are autocorrelated,
    as in the table.
    """
    random = randomness.of_recording(_POWER)
    powers = np.empty((len(stages), N_CHANNELS * N_BANDS))
    deviations = randomness.partly_shared(_POWER, (1 + len(STAGES), N_CHANNELS * N_BANDS))
    for stage, statistics in enumerate(_stage_powers()):
        standard = np.sqrt(STAGES_IN_COMMON) * deviations[0] + np.sqrt(1 - STAGES_IN_COMMON) * deviations[1 + stage]
        recording = statistics.mean + standard @ _matrix_square_root(statistics.between_recording)
        epochs = np.flatnonzero(stages == stage)
        powers[epochs] = recording + _autoregressive(statistics, len(epochs), random)
    powers = powers.reshape(-1, N_CHANNELS, N_BANDS)
    _set_daytime_amplitude(powers, stages)
    powers[:, 2, -1] -= EOG_BETA_ATTENUATION
    return powers


def _is_day(stages: np.ndarray) -> np.ndarray:
    """Which epochs (n_epochs,) are more than 30 min from sleep."""
    asleep = np.flatnonzero(stages != W)
    day = np.ones(len(stages), dtype=bool)
    day[max(0, asleep[0] - WINDOW_EPOCHS) : asleep[-1] + 1 + WINDOW_EPOCHS] = False
    return day


def _set_daytime_amplitude(powers: np.ndarray, stages: np.ndarray) -> None:
    """Shift the day's log powers in place so that each channel's variance over the recording is one.

    The table's powers are of channels z-scored over whole recordings, but describe only the night and the 30 min of
    wake either side; the day's amplitude is what remains. Within a factor of two, lest an unusual night make an absurd
    day.
    """
    day = _is_day(stages)
    if day.mean() < 0.25:
        return
    variance = np.exp(powers).sum(axis=2)
    gain = (len(stages) - variance[~day].sum(axis=0)) / variance[day].sum(axis=0)
    powers[day] += np.log(np.clip(gain, 0.5, 2))[:, None]


# ---------------------------------------------------------------------------------------------------------------------
# Waveforms
# ---------------------------------------------------------------------------------------------------------------------

CROSSFADE_SAMPLES = 200
SEGMENT_SAMPLES = SAMPLES_PER_EPOCH + CROSSFADE_SAMPLES
EPOCHS_PER_BLOCK = 128

COHERENCE = np.array([[1, 0.3, -0.4], [0.3, 1, -0.1], [-0.4, -0.1, 1]])
"""Correlation of the noise in Fpz-Cz, Pz-Oz and EOG: both EEG channels see some sources, the frontal one the eyes."""

MICROVOLTS = np.array([29.0, 15.0, 58.0])
"""Microvolts per unit of the z-scored channels, fitted to the table's epoch standard deviations asleep."""
MICROVOLTS_LOG_DEVIATION = np.array([0.2, 0.2, 0.0])
"""Standard deviation between recordings of its logarithm; that of EOG's z-scored power is wide enough by itself."""


EYES_CLOSED = len(STAGES)
"""State of an epoch of wake with eyes closed. The other states are the stages, W being wake with eyes open."""
EYES_CLOSED_IN_BED, EYES_CLOSED_BY_DAY = 0.5, 0.15
"""Share of wake with eyes closed: near sleep, and more than 30 min from it."""

ELECTRODE_POPS_PER_HOUR = 1.0


@dataclass(frozen=True)
class _Event:
    """A transient that a state is known by: `rate` a 30-s epoch, `height` standard deviations of its band's signal."""

    state: int
    band: int
    channels: tuple[int, ...]
    rate: float
    height: float
    both_polarities: bool
    waveform: np.ndarray


def _events() -> tuple[_Event, ...]:
    def seconds(duration: float) -> np.ndarray:
        return np.arange(round(duration * SAMPLING_RATE)) / SAMPLING_RATE

    time = seconds(0.9)
    spindle = np.sin(2 * np.pi * 13.5 * time) * np.hanning(len(time))
    time = seconds(1.0)
    k_complex = -np.sin(2 * np.pi * time) * np.hanning(len(time)) * np.exp(-time)
    k_complex /= np.abs(k_complex).max()
    time = seconds(1.2)
    eye_movement = (1 - np.exp(-time / 0.04)) * np.exp(-time / 0.3)
    eye_movement /= eye_movement.max()
    blink = np.hanning(round(0.4 * SAMPLING_RATE))
    time = seconds(3.0)
    alpha_burst = np.sin(2 * np.pi * 10 * time) * np.hanning(len(time))
    return (
        _Event(N2, SIGMA, (0, 1), 2.0, 4.0, True, spindle),
        _Event(N2, DELTA, (0, 1), 0.5, 3.5, False, k_complex),
        _Event(REM, DELTA, (2,), 4.0, 2.5, True, eye_movement),
        _Event(W, DELTA, (2,), 3.0, 2.5, True, eye_movement),
        _Event(W, DELTA, (0, 2), 5.0, 2.5, False, blink),
        _Event(EYES_CLOSED, ALPHA, (1,), 8.0, 2.0, True, alpha_burst),
    )


@cache
def _spectral_basis(n_frequencies: int, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies (F,), the fixed part of the log density (F,) and the weights (5, F) of the values at band centres.

    Between band centres the log density is linear in log frequency on top of a fall with 1/f; below 0.5 Hz it follows
    the recorder's high-pass, and above 30 Hz it falls with 1/f^3.
    """
    frequencies = np.linspace(0, highest, n_frequencies)
    edges = np.array(list(_statistics()["bands_hz"].values()))
    centres = np.log(np.sqrt(edges.prod(axis=1)))
    log_frequencies = np.log(np.maximum(frequencies, 1e-3))
    weights = np.array([np.interp(log_frequencies, centres, unit) for unit in np.eye(N_BANDS)])
    low, high = edges[0, 0], edges[-1, 1]
    fixed = -np.log(np.maximum(frequencies, low / 2)) - np.log1p((0.6 * low / np.maximum(frequencies, 1e-3)) ** 4)
    fixed -= 2 * np.log(np.maximum(frequencies / high, 1))
    return frequencies, fixed, weights


def _log_density_at_centres(log_powers: np.ndarray) -> np.ndarray:
    """Log densities at the band centres (..., 5) of the smooth spectra that have the given log band powers (..., 5)."""
    step = 0.25
    frequencies, fixed, weights = _spectral_basis(201, 200 * step)
    edges = np.array(list(_statistics()["bands_hz"].values()))
    # Trapezoids: half of the density at a band's edge belongs to either side.
    in_band = ((frequencies >= edges[:, :1]) & (frequencies <= edges[:, 1:])) * step
    in_band = np.where(np.isin(frequencies, edges) & (in_band > 0), step / 2, in_band).T
    values = log_powers.copy()
    for _ in range(6):
        values += log_powers - np.log(np.exp(fixed + values @ weights) @ in_band)
    return values


def _states(log_powers: np.ndarray, stages: np.ndarray) -> np.ndarray:
    """The stages (n_epochs,), but EYES_CLOSED in the wake of most alpha over Pz-Oz, which lasts as alpha's power does.

    So alpha with eyes closed, and the blinks and glances without it, are in the waveforms alone: band powers stay those
    of the table.
    """
    states = stages.copy()
    day = _is_day(stages)
    for epochs, share in ((~day, EYES_CLOSED_IN_BED), (day, EYES_CLOSED_BY_DAY)):
        awake = np.flatnonzero(epochs & (stages == W))
        alpha = log_powers[awake, 1, ALPHA]
        if len(awake):
            states[awake[alpha > np.quantile(alpha, 1 - share)]] = EYES_CLOSED
    return states


def _without_event_power(log_powers: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Log powers of the noise alone: what a state's events will add, on average, is taken off first."""
    share = np.zeros((EYES_CLOSED + 1, N_CHANNELS, N_BANDS))
    for event in _events():
        energy = event.height**2 * (event.waveform**2).sum()
        share[event.state, list(event.channels), event.band] += event.rate * energy / SAMPLES_PER_EPOCH
    return log_powers - np.log1p(share)[states]


def _noise(log_powers: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise (3, n_epochs * 3000) float32 with the given log band powers (n_epochs, 3, 5) in each epoch.

    Epochs are shaped in the frequency domain, a second longer at either end than they last, and faded into each other
    so that their borders cannot be heard.
    """
    epochs = len(log_powers)
    n_frequencies = SEGMENT_SAMPLES // 2 + 1
    _, fixed, weights = _spectral_basis(n_frequencies, SAMPLING_RATE / 2)
    # Half of the log, as amplitudes are wanted; real and imaginary part have half of the power each.
    constant = ((fixed + np.log(SAMPLING_RATE * SEGMENT_SAMPLES / 4)) / 2).astype(np.float32)
    constant[0] = -np.inf
    weights = (weights / 2).astype(np.float32)
    values = _log_density_at_centres(log_powers).astype(np.float32)
    mixing = np.linalg.cholesky(COHERENCE).astype(np.float32)

    fade = np.sin(np.linspace(0, np.pi / 2, CROSSFADE_SAMPLES, dtype=np.float32))
    samples = np.zeros((N_CHANNELS, epochs + 1, SAMPLES_PER_EPOCH), dtype=np.float32)
    for first in range(0, epochs, EPOCHS_PER_BLOCK):
        block = slice(first, min(first + EPOCHS_PER_BLOCK, epochs))
        shape = (block.stop - first, N_CHANNELS, 2 * n_frequencies)
        spectrum = mixing @ random.standard_normal(shape, dtype=np.float32)
        spectrum = spectrum.view(np.complex64)
        spectrum *= np.exp(constant + values[block] @ weights)
        segments = fft.irfft(spectrum, SEGMENT_SAMPLES, axis=2).transpose(1, 0, 2)
        segments[:, :, :CROSSFADE_SAMPLES] *= fade
        segments[:, :, -CROSSFADE_SAMPLES:] *= fade[::-1]
        samples[:, block] += segments[:, :, :SAMPLES_PER_EPOCH]
        samples[:, first + 1 : block.stop + 1, :CROSSFADE_SAMPLES] += segments[:, :, SAMPLES_PER_EPOCH:]
    margin = CROSSFADE_SAMPLES // 2
    return samples.reshape(N_CHANNELS, -1)[:, margin : margin + epochs * SAMPLES_PER_EPOCH]


def _add_events(samples: np.ndarray, log_powers: np.ndarray, states: np.ndarray, random: np.random.Generator) -> None:
    """Add the events of each state in place, as high as their band's signal is in that epoch."""
    for event in _events():
        epochs = np.repeat(np.arange(len(states)), random.poisson(event.rate, len(states)) * (states == event.state))
        # An event lies within its epoch, so that it does not run into another stage.
        latest = SAMPLES_PER_EPOCH - len(event.waveform)
        starts = epochs * SAMPLES_PER_EPOCH + random.integers(0, latest, len(epochs))
        signs = random.choice([-1, 1], len(epochs)) if event.both_polarities else np.ones(len(epochs))
        positions = starts[:, None] + np.arange(len(event.waveform))
        for channel in event.channels:
            heights = event.height * np.exp(log_powers[epochs, channel, event.band] / 2) * signs
            np.add.at(samples[channel], positions, (heights[:, None] * event.waveform).astype(np.float32))


def _add_electrode_pops(samples: np.ndarray, random: np.random.Generator) -> None:
    """Add steps of an electrode that slipped, decaying with the recorder's high-pass, to one channel at a time."""
    time = np.arange(3 * SAMPLING_RATE) / SAMPLING_RATE
    decay = np.exp(-time / 0.4).astype(np.float32)
    hours = samples.shape[1] / (3600 * SAMPLING_RATE)
    for start in random.integers(0, samples.shape[1] - len(decay), random.poisson(ELECTRODE_POPS_PER_HOUR * hours)):
        channel = random.integers(N_CHANNELS)
        height = random.choice([-1, 1]) * random.uniform(0.5, 1) * CHANNELS[channel].physical_range[1]
        samples[channel, start : start + len(decay)] += np.float32(height) * decay


def _simulate_signals(randomness: _Randomness, night: _Night) -> np.ndarray:
    """The two EEG channels and the EOG in microvolts (3, n_epochs * 3000) float32."""
    random = randomness.of_recording(_SIGNALS)
    log_powers = _log_band_powers(randomness, night.true)
    states = _states(log_powers, night.true)
    artefact = (night.scored == MOVEMENT) | (
        (night.true == W) & (random.random(len(night.true)) < ARTEFACT_SHARE_OF_WAKE)
    )
    log_powers[artefact] += ARTEFACT_LOG_GAIN
    microvolts = MICROVOLTS * np.exp(MICROVOLTS_LOG_DEVIATION * randomness.partly_shared(_SIGNALS, N_CHANNELS))
    # The loudest epochs would otherwise leave the recorder's range for much of the time.
    deviations = microvolts * np.sqrt(np.exp(log_powers).sum(axis=2))
    largest = np.array([channel.physical_range[1] / 3 for channel in CHANNELS[:N_CHANNELS]])
    log_powers += 2 * np.log(np.minimum(1, largest / deviations))[:, :, None]
    samples = _noise(_without_event_power(log_powers, states), random)
    _add_events(samples, log_powers, states, random)
    samples *= microvolts.astype(np.float32)[:, None]
    _add_electrode_pops(samples, random)
    return samples


# ---------------------------------------------------------------------------------------------------------------------
# The four channels at 1 Hz
# ---------------------------------------------------------------------------------------------------------------------

EMG_MICROVOLTS = np.array([2.9, 2.1, 1.8, 1.6, 0.9])
"""Rectified submental EMG by stage; 3.4 microvolts awake in the one real excerpt at hand."""
REM_TWITCHES_PER_SECOND = 0.03


def _smoothed(values: np.ndarray, seconds: int) -> np.ndarray:
    return signal.lfilter([1 / seconds], [1, 1 / seconds - 1], values, zi=[values[0] * (1 - 1 / seconds)])[0]


def _simulate_slow_signals(randomness: _Randomness, night: _Night) -> list[np.ndarray]:
    """Respiration, submental EMG (uV), rectal temperature (deg C) and event marker: four arrays (n_epochs * 30,)."""
    random = randomness.of_recording(_SLOW)
    stages = np.repeat(night.true, EPOCH_SECONDS)
    n = len(stages)
    awake = stages == W

    cycles = np.cumsum(0.26 + 0.04 * random.standard_normal(n) * np.where(awake, 2, 1))
    respiration = 450 * np.sin(2 * np.pi * cycles) + 250 * random.standard_normal(n) + 150

    level = np.log(EMG_MICROVOLTS)[stages] + 0.12 * _smoothed(random.standard_normal(n), 60) * np.sqrt(120)
    gain = np.exp(0.12 * randomness.partly_shared(_SLOW, 1))
    emg = gain * np.exp(_smoothed(level, 3)) * (1 + 0.04 * random.standard_normal(n))
    emg += np.repeat((night.scored == MOVEMENT) * 1.5, EPOCH_SECONDS)
    twitches = random.exponential(0.5, n) * (random.random(n) < REM_TWITCHES_PER_SECOND) * (stages == REM)
    emg += np.convolve(twitches, [1, 0.6, 0.3])[:n]

    asleep = _smoothed(np.where(awake, 0.0, 1.0), 3600)
    temperature = 37.2 + 0.15 * randomness.partly_shared(_SLOW, 2)[1] - 0.5 * asleep + 0.03 * random.standard_normal(n)

    marker = 905 + 22 * random.standard_normal(n)
    presses = random.integers(0, n - 4, random.poisson(n / 14400))
    marker[presses[:, None] + np.arange(4)] = 137
    return [respiration, emg, temperature, marker]


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Channel:
    """A channel's header fields, as SC4001E0-PSG.edf has them."""

    label: str
    sampling_frequency: int
    transducer_type: str
    physical_dimension: str
    physical_range: tuple[int, int]
    digital_range: tuple[int, int]
    prefiltering: str


_ELECTRODES = "Ag-AgCl electrodes"
_CASSETTE = "HP:0.5Hz LP:100Hz [enhanced cassette BW]"
_EMG_FILTER = "HP:16Hz Rectification LP:0.7Hz"
_12_BITS = (-2048, 2047)
CHANNELS = (
    _Channel("EEG Fpz-Cz", 100, _ELECTRODES, "uV", (-192, 192), _12_BITS, _CASSETTE),
    _Channel("EEG Pz-Oz", 100, _ELECTRODES, "uV", (-197, 196), _12_BITS, _CASSETTE),
    _Channel("EOG horizontal", 100, _ELECTRODES, "uV", (-1009, 1009), _12_BITS, _CASSETTE),
    _Channel("Resp oro-nasal", 1, "Oral-nasal thermistors", "", (-2048, 2047), _12_BITS, "HP:0.03Hz LP:0.9Hz"),
    _Channel("EMG submental", 1, _ELECTRODES, "uV", (-5, 5), (-2500, 2500), _EMG_FILTER),
    _Channel("Temp rectal", 1, "Rectal thermistor", "DegC", (34, 40), (-2849, 2731), ""),
    _Channel("Event marker", 1, "Marker button", "", (-2047, 2048), (-2047, 2048), "Hold during 2 seconds"),
)

DESCRIPTIONS = {
    W: "Sleep stage W",
    N1: "Sleep stage 1",
    N2: "Sleep stage 2",
    REM: "Sleep stage R",
    MOVEMENT: "Movement time",
    UNKNOWN: "Sleep stage ?",
}
"""Annotation of each stage in a hypnogram; an epoch of N3 is "Sleep stage 3" or "Sleep stage 4"."""

STAY_IN_STAGE_3, STAY_IN_STAGE_4 = 0.84, 0.81
"""Probability that the next epoch of N3 has the same R&K stage, in hypnograms of the first 28 subjects."""

SCORERS = "CHJPUVMAEG"
FIRST_DATE = datetime.date(2000, 1, 1)


def _edf_signal(channel: _Channel, samples: np.ndarray) -> EdfSignal:
    """Samples in physical units as 16-bit digital values, clipped to the recorder's range."""
    (physical_min, physical_max), (digital_min, digital_max) = channel.physical_range, channel.digital_range
    gain = (digital_max - digital_min) / (physical_max - physical_min)
    digital = np.rint(samples * gain + (digital_min - physical_min * gain))
    return EdfSignal.from_digital(
        np.clip(digital, digital_min, digital_max).astype(np.int16),
        channel.sampling_frequency,
        label=channel.label,
        transducer_type=channel.transducer_type,
        physical_dimension=channel.physical_dimension,
        physical_range=channel.physical_range,
        digital_range=channel.digital_range,
        prefiltering=channel.prefiltering,
    )


def _annotations(scored: np.ndarray, random: np.random.Generator) -> list[EdfAnnotation]:
    """One annotation per bout over 24 h: the scored epochs, then "Sleep stage ?" for what is left of the day."""
    labels = np.array(
        [DESCRIPTIONS.get(stage, "") for stage in scored] + [DESCRIPTIONS[UNKNOWN]] * (EPOCHS_PER_DAY - len(scored))
    )
    deep = 3
    for epoch in np.flatnonzero(scored == N3):
        if epoch == 0 or scored[epoch - 1] != N3:
            deep = 3
        elif random.random() > (STAY_IN_STAGE_3 if deep == 3 else STAY_IN_STAGE_4):
            deep = 7 - deep
        labels[epoch] = f"Sleep stage {deep}"
    borders = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts, ends = np.r_[0, borders], np.r_[borders, len(labels)]
    return [
        EdfAnnotation(float(start * EPOCH_SECONDS), float((end - start) * EPOCH_SECONDS), str(labels[start]))
        for start, end in zip(starts, ends, strict=True)
    ]


def simulate_recording(directory: str | Path, recording_id: str, psg_hours: float, seed: int) -> Recording:
    """Write SC4ssNE0-PSG.edf and SC4ssNEx-Hypnogram.edf of one simulated night into `directory`.

    `psg_hours` is the length of the PSG, at most 24; the hypnogram always covers 24 h. From about 22 h on it is a full
    recording: a day with a sleep period of 7 to 8.5 h. Down to 1.75 h every night still has all five stages; see
    `_sleep_period_epochs` for how the hours are divided.
    """
    directory = Path(directory)
    subject, night_number = _subject_and_night(recording_id)
    randomness = _Randomness(seed, subject, night_number)
    night = _simulate_night(randomness, _psg_epochs(psg_hours))
    samples = [*_simulate_signals(randomness, night), *_simulate_slow_signals(randomness, night)]

    of_subject = randomness.of_subject()
    age, sex = int(of_subject.integers(25, 102)), str(of_subject.choice(["F", "M"]))
    random = randomness.of_recording(_HEADER)
    scorer = SCORERS[random.integers(len(SCORERS))]
    asleep_at = 23.5 * 60 + 40 * random.standard_normal()
    minutes_awake = int(np.argmax(night.true != W)) * EPOCH_SECONDS / 60
    start = datetime.timedelta(minutes=int(asleep_at - minutes_awake) % (24 * 60))
    header = {
        "patient": EdfPatient(sex=sex, name=f"Simulated_{recording_id}", additional=(f"{age}yr",)),
        "recording": EdfRecording(
            startdate=FIRST_DATE + datetime.timedelta(days=7 * subject + night_number), additional=("simulated",)
        ),
        "starttime": (datetime.datetime.min + start).time(),
    }
    psg = directory / f"{recording_id}E0-PSG.edf"
    hypnogram = directory / f"{recording_id}E{scorer}-Hypnogram.edf"
    signals = [_edf_signal(channel, values) for channel, values in zip(CHANNELS, samples, strict=True)]
    with replacing(psg) as temporary:
        Edf(signals, data_record_duration=EPOCH_SECONDS, **header).write(temporary)
    with replacing(hypnogram) as temporary:
        Edf([], annotations=_annotations(night.scored, random), **header).write(temporary)
    return Recording(
        id=recording_id,
        subject=f"{subject:02d}",
        night=night_number,
        psg=psg.name,
        psg_sha256=sha256_of_file(psg),
        hypnogram=hypnogram.name,
        hypnogram_sha256=sha256_of_file(hypnogram),
        age=age,
        sex=sex,
    )


def simulate_cohort(
    directory: str | Path,
    manifest: str | Path,
    recording_ids: Sequence[str],
    psg_hours: float,
    seed: int,
    processes: int = 1,
) -> list[Recording]:
    """Simulate recordings into `directory` and write the table of them to `manifest`; `processes` changes no byte."""
    simulate = partial(simulate_recording, directory, psg_hours=psg_hours, seed=seed)
    if processes == 1:
        recordings = [simulate(recording_id) for recording_id in recording_ids]
    else:
        with ProcessPoolExecutor(processes) as pool:
            recordings = list(pool.map(simulate, recording_ids))
    write_recordings(manifest, recordings)
    return sorted(recordings)
