"""What a rung of the ladder changes, and what an input is worth.

Both compare a contender's metrics with those of another.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sleepbench.evaluation.bootstrap import bootstrap_differences
from sleepbench.reporting.reading import COMPARED, CONTENDER, KEY, MEAN_OF_FOLDS, final_protocol
from sleepbench.reporting.statistics.contender import ContenderStatistics

VALUES = ("metric", "value", "value_low", "value_high", "change", "change_low", "change_high")
COUNTS = ("n_subjects", "n_shared", "seeds", "seeds_shared")
LADDER_COLUMNS = ("rung", "protocol", "from_protocol", *CONTENDER, *VALUES, *COUNTS, "run_keys")
INPUTS_COLUMNS = (*KEY, "n_channels", "from_input", *VALUES, *COUNTS, "reason", "run_keys")


def ladder_table(results: Sequence[ContenderStatistics], ladder: Sequence[str]) -> pd.DataFrame:
    """The metrics of each contender on every rung that was run, and their change from the rung before.

    Changes have bootstrap intervals paired by subject. The mean of the fold accuracies, as the released program takes
    it, has none: resampled subjects would leave folds empty, and the folds share their training data. A contender that
    was not run on the rung before has no change.
    """
    by_key = {result.key: result for result in results}
    rungs = [protocol for protocol in ladder if any(result.protocol == protocol for result in results)]
    rows = []
    for contender in dict.fromkeys(result.contender for result in results):
        for number, protocol in enumerate(rungs):
            if result := by_key.get((protocol, *contender)):
                before = by_key.get((rungs[number - 1], *contender)) if number else None
                named = {"rung": number, **result.named(), "from_protocol": before and before.protocol}
                rows += [named | row for row in _changes(result, before, ("accuracy", MEAN_OF_FOLDS, "macro_f1"))]
    return pd.DataFrame(rows, columns=list(LADDER_COLUMNS)).astype({"n_shared": "Int64", "seeds_shared": "Int64"})


def inputs_table(
    results: Sequence[ContenderStatistics], alone: str | None, undefined: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """The metrics of each model and recipe by input under the final protocol, and what the input changes.

    Changes are those from `alone`, the input of one EEG derivation, or, where the model was not run on it, from its
    smallest input; the reference itself has none. Inputs are in ascending order of their numbers of channels. An input
    that a model is not defined for (`undefined`: title, input, n_channels, reason) has one row with the reason.
    """
    protocol = final_protocol(list(dict.fromkeys(result.protocol for result in results)))
    by_model: dict[tuple[str, str], list[ContenderStatistics]] = {}
    for result in results:
        if result.protocol == protocol:
            by_model.setdefault((result.key[1], result.key[3]), []).append(result)
    rows = []
    for title in dict.fromkeys([*(title for title, _ in by_model), *(one["title"] for one in undefined)]):
        for inputs in (inputs for (other, _), inputs in by_model.items() if other == title):
            # Stable: of inputs of one size, the first comes first.
            ordered = sorted(inputs, key=lambda result: result.n_channels)
            reference = next((result for result in ordered if result.key[2] == alone), ordered[0])
            for result in ordered:
                before = None if result is reference else reference
                named = {**result.named(), "n_channels": result.n_channels, "from_input": before and before.key[2]}
                rows += [named | row for row in _changes(result, before, COMPARED)]
        rows += [{"protocol": protocol, **one} for one in undefined if one["title"] == title]
    return pd.DataFrame(rows, columns=list(INPUTS_COLUMNS)).astype(dict.fromkeys(COUNTS, "Int64"))


def _changes(
    result: ContenderStatistics, before: ContenderStatistics | None, metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """A row per metric of a contender, with its change from `before` on the seeds that both have.

    `n_subjects` and `seeds` are those of the contender, `n_shared` and `seeds_shared` those of both. A change on other
    seeds would be one between seeds. `run_keys` names the contender's runs, then those that the change is taken from.
    """
    pooled = result.intervals.set_index("metric")[["estimate", "low", "high"]]
    shared = sorted({*before.seeds} & {*result.seeds}) if before else []
    keys = [result.run_keys(), *([before.run_keys(shared)] if shared else [])]
    common: dict[str, Any] = {
        "n_subjects": len(result.subjects),
        "seeds": len(result.seeds),
        "run_keys": " ".join(keys),
    }
    if before:
        common |= {"n_shared": len({*before.subjects} & {*result.subjects}), "seeds_shared": len(shared)}
    values = {
        metric: dict(zip(VALUES[1:4], pooled.loc[metric], strict=True)) for metric in metrics if metric in pooled.index
    }
    if MEAN_OF_FOLDS in metrics:
        values[MEAN_OF_FOLDS] = {"value": result.mean_of_folds_by(result.seeds)}
    if shared:
        pair = (before.confusions_by(shared), result.confusions_by(shared))
        changes = bootstrap_differences(*pair, metrics=[metric for metric in metrics if metric != MEAN_OF_FOLDS])
        for metric, change in changes[["estimate", "low", "high"]].iterrows():
            values[metric] |= dict(zip(VALUES[4:], change, strict=True))
        if MEAN_OF_FOLDS in metrics:
            change = result.mean_of_folds_by(shared) - before.mean_of_folds_by(shared)
            values[MEAN_OF_FOLDS]["change"] = change
    return [{"metric": metric, **values[metric], **common} for metric in metrics]
