"""Statistics of every network, computed once from the predictions of its runs and kept as CSV files.

Tables and figures read these files and nothing else, so that a number is the same wherever it is shown. A network is a
model's title, a set of channels and a recipe; its runs under one protocol are read together, all test folds of each
seed, and every metric is in 0..1 (kappa in -1..1). Subjects are text of two digits: read them with dtype str.

    intervals.csv       pooled metrics with bootstrap intervals over subjects, and their spread over seeds
    subjects.csv        the metrics of each subject
    groups.csv          pooled metrics by age group and sex
    comparisons.csv     models compared pairwise over subjects
    ladder.csv          the change from one rung of the ladder of protocols to the next
    channels.csv        models on several sets of channels under the final protocol, and what a set changes
    nights.csv          sleep measures of each night, scored and predicted, by the first seed
    sleep_measures.csv  their agreement over nights, by the first seed
    reliability.csv     confidence and accuracy by bin of confidence, all seeds together

The macro-F1 of a row is the mean F1 of the stages that were scored or predicted in what the row is of (all epochs, a
group, a subject); `macro_f1_stages` is the number of these stages, of several seeds the fewest.

What is undefined (the recall of a stage that nobody shows, the interval of a single subject) is an empty cell.

The last column, `run_keys`, names the runs that a row was computed from, separated by spaces: those that test the
subject or the night; else those of the network under the protocol, and of what it is compared with. A single key may be
all digits: read it with dtype str.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing
from sleepbench.core.stages import STAGES
from sleepbench.datasets.recordings import Recording, read_recordings
from sleepbench.evaluation import metrics
from sleepbench.evaluation.bootstrap import (
    COLUMNS,
    bootstrap_differences,
    bootstrap_intervals,
    by_group,
    check_predictions,
    paired_comparisons,
    per_subject_metrics,
    seed_spread,
    subject_confusions,
)
from sleepbench.evaluation.calibration import expected_calibration_error, reliability_table
from sleepbench.evaluation.sleep_measures import agreement, measures_per_night
from sleepbench.protocols.folds import folds_of
from sleepbench.reporting.statistics.names import CALIBRATION, MEAN_OF_FOLDS, NETWORK, OVERALL
from sleepbench.reporting.tables.main import complete_runs, confusions, final_protocol, read_runs
from sleepbench.runs.run_files import (
    RUN_AGAIN,
    Epochs,
    predictions_name,
    read_listed,
    read_record,
    uncovered,
    wrong_epochs,
)
from sleepbench.signals.quality import epochs_in_windows

COMPARED = ("accuracy", "macro_f1", "cohen_kappa")
"""Metrics of a subject in which models are compared; each is corrected on its own."""

PUBLISHED = "published"
"""The recipes of the models' own papers, all of them together, in comparisons."""


INTERVAL_COLUMNS = (
    *("metric", "estimate", "low", "high", "n_subjects", "macro_f1_stages"),
    *("seeds", "seed_sd", "seed_min", "seed_max"),
)
GROUP_COLUMNS = (
    *("grouping", "group", "metric", "estimate", "low", "high", "n_subjects", "n_epochs"),
    "macro_f1_stages",
)
COMPARISON_COLUMNS = (
    *("protocol", "channels", "recipe", "metric", "first", "second", "n_subjects", "n_undefined", "n_zero"),
    *("median_difference", "statistic", "p", "p_holm", "smallest_p", "rank_biserial"),
    *("first_recipe", "second_recipe", "run_keys"),
)
LADDER_COLUMNS = (
    *("rung", "protocol", "from_protocol", *NETWORK, "metric", "value", "value_low", "value_high"),
    *("change", "change_low", "change_high", "n_subjects", "n_shared", "seeds", "seeds_shared", "run_keys"),
)
CHANNELS_COLUMNS = (
    *("protocol", *NETWORK, "n_channels", "from_channels", "metric", "value", "value_low", "value_high"),
    *("change", "change_low", "change_high", "n_subjects", "n_shared", "seeds", "seeds_shared", "reason", "run_keys"),
)


