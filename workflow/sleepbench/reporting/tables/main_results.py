"""Table: every contender under every protocol, and what is published."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.human_agreement import CONVENTIONS, POOLED, SLEEPERS, SOURCE, agreement, read_scorings
from sleepbench.evaluation.published import read_published_results
from sleepbench.evaluation.scores import confusions, scores
from sleepbench.models.registry import describe, model_names
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import MACRO_F1_IS, counted, fewer_stages, measured_here, without_zero
from sleepbench.reporting.reading import CONTENDER, read_runs
from sleepbench.reporting.rendering import DASH, Column, number, shown, text

TRAINED = ("training_epochs", "fewest_trained", "most_trained")
FITTED_IN_ONE_GO = frozenset(name for name in model_names() if describe(name).kind == "estimator")
COUNTS = (*TRAINED, "seeds", "macro_f1_stages", "n_epochs")
OURS = ("measured", "reference")
"""Marks of rows whose numbers are computed here."""
PEOPLE = "people"
"""Mark of rows that are of no model: what people reach."""
THESE_NIGHTS, OTHER_NIGHTS = "people, the same nights", "people, another database"
BESIDE_SIMULATED = ("sleep-edf-20", "sleep-edf-78")
"""Datasets whose published rows stand beside simulated data: those that it simulates."""
NOT_COMPARABLE = "published rows are on Sleep-EDF and cannot be compared with simulated data"


# ---------------------------------------------------------------------------------------------------------------- rows


def main_results(runs: pd.DataFrame, published: pd.DataFrame, label: DataLabel) -> pd.DataFrame:
    """One row per protocol, model, input and recipe, over folds and seeds; then what is published.

    Returns
    -------
    Accuracies, macro-F1 and F1 in percent; kappa in -1..1. `accuracy_mean_of_folds` and `accuracy_sd_of_folds` are over
    folds, each fold's accuracy being its mean over seeds; `accuracy_sd_of_seeds` is of the seeds' means over folds. The
    other metrics are pooled: of the sum of all confusion matrices. `macro_f1_stages` is the number of stages that the
    macro-F1 averages (see `metrics.macro_f1`). `training_epochs` are those of the recipe; a patience ends a training
    early: `fewest_trained` and `most_trained` are of the trainings as they were. All three are absent for a model that
    is fitted in one go. `tuned` says which learning rates a tuned recipe came to. `n_epochs` are the epochs that were
    tested. In published rows, metrics and `n_epochs` are as published.
    """
    rows = []
    for protocol, mine in runs.groupby("protocol", sort=False):
        rows += [_measured(group, label.name) for _, group in mine.groupby(["model", *CONTENDER[1:]], sort=False)]
        rows.append(_commonest_stage(protocol, mine, label.name))
    rows += _published(published, label, {*runs.title})
    # Whole numbers stay whole beside the empty cells of published rows.
    return pd.DataFrame(rows).astype(dict.fromkeys(COUNTS, "Int64"))


def _measured(runs: pd.DataFrame, data: str) -> dict[str, Any]:
    first = runs.iloc[0]
    return {
        **{"data": data, "model": first.title, "protocol": first.protocol},
        **{"input": first.input, "recipe": first.recipe},
        **{"folds": f"{runs.fold.nunique()} of {first.n_folds}", "seeds": runs.seed.nunique()},
        **_trained_epochs(runs),
        "tuned": _tuned(runs),
        **scores(runs.fold, runs.seed, confusions(runs)),
        **{"mark": "measured", "source": measured_here(list(runs.run_key)), "run_keys": " ".join(runs.run_key)},
    }


def _trained_epochs(runs: pd.DataFrame) -> dict[str, int]:
    """The recipe's training epochs, and the fewest and most that there were.

    Empty for a model that is fitted in one go.
    """
    if runs.model.iloc[0] in FITTED_IN_ONE_GO:
        return {}
    trained = runs.trained_epochs
    return dict(zip(TRAINED, (runs.training_epochs.iloc[0], trained.min(), trained.max()), strict=True))


def _tuned(runs: pd.DataFrame) -> str | None:
    """The learning rates that the trainings of a tuned recipe took, the commonest first; None for any other."""
    taken = runs.tuned_learning_rate.dropna().value_counts()
    return ", ".join(f"{rate:g} in {n}" for rate, n in taken.items()) or None


def _commonest_stage(protocol: str, runs: pd.DataFrame, data: str) -> dict[str, Any]:
    """The floor of a protocol: the scores of always guessing the commonest scored stage.

    The stage is the commonest of the test epochs. Every contender and seed of a protocol was tested on the same epochs:
    those of the first are counted.
    """
    names = ["model", *CONTENDER[1:], "seed"]
    one = runs[(runs[names] == runs[names].iloc[0]).all(axis=1)]
    always = confusions(one)
    scored = always.sum(axis=2)
    commonest = int(scored.sum(axis=0).argmax())
    always[:] = 0
    always[:, :, commonest] = scored
    return {
        **{"data": data, "model": "commonest stage, always", "protocol": protocol},
        "folds": f"{len(one)} of {one.n_folds.iloc[0]}",
        **scores(one.fold, one.seed, always),
        "mark": "reference",
        "source": f"computed here: {STAGES[commonest]} guessed for every test epoch",
        "run_keys": " ".join(one.run_key),
    }


def _published(published: pd.DataFrame, label: DataLabel, titles: set[str]) -> list[dict[str, Any]]:
    """The published rows to show beside those of the models run.

    On real data, these are all of that dataset; on simulated data, those of the models run, on BESIDE_SIMULATED.
    """
    if label.simulated:
        # "ULW-SleepNet (re-run of released code)" is the model ULW-SleepNet; "Linear-BIM on ULW-SleepNet" is not.
        of_models = published.model.str.replace(r" \(.*\)$", "", regex=True).isin(titles)
        chosen = published[of_models & published.dataset.isin(BESIDE_SIMULATED)]
    else:
        chosen = published[published.dataset == label.dataset]
    chosen = chosen.assign(data=[row.replace("sleep-edf", "Sleep-EDF") for row in chosen.dataset])
    chosen = chosen.rename(columns={"kappa": "cohen_kappa", "epochs": "n_epochs"})
    names = ("data", "model", "protocol", "input", "accuracy", "macro_f1", "cohen_kappa", "n_epochs")
    return chosen.reindex(columns=[*names, *(f"f1_{stage}" for stage in STAGES), "mark", "source"]).to_dict("records")


def people(scorings: Path, label: DataLabel) -> pd.DataFrame:
    """What people reach, by the convention that is pooled as the table's own numbers are.

    They scored the nights of other databases, or those of this one: then it is how far a network can be hoped to get.
    """
    found = agreement(read_scorings(scorings), [POOLED])
    who = [THESE_NIGHTS if label.name.startswith(name) else OTHER_NIGHTS for name in found.database]
    said = [
        f"five scorers of {row.n_nights} nights of {SLEEPERS[row.database]}; {POOLED}: {CONVENTIONS[POOLED]}; {SOURCE}"
        for row in found.itertuples()
    ]
    row = {"model": who, "protocol": POOLED, "mark": PEOPLE, "source": said}
    metrics = ["accuracy", "macro_f1", "cohen_kappa", *(f"f1_{stage}" for stage in STAGES), "n_epochs"]
    return found.rename(columns={"database": "data"}).reindex(columns=["data", *metrics]).assign(**row)


def build(inputs: Inputs) -> pd.DataFrame:
    """The main table, from the runs table, the table of published results and people's scorings."""
    published = read_published_results(inputs.path("published_results"))
    table = main_results(read_runs(inputs), published, inputs.label)
    last = people(inputs.path("human_scorings"), inputs.label).reindex(columns=table.columns)
    return pd.concat([table, last.astype(table.dtypes)], ignore_index=True)


