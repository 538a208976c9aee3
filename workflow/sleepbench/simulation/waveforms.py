"""The signals of a simulated night: EEG and EOG, and the four 1-Hz channels.

EEG and EOG are noise with the given band powers plus the transients typical of each stage.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft, signal

from sleepbench.core.stages import (
    EPOCH_SECONDS,
    MOVEMENT,
    N2,
    N3,
    REM,
    SAMPLES_PER_EPOCH,
    SAMPLING_RATE,
    STAGES,
    W,
)
from sleepbench.simulation.bursts import wax_and_wane
from sleepbench.simulation.calibration import (
    ALPHA,
    DELTA,
    FRONTAL,
    N_BANDS,
    N_CHANNELS,
    SIGMA,
    excerpt_powers,
    excerpts,
    frontal_microvolts,
)
from sleepbench.simulation.moments import MOMENTS_PER_EPOCH, simulate_surplus, simulate_tilts
from sleepbench.simulation.powers import ARTEFACT_LOG_GAIN, ARTEFACT_SHARE_OF_WAKE, is_day, simulate_powers, slow_drift
from sleepbench.simulation.randomness import Part, Randomness
from sleepbench.simulation.recorder import CHANNELS
from sleepbench.simulation.stages import NightStages

CROSSFADE_SAMPLES = 100
MOMENT_SAMPLES = SAMPLES_PER_EPOCH // MOMENTS_PER_EPOCH
SEGMENT_SAMPLES = MOMENT_SAMPLES + CROSSFADE_SAMPLES
MOMENTS_PER_BLOCK = 640

COHERENCE = np.array([[1, 0.3, -0.4], [0.3, 1, -0.1], [-0.4, -0.1, 1]])
"""Correlation of the noise in Fpz-Cz, Pz-Oz and EOG: both EEG channels see some sources, the frontal one the eyes."""

MICROVOLTS = np.array([frontal_microvolts(), 15.0, 58.0])
"""Microvolts per unit of the z-scored channels.

Fpz-Cz's is that of the excerpts, the others are fitted to the table's epoch standard deviations asleep.
"""
MICROVOLTS_LOG_DEVIATION = np.array([0.0, 0.2, 0.0])
"""Standard deviation between recordings of its logarithm; that of z-scored power is wide enough by itself in two."""


EYES_CLOSED = len(STAGES)
"""State of an epoch of wake with eyes closed. The other states are the stages, W being wake with eyes open."""
EYES_CLOSED_IN_BED, EYES_CLOSED_BY_DAY = 0.5, 0.15
"""Share of wake with eyes closed: near sleep, and more than 30 min from it."""

ELECTRODE_POPS_PER_HOUR = 1.0
MAINS_LAG1 = 0.95
"""Correlation of the log power of mains hum from epoch to epoch; by hand."""
MAINS_WANDER_HZ = 0.05
"""Standard deviation of its frequency as the recorder's tape was played; by hand."""

SPINDLE_HZ, SPINDLE_DEVIATION_HZ, SPINDLE_SPREAD_HZ = 13.5, 0.6, np.array([-1.0, 0.0, 1.0])
"""Mean frequency of spindles, its standard deviation between people, and how far those of one lie from their own."""

LOST_SLOW = np.array([0.6, 0.15])
"""Log density at 0.4 and 0.8 Hz that the excerpts' estimate lacks, as its windows of 2.5 s are less their means."""


@dataclass(frozen=True)
class _Event:
    """A transient that is typical of a state.

    `rate` is the mean number per 30-s epoch, `height` is in standard deviations of the signal in its band.
    """

    state: int
    band: int
    channels: tuple[int, ...]
    rate: float
    height: float
    both_polarities: bool
    waveform: np.ndarray