@dataclass(frozen=True)
class Asked:
    """What the configuration says of the networks that are compared.

    own_recipes : title of a model -> the recipe of its paper, where one is known
    alone : the set of channels that holds EEG Fpz-Cz and nothing else
    undefined : models and sets of channels that were asked for, but that the model is not defined for, each with
        title, channels, n_channels and reason
    """

    own_recipes: Mapping[str, str] = field(default_factory=dict)
    alone: str | None = None
    undefined: Sequence[Mapping] = ()


@dataclass(frozen=True)
class NetworkStatistics:
    """What is computed of one network under one protocol.

    `n_channels` are the channels of its set. `confusions` is (n_seeds, n_subjects, 5, 5), in the order of `seeds`, as
    is `mean_of_folds` (n_seeds,): the mean over folds of the fold accuracies. `tested_by` gives by seed and recording
    the key of the run that tests it.
    """

    protocol: str
    network: tuple[str, str, str]
    n_channels: int
    subjects: list[str]
    seeds: list[int]
    tested_by: dict[int, dict[str, str]]
    confusions: np.ndarray
    mean_of_folds: np.ndarray
    intervals: pd.DataFrame
    per_subject: pd.DataFrame
    groups: pd.DataFrame
    nights: pd.DataFrame
    sleep_measures: pd.DataFrame
    reliability: pd.DataFrame

    def run_keys(self, seeds: Sequence[int] | None = None, subject: str = "") -> str:
        """The runs of some seeds (all of them), or those that test a subject, separated by spaces."""
        keys = [
            key
            for seed in seeds or self.seeds
            for recording, key in self.tested_by[seed].items()
            if recording[3:5] == subject or not subject
        ]
        return " ".join(dict.fromkeys(keys))


def compute_statistics(
    runs: str,
    recordings_table: str,
    dataset: str,
    simulated: bool,
    ladder: Sequence[str],
    directory: str,
    folds: Mapping[str, str] | None = None,
    qualities: Sequence[str] = (),
    asked: Asked | None = None,
) -> None:
    """Write the statistics of all runs on a dataset, each file of the module's list whole or not at all.

    Parameters
    ----------
    runs : path of the runs table
    recordings_table : path of the table of recordings, for the age and sex of subjects
    dataset, simulated : the dataset of the runs, and whether its signals are simulated
    ladder : protocols in the order in which they are compared; those without runs are passed over
    directory : where the files are written
    folds : protocol -> path of its fold file, against which the tested recordings are held
    qualities : quality files of the prepared recordings, against which the tested epochs and their stages are held
    asked : what the configuration says of the networks; None: no recipe is a model's own, and nothing was skipped

    BenchmarkError, before anything is written, lists every run that is missing, there twice, of other settings or code
    than its like, or whose predictions were changed since they were written, cannot be read, do not cover its fold or
    the windows of its recordings, are not complete (NaN) or do not give the numbers of the runs table.
    """
    table = complete_runs(read_runs(runs), dataset, simulated)
    if "n_test" not in table:
        raise BenchmarkError(f"{runs}: the runs table lacks n_test, the number of test epochs; make it again")
    recordings = read_recordings(recordings_table)
    people = pd.DataFrame(recordings)
    tests = None if folds is None else _tested_recordings(folds, sorted(set(table.protocol)))
    epochs = epochs_in_windows(qualities, simulated)
    results, problems = [], []
    # One network at a time: the predictions of all of them together would not fit in memory.
    for key, of_network in table.groupby(["protocol", *NETWORK], sort=False):
        by_seed, wrong = read_predictions(of_network, tests, epochs)
        problems += wrong
        if problems:
            continue
        try:
            results.append(network_statistics(key[0], key[1:], of_network, by_seed, people))
        except BenchmarkError as error:
            problems.append(f"{', '.join(key)}: {error}")
    problems += _different_epochs(results)
    problems += _mixed_protocols(table)
    if problems:
        raise BenchmarkError(
            f"no statistics can be made of the runs on {dataset}; {RUN_AGAIN}:\n  " + "\n  ".join(problems)
        )
    for name, content in statistics_tables(results, ladder, recordings, asked or Asked()).items():
        with replacing(Path(directory) / f"{name}.csv") as temporary:
            content.to_csv(temporary, index=False)


# ---------------------------------------------------------------------------------------------------------- reading


