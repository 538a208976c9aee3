"""How near a simulated cohort is to the statistics of the real recordings that it is calibrated to.

The real side is workflow/resources/sleep_stage_statistics.json, of the 153 recordings. The simulated side is computed
from prepared recordings and their PSGs as that file's entries `preprocessing` and `welch` say, in the epochs that the
standard trimming keeps.
Three things are not as there: no component is removed by ICA, no 50-Hz notch is applied (at 100 Hz that is the highest
frequency, which no band holds), and no wake epoch of extreme amplitude is left out.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.processes import require_shared_memory
from sleepbench.core.stages import N1, SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES, W
from sleepbench.datasets.base import Dataset
from sleepbench.evaluation import metrics
from sleepbench.preparation.index import Index
from sleepbench.preparation.prepared import load_prepared
from sleepbench.simulation.calibration import STATISTICS

ROLES = ("eeg1", "eeg2", "eog")
CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")
"""The channels of the real statistics, by the roles that are compared with them."""
BANDS = {"delta": (0.5, 4), "theta": (4, 8), "alpha": (8, 12), "sigma": (12, 16), "beta": (16, 30)}
FEATURES = tuple(f"{channel}, {band}" for channel in CHANNELS for band in BANDS)
"""The 15 log band powers, in the order of the table."""

PASS_BANDS_HZ = {"eeg1": (0.5, 30), "eeg2": (0.5, 30), "eog": (0.5, 15)}
WELCH = {"window": "hamming", "nperseg": 400, "noverlap": 200, "nfft": 400, "average": "median", "detrend": "constant"}
LOG_FLOOR = 1e-10
SPECTRUM_HZ = np.fft.rfftfreq(WELCH["nfft"], 1 / SAMPLING_RATE)
SHOWN = (SPECTRUM_HZ >= 0.5) & (SPECTRUM_HZ <= 30)
"""Frequencies of the mean spectra."""

BOUTS = ("mean", "10 %", "25 %", "50 %", "75 %", "90 %", "99 %")
QUANTILES = (10, 25, 50, 75, 90)
SCORES = ("accuracy", "macro_f1", "cohen_kappa", *(f"f1_{stage}" for stage in STAGES))

TRANSITION_TOLERANCE, TRANSITIONS_ABOVE = 0.02, 0.01
SHARE_TOLERANCE = 0.03
REGRESSION_ACCURACY = (0.70, 0.80)
HELD_FROM = 39
"""Recordings from which on a cohort is checked for more than showing all five stages."""
FEWEST_EPOCHS = 10
"""Epochs of a stage below which a recording's mean says nothing about differences between recordings."""


@dataclass(frozen=True)
class Night:
    """What the comparison needs of one recording, in the epochs that the standard trimming keeps.

    epoch, stage (n_epochs,): index in the night, stage 0 to 4. log_powers (n_epochs, 15): natural log band powers of
    the z-scored channels. deviation_uv (n_epochs, 3): standard deviation of each channel in microvolts. log_density
    (5, 3, n_frequencies): mean log density of each stage (0 for one without epochs) at SPECTRUM_HZ[SHOWN].
    """

    recording: str
    subject: str
    epoch: np.ndarray
    stage: np.ndarray
    log_powers: np.ndarray
    deviation_uv: np.ndarray
    log_density: np.ndarray


class Spread:
    """Standard deviations of log powers from their covariances (5 stages, n features, n features)."""

    between_covariance: np.ndarray
    within_covariance: np.ndarray

    @property
    def between_sd(self) -> np.ndarray:
        """Of each feature between recordings, (5, n features)."""
        return np.sqrt(np.diagonal(self.between_covariance, axis1=1, axis2=2))

    @property
    def within_sd(self) -> np.ndarray:
        """Of each feature within recordings, (5, n features)."""
        return np.sqrt(np.diagonal(self.within_covariance, axis1=1, axis2=2))


