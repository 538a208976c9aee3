"""A simulated cohort, written as EDF and EDF+ files laid out like Sleep-EDF's sleep-cassette study.

It is a stand-in for demos and tests: everything downstream treats its files as it treats the real ones, from the first
byte on. **Results on it are never results on Sleep-EDF**, and the headers of the files say that they are simulated.

Calibrated to summary statistics of the 153 recordings of Sleep-EDF Expanded 1.0.0 (ODC-By 1.0; B. Kemp et al., IEEE
Trans. Biomed. Eng. 47(9):1185-1194, 2000; A. L. Goldberger et al., Circulation 101(23), 2000), which are in
workflow/resources/sleep_stage_statistics.json:

- the stages: transition probabilities and, over the sleep period, the share of each stage by decile of the night;
- the signals of the two EEG channels and the EOG: per stage the mean log power of five bands, its covariance between
  and within recordings and its lag-1 autocorrelation; amplitudes in microvolts.

Calibrated to the first 5 s of each epoch of Sleep-EDF-20, Fpz-Cz alone, which are in
workflow/resources/sleep_stage_excerpts.json:

- per stage the mean spectrum to 50 Hz in microvolts, the mean log power of six bands and its spread between recordings;
- how log powers vary beyond the table of whole epochs, and where within a band the power lies (`moments`);
- how they vary from second to second, in bursts (`bursts`);
- how loud the mains hum is, in most recordings not at all and in a few louder than the EEG; its drift, and that of the
  power above 30 Hz, from epoch to epoch;
- stage shares and the transitions between stages of sleep, which lean from the table's to these.

Chosen by hand to be plausible, not calibrated: how much of the excerpts' variance is of scoring, not of sleep;
everything about the four 1-Hz channels; waveforms (spindles, K-complexes, alpha with eyes closed, eye movements,
blinks), coherence between channels and phase; how much of the deviation between recordings a subject's nights share;
artefacts (movement, electrode pops), movement time, the day but for its amplitude, when a night begins. Nights differ
less in their stage shares than real ones do, and their bouts are geometric given the time of night, where real bouts of
wake have a longer tail. Age and sex are in the header only: nothing depends on them.

The same (seed, subject, night, name, psg_hours) gives the same bytes, whatever else is simulated; what the nights of a
subject share is drawn from (seed, subject).
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal
from edfio import Patient as EdfPatient
from edfio import Recording as EdfRecording

from sleepbench.core.files import replacing
from sleepbench.core.stages import EPOCH_SECONDS, N3, UNKNOWN, W
from sleepbench.simulation.calibration import EPOCHS_PER_DAY
from sleepbench.simulation.randomness import Part, Randomness, person, scorer
from sleepbench.simulation.recorder import CHANNELS, Channel
from sleepbench.simulation.stages import epochs_in, simulate_stages
from sleepbench.simulation.waveforms import simulate_signals, simulate_slow_signals

Texts = Mapping[int, Sequence[str]]
"""What a hypnogram calls each stage; N3 has two names, those of R&K's stages 3 and 4."""

STAY_IN_STAGE_3, STAY_IN_STAGE_4 = 0.84, 0.81
"""Probability that the next epoch of N3 has the same R&K stage, in hypnograms of the first 28 subjects."""

FIRST_DATE, DAYS = datetime.date(2000, 1, 1), 30_000
"""Recordings begin within so many days: the years that the header of an EDF file can hold."""


def _edf_signal(channel: Channel, samples: np.ndarray) -> EdfSignal:
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


def _annotations(scored: np.ndarray, random: np.random.Generator, texts: Texts) -> list[EdfAnnotation]:
    """One annotation per bout over 24 h.

    The scored epochs come first, then UNKNOWN for the rest of the 24 h. N3 is written as stage 3 or stage 4.
    """
    labels = np.array([*(texts[stage][0] for stage in scored), *texts[UNKNOWN] * (EPOCHS_PER_DAY - len(scored))])
    deep = 3
    for epoch in np.flatnonzero(scored == N3):
        if epoch == 0 or scored[epoch - 1] != N3:
            deep = 3
        elif random.random() > (STAY_IN_STAGE_3 if deep == 3 else STAY_IN_STAGE_4):
            deep = 7 - deep
        labels[epoch] = texts[N3][deep - 3]
    borders = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts, ends = np.r_[0, borders], np.r_[borders, len(labels)]
    return [
        EdfAnnotation(float(start * EPOCH_SECONDS), float((end - start) * EPOCH_SECONDS), str(labels[start]))
        for start, end in zip(starts, ends, strict=True)
    ]


def simulate_night(
    psg: Path, scoring: Path, name: str, subject: int, night: int, psg_hours: float, seed: int, texts: Texts
) -> None:
    """Write the PSG (EDF) and the hypnogram (EDF+) of one simulated night of a subject.

    name : of the recording, for the headers
    subject, night : numbers from 0 and from 1; with `seed` they decide what the night is
    psg_hours : length of the PSG, at most 24; the hypnogram always covers 24 h. From about 22 h on it is a full
        recording: a day with a sleep period of 7 to 8.5 h. Down to 1.75 h every night still has all five stages;
        `simulation.stages` says how the hours are divided.
    """
    randomness = Randomness(seed, subject, night)
    stages = simulate_stages(randomness, epochs_in(psg_hours))
    samples = [*simulate_signals(randomness, stages), *simulate_slow_signals(randomness, stages)]

    age, sex = person(seed, subject)
    random = randomness.stream(Part.HEADER)
    scorer(random)  # its letter is in the name of the hypnogram
    asleep_at = 23.5 * 60 + 40 * random.standard_normal()
    minutes_awake = int(np.argmax(stages.true != W)) * EPOCH_SECONDS / 60
    start = datetime.timedelta(minutes=int(asleep_at - minutes_awake) % (24 * 60))
    header = {
        "patient": EdfPatient(sex=sex, name=f"Simulated_{name}", additional=(f"{age}yr",)),
        "recording": EdfRecording(
            startdate=FIRST_DATE + datetime.timedelta(days=(7 * subject + night) % DAYS), additional=("simulated",)
        ),
        "starttime": (datetime.datetime.min + start).time(),
    }
    signals = [_edf_signal(channel, values) for channel, values in zip(CHANNELS, samples, strict=True)]
    with replacing(psg) as temporary:
        Edf(signals, data_record_duration=EPOCH_SECONDS, **header).write(temporary)
    with replacing(scoring) as temporary:
        Edf([], annotations=_annotations(stages.scored, random, texts), **header).write(temporary)
