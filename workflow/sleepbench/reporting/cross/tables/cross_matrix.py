"""Table: networks of each dataset on each other one, as they are and with remedies."""

import pandas as pd

from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.people_model import LEAST_SUBJECTS
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    INTERVALS_ARE,
    MACRO_F1_IS,
    MODEL,
    UNDEFINED_IS,
    counted,
    fewer_stages,
    in_percent,
    interval,
    trained_as,
    with_interval,
)
from sleepbench.reporting.cross.labels import ALL_OTHERS, warned
from sleepbench.reporting.cross.statistics import KEY
from sleepbench.reporting.few import FEW_IS, SUBJECTS, too_few
from sleepbench.reporting.reading import COMPARED, CONTENDER, read_statistics
from sleepbench.reporting.rendering import Column, text

NUMBERS = (
    *("estimate", "low", "high"),
    *(f"{what}{end}" for what in ("change", "gain") for end in ("", "_low", "_high")),
)
SIZES = ("n_subjects", "n_epochs", "networks", "seeds", "macro_f1_stages", "n_shared", "channels", "run_keys")
WAYS = {
    "own": "own networks",
    "as_is": "as they are",
    "together": "all folds together",
    "scaled": "scaled",
    "adabn": "AdaBN (transductive)",
    "finetuned_1": "fine-tuned on 1",
    "finetuned_3": "fine-tuned on 3",
    "finetuned_5": "fine-tuned on 5",
}


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per pair of datasets, contender and way; metrics and changes in percent, kappa as it is."""
    statistics = read_statistics(inputs, "cross", (*KEY, "metric", *NUMBERS, *SIZES[:-1]))
    labels = {name: DataLabel(**label) for name, label in inputs.settings["labels"].items()}
    key, parts = list(KEY), []
    for metric in COMPARED:
        mine = statistics[statistics.metric == metric].set_index(key)[list(NUMBERS)].astype(float)
        part = in_percent(mine, metric)
        part.columns = [f"{metric}_{name}".replace("_estimate", "") for name in NUMBERS]
        parts.append(part)
    first = statistics.drop_duplicates(key).set_index(key)[list(SIZES)]
    table = pd.concat([*parts, first], axis=1).reset_index()
    table["warnings"] = [
        "; ".join(warned(name, labels) for name in dict.fromkeys(pair) if warned(name, labels))
        for pair in zip(table.trained, table.tested, strict=True)
    ]
    table["way_shown"] = table.way.map(WAYS)
    order = {name: n for n, name in enumerate(WAYS)}
    table["order"] = table.way.map(order)
    places = {name: n for n, name in enumerate(dict.fromkeys([*table.tested, *table.trained, ALL_OTHERS]))}
    by = pd.DataFrame({"tested": table.tested.map(places), "is_own": table.way.ne("own")}, table.index)
    names = {name: pd.factorize(table[name])[0] for name in CONTENDER}
    by = by.assign(**names, trained=table.trained.map(places), order=table["order"])
    ordered = by.sort_values(["tested", *CONTENDER, "is_own", "trained", "order"], kind="stable").index
    table = table.loc[ordered].drop(columns="order").reset_index(drop=True)
    return table[[*(column for column in table if column != "run_keys"), "run_keys"]]


def change(row: pd.Series) -> str:
    """The change from own networks, which says where fewer people are in both than were tested, and too few."""
    cell = interval("accuracy", "accuracy_change", "+")(row)
    few = not too_few(row) and 0 < row["n_shared"] < LEAST_SUBJECTS
    return f"{cell}, too few" if few else cell


def note(row: pd.Series) -> str:
    """What a row is of: contender, networks, whom a change is over, and channels that differ."""
    said = [f"{trained_as(row)}; {counted(row['networks'], 'network')}, {counted(row['seeds'], 'seed')}"]
    if row["way"] == "own":
        said.append("its own protocol: each person is tested by the one network that did not see them")
    elif row["n_shared"]:
        said.append(f"change from its own networks over {counted(row['n_shared'], 'subject')} in both")
    else:
        said.append(f"no change, as no network of {row['tested']} itself was trained on these in this run")
    if not pd.isna(row["warnings"]):
        said.append(row["warnings"])
    if isinstance(row["channels"], str) and row["channels"]:
        said.append(f"other channels ({row['channels']}): montage and people change together")
    return "; ".join(said) + fewer_stages(row)


CAPTION = (
    "Networks trained on one dataset and tested on another, on people they never saw. Training epoch and input "
    "transformation are those of the training under the protocol clean; nothing is trained again but where a row says "
    "so, and what must be known of a recording is measured on itself. As they are: the network of each fold alone, "
    "metrics averaged over folds, which is the like of own networks, where each person is tested by one. All folds "
    "together: the mean of their probabilities; of 'all others', of the networks of all other datasets, the tested one "
    "left out (no network was trained on their union). Scaled: each channel of a recording brought to the spread that "
    "it has in the training. AdaBN: batch norms take their statistics from the tested recording, which is looked at "
    "as a whole before it is scored. Fine-tuned: trained further on so many people of the tested dataset, who are not "
    f"tested. Acc. and MF1 (macro-F1) in percent, and Cohen's kappa. {MACRO_F1_IS} Change: accuracy in points from the "
    "own networks of the tested dataset, over the people that both were tested on; gain: from the networks as they "
    f"are, likewise. {FEW_IS} Intervals are over the people of the tested dataset. {INTERVALS_ARE} {UNDEFINED_IS}"
)
NOTHING = "No network was tested on another dataset: no experiment of this run names one (test_on)."

ARTEFACT = Table(
    name="cross_matrix",
    place=10,
    heading="Networks tested on other datasets",
    caption=lambda table: NOTHING if table.empty else CAPTION,
    inputs=("statistics/cross",),
    settings=("labels",),
    build=build,
    columns=(
        Column("Trained on", text("trained"), "left"),
        Column("Tested on", text("tested"), "left"),
        MODEL,
        Column("Networks", text("way_shown"), "left"),
        with_interval("Acc.", "accuracy"),
        with_interval("MF1", "macro_f1"),
        with_interval("Kappa", "cohen_kappa"),
        Column("Change", change, sort_by="accuracy_change"),
        Column("Gain", interval("accuracy", "accuracy_gain", "+"), sort_by="accuracy_gain"),
        SUBJECTS,
    ),
    note=note,
    row_keys=KEY,
)
