"""The sleep measures that clinicians use, from scored and from predicted stages, and their agreement.

The definitions are those of `sleep_statistics` of YASA 0.8 (Vallat & Walker 2021, https://doi.org/10.7554/eLife.70092),
which follow the AASM manual but for the REM latency: YASA's counts from the beginning, the manual's from sleep onset.
Both are here, under two names.

A test night is what the trimming keeps of a recording, not the time between lights out and lights on, which the
day-long recordings of Sleep-EDF do not tell. It is cut around the scored sleep, with 30 minutes of wake on either side
where there is as much, so the scored sleep onset latency is mostly that margin. Time in bed, sleep efficiency, minutes
of wake and the latencies from the beginning are of what is kept: they serve to compare predicted with scored, not with
other studies. Total sleep time, wake after sleep onset, minutes of each sleep stage and REM latency from sleep onset do
not depend on it.
"""

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, MOVEMENT, REM, STAGES, UNKNOWN, W
from sleepbench.evaluation.bootstrap import check_predictions

SLEEP_STAGES = STAGES[1:]

MEASURES = (
    *("time_in_bed", "sleep_period_time", "total_sleep_time", "wake_after_sleep_onset"),
    *("sleep_efficiency", "sleep_maintenance_efficiency"),
    *("sleep_onset_latency", "rem_latency", "rem_latency_from_sleep_onset"),
    *(f"minutes_{name}" for name in STAGES),
    "minutes_not_scored",
    *(f"percent_{name}" for name in SLEEP_STAGES),
)
"""Names of the measures in `night_measures`."""

LIMITS = 1.96
"""Standard deviations from the bias to either limit of agreement."""


def night_measures(stages: np.ndarray, epoch_seconds: float = EPOCH_SECONDS) -> dict[str, float]:
    """The measures of one night, by name (see MEASURES).

    Parameters
    ----------
    stages : whole numbers (n_epochs,), every epoch from the first to the last that is kept: 0..4, or MOVEMENT or
        UNKNOWN for an epoch that is not scored, which is neither wake nor sleep. BenchmarkError for other codes, and
        for no epochs
    epoch_seconds : length of an epoch

    Returns
    -------
    In minutes unless said otherwise (in brackets YASA's name):

    - `time_in_bed` (TIB): all epochs, scored or not
    - `sleep_period_time` (SPT): from the first to the last epoch of sleep, both included; 0 without sleep
    - `total_sleep_time` (TST): N1, N2, N3 and REM
    - `wake_after_sleep_onset` (WASO): wake within the sleep period; NaN without sleep
    - `sleep_efficiency` (SE): total sleep time in percent of time in bed
    - `sleep_maintenance_efficiency` (SME): total sleep time in percent of the sleep period; NaN without sleep
    - `sleep_onset_latency` (SOL): from the beginning to the first epoch of sleep, be it a single one; NaN without sleep
    - `rem_latency` (Lat_REM): from the beginning to the first epoch of REM; NaN without REM
    - `rem_latency_from_sleep_onset` (Lat_REM - SOL): the AASM manual's REM latency; NaN without REM
    - `minutes_W` to `minutes_REM` (WAKE, N1 to REM), `minutes_not_scored` (UNS and ART)
    - `percent_N1` to `percent_REM` (%N1 to %REM): in percent of total sleep time; NaN without sleep

    Latencies are by the clock: epochs that are not scored count in them, as in time in bed and the sleep period. So
    time_in_bed is total_sleep_time + minutes_W + minutes_not_scored.
    """
    stages = np.asarray(stages)
    known = np.isin(stages, (*range(len(STAGES)), MOVEMENT, UNKNOWN))
    if stages.ndim != 1 or not stages.size or not known.all():
        raise BenchmarkError(
            f"stages of shape {stages.shape} with the codes {np.unique(stages).tolist()} were found, expected one or "
            f"more epochs in a row with codes 0..{REM}, {MOVEMENT} (movement) or {UNKNOWN} (unknown)"
        )
    minutes = epoch_seconds / 60
    asleep = np.flatnonzero((stages != W) & (stages <= REM))
    in_rem = np.flatnonzero(stages == REM)
    onset = asleep[0] * minutes if asleep.size else np.nan
    first_rem = in_rem[0] * minutes if in_rem.size else np.nan
    period = stages[asleep[0] : asleep[-1] + 1] if asleep.size else stages[:0]
    counts = np.bincount(stages.astype(np.int64), minlength=UNKNOWN + 1)
    in_stage = dict(zip(STAGES, counts * minutes, strict=False))
    total = asleep.size * minutes
    measures = {
        "time_in_bed": stages.size * minutes,
        "sleep_period_time": period.size * minutes,
        "total_sleep_time": total,
        "wake_after_sleep_onset": np.count_nonzero(period == W) * minutes if asleep.size else np.nan,
        "sleep_efficiency": 100 * asleep.size / stages.size,
        "sleep_maintenance_efficiency": 100 * asleep.size / period.size if asleep.size else np.nan,
        "sleep_onset_latency": onset,
        "rem_latency": first_rem,
        "rem_latency_from_sleep_onset": first_rem - onset,
        **{f"minutes_{name}": value for name, value in in_stage.items()},
        "minutes_not_scored": counts[MOVEMENT:].sum() * minutes,
        **{f"percent_{name}": 100 * in_stage[name] / total if total else np.nan for name in SLEEP_STAGES},
    }
    return {name: float(value) for name, value in measures.items()}