def _tested_recordings(folds: Mapping[str, str], protocols: Sequence[str]) -> dict[str, list[set[str]]]:
    """By protocol, the recordings that each fold tests."""
    missing = [protocol for protocol in protocols if protocol not in folds]
    if missing:
        raise BenchmarkError(
            f"there are runs of protocol {', '.join(missing)}, but fold files were given of {', '.join(folds)} only; "
            "name the fold file of every protocol"
        )
    return {name: [set(fold.test) for fold in folds_of(read_json(folds[name]))] for name in protocols}


def read_predictions(
    runs: pd.DataFrame, tests: Mapping[str, Sequence[set[str]]] | None = None, epochs: Epochs | None = None
) -> tuple[list[pd.DataFrame], list[str]]:
    """The predictions of one network under one protocol, and what is wrong with them.

    Parameters
    ----------
    runs : its rows of the runs table
    tests : protocol -> the recordings that each fold tests; None: not known
    epochs : what the prepared recordings hold in each window, as far as it is known

    Returns
    -------
    One table per seed, seeds ascending, all folds together, with the columns COLUMNS; and problems by run.
    """
    problems, first = [], None
    by_seed: dict[int, list[tuple[str, pd.DataFrame]]] = {}
    for run, matrix in _in_order(runs):
        where, directory = _run_name(run), Path(run.directory)
        try:
            record = read_record(directory)
            first = first or record
            problems += [f"{where}: {directory / 'training.json'}: {problem}" for problem in _mixed(record, first)]
            table = read_listed(directory, record, predictions_name(run.selection), COLUMNS)
        except BenchmarkError as error:
            problems.append(f"{where}: {error}")
            continue
        where += f": {directory / predictions_name(run.selection)}"
        problems += [f"{where}: {problem}" for problem in _run_problems(run, matrix, table, tests, epochs or {})]
        by_seed.setdefault(run.seed, []).append((where, table))
    together = []
    for of_seed in by_seed.values():
        every = pd.concat([table for _, table in of_seed], ignore_index=True)
        # A number for each name: comparing texts, epoch by epoch, takes longer than the statistics.
        together.append(every.astype({"recording": "category", "subject": "category"}))
        try:
            check_predictions(together[-1])
        except BenchmarkError as error:
            problems += _faulty_runs(of_seed) or [f"{of_seed[0][0]} and the other folds: {error}"]
    return together, problems


def _in_order(runs: pd.DataFrame) -> Iterator[tuple[tuple, np.ndarray]]:
    """Runs by seed and fold, each with its confusion matrix of the runs table."""
    ordered = runs.sort_values(["seed", "fold"])
    return zip(ordered.itertuples(), confusions(ordered), strict=True)


def _run_name(run: tuple) -> str:
    return (
        f"{run.protocol}, {run.title}, {run.channels}, {run.recipe}, seed {run.seed}, fold {run.fold} "
        f"(run {run.run_key})"
    )


def _mixed(record: dict, first: dict) -> list[str]:
    """In what a training.json says other settings or code than that of the network's first run."""
    mine, expected = ({**one["settings"], "code_sha256": one["code_sha256"]} for one in (record, first))
    names = [name for name in dict.fromkeys([*expected, *mine]) if name not in ("fold", "seed")]
    return [
        f"{name} is {mine.get(name)}, but {expected.get(name)} in the first run"
        for name in names
        if mine.get(name) != expected.get(name)
    ]


def _mixed_protocols(runs: pd.DataFrame) -> list[str]:
    """Networks whose protocols were trained by other code or another recipe: the ladder would subtract these as well.

    `read_predictions` holds the runs of one protocol to its first run, so here the first ones are compared.
    """
    problems = []
    for _, of_network in runs.groupby(list(NETWORK), sort=False):
        first = None
        for run in of_network.sort_values(["seed", "fold"]).drop_duplicates("protocol").itertuples():
            path = Path(run.directory) / "training.json"
            try:
                record = read_record(path.parent)
            except BenchmarkError:
                continue  # is among the problems already
            mine = {"recipe": record["settings"].get("recipe"), "code_sha256": record["code_sha256"]}
            first = first or (run.protocol, mine)
            problems += [
                f"{_run_name(run)}: {path}: {name} is {mine[name]}, but {first[1][name]} under protocol {first[0]}"
                for name in mine
                if mine[name] != first[1][name]
            ]
    return problems