# --------------------------------------------------------------------------------------------------------------- cells


def kappa(row: pd.Series) -> str:
    """Kappa without the zero before the point, as it is usually printed.

    A published value is not given more digits than its source gives, which is at least two.
    """
    value = row["cohen_kappa"]
    if pd.isna(value):
        return DASH
    decimals = 3 if row["mark"] in OURS else min(3, max(2, len(str(float(value)).partition(".")[2])))
    return without_zero(f"{value:.{decimals}f}")


def spread(row: pd.Series) -> str:
    """Mean and standard deviation of the fold accuracies."""
    mean, sd = row["accuracy_mean_of_folds"], row["accuracy_sd_of_folds"]
    return shown(mean, ".1f") if pd.isna(sd) else f"{mean:.1f} ± {sd:.1f}"


def measured_only(name: str) -> Callable[[pd.Series], str]:
    """Cells whose published values are sentences, which the notes hold."""
    return lambda row: text(name)(row) if row["mark"] in OURS else "see note"


def input_and_recipe(row: pd.Series) -> str:
    """The input and the recipe of a measured row."""
    return f"{row['input']}, {row['recipe']}" if row["mark"] == "measured" else measured_only("input")(row)


def trained(row: pd.Series) -> str:
    """The training epochs of a row's recipe, and how many there were where some trainings ended before."""
    most, fewest, reached = (row[name] for name in TRAINED)
    if pd.isna(most):
        return "fitted in one go, nothing of the recipe applies"
    if fewest == most:
        return f"{most:.0f} training epochs"
    return f"{fewest:.0f}{f' to {reached:.0f}' if reached > fewest else ''} of at most {most:.0f} training epochs"


