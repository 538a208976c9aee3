"""All networks of an input and recipe ranked within each subject, under the clean protocol."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from sleepbench.evaluation.bootstrap import per_subject_metrics
from sleepbench.evaluation.ranks import FEWEST_NETWORKS, FEWEST_SUBJECTS, ranking
from sleepbench.reporting.reading import FINAL
from sleepbench.reporting.statistics.comparisons import Family, compared_together
from sleepbench.reporting.statistics.contender import ContenderStatistics
from sleepbench.reporting.statistics.non_inferiority import incomplete

METRICS = ("accuracy", "macro_f1")
COLUMNS = (
    *("protocol", "input", "recipe", "metric", "title", "title_recipe", "mean_rank", "letters"),
    *("chi_square", "p", "critical_difference", "n_networks", "n_subjects", "seeds", "reason", "run_keys"),
)


def ranks_table(results: Sequence[ContenderStatistics], own_recipes: Mapping[str, str]) -> pd.DataFrame:
    """A row per network and metric, from the best mean rank; those of `compared_together` are ranked together.

    Ranked are the networks that were run by the seed that most of them have (the smallest of several), on all seeds
    that these share. Where there are fewer than three networks or subjects, or not every network was tested on every
    subject, there is one row, whose `reason` says so; a network alone has none.
    """
    rows: list[dict[str, Any]] = []
    for family, models in compared_together(results, own_recipes).items():
        if family[0] == FINAL and len(models) > 1:
            rows += _rows(family, list(models.values()))
    counts = dict.fromkeys(("n_networks", "n_subjects", "seeds"), "Int64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(counts)


def _rows(family: Family, models: Sequence[ContenderStatistics]) -> Iterator[dict[str, Any]]:
    """The rows of the networks of one input and recipe."""
    held = [seed for one in models for seed in one.seeds]
    most = max(sorted(set(held)), key=held.count)
    ranked = [one for one in models if most in one.seeds]
    seeds = sorted(set.intersection(*({*one.seeds} for one in ranked)))
    left_out = [one.key[1] for one in models if one not in ranked]
    named = {**dict(zip(("protocol", "input", "recipe"), family, strict=True)), "seeds": len(seeds)}
    named |= {"n_networks": len(ranked), "n_subjects": len({subject for one in ranked for subject in one.subjects})}
    said = f"left out, as not run by seed {most}: {', '.join(left_out)}" if left_out else ""
    if reason := _too_few(named) or incomplete(ranked, seeds):
        keys = " ".join(one.run_keys(seeds) for one in ranked)
        yield {**named, "reason": "; ".join(filter(None, (reason, said))), "run_keys": keys}
        return
    by_title, values = {one.key[1]: one for one in ranked}, {}
    for title, one in by_title.items():
        values[title] = per_subject_metrics(one.confusions_by(seeds))
    for metric in METRICS:
        found = ranking(pd.DataFrame({title: table[metric] for title, table in values.items()}))
        tested = {name: getattr(found, name) for name in ("chi_square", "p", "critical_difference")}
        for title, rank in found.mean_ranks.items():
            network = {"title": title, "title_recipe": by_title[title].key[3], "mean_rank": rank}
            keys = by_title[title].run_keys(seeds)
            yield {**named, "metric": metric, **network, "letters": found.letters[title], **tested} | {
                **{"reason": said, "run_keys": keys}
            }


def _too_few(named: Mapping[str, Any]) -> str:
    for what, fewest in (("networks", FEWEST_NETWORKS), ("subjects", FEWEST_SUBJECTS)):
        if (n := named[f"n_{what}"]) < fewest:
            return f"{n} {what if n != 1 else what[:-1]}, at least {fewest} are needed"
    return ""