def _run_problems(
    run: tuple,
    matrix: np.ndarray,
    table: pd.DataFrame,
    tests: Mapping[str, Sequence[set[str]]] | None,
    epochs: Epochs,
) -> list[str]:
    """Whether a run's predictions cover its fold and give the numbers of the runs table."""
    problems = []
    if tests is not None:
        of_protocol = tests[run.protocol]
        if not 0 <= run.fold < len(of_protocol):
            return [f"there is no fold {run.fold} in the fold file, which has {len(of_protocol)} folds"]
        if problem := uncovered(table.recording.dropna().unique(), of_protocol[run.fold]):
            problems.append(f"the predictions {problem}")
    problems += [f"the predictions {problem}" for problem in wrong_epochs(table, run.window, epochs)]
    if len(table) != run.n_test:
        problems.append(f"the predictions are of {len(table):,} epochs, expected {run.n_test:,.0f} (n_test)")
    elif _has_stages(table):
        mine = metrics.confusion_matrix(table.stage.to_numpy(), table.predicted.to_numpy())
        if not np.array_equal(mine, matrix):
            found, expected = metrics.accuracy(mine), metrics.accuracy(matrix)
            problems.append(
                f"the predictions give another confusion matrix than the runs table (accuracy {found:.4f} and "
                f"{expected:.4f})"
            )
    return problems


def _has_stages(table: pd.DataFrame) -> bool:
    """Whether stages can be counted; `check_predictions` says what else they are."""
    stages = table[["stage", "predicted"]].to_numpy()
    return stages.dtype.kind in "iu" and stages.size > 0 and stages.min() >= 0 and stages.max() < len(STAGES)