@dataclass(frozen=True)
class CohortStatistics(Spread):
    """One side of the comparison; NaN is where there is no such number.

    transitions (5, 5), shares (5,), shares_by_decile (10, 5) of the sleep period, bouts (5, 7) in epochs as BOUTS
    names; per stage and feature (5, 15): mean, between_sd, within_sd, lag1; (5, 15, 15): between_covariance,
    within_covariance; deviation_uv (5, 3, 5) at QUANTILES; scores: of the logistic regression across subjects, 0 to 1.
    """

    transitions: np.ndarray
    shares: np.ndarray
    shares_by_decile: np.ndarray
    bouts: np.ndarray
    mean: np.ndarray
    between_covariance: np.ndarray
    within_covariance: np.ndarray
    lag1: np.ndarray
    deviation_uv: np.ndarray
    scores: dict[str, float]


@dataclass(frozen=True)
class NetworkComparison:
    """A network and the logistic regression compared on the same epochs.

    These are the epochs of the standard trimming that the network predicted; `left_out` are epochs that it predicted
    beyond them.
    """

    name: str
    recordings: int
    epochs: int
    left_out: int
    accuracy: float
    regression_accuracy: float


@dataclass(frozen=True)
class Check:
    """A quantity that a cohort is held to; `within` is None where this cohort is not."""

    quantity: str
    simulated: str
    real: str
    allowed: str
    within: bool | None


@dataclass(frozen=True)
class Realism:
    """A simulated cohort beside the real recordings.

    `log_density` (5, 3, n_frequencies) is the mean over epochs.
    """

    recordings: int
    subjects: int
    epochs: int
    simulated: CohortStatistics
    real: CohortStatistics
    log_density: np.ndarray
    example: Night
    networks: list[NetworkComparison]
    checks: list[Check]


def measure_realism(
    dataset: Dataset, index: Index, networks: dict[str, list[Path]] | None = None, processes: int = 2
) -> Realism:
    """Compare a cohort with the statistics of the real recordings.

    Each process reads a night at a time and needs about 1 GB of memory.

    index : of the cohort's prepared recordings, also where their PSGs are, whose whole length decides the channels'
        scale
    networks : predictions.parquet files of networks, by the name to print
    """
    read = partial(read_night, dataset, index)
    ids = [recording.id for recording in index.recordings]
    if processes == 1:
        nights = [read(id) for id in ids]
    else:
        require_shared_memory()
        with ProcessPoolExecutor(processes) as pool:
            nights = list(pool.map(read, ids))
    predicted = logistic_regression(nights)
    confusion = sum(map(metrics.confusion_matrix, (night.stage for night in nights), predicted))
    simulated = cohort_statistics(nights, {name: metrics.summary(confusion)[name] for name in SCORES})
    real = real_statistics()
    compared = [compare_network(name, files, nights, predicted) for name, files in (networks or {}).items()]
    return Realism(
        recordings=len(nights),
        subjects=len({night.subject for night in nights}),
        epochs=sum(len(night.stage) for night in nights),
        simulated=simulated,
        real=real,
        log_density=_mean_log_density(nights),
        example=nights[0],
        networks=compared,
        checks=realism_checks(simulated, real, len(nights), compared),
    )


# ------------------------------------------------------------------------------------------------------------ one night