def _events(spindle_hz: float = SPINDLE_HZ) -> tuple[_Event, ...]:
    """The events of all states; spindles are about `spindle_hz`, which people differ in."""

    def seconds(duration: float) -> np.ndarray:
        return np.arange(round(duration * SAMPLING_RATE)) / SAMPLING_RATE

    time = seconds(0.9)
    spindles = [
        np.sin(2 * np.pi * frequency * time) * np.hanning(len(time)) for frequency in spindle_hz + SPINDLE_SPREAD_HZ
    ]
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
        *(_Event(N2, SIGMA, (0, 1), 1.2, 5.0, True, spindle) for spindle in spindles),
        *(_Event(N3, SIGMA, (0, 1), 0.5, 4.5, True, spindle) for spindle in spindles),
        _Event(N2, DELTA, (0, 1), 1.0, 4.5, False, k_complex),
        _Event(REM, DELTA, (0, 2), 4.0, 3.0, True, eye_movement),
        _Event(W, DELTA, (0, 2), 3.0, 3.0, True, eye_movement),
        _Event(W, DELTA, (0, 2), 3.0, 4.5, False, blink),
        _Event(EYES_CLOSED, ALPHA, (1,), 8.0, 2.0, True, alpha_burst),
    )


def _bands() -> np.ndarray:
    """Edges (6, 2) of the bands in Hz; the first five are the table's."""
    return np.array(list(excerpts()["bands_hz"].values()))