def _faulty_runs(tables: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    problems = []
    for where, table in tables:
        try:
            check_predictions(table)
        except BenchmarkError as error:
            problems.append(f"{where}: {error}")
    return problems


def _different_epochs(results: Sequence[NetworkStatistics]) -> list[str]:
    """Networks tested on other epochs than the first of their protocol: they could not be compared."""
    problems, first = [], {}
    for result in results:
        reference = first.setdefault(result.protocol, result)
        theirs, mine = (
            dict(zip(r.subjects, map(tuple, r.confusions[0].sum(axis=2).tolist()), strict=True))
            for r in (reference, result)
        )
        differing = sorted(s for s in {*theirs, *mine} if theirs.get(s) != mine.get(s))
        if differing:
            problems.append(
                f"{result.protocol}: {', '.join(result.network)} was tested on other epochs than "
                f"{', '.join(reference.network)}, of subject {', '.join(differing)}"
            )
    return problems


# ------------------------------------------------------------------------------------------------------- one network


def network_statistics(
    protocol: str,
    network: tuple[str, str, str],
    runs: pd.DataFrame,
    by_seed: Sequence[pd.DataFrame],
    recordings: pd.DataFrame,
) -> NetworkStatistics:
    """Everything about one network under one protocol, from its runs and the checked predictions of each seed.

    Pooled metrics are of the sum of the subjects' confusion matrices; with several seeds, every metric is computed of
    each and averaged. Sleep measures are those of the first seed: they are of a night as one trained network scores it.
    """
    # `read_predictions` has checked them.
    subjects, matrices = subject_confusions(by_seed, check=False)
    pooled = bootstrap_intervals(matrices).reset_index()
    of_groups = by_group((subjects, matrices), recordings, metrics=OVERALL)
    reliability = [reliability_table(table, check=False) for table in by_seed]
    nights = measures_per_night(by_seed[0], check=False)
    nights.insert(0, "seed", runs.seed.min())
    groups = of_groups[of_groups.grouping != "all"]
    accuracies = pd.Series(metrics.accuracy(confusions(runs)), index=runs.seed.to_numpy()).groupby(level=0).mean()
    tested_by = _tested_by(runs, by_seed)
    return NetworkStatistics(
        protocol,
        network,
        int(runs.n_channels.iloc[0]),
        subjects,
        accuracies.index.tolist(),
        tested_by,
        matrices,
        mean_of_folds=accuracies.to_numpy(),
        intervals=_intervals(pooled, matrices, reliability),
        per_subject=per_subject_metrics((subjects, matrices)).assign(n_recordings=nights.groupby("subject").size()),
        groups=groups[list(GROUP_COLUMNS)],
        nights=nights.assign(run_keys=nights.recording.map(tested_by[runs.seed.min()])),
        sleep_measures=agreement(nights).reset_index(),
        reliability=pooled_reliability(reliability),
    )


def _tested_by(runs: pd.DataFrame, by_seed: Sequence[pd.DataFrame]) -> dict[int, dict[str, str]]:
    """By seed and recording, in the order of the folds, the key of the run that tests it.

    `by_seed` holds the predictions of each seed, those of its runs one after the other, n_test epochs each.
    """
    tested_by = {}
    for (seed, of_seed), table in zip(runs.sort_values(["seed", "fold"]).groupby("seed"), by_seed, strict=True):
        key_of_epoch = np.repeat(of_seed.run_key.to_numpy(), of_seed.n_test.astype(int))
        first = table.recording.drop_duplicates()
        tested_by[seed] = dict(zip(first, key_of_epoch[first.index], strict=True))
    return tested_by


def _intervals(pooled: pd.DataFrame, matrices: np.ndarray, reliability: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of intervals.csv: pooled metrics, and the calibration error, which has no interval."""
    spread = seed_spread(matrices)
    table = pooled.assign(
        macro_f1_stages=metrics.macro_f1_stages(matrices.sum(axis=1)).min(),
        seeds=len(matrices),
        seed_sd=spread.sd.to_numpy(),
        seed_min=spread["min"].to_numpy(),
        seed_max=spread["max"].to_numpy(),
    )
    errors = np.array([expected_calibration_error(of_seed) for of_seed in reliability])
    calibration = {
        "metric": CALIBRATION,
        "estimate": errors.mean(),
        "low": np.nan,
        "high": np.nan,
        **table[["n_subjects", "macro_f1_stages"]].iloc[0],
        "seeds": errors.size,
        "seed_sd": errors.std(ddof=1) if errors.size > 1 else np.nan,
        "seed_min": errors.min(),
        "seed_max": errors.max(),
    }
    columns = list(INTERVAL_COLUMNS)
    return pd.DataFrame([*table[columns].to_dict("records"), calibration], columns=columns)


def pooled_reliability(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One `reliability_table` of the epochs of several."""
    first = tables[0][["low", "high"]]
    n_epochs = sum(table.n_epochs for table in tables)
    means = {
        name: sum(table[name].fillna(0) * table.n_epochs for table in tables) / n_epochs.where(n_epochs > 0)
        for name in ("confidence", "accuracy")
    }
    return first.assign(n_epochs=n_epochs, **means)


# ------------------------------------------------------------------------------------------------------ all networks


def statistics_tables(
    results: Sequence[NetworkStatistics], ladder: Sequence[str], recordings: Sequence[Recording], asked: Asked
) -> dict[str, pd.DataFrame]:
    """The content of every file, by its name without ending."""
    return {
        "intervals": _joined(results, "intervals"),
        "subjects": subjects_table(results, recordings),
        "groups": _joined(results, "groups"),
        "comparisons": comparisons_table(results, asked.own_recipes),
        "ladder": ladder_table(results, ladder),
        "channels": channels_table(results, asked),
        "nights": _joined(results, "nights"),
        "sleep_measures": _joined(results, "sleep_measures"),
        "reliability": _joined(results, "reliability"),
    }


def _named(result: NetworkStatistics) -> dict[str, str]:
    return {"protocol": result.protocol, **dict(zip(NETWORK, result.network, strict=True))}


def _joined(results: Sequence[NetworkStatistics], part: str) -> pd.DataFrame:
    """One table of all networks, whose names come first and whose run keys come last."""
    tables = []
    for result in results:
        table = getattr(result, part)
        names = pd.DataFrame(_named(result), index=table.index)
        seeds = result.seeds[:1] if part == "sleep_measures" else result.seeds
        keys = {} if "run_keys" in table else {"run_keys": result.run_keys(seeds)}
        tables.append(pd.concat([names, table], axis=1).assign(**keys))
    return pd.concat(tables, ignore_index=True)


def subjects_table(results: Sequence[NetworkStatistics], recordings: Sequence[Recording]) -> pd.DataFrame:
    """The metrics of each subject's own epochs, mean over seeds, with its age (that of the first night) and sex."""
    # Descending, so that the first night is what stays.
    described = {recording.subject: recording for recording in sorted(recordings, reverse=True)}
    rows = [
        {
            **_named(result),
            "subject": subject,
            "age": described[subject].age,
            "sex": described[subject].sex,
            **{name: values[name] for name in OVERALL},
            "macro_f1_stages": int(values["macro_f1_stages"]),
            "n_epochs": int(values["n_epochs"]),
            "n_recordings": int(values["n_recordings"]),
            "run_keys": result.run_keys(subject=subject),
        }
        for result in results
        for subject, values in result.per_subject.to_dict("index").items()
    ]
    return pd.DataFrame(rows)


def comparisons_table(
    results: Sequence[NetworkStatistics], own_recipes: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Models compared pairwise over subjects, among those of one protocol, set of channels and recipe.

    Models that differ in channels or recipe too are not compared: nobody could say what a difference is due to. But
    models that are each trained by the recipe of its own paper, `own_recipes`, are: as published. Holm's correction is
    over the pairs of one protocol, channels, recipe and metric. No rows where each has one model only.
    """
    tables = [pd.DataFrame(columns=list(COMPARISON_COLUMNS))]
    for (protocol, channels, recipe), models in _compared_together(results, own_recipes or {}).items():
        for metric in COMPARED if len(models) > 1 else ():
            pairs = paired_comparisons({title: model.per_subject[metric] for title, model in models.items()}, metric)
            keys = {title: model.run_keys() for title, model in models.items()}
            recipes = {title: model.network[2] for title, model in models.items()}
            named = pairs.assign(protocol=protocol, channels=channels, recipe=recipe)
            named["first_recipe"], named["second_recipe"] = pairs["first"].map(recipes), pairs.second.map(recipes)
            named["run_keys"] = pairs["first"].map(keys) + " " + pairs.second.map(keys)
            tables.append(named[list(COMPARISON_COLUMNS)])
    return pd.concat(tables[1:], ignore_index=True) if len(tables) > 1 else tables[0]


def _compared_together(
    results: Sequence[NetworkStatistics], own_recipes: Mapping[str, str]
) -> dict[tuple[str, str, str], dict[str, NetworkStatistics]]:
    """The models of each protocol, set of channels and recipe, by their titles; PUBLISHED is a recipe here.

    Left out is what another one holds: the models of a recipe where all of them are published with it and others too,
    and the published ones where all have one recipe.
    """
    families: dict[tuple[str, str, str], dict[str, NetworkStatistics]] = {}
    for result in results:
        title, channels, recipe = result.network
        families.setdefault((result.protocol, channels, recipe), {})[title] = result
        if own_recipes.get(title) == recipe:
            families.setdefault((result.protocol, channels, PUBLISHED), {})[title] = result
    members = {key: {(key[:2], model.network) for model in models.values()} for key, models in families.items()}
    held = {
        key
        for key in families
        for other in families
        if members[key] < members[other] or (members[key] == members[other] and key[2] == PUBLISHED != other[2])
    }
    return {key: models for key, models in families.items() if key not in held}


def channels_table(results: Sequence[NetworkStatistics], asked: Asked) -> pd.DataFrame:
    """The metrics of each model and recipe by set of channels under the final protocol, and what the set changes.

    Changes are those from EEG Fpz-Cz alone or, where the model was not run on it, from its smallest set; with
    bootstrap intervals paired by subject, on the seeds that both have. The reference itself has none. Sets are in
    ascending order of their numbers of channels. A set that the model is not defined for has one row with the reason.
    """
    protocol = final_protocol(list(dict.fromkeys(result.protocol for result in results)))
    by_model: dict[tuple[str, str], list[NetworkStatistics]] = {}
    for result in results:
        if result.protocol == protocol:
            title, _, recipe = result.network
            by_model.setdefault((title, recipe), []).append(result)
    rows = []
    for title in dict.fromkeys([*(title for title, _ in by_model), *(one["title"] for one in asked.undefined)]):
        for sets in (sets for (other, _), sets in by_model.items() if other == title):
            # Stable: of sets of one size, the first comes first.
            ordered = sorted(sets, key=lambda result: result.n_channels)
            reference = next((result for result in ordered if result.network[1] == asked.alone), ordered[0])
            for result in ordered:
                rows += _of_channels(result, None if result is reference else reference)
        rows += [{"protocol": protocol, **one} for one in asked.undefined if one["title"] == title]
    counts = dict.fromkeys(("n_subjects", "n_shared", "seeds", "seeds_shared"), "Int64")
    return pd.DataFrame(rows, columns=list(CHANNELS_COLUMNS)).astype(counts)


def _of_channels(result: NetworkStatistics, reference: NetworkStatistics | None) -> list[dict]:
    """A network's rows of the table of channels, one per metric."""
    rows = _rung(result, reference, COMPARED)
    named = {**_named(result), "n_channels": result.n_channels}
    if reference is not None:
        named["from_channels"] = reference.network[1]
    return [{**named, **{name: value for name, value in row.items() if name != "from_protocol"}} for row in rows]


def ladder_table(results: Sequence[NetworkStatistics], ladder: Sequence[str]) -> pd.DataFrame:
    """The metrics of each network on every rung that was run, and their change from the rung before.

    Changes have bootstrap intervals paired by subject. The mean of the fold accuracies, as the released program takes
    it, has none: resampled subjects would leave folds empty, and the folds share their training data. A network that
    was not run on the rung before has no change.
    `n_subjects` and `seeds` are those of the rung, `n_shared` and `seeds_shared` those of both rungs. A change is taken
    on the seeds that both rungs have, lest it be one between seeds. `run_keys` names the rung's runs, then those that
    the change is taken from.
    """
    by_key = {(result.protocol, result.network): result for result in results}
    run = {result.protocol for result in results}
    rungs = [protocol for protocol in ladder if protocol in run]
    rows = []
    for network in dict.fromkeys(result.network for result in results):
        for number, protocol in enumerate(rungs):
            if (protocol, network) in by_key:
                before = by_key.get((rungs[number - 1], network)) if number else None
                named = {"rung": number, **_named(by_key[protocol, network])}
                rows += [{**named, **row} for row in _rung(by_key[protocol, network], before)]
    return pd.DataFrame(rows, columns=list(LADDER_COLUMNS)).astype({"n_shared": "Int64", "seeds_shared": "Int64"})


def _rung(
    result: NetworkStatistics,
    before: NetworkStatistics | None,
    metric_names: Sequence[str] = ("accuracy", MEAN_OF_FOLDS, "macro_f1"),
) -> list[dict]:
    """A network's rows of one rung, one per metric; `before` is the rung before, or the network on other channels."""
    pooled = result.intervals.set_index("metric")
    shared = [] if before is None else sorted(set(before.seeds) & set(result.seeds))
    changes = None
    if shared:
        compared = (_of_seeds(before, shared), _of_seeds(result, shared))
        changes = bootstrap_differences(*compared, metrics=[name for name in metric_names if name != MEAN_OF_FOLDS])
    rows = []
    keys = " ".join([result.run_keys(), *([before.run_keys(shared)] if shared else [])])
    for metric in metric_names:
        row = {"metric": metric, "n_subjects": len(result.subjects), "seeds": len(result.seeds), "run_keys": keys}
        if metric == MEAN_OF_FOLDS:
            row["value"] = result.mean_of_folds.mean()
            if shared:
                row["change"] = _mean_of_folds(result, shared) - _mean_of_folds(before, shared)
        else:
            row |= {
                "value": pooled.estimate[metric],
                "value_low": pooled.low[metric],
                "value_high": pooled.high[metric],
            }
            if changes is not None:
                of_metric = changes.loc[metric]
                row |= {"change": of_metric.estimate, "change_low": of_metric.low, "change_high": of_metric.high}
        if before is not None:
            n_shared = len(set(before.subjects) & set(result.subjects))
            row |= {"from_protocol": before.protocol, "n_shared": n_shared, "seeds_shared": len(shared)}
        rows.append(row)
    return rows


def _of_seeds(result: NetworkStatistics, seeds: Sequence[int]) -> tuple[list[str], np.ndarray]:
    """Subjects and confusion matrices of some seeds, as `subject_confusions` gives them."""
    return result.subjects, result.confusions[[result.seeds.index(seed) for seed in seeds]]


def _mean_of_folds(result: NetworkStatistics, seeds: Sequence[int]) -> float:
    return float(np.mean([result.mean_of_folds[result.seeds.index(seed)] for seed in seeds]))