def read_night(dataset: Dataset, index: Index, recording: str) -> Night:
    """Features of one prepared recording; BenchmarkError when a channel or one of its files is not there.

    Channels are filtered and z-scored over the whole PSG, the day included, as the table's were.
    """
    night, path = load_prepared(index.prepared[recording]), index.prepared[recording].signals
    if missing := [role for role in ROLES if role not in night.roles]:
        raise BenchmarkError(
            f"{path}: holds channels for {', '.join(night.roles)}, the comparison also needs {', '.join(missing)}; "
            "prepare it again with them in the dataset's montage"
        )
    for file in index.sources[recording].values():
        if not file.is_file():
            raise BenchmarkError(f"{file}: missing, but {path} was made from it; fetch its recording again")
    kept = night.trimmed("standard")
    epoch, stage = night.epoch[kept], night.stage[kept]
    columns = [night.roles.index(role) for role in ROLES]
    deviation = np.array([night.signals[i][columns].std(axis=1) for i in kept])
    log_powers = np.empty((len(kept), len(CHANNELS), len(BANDS)))
    log_density = np.zeros((len(STAGES), len(CHANNELS), SHOWN.sum()))
    for i, role in enumerate(ROLES):
        microvolts = dataset.read_signals(index.sources[recording], [role])[role].microvolts
        density = log_densities(_z_scored(microvolts, *PASS_BANDS_HZ[role])[epoch])
        log_powers[:, i] = log_band_powers(density)
        for code in np.unique(stage):
            log_density[code, i] = density[stage == code][:, SHOWN].mean(axis=0)
    return Night(
        recording=night.id,
        subject=night.subject,
        epoch=epoch,
        stage=stage,
        log_powers=log_powers.reshape(len(kept), -1),
        deviation_uv=deviation,
        log_density=log_density,
    )


def _z_scored(microvolts: np.ndarray, low: float, high: float) -> np.ndarray:
    """A channel band-passed and z-scored over its length, cut into epochs (n_epochs, 3000)."""
    filtered = mne.filter.filter_data(np.asarray(microvolts, dtype=float), SAMPLING_RATE, low, high, verbose="error")
    filtered -= filtered.mean()
    filtered /= filtered.std()
    n_epochs = len(filtered) // SAMPLES_PER_EPOCH
    return filtered[: n_epochs * SAMPLES_PER_EPOCH].reshape(n_epochs, SAMPLES_PER_EPOCH)


def log_densities(epochs: np.ndarray) -> np.ndarray:
    """Natural log of Welch's power density (n_epochs, 201) of epochs (n_epochs, 3000), at SPECTRUM_HZ."""
    return np.log(np.maximum(welch(epochs, SAMPLING_RATE, scaling="density", **WELCH)[1], LOG_FLOOR))


def log_band_powers(log_density: np.ndarray) -> np.ndarray:
    """Natural log of the power in each band (n_epochs, 5): the density's integral, borders included."""
    density = np.exp(log_density)
    frequencies = SPECTRUM_HZ
    inside = [(frequencies >= low) & (frequencies <= high) for low, high in BANDS.values()]
    powers = [np.trapezoid(density[:, band], frequencies[band], axis=1) for band in inside]
    return np.log(np.maximum(powers, LOG_FLOOR)).T


# --------------------------------------------------------------------------------------------------------------- stages


