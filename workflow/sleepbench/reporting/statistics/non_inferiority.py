"""What the networks that claims are about lose against each rival, and whether that is within a margin.

Compared are those of one input and recipe under the clean protocol, on the seeds that both have.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from sleepbench.evaluation.bootstrap import per_subject_metrics
from sleepbench.evaluation.non_inferiority import (
    corrected_resampled_t,
    p_values,
    paired_difference,
    signed_rank_probabilities,
    verdict,
)
from sleepbench.reporting.reading import FINAL
from sleepbench.reporting.statistics.comparisons import compared_together
from sleepbench.reporting.statistics.contender import ContenderStatistics

METRICS = ("accuracy", "macro_f1")
NO_VERDICT = "no verdict"
"""Of simulated signals, which show nothing about networks."""

PAIR = ("protocol", "input", "recipe", "title", "rival")
FOLDS = ("n_folds", "test_to_train", "fold_difference", "fold_low", "fold_high", "fold_p")
OF_A_MARGIN = ("verdict", "p_not_inferior", "p_equivalent", "worse", "equivalent", "better")
COLUMNS = (
    *(*PAIR, "title_recipe", "rival_recipe", "n_channels", "metric", "n_subjects", "seeds"),
    *("difference", "sd", "low", "high", "smallest_margin", *FOLDS, "margin", *OF_A_MARGIN, "reason", "run_keys"),
)


def non_inferiority_table(
    results: Sequence[ContenderStatistics],
    own_recipes: Mapping[str, str],
    claimed: Sequence[str],
    margins: Sequence[float],
    simulated: bool,
) -> pd.DataFrame:
    """A row per pair, metric and margin: the difference over subjects, its bounds and the verdict.

    A difference is the claimed network's metric less the rival's; all are shares. Where networks were not tested on the
    same subjects, or by no seed both, there are no numbers and `reason` says why.

    Parameters
    ----------
    own_recipes : the recipe of each network's own paper by its title, as in `compared_together`
    claimed : titles of the networks that claims are about
    margins : in percentage points, ascending
    simulated : whether signals are simulated, so that there is no verdict
    """
    rows = []
    for (protocol, input, recipe), models in compared_together(results, own_recipes).items():
        for title, rival in ((t, r) for t in claimed if t in models for r in models if r != t):
            if protocol == FINAL:
                named = dict(zip(PAIR, (protocol, input, recipe, title, rival), strict=True))
                rows += [
                    {**named, **row}
                    for row in _rows(models[title], models[rival], [margin / 100 for margin in margins], simulated)
                ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n_subjects": "Int64", "n_folds": "Int64"})


def _rows(
    network: ContenderStatistics, rival: ContenderStatistics, margins: Sequence[float], simulated: bool
) -> Iterator[dict[str, Any]]:
    """The rows of a pair, without its names."""
    seeds = sorted({*network.seeds} & {*rival.seeds})
    common = {
        **{"title_recipe": network.key[3], "rival_recipe": rival.key[3], "n_channels": network.n_channels},
        "seeds": len(seeds),
        # Without a seed of both, the runs that a reader would look at.
        "run_keys": f"{network.run_keys(seeds or None)} {rival.run_keys(seeds or None)}",
    }
    reason = incomplete([network, rival], seeds)
    values = [] if reason else [per_subject_metrics(one.confusions_by(seeds)) for one in (network, rival)]
    for metric in METRICS:
        differences = values[0][metric] - values[1][metric] if values else []
        found = paired_difference(differences)
        numbers = {
            **{"metric": metric, "n_subjects": None if reason else found.n, "reason": reason or found.reason},
            **{"difference": found.mean, **{name: getattr(found, name) for name in ("sd", "low", "high")}},
            **{"smallest_margin": found.smallest_margin, **({} if reason else _over_folds(network, rival, metric))},
        }
        for margin in margins:
            said = NO_VERDICT if simulated else verdict(found.low, found.high, margin)
            places = () if found.reason else signed_rank_probabilities(differences, margin)
            tested = (said, *p_values(differences, margin), *places)
            yield {**common, **numbers, "margin": margin, **dict(zip(OF_A_MARGIN, tested, strict=False))}


def incomplete(models: Sequence[ContenderStatistics], seeds: Sequence[int]) -> str:
    """Why networks cannot be compared subject by subject; empty where they can."""
    if not seeds:
        by_seed = " and ".join(f"{one.key[1]} by {', '.join(map(str, one.seeds))}" for one in models)
        return f"no seed was run of each ({by_seed})"
    everyone = {subject for one in models for subject in one.subjects}
    lacking = {one.key[1]: sorted(everyone - {*one.subjects}) for one in models}
    said = [f"{title} on {_some(subjects)}" for title, subjects in lacking.items() if subjects]
    return f"not tested on the same subjects (not {' and '.join(said)})" if said else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f", … ({len(names)} in all)" if len(names) > 5 else "")


def _over_folds(network: ContenderStatistics, rival: ContenderStatistics, metric: str) -> dict[str, Any]:
    """Nadeau and Bengio's test over the folds that both have, of the same seeds."""
    both = network.folds.merge(rival.folds, on=["seed", "fold"], suffixes=("", "_rival"))
    ratio = both.n_test.sum() / both.n_train.sum()
    found = corrected_resampled_t(both[metric] - both[f"{metric}_rival"], ratio)
    return dict(zip(FOLDS, (found.n, ratio, found.mean, found.low, found.high, found.p), strict=True))