def place_epochs(epoch: np.ndarray, stage: np.ndarray) -> np.ndarray:
    """Stages of every epoch from the first to the last, int8, UNKNOWN where there is none.

    Parameters
    ----------
    epoch : index of each epoch in its recording, (n_epochs,), in any order, each once
    stage : its stage, 0..4, (n_epochs,)
    """
    first = epoch.min()
    placed = np.full(epoch.max() - first + 1, UNKNOWN, dtype=np.int8)
    placed[epoch - first] = stage
    return placed


def measures_per_night(predictions: pd.DataFrame, check: bool = True) -> pd.DataFrame:
    """The measures of every test night, scored and predicted.

    Epochs stand where their index puts them. An epoch the predictions do not have (movement, unknown) is not scored in
    either, so both are of the same epochs and the same beginning.

    Parameters
    ----------
    predictions : one row per test epoch, with the columns of predictions.parquet; BenchmarkError as `check_predictions`
    check : whether `check_predictions` is still to be asked

    Returns
    -------
    One row per recording, in ascending order: recording, subject, night, then `scored_` and `predicted_` before each of
    MEASURES.
    """
    if check:
        check_predictions(predictions)
    number, recordings = pd.factorize(predictions.recording, sort=True)
    epoch = predictions.epoch.to_numpy(dtype=np.int64)
    scorings = {"scored": predictions.stage.to_numpy(), "predicted": predictions.predicted.to_numpy()}
    of_recordings = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    first = predictions.iloc[[places[0] for places in of_recordings]]
    rows = []
    for places in of_recordings:
        row = {}
        for scoring, stages in scorings.items():
            measures = night_measures(place_epochs(epoch[places], stages[places]))
            row |= {f"{scoring}_{name}": value for name, value in measures.items()}
        rows.append(row)
    named = {"recording": list(recordings), "subject": list(first.subject), "night": list(first.night)}
    return pd.concat([pd.DataFrame(named), pd.DataFrame(rows)], axis=1)


def agreement(measures: pd.DataFrame) -> pd.DataFrame:
    """Bias and limits of agreement of predicted with scored measures over nights (Bland & Altman 1986).

    Nights count as independent, though two are of one subject: the limits are those of a single night, and describe it
    well, but are no interval of the bias.

    Parameters
    ----------
    measures : what `measures_per_night` returns

    Returns
    -------
    One row per measure (the index, those of MEASURES but time_in_bed and minutes_not_scored, which are the same in
    both by construction), in the unit of the measure: `n_nights`, used, and `n_undefined`, left out because the measure
    is undefined in the scored or the predicted night; `scored` and `predicted`, their means; `bias`, the mean of
    predicted - scored; `sd` of those differences (with n - 1); `low` and `high`, the limits of agreement, bias ± 1.96
    sd. NaN where no night is left; sd and limits also where one is.
    """
    compared = [name for name in MEASURES if name not in ("time_in_bed", "minutes_not_scored")]
    missing = [f"{scoring}_{name}" for name in compared for scoring in ("scored", "predicted")]
    missing = [column for column in missing if column not in measures]
    if missing:
        raise BenchmarkError(f"the measures lack the column {', '.join(missing)}; take them from measures_per_night")
    scored, predicted = (
        measures[[f"{scoring}_{name}" for name in compared]].set_axis(compared, axis=1)
        for scoring in ("scored", "predicted")
    )
    defined = scored.notna() & predicted.notna()
    difference = predicted - scored
    table = pd.DataFrame(
        {
            "n_nights": defined.sum(),
            "n_undefined": (~defined).sum(),
            "scored": scored.where(defined).mean(),
            "predicted": predicted.where(defined).mean(),
            "bias": difference.mean(),
            "sd": difference.std(ddof=1),
        }
    ).rename_axis("measure")
    return table.assign(low=table.bias - LIMITS * table.sd, high=table.bias + LIMITS * table.sd)