def transition_probabilities(nights: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities (5, 5) of each stage to follow each, pooled over nights (n_epochs,).

    NaN after a stage that is absent.
    """
    counts = np.zeros((len(STAGES), len(STAGES)))
    for stage in nights:
        np.add.at(counts, (stage[:-1], stage[1:]), 1)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def stage_shares(nights: Sequence[np.ndarray]) -> np.ndarray:
    """Share of each stage (5,), pooled over nights."""
    return np.bincount(np.concatenate(nights), minlength=len(STAGES)) / sum(map(len, nights))


def shares_by_decile(nights: Sequence[np.ndarray]) -> np.ndarray:
    """Stage shares (10, 5) in each tenth of the sleep period, from the first to the last epoch of sleep."""
    shares = np.zeros((10, len(STAGES)))
    for stage in nights:
        asleep = np.flatnonzero(stage != W)
        for decile, part in enumerate(np.array_split(stage[asleep[0] : asleep[-1] + 1], 10)):
            shares[decile] += np.bincount(part, minlength=len(STAGES)) / max(len(part), 1)
    return shares / len(nights)


def bout_lengths(nights: Sequence[np.ndarray]) -> np.ndarray:
    """Mean and quantiles (5, 7), as BOUTS names them, of the lengths of each stage's bouts, in epochs."""
    lengths = [[] for _ in STAGES]
    for stage in nights:
        borders = np.r_[0, np.flatnonzero(np.diff(stage)) + 1, len(stage)]
        for start, length in zip(borders[:-1], np.diff(borders), strict=True):
            lengths[stage[start]].append(length)
    percents = [float(name.split()[0]) for name in BOUTS[1:]]
    rows = [[np.mean(found), *np.percentile(found, percents)] if found else [np.nan] * 7 for found in lengths]
    return np.array(rows)


# ---------------------------------------------------------------------------------------------------------- both sides


def cohort_statistics(nights: Sequence[Night], scores: dict[str, float]) -> CohortStatistics:
    """The statistics of simulated nights; `scores` are the logistic regression's."""
    stages = [night.stage for night in nights]
    powers = [_power_statistics(nights, stage) for stage in range(len(STAGES))]
    mean, between, within, lag1 = (np.array(values) for values in zip(*powers, strict=True))
    deviation = np.full((len(STAGES), len(CHANNELS), len(QUANTILES)), np.nan)
    for code in np.unique(np.concatenate(stages)):
        found = np.concatenate([night.deviation_uv[night.stage == code] for night in nights])
        deviation[code] = np.percentile(found, QUANTILES, axis=0).T
    return CohortStatistics(
        transitions=transition_probabilities(stages),
        shares=stage_shares(stages),
        shares_by_decile=shares_by_decile(stages),
        bouts=bout_lengths(stages),
        mean=mean,
        between_covariance=between,
        within_covariance=within,
        lag1=lag1,
        deviation_uv=deviation,
        scores=scores,
    )


def _power_statistics(nights: Sequence[Night], stage: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, covariances and lag-1 autocorrelation of the log band powers of one stage.

    Returns the mean (15,), the covariances between and within recordings (15, 15 each), and the autocorrelation (15,).
    The autocorrelation is over pairs of successive epochs of the stage, of deviations from the recording's mean.
    """
    n = len(FEATURES)
    chosen = [(night, np.flatnonzero(night.stage == stage)) for night in nights]
    chosen = [(night, epochs) for night, epochs in chosen if len(epochs) >= FEWEST_EPOCHS]
    if not chosen:
        return np.full(n, np.nan), np.full((n, n), np.nan), np.full((n, n), np.nan), np.full(n, np.nan)
    means = np.array([night.log_powers[epochs].mean(axis=0) for night, epochs in chosen])
    deviations = [night.log_powers[epochs] - mean for (night, epochs), mean in zip(chosen, means, strict=True)]
    pooled = np.concatenate(deviations)
    before, after = [], []
    for (night, epochs), deviation in zip(chosen, deviations, strict=True):
        successive = np.flatnonzero(np.diff(night.epoch[epochs]) == 1)
        before.append(deviation[successive])
        after.append(deviation[successive + 1])
    before, after = np.concatenate(before), np.concatenate(after)
    with np.errstate(invalid="ignore"):
        lag1 = (before * after).sum(axis=0) / np.sqrt((before**2).sum(axis=0) * (after**2).sum(axis=0))
    between = np.cov(means.T) if len(means) > 1 else np.full((n, n), np.nan)
    sizes = [len(epochs) for _, epochs in chosen]
    return np.average(means, axis=0, weights=sizes), between, pooled.T @ pooled / (len(pooled) - len(chosen)), lag1


def _mean_log_density(nights: Sequence[Night]) -> np.ndarray:
    """Mean over epochs of the log density of each stage (5, 3, n_frequencies).

    NaN for a stage without epochs.
    """
    counts = np.array([np.bincount(night.stage, minlength=len(STAGES)) for night in nights])
    densities = np.array([night.log_density for night in nights])
    with np.errstate(invalid="ignore"):
        return np.einsum("ns,nscf->scf", counts, densities) / counts.sum(axis=0)[:, None, None]


def real_statistics() -> CohortStatistics:
    """The statistics of the 153 real recordings."""
    table = read_json(STATISTICS)
    hypnogram, regression = table["hypnogram"], table["band_power_logistic_regression_5fold_by_subject"]
    bouts = hypnogram["bout_length_epochs"]
    deviation = table["epoch_standard_deviation_uv"]

    def by_stage(key: str) -> np.ndarray:
        return np.array([table["stages"][stage][key] for stage in STAGES])

    return CohortStatistics(
        transitions=np.array(hypnogram["transition_probability_30s"]),
        shares=np.array(hypnogram["stage_share"]),
        shares_by_decile=np.array(hypnogram["stage_share_by_decile_of_sleep_period"]),
        bouts=np.array([[bouts[s]["mean"], *bouts[s]["quantiles_10_25_50_75_90_99"]] for s in STAGES]),
        mean=by_stage("mean"),
        between_covariance=by_stage("between_recording_cov"),
        within_covariance=by_stage("within_recording_cov"),
        lag1=by_stage("lag1_autocorrelation"),
        deviation_uv=np.array([[deviation[c][stage] for c in ("FpzCz", "PzOz", "EOG")] for stage in STAGES]),
        scores=dict(
            zip(
                SCORES,
                (regression["accuracy"], regression["macro_f1"], regression["kappa"], *regression["per_class_f1"]),
                strict=True,
            )
        ),
    )


# ---------------------------------------------------------------------------------------------------------- classifiers


def logistic_regression(nights: Sequence[Night]) -> list[np.ndarray]:
    """Stages (n_epochs,) that a logistic regression on the band powers predicts of each night.

    Trained on other subjects: five folds by subject, fewer where there are fewer subjects; features standardised over
    the training set. BenchmarkError with nights of one subject only.
    """
    subjects = np.repeat([night.subject for night in nights], [len(night.stage) for night in nights])
    n_subjects = len(np.unique(subjects))
    if n_subjects < 2:
        raise BenchmarkError(
            f"the nights are all of subject {nights[0].subject}: a logistic regression needs two or more"
        )
    features = np.concatenate([night.log_powers for night in nights])
    stage = np.concatenate([night.stage for night in nights])
    predicted = np.empty_like(stage)
    for train, test in GroupKFold(min(5, n_subjects)).split(features, stage, subjects):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        predicted[test] = model.fit(features[train], stage[train]).predict(features[test])
    return np.split(predicted, np.cumsum([len(night.stage) for night in nights])[:-1])


def compare_network(
    name: str, files: Sequence[str | Path], nights: Sequence[Night], predicted: Sequence[np.ndarray]
) -> NetworkComparison:
    """A network's accuracy beside that of the logistic regression on the same epochs.

    `predicted` are the stages that the regression predicts, one array per night. `files` are its predictions.parquet,
    one a fold, with the columns recording, epoch, stage and predicted. BenchmarkError when they lack a column, name an
    unknown recording, or score an epoch differently.
    """
    by_recording = {night.recording: (night, guess) for night, guess in zip(nights, predicted, strict=True)}
    correct = correct_regression = epochs = left_out = 0
    recordings = set()
    for file in files:
        for recording, rows in _read_predictions(file).groupby("recording"):
            if recording not in by_recording:
                raise BenchmarkError(
                    f"{file}: predicts recording {recording}, which is not among the {len(nights)} prepared ones "
                    "compared; give predictions and prepared recordings of one dataset"
                )
            night, guess = by_recording[recording]
            _, common, predicted_rows = np.intersect1d(night.epoch, rows.epoch, return_indices=True)
            stage = night.stage[common]
            if differing := np.count_nonzero(rows.stage.to_numpy()[predicted_rows] != stage):
                raise BenchmarkError(
                    f"{file}: {differing} epochs of {recording} are scored otherwise than in the prepared recording; "
                    "train the network again on this cohort"
                )
            recordings.add(recording)
            epochs += len(stage)
            left_out += len(rows) - len(stage)
            correct += np.count_nonzero(rows.predicted.to_numpy()[predicted_rows] == stage)
            correct_regression += np.count_nonzero(guess[common] == stage)
    if not epochs:
        raise BenchmarkError(
            f"network {name}: its predictions hold no epoch that the standard trimming keeps; train it again"
        )
    return NetworkComparison(name, len(recordings), epochs, left_out, correct / epochs, correct_regression / epochs)


def _read_predictions(file: str | Path) -> pd.DataFrame:
    if not Path(file).is_file():
        raise BenchmarkError(f"{file}: the predictions do not exist; train the network first")
    table = pd.read_parquet(file)
    missing = {"recording", "epoch", "stage", "predicted"} - set(table)
    if missing:
        raise BenchmarkError(f"{file}: the predictions lack {', '.join(sorted(missing))}; train the network again")
    return table


# --------------------------------------------------------------------------------------------------------------- checks


def realism_checks(
    simulated: CohortStatistics, real: CohortStatistics, recordings: int, networks: Sequence[NetworkComparison]
) -> list[Check]:
    """The checks that a simulated cohort must pass.

    A cohort of fewer than 39 recordings is only required to show all five stages.
    """
    held = recordings >= HELD_FROM

    def check(quantity: str, found: str, expected: str, allowed: str, within: bool) -> Check:
        return Check(quantity, found, expected, allowed, bool(within) if held else None)

    differences = np.where(real.transitions > TRANSITIONS_ABOVE, np.abs(simulated.transitions - real.transitions), 0)
    before, after = np.unravel_index(np.nan_to_num(differences, nan=1).argmax(), differences.shape)
    share_differences = np.abs(simulated.shares - real.shares)
    stage = share_differences.argmax()
    f1, real_f1 = (np.array([side.scores[f"f1_{name}"] for name in STAGES]) for side in (simulated, real))
    hardest, really_hardest = (STAGES[int(np.nanargmin(values))] for values in (f1, real_f1))
    low, high = REGRESSION_ACCURACY
    shown = int((simulated.shares > 0).sum())
    checks = [
        Check("stages that occur", f"{shown} of 5", "5 of 5", "5 of 5", shown == len(STAGES)),
        check(
            f"transition probability farthest off ({STAGES[before]} to {STAGES[after]})",
            f"{simulated.transitions[before, after]:.3f}",
            f"{real.transitions[before, after]:.3f}",
            f"± {TRANSITION_TOLERANCE} (those over {TRANSITIONS_ABOVE})",
            differences[before, after] <= TRANSITION_TOLERANCE,
        ),
        check(
            f"stage share farthest off ({STAGES[stage]})",
            f"{simulated.shares[stage]:.3f}",
            f"{real.shares[stage]:.3f}",
            f"± {SHARE_TOLERANCE}",
            share_differences[stage] <= SHARE_TOLERANCE,
        ),
        check(
            "accuracy of a logistic regression on 15 log band powers, across subjects",
            f"{simulated.scores['accuracy']:.3f}",
            f"{real.scores['accuracy']:.3f}",
            f"{low:.2f} to {high:.2f}",
            low <= simulated.scores["accuracy"] <= high,
        ),
        check("its hardest stage (lowest F1)", hardest, really_hardest, STAGES[N1], np.nanargmin(f1) == N1),
    ]
    for network in networks:
        checks.append(
            check(
                f"accuracy of {network.name} on {network.recordings} recordings",
                f"{network.accuracy:.3f}",
                "–",
                f"over {network.regression_accuracy:.3f} (the regression on the same epochs)",
                network.accuracy > network.regression_accuracy,
            )
        )
    return checks