def tuned(row: pd.Series) -> str:
    """What a tuned recipe came to; empty for any other."""
    taken = row["tuned"]
    return "" if pd.isna(taken) else f"learning rates chosen on validation subjects, by training: {taken}, "


def note(row: pd.Series) -> str:
    """Where a row is from, and what it was measured on."""
    if row["mark"] == "measured":
        over_seeds = shown(row["accuracy_sd_of_seeds"], ".2f")
        sd = "" if over_seeds == DASH else f" (standard deviation of the accuracy over seeds {over_seeds})"
        return (
            f"{row['source']}; folds {row['folds']}, {counted(row['seeds'], 'seed')}{sd}, {trained(row)}, "
            f"{tuned(row)}{row['n_epochs']:,.0f} test epochs{fewer_stages(row)}"
        )
    if row["mark"] == "reference":
        return row["source"]
    if row["mark"] == PEOPLE:
        compared = "to be compared with no other row"
        if row["model"] == THESE_NIGHTS:
            compared = "of the same nights, whole and not trimmed, and each against four others, not one consensus"
        return f"{row['model']} ({row['data']}), {compared}: {row['source']}"
    tested = "number of test epochs not known" if pd.isna(row["n_epochs"]) else f"{row['n_epochs']:,.0f} test epochs"
    conditions = f"on {row['data']}, {tested}; input: {row['input']}; protocol: {row['protocol']}"
    return f"{row['model']}, {row['mark']}: {row['source']}; {conditions}"


def caption(table: pd.DataFrame) -> str:
    """What the columns mean.

    Beside simulated data, it first says that the published rows cannot be compared with it.
    """
    ours = table.mark.isin(OURS)
    elsewhere = {*table.data[~ours & (table.mark != PEOPLE)]} - {*table.data[ours]}
    return f"{NOT_COMPARABLE[0].upper()}{NOT_COMPARABLE[1:]}. {CAPTION}" if elsewhere else CAPTION


CAPTION = (
    "Input: the channels by their roles, as the configuration names them. By fold: mean ± standard deviation of the "
    "fold accuracies in percent. Acc. (accuracy), MF1 (macro-F1), the F1 of each stage W to REM, in percent, and "
    "Cohen's kappa are pooled: computed from the sum of the confusion matrices of all folds; with several seeds, the "
    f"mean over seeds. {MACRO_F1_IS} A recipe says how a network is trained; which training epoch is reported is the "
    "protocol's choice for all, also where the recipe's paper reports another. Source: measured here; published by the "
    "model's authors; or secondary, reported by others. The last two join folds and average stages as their source "
    "does; their notes say on how many test epochs and under which protocol, which differ between them. The last rows "
    f"are of people: how far five scorers of the Dreem Open Datasets agree, by the convention '{POOLED}' (the table of "
    "people has the other ones). Where their nights are others, and since each is held against four others, not "
    "against one scoring, they are no bar for the rows above."
)

ARTEFACT = Table(
    name="main_results",
    place=10,
    heading="Sleep staging by protocol",
    caption=caption,
    inputs=("runs", "published_results", "human_scorings"),
    build=build,
    columns=(
        Column("Data", text("data"), "left"),
        # What a published row says in brackets after the model ("re-run of released code") is in its note.
        Column("Model", lambda row: re.sub(r" \(.*\)$", "", row["model"]), "left"),
        Column("Protocol", measured_only("protocol"), "left"),
        Column("Input, recipe", input_and_recipe, "left"),
        Column("By fold", spread, sort_by="accuracy_mean_of_folds"),
        Column("Acc.", number("accuracy", ".1f"), sort_by="accuracy"),
        Column("MF1", number("macro_f1", ".1f"), sort_by="macro_f1"),
        Column("Kappa", kappa, sort_by="cohen_kappa"),
        *(Column(stage, number(f"f1_{stage}", ".1f"), sort_by=f"f1_{stage}") for stage in STAGES),
        Column("Source", text("mark"), "left"),
    ),
    note=note,
    row_keys=("protocol", "model", "input", "recipe"),
    in_summary=True,
)