@cache
def _weights(n_frequencies: int, highest: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (F,) and the weights (6, F) of the log density's values at the centres of the bands.

    Between centres it is linear in log frequency, on top of a stage's shape.
    """
    frequencies = np.linspace(0, highest, n_frequencies)
    centres = np.log(np.sqrt(_bands().prod(axis=1)))
    log_frequencies = np.log(np.maximum(frequencies, 1e-3))
    return frequencies, np.array([np.interp(log_frequencies, centres, unit) for unit in np.eye(N_BANDS + 1)])


@cache
def _shapes(n_frequencies: int, highest: float) -> np.ndarray:
    """Log densities (5 stages, 3 channels, F) that the weighted values are added to.

    Of Fpz-Cz they are the excerpts' means. The others fall with 1/f, and above 30 Hz with 1/f^3. At the low end all
    follow the recorder's high-pass.
    """
    frequencies, _ = _weights(n_frequencies, highest)
    low, high = _bands()[0, 0], _bands()[N_BANDS - 1, 1]
    high_pass = -np.log1p((0.6 * low / np.maximum(frequencies, 1e-3)) ** 4)
    fixed = high_pass - np.log(np.maximum(frequencies, low / 2)) - 2 * np.log(np.maximum(frequencies / high, 1))
    shapes = np.tile(fixed, (len(STAGES), N_CHANNELS, 1))
    known = np.array(excerpts()["frequencies_hz"])[1:]
    below = frequencies < known[0]
    for stage, own in enumerate(excerpt_powers()):
        density = own.log_density[1:].copy()
        density[: len(LOST_SLOW)] += LOST_SLOW
        shapes[stage, FRONTAL] = np.interp(frequencies, known, density)
        shapes[stage, FRONTAL, below] += high_pass[below] - np.interp(known[0], frequencies, high_pass)
    return shapes


def _solved(log_powers: np.ndarray, shape: np.ndarray, weights: np.ndarray, in_band: np.ndarray) -> np.ndarray:
    """Values (..., k) whose spectrum, shape + values @ weights, has these log powers (..., k) in its bands.

    shape (F,); weights (k, F); in_band (F, k), the part of each frequency's density that is a band's.
    """
    values = log_powers - np.log(np.exp(shape) @ in_band)
    for _ in range(6):
        values += log_powers - np.log(np.exp(shape + values @ weights) @ in_band)
    return values


def _log_density_at_centres(log_powers: np.ndarray, gamma: np.ndarray, stages: np.ndarray) -> np.ndarray:
    """Log densities (n_epochs, 3, 6) at the band centres that give the log band powers (n_epochs, 3, 5).

    `gamma` (n_epochs,) is Fpz-Cz's sixth band; the other channels go on from their fifth.
    """
    step = 0.25
    (frequencies, weights), shapes = _weights(201, 200 * step), _shapes(201, 200 * step)
    edges = _bands()[:N_BANDS]
    # Trapezoids: half of the density at a band's edge belongs to either side.
    in_band = ((frequencies >= edges[:, :1]) & (frequencies <= edges[:, 1:])) * step
    in_band = np.where(np.isin(frequencies, edges) & (in_band > 0), step / 2, in_band).T
    joined = np.vstack([weights[: N_BANDS - 1], weights[N_BANDS - 1 :].sum(axis=0)])
    others = _solved(log_powers[:, FRONTAL + 1 :], shapes[0, -1], joined, in_band)
    values = np.empty((*log_powers.shape[:2], N_BANDS + 1))
    values[:, FRONTAL + 1 :] = others[..., [*range(N_BANDS), N_BANDS - 1]]

    # The excerpts' bands are sums of densities, borders included.
    known = np.array(excerpts()["frequencies_hz"])
    (frequencies, weights), shapes = _weights(len(known), known[-1]), _shapes(len(known), known[-1])
    in_band = ((frequencies >= _bands()[:, :1] - 1e-6) & (frequencies <= _bands()[:, 1:] + 1e-6)).T * known[1]
    for stage in np.unique(stages):
        own = stages == stage
        wanted = np.column_stack([log_powers[own, FRONTAL], gamma[own]])
        values[own, FRONTAL] = _solved(wanted, shapes[stage, FRONTAL], weights, in_band)
    return values


def _states(log_powers: np.ndarray, stages: np.ndarray) -> np.ndarray:
    """State of each epoch (n_epochs,): its stage, or EYES_CLOSED in wake with most alpha over Pz-Oz.

    Eyes stay closed for as long as alpha power, which is autocorrelated, stays high.

    Alpha with eyes closed, and the blinks and glances with eyes open, are therefore in the waveforms alone: band powers
    stay those of the table.
    """
    states = stages.copy()
    day = is_day(stages)
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


def _noise(
    log_powers: np.ndarray,
    gamma: np.ndarray,
    surplus: np.ndarray,
    frontal_tilts: np.ndarray,
    stages: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Gaussian noise (3, n_epochs * 3000) with the given log band powers (n_epochs, 3, 5).

    `gamma` (n_epochs,) is that of Fpz-Cz's sixth band; `surplus` (n_epochs, 3, 6) and Fpz-Cz's tilts within bands
    (n_epochs, 5, 6) are added to the log density. The noise is float32. Moments are shaped in the frequency domain,
    half a second longer at either end than they last, and faded into each other so that their borders cannot be heard.
    """
    n_frequencies = SEGMENT_SAMPLES // 2 + 1
    frequencies, weights = _weights(n_frequencies, SAMPLING_RATE / 2)
    low, high = _bands()[:, :1], _bands()[:, 1:]
    inside = (frequencies >= low) & (frequencies < high)
    weights = np.vstack([weights, inside * (2 * frequencies - low - high) / (high - low), inside])
    # Half of the log, as amplitudes are wanted; real and imaginary part have half of the power each.
    shapes = (_shapes(n_frequencies, SAMPLING_RATE / 2) + np.log(SAMPLING_RATE * SEGMENT_SAMPLES / 4)) / 2
    shapes = shapes.astype(np.float32)
    shapes[..., 0] = -np.inf
    weights = (weights / 2).astype(np.float32)
    values = _log_density_at_centres(log_powers, gamma, stages) + surplus
    values = np.repeat(values, MOMENTS_PER_EPOCH, axis=0)
    tilts = np.zeros_like(values)
    tilts[:, FRONTAL] = frontal_tilts.reshape(-1, N_BANDS + 1)
    # What a tilt adds to the power of its band is taken off the whole band.
    added = np.log(np.sinh(np.maximum(np.abs(tilts), 1e-3)) / np.maximum(np.abs(tilts), 1e-3))
    values = np.concatenate([values, tilts, -added], axis=2).astype(np.float32)
    stages = np.repeat(stages, MOMENTS_PER_EPOCH)
    mixing = np.linalg.cholesky(COHERENCE).astype(np.float32)

    n = len(values)
    fade = np.sin(np.linspace(0, np.pi / 2, CROSSFADE_SAMPLES, dtype=np.float32))
    samples = np.zeros((N_CHANNELS, n + 1, MOMENT_SAMPLES), dtype=np.float32)
    for first in range(0, n, MOMENTS_PER_BLOCK):
        block = slice(first, min(first + MOMENTS_PER_BLOCK, n))
        shape = (block.stop - first, N_CHANNELS, 2 * n_frequencies)
        spectrum = mixing @ random.standard_normal(shape, dtype=np.float32)
        spectrum = spectrum.view(np.complex64)
        spectrum *= np.exp(shapes[stages[block]] + values[block] @ weights)
        segments = fft.irfft(spectrum, SEGMENT_SAMPLES, axis=2).transpose(1, 0, 2)
        segments[:, :, :CROSSFADE_SAMPLES] *= fade
        segments[:, :, -CROSSFADE_SAMPLES:] *= fade[::-1]
        samples[:, block] += segments[:, :, :MOMENT_SAMPLES]
        samples[:, first + 1 : block.stop + 1, :CROSSFADE_SAMPLES] += segments[:, :, MOMENT_SAMPLES:]
    margin = CROSSFADE_SAMPLES // 2
    return samples.reshape(N_CHANNELS, -1)[:, margin : margin + n * MOMENT_SAMPLES]


def _add_events(
    samples: np.ndarray,
    log_powers: np.ndarray,
    states: np.ndarray,
    spindle_hz: float,
    random: np.random.Generator,
) -> None:
    """Add the events of each state in place, as high as their band's signal is in that epoch."""
    for event in _events(spindle_hz):
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
    """Add electrode pops in place: steps that decay with the recorder's high-pass.

    Each pop is in one channel.
    """
    time = np.arange(3 * SAMPLING_RATE) / SAMPLING_RATE
    decay = np.exp(-time / 0.4).astype(np.float32)
    hours = samples.shape[1] / (3600 * SAMPLING_RATE)
    for start in random.integers(0, samples.shape[1] - len(decay), random.poisson(ELECTRODE_POPS_PER_HOUR * hours)):
        channel = random.integers(N_CHANNELS)
        height = random.choice([-1, 1]) * random.uniform(0.5, 1) * CHANNELS[channel].physical_range[1]
        samples[channel, start : start + len(decay)] += np.float32(height) * decay


def _add_mains(samples: np.ndarray, randomness: Randomness) -> None:
    """Add the hum of the mains in place, to Fpz-Cz: as loud as the recording's electrodes let it in.

    It drifts as they dry and are touched. Most recordings have next to none, a few have more of it than of EEG.
    """
    mains, random = excerpts()["mains"], randomness.stream(Part.MAINS)
    n_epochs = len(samples) // SAMPLES_PER_EPOCH
    drift = slow_drift(n_epochs, MAINS_LAG1, random)
    log_power = mains["log_power_mean"] + mains["log_power_between_sd"] * randomness.partly_shared(Part.MAINS, 1)[0]
    amplitude = np.sqrt(2 * np.exp(log_power + mains["log_power_within_sd"] * drift))
    at = (np.arange(n_epochs) + 0.5) * SAMPLES_PER_EPOCH
    time = np.arange(len(samples))
    # A tape does not run quite evenly: else epochs, of whole cycles, would all begin at the same phase.
    frequency = mains["frequency_hz"] + MAINS_WANDER_HZ * slow_drift(n_epochs, MAINS_LAG1, random)
    phase = random.uniform(0, 2 * np.pi) + 2 * np.pi / SAMPLING_RATE * np.cumsum(np.interp(time, at, frequency))
    samples += (np.interp(time, at, amplitude) * np.sin(phase)).astype(np.float32)


def simulate_signals(randomness: Randomness, night: NightStages) -> np.ndarray:
    """The two EEG channels and the EOG in microvolts (3, n_epochs * 3000) float32."""
    random = randomness.stream(Part.SIGNALS)
    log_powers, gamma = simulate_powers(randomness, night.true)
    states = _states(log_powers, night.true)
    artefact = (night.scored == MOVEMENT) | (
        (night.true == W) & (random.random(len(night.true)) < ARTEFACT_SHARE_OF_WAKE)
    )
    log_powers[artefact] += ARTEFACT_LOG_GAIN
    gamma[artefact] += ARTEFACT_LOG_GAIN
    microvolts = MICROVOLTS * np.exp(MICROVOLTS_LOG_DEVIATION * randomness.partly_shared(Part.SIGNALS, N_CHANNELS))
    # The loudest epochs would otherwise leave the recorder's range for much of the time.
    deviations = microvolts * np.sqrt(np.exp(log_powers).sum(axis=2))
    largest = np.array([channel.physical_range[1] / 3 for channel in CHANNELS[:N_CHANNELS]])
    quieter = 2 * np.log(np.minimum(1, largest / deviations))
    log_powers += quieter[:, :, None]
    gamma += quieter[:, FRONTAL]
    surplus = simulate_surplus(randomness, night.true)
    tilts = simulate_tilts(randomness, night.true)
    samples = _noise(_without_event_power(log_powers, states), gamma, surplus, tilts, night.true, random)
    samples[FRONTAL] = wax_and_wane(samples[FRONTAL], night.true, randomness.stream(Part.BURSTS))
    spindle_hz = SPINDLE_HZ + SPINDLE_DEVIATION_HZ * randomness.partly_shared(Part.SPINDLES, 1, shared=0.9)[0]
    _add_events(samples, log_powers, states, spindle_hz, random)
    samples *= microvolts.astype(np.float32)[:, None]
    _add_electrode_pops(samples, random)
    _add_mains(samples[FRONTAL], randomness)
    return samples


# -------------------------------------------------------------------------------------------- the four channels at 1 Hz


EMG_MICROVOLTS = np.array([2.9, 2.1, 1.8, 1.6, 0.9])
"""Rectified submental EMG by stage; 3.4 microvolts awake in the one real excerpt at hand."""
REM_TWITCHES_PER_SECOND = 0.03


def _smoothed(values: np.ndarray, seconds: int) -> np.ndarray:
    return signal.lfilter([1 / seconds], [1, 1 / seconds - 1], values, zi=[values[0] * (1 - 1 / seconds)])[0]


def simulate_slow_signals(randomness: Randomness, night: NightStages) -> list[np.ndarray]:
    """The four 1-Hz channels, each (n_epochs * 30,).

    In order: respiration, submental EMG (uV), rectal temperature (deg C) and event marker.
    """
    random = randomness.stream(Part.SLOW)
    stages = np.repeat(night.true, EPOCH_SECONDS)
    n = len(stages)
    awake = stages == W

    cycles = np.cumsum(0.26 + 0.04 * random.standard_normal(n) * np.where(awake, 2, 1))
    respiration = 450 * np.sin(2 * np.pi * cycles) + 250 * random.standard_normal(n) + 150

    level = np.log(EMG_MICROVOLTS)[stages] + 0.12 * _smoothed(random.standard_normal(n), 60) * np.sqrt(120)
    gain = np.exp(0.12 * randomness.partly_shared(Part.SLOW, 1))
    emg = gain * np.exp(_smoothed(level, 3)) * (1 + 0.04 * random.standard_normal(n))
    emg += np.repeat((night.scored == MOVEMENT) * 1.5, EPOCH_SECONDS)
    twitches = random.exponential(0.5, n) * (random.random(n) < REM_TWITCHES_PER_SECOND) * (stages == REM)
    emg += np.convolve(twitches, [1, 0.6, 0.3])[:n]

    asleep = _smoothed(np.where(awake, 0.0, 1.0), 3600)
    own = 0.15 * randomness.partly_shared(Part.SLOW, 2)[1]
    temperature = 37.2 + own - 0.5 * asleep + 0.03 * random.standard_normal(n)

    marker = 905 + 22 * random.standard_normal(n)
    presses = random.integers(0, n - 4, random.poisson(n / 14400))
    marker[presses[:, None] + np.arange(4)] = 137
    return [respiration, emg, temperature, marker]
