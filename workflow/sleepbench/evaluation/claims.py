"""Verdicts on published claims: reproduced, not reproduced, or not testable here.

A verdict is only given where the claim's own conditions are met: its dataset, protocol, folds, every setting of its
recipe, and its number of channels. Claims are data (workflow/resources/claims.yaml); the rules that test them are here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import ValidationError

from sleepbench.config.recipe import Recipe, recipe_from
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.core.strict import problems_in
from sleepbench.evaluation import metrics
from sleepbench.evaluation.deployment import (
    CYCLES_PER_INSTRUCTION,
    MOST_FLASH,
    MOST_RAM,
    duty_percent,
    estimated_ms,
    ram_bytes,
)

Deployments = Sequence[Mapping[str, Any]]
REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable here"


@dataclass(frozen=True)
class Claim:
    """A published number and how it is tested.

    `printed` is the number as its source prints it ("13.3K"), `published` its value in `unit`. `model` is the model's
    title. `mark` is "published" (the authors print it) or "secondary". `tolerance` is in `unit`; `justification` says
    why that much. `test` holds `kind` and the conditions of that kind, TEST_CONDITIONS; the `recipe` of an accuracy is
    a mapping of its name and all of its settings.
    """

    id: str
    statement: str
    model: str
    printed: str
    published: float
    unit: str
    mark: str
    source: str
    tolerance: float
    justification: str
    test: dict


TEST_CONDITIONS = {
    "accuracy": {
        "dataset",
        "protocol",
        "trimming",
        "selection",
        "test_epochs",
        "n_folds",
        "recipe",
        "n_channels",
        "tolerance_in_seed_sd",
    },
    "parameters": {"n_channels"},
    "flops_tensorflow": {"n_channels"},
    "reduction": {"parameters"},
    "device_time": {"n_channels", "form", "processor", "megahertz"},
    "device_memory": {"n_channels", "form", "processor"},
    "device_accuracy": {"n_channels", "form"},
}


def load_claims(path: str | Path) -> list[Claim]:
    """Read claims.yaml.

    BenchmarkError names the claim and the key that is missing, unknown or of unknown kind.
    """
    entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise BenchmarkError(f"{path}: found {type(entries).__name__}, expected a list of claims")
    claims = []
    for position, entry in enumerate(entries, start=1):
        where = f"{path}: claim {position} ({entry.get('id', 'without id')})"
        check_keys(where, entry, {field.name for field in fields(Claim)})
        kind = entry["test"].get("kind")
        if kind not in TEST_CONDITIONS:
            raise BenchmarkError(
                f"{where}: test.kind is {kind!r}, expected one of {', '.join(sorted(TEST_CONDITIONS))}"
            )
        check_keys(f"{where}: test", entry["test"], TEST_CONDITIONS[kind] | {"kind"})
        if kind == "accuracy":
            check_recipe(f"{where}: test.recipe", entry["test"]["recipe"])
        claims.append(Claim(**entry))
    repeated = sorted({claim.id for claim in claims if sum(other.id == claim.id for other in claims) > 1})
    if repeated:
        raise BenchmarkError(f"{path}: id {', '.join(repeated)} is there more than once; give each claim its own")
    return claims


def check_keys(where: str, entry: dict, expected: set[str]) -> None:
    """BenchmarkError if the keys of `entry` are not exactly `expected`."""
    unknown, missing = sorted(set(entry) - expected), sorted(expected - set(entry))
    if unknown:
        raise BenchmarkError(f"{where}: unknown key {', '.join(unknown)}; expected {', '.join(sorted(expected))}")
    if missing:
        raise BenchmarkError(f"{where}: missing key {', '.join(missing)}")


def check_recipe(where: str, recipe: object) -> None:
    """Check a claim's recipe; BenchmarkError if a model cannot be trained by it.

    It must be a mapping of the recipe's name and settings.
    """
    if not isinstance(recipe, dict) or "name" not in recipe or len(recipe) < 2:
        raise BenchmarkError(
            f"{where}: found {recipe!r}, expected the recipe's name and settings (name: ulw, learning_rate: ...): "
            "a name alone does not say how a network was trained"
        )
    try:
        published_recipe(recipe)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, place))}: {text}" for place, text in problems_in(error))
        raise BenchmarkError(f"{where}: {problems}") from error


def published_recipe(recipe: Mapping[str, Any]) -> Recipe:
    """The recipe of a claim."""
    return recipe_from(recipe["name"], {name: value for name, value in recipe.items() if name != "name"})


@dataclass(frozen=True)
class Outcome:
    """What a test of a claim found; numbers in the claim's unit.

    A `tolerance` here takes the place of the claim's.
    """

    verdict: str
    why: str
    ours: float | None = None
    ours_pooled: float | None = None
    tolerance: float | None = None
    run_keys: str = ""


def evaluate_claims(
    claims: list[Claim],
    runs: pd.DataFrame,
    profiles: list[dict],
    dataset: str,
    simulated: bool,
    deployments: Deployments = (),
) -> pd.DataFrame:
    """One row per claim: the published number, ours, and the verdict.

    Parameters
    ----------
    runs : the runs table, one row per finished run; its `recipe_settings` are JSON
    profiles : one dict per profiled model: title, n_channels, n_samples, operations; of whole epochs alone is claimed
    dataset, simulated : the dataset these runs are on, and whether its signals are simulated
    deployments : what was measured of networks as C, documents of `deployment.measuring`

    Returns
    -------
    columns id, claim, model, n_channels, printed, published, unit, mark, source, ours, ours_pooled (accuracy only),
    tolerance, justification, verdict, why, run_keys. `ours` is empty where there is no verdict.
    """
    of_whole_epochs = [profile for profile in profiles if profile["n_samples"] == SAMPLES_PER_EPOCH]
    rows = []
    for claim in claims:
        outcome = TESTS[claim.test["kind"]](claim, runs, of_whole_epochs, dataset, simulated, deployments)
        rows.append(
            {
                "id": claim.id,
                "claim": claim.statement,
                "model": claim.model,
                "n_channels": claim.test.get("n_channels"),
                "printed": claim.printed,
                "published": claim.published,
                "unit": claim.unit,
                "mark": claim.mark,
                "source": claim.source,
                "ours": outcome.ours,
                "ours_pooled": outcome.ours_pooled,
                "tolerance": claim.tolerance if outcome.tolerance is None else outcome.tolerance,
                "justification": claim.justification,
                "verdict": outcome.verdict,
                "why": outcome.why,
                "run_keys": outcome.run_keys,
            }
        )
    numbers = {"n_channels": "Int64", "ours": float, "ours_pooled": float, "tolerance": float}
    return pd.DataFrame(rows).astype(numbers)


def within(ours: float, published: float, tolerance: float) -> str:
    """The verdict on a number: whether it is within the tolerance of the published one.

    A difference of exactly the tolerance is within it, whatever the rounding of floats.
    """
    return REPRODUCED if abs(ours - published) <= tolerance + 1e-9 * abs(published) else NOT_REPRODUCED


def accuracy_claim(
    claim: Claim, runs: pd.DataFrame, profiles: list[dict], dataset: str, simulated: bool, deployments: Deployments
) -> Outcome:
    """Test an accuracy in percent: the mean of the fold accuracies, as in the released code.

    The pooled accuracy is reported beside it.
    """
    test = claim.test
    mine, reason = testable_runs("claim", claim.model, test, runs, dataset, simulated)
    if reason:
        return Outcome(NOT_TESTABLE, reason)
    seeds = sorted(mine.seed.unique())
    epochs = int(mine.n_test.sum()) // len(seeds)
    if epochs != test["test_epochs"]:
        return Outcome(
            NOT_TESTABLE, f"{epochs:,} test epochs; the released protocol has {test['test_epochs']:,} on {dataset}"
        )

    by_seed = 100 * mine.groupby("seed").accuracy.mean()
    ours = float(by_seed.mean())
    tolerance, how = claim.tolerance, f"tolerance {claim.tolerance:.1f}"
    if len(seeds) > 1:
        spread = test["tolerance_in_seed_sd"] * float(by_seed.std(ddof=1))
        tolerance = max(claim.tolerance, spread)
        how = f"tolerance {tolerance:.1f}, the larger of {claim.tolerance:.1f} and {spread:.1f} from {len(seeds)} seeds"
    pooled = sum(metrics.confusion_from_items(run) for run in mine.to_dict("records"))
    difference = f"{ours:.1f} against {claim.printed}: {ours - claim.published:+.1f}"
    why = f"mean of {test['n_folds']} fold accuracies {difference}; {how}"
    return Outcome(
        within(ours, claim.published, tolerance),
        why,
        ours=ours,
        ours_pooled=100 * metrics.accuracy(np.asarray(pooled)),
        tolerance=tolerance,
        run_keys=" ".join(mine.run_key),
    )


def testable_runs(
    what: str, model: str, test: Mapping[str, Any], runs: pd.DataFrame, dataset: str, simulated: bool
) -> tuple[pd.DataFrame, str]:
    """The runs that meet all conditions of a published result, or why there are none.

    Parameters
    ----------
    what : what the result is called in the reason: "claim" or "re-run"
    model : the model's title
    test : the conditions: dataset, protocol, selection, n_folds, recipe, n_channels, and trimming where it is known

    Returns
    -------
    each fold of each seed once, and ""; or no rows, and the reason
    """

    def none(reason: str) -> tuple[pd.DataFrame, str]:
        return runs[:0], reason

    if simulated:
        return none(f"these runs are on simulated signals; the {what} is about {test['dataset']}")
    if dataset != test["dataset"]:
        return none(f"these runs are on {dataset}; the {what} is about {test['dataset']}")
    mine = runs[
        (runs.dataset == dataset)
        & ~runs.simulated.astype(bool)
        & (runs.title == model)
        & (runs.protocol == test["protocol"])
        & (runs.recipe == test["recipe"]["name"])
        & (runs.n_channels == test["n_channels"])
    ]
    if mine.empty:
        wanted = f"protocol {test['protocol']}, recipe {test['recipe']['name']}, {test['n_channels']} channels"
        return none(f"no run of {model} with {wanted}")
    inputs = sorted(map(str, mine.input.unique()))
    if len(inputs) > 1:
        return none(f"several inputs have {test['n_channels']} channels: {', '.join(inputs)}")
    if differing := list(recipe_differences(mine, published_recipe(test["recipe"]))):
        return none(f"the recipe '{test['recipe']['name']}' differs from the published one in {'; '.join(differing)}")
    n_folds = sorted(int(value) for value in mine.n_folds.unique())
    if n_folds != [test["n_folds"]]:
        return none(f"run with {', '.join(map(str, n_folds))} folds; the {what} needs {test['n_folds']}")
    for setting in ("selection", "trimming"):
        found = sorted(mine[setting].unique())
        if test.get(setting) and found != [test[setting]]:
            return none(f"run with the {setting} {', '.join(found)}; the {what} needs {test[setting]}")
    seeds = sorted(mine.seed.unique())
    if sorted(zip(mine.seed, mine.fold, strict=True)) != list(product(seeds, range(test["n_folds"]))):
        return none(f"{len(mine)} runs, not each of {test['n_folds']} folds once for {len(seeds)} seed(s)")
    return mine, ""


def recipe_differences(runs: pd.DataFrame, published: Recipe) -> Iterator[str]:
    """Settings in which the recipe of the runs differs from the published one.

    One text per setting, such as "learning_rate: 0.01 (expected 0.001)". Both recipes leave out what a recipe has by
    default.
    """
    expected, recipes = published.settings(), [json.loads(settings) for settings in runs.recipe_settings.unique()]
    defaults = {name: field.get_default(call_default_factory=True) for name, field in Recipe.model_fields.items()}
    for name in dict.fromkeys([*expected, *(name for recipe in recipes for name in recipe)]):
        wanted, *found = (str(recipe.get(name, defaults.get(name))) for recipe in (expected, *recipes))
        if {*found} != {wanted}:
            yield f"{name}: {' and '.join(dict.fromkeys(found))} (expected {wanted})"


def count_claim(
    claim: Claim, runs: pd.DataFrame, profiles: list[dict], dataset: str, simulated: bool, deployments: Deployments
) -> Outcome:
    """Test a count of parameters or operations; it depends on the network and its input, not on any data."""
    kind, n_channels = claim.test["kind"], claim.test["n_channels"]
    mine = [p for p in profiles if p["title"] == claim.model and p["n_channels"] == n_channels]
    if not mine:
        return Outcome(NOT_TESTABLE, f"no profile of {claim.model} with {n_channels} channels of 30-s epochs")
    operations = mine[0]["operations"]
    if operations[kind] is None:
        return Outcome(NOT_TESTABLE, f"{claim.model} holds an operator whose {claim.unit} are not counted here")
    ours = float(operations[kind])
    why = f"{ours:,.0f} counted, {claim.printed} published"
    if kind == "flops_tensorflow":
        why += (
            f"; TensorFlow-profiler float operations, which are neither the {operations['macs']:,} multiply-accumulates"
            f" nor twice that ({operations['flops_2x']:,})"
        )
        if operations.get("flops_tensorflow_graph") is not None:
            why += f"; as read off the released Keras graph: {operations['flops_tensorflow_graph']:,}"
    return Outcome(within(ours, claim.published, claim.tolerance), why, ours=ours)


def reduction_claim(
    claim: Claim, runs: pd.DataFrame, profiles: list[dict], dataset: str, simulated: bool, deployments: Deployments
) -> Outcome:
    """A reduction against a comparator that is not named: never testable, but its size can be bounded."""
    lowest, highest = comparator_bounds(claim)
    why = (
        f"comparator not named: {claim.printed} fewer than it, rounded, means a comparator of "
        f"{lowest / 1e6:.2f}M to {highest / 1e6:.2f}M parameters"
    )
    sizes = {(p["title"], p["n_channels"]): p["operations"]["parameters"] for p in profiles}
    mine = [size for (title, _), size in sizes.items() if title == claim.model]
    others = {size: title for (title, _), size in sizes.items() if title != claim.model}
    if mine and others:
        ours = min(mine, key=lambda size: abs(size - claim.test["parameters"]))
        # The smallest and the largest comparator say it all: a list of every network would be read by nobody.
        ends = [f"{others[s]} ({s:,}): {100 * (1 - ours / s):.1f} %" for s in dict.fromkeys((min(others), max(others)))]
        within_bounds = [others[size] for size in sorted(others) if lowest <= size <= highest]
        why += f"; against {' and '.join(ends)}; in that range of those profiled: {'; '.join(within_bounds) or 'none'}"
    return Outcome(NOT_TESTABLE, why)


def comparator_bounds(claim: Claim) -> tuple[float, float]:
    """Fewest and most parameters that a comparator can have for a claimed reduction to hold.

    The reduction is `published` percent, give or take `tolerance`.
    """
    kept = [1 - (claim.published + sign * claim.tolerance) / 100 for sign in (-1, 1)]
    return claim.test["parameters"] / kept[0], claim.test["parameters"] / kept[1]


def device_time_claim(
    claim: Claim, runs: pd.DataFrame, profiles: list[dict], dataset: str, simulated: bool, deployments: Deployments
) -> Outcome:
    """Test that an epoch is processed in less time than it lasts, by an estimate from counted instructions."""
    row, document, reason = _on_device(claim, deployments)
    if row is None:
        return Outcome(NOT_TESTABLE, reason)
    clock = claim.test["megahertz"]
    few, many = estimated_ms(row["instructions"], clock)
    duty = duty_percent(row["instructions"], clock)
    why = (
        f"an estimate, not a measurement: {row['instructions'] / 1e6:.1f}M instructions at {clock} MHz and "
        f"{CYCLES_PER_INSTRUCTION[0]} to {CYCLES_PER_INSTRUCTION[1]:g} cycles each, which is assumed: {few:,.0f} to "
        f"{many:,.0f} ms of {claim.published:,.0f} ms, a duty of at most {duty:.1f} %; {_where(row, document)}"
    )
    return Outcome(REPRODUCED if many <= claim.published else NOT_REPRODUCED, why, ours=many)


def device_memory_claim(
    claim: Claim, runs: pd.DataFrame, profiles: list[dict], dataset: str, simulated: bool, deployments: Deployments
) -> Outcome:
    """Test that flash and RAM are each no more than their limits; the number is of both together."""
    row, document, reason = _on_device(claim, deployments)
    if row is None:
        return Outcome(NOT_TESTABLE, reason)
    flash, ram = row["flash_bytes"], ram_bytes(row)
    fits = flash <= MOST_FLASH and ram <= MOST_RAM[row["form"]]
    why = f"{flash:,} bytes of flash and {ram:,} of RAM, stack included; {_where(row, document)}"
    return Outcome(REPRODUCED if fits else NOT_REPRODUCED, why, ours=flash + ram)


def device_accuracy_claim(
    claim: Claim, runs: pd.DataFrame, profiles: list[dict], dataset: str, simulated: bool, deployments: Deployments
) -> Outcome:
    """Test that the form for a device keeps the network's stages, on real recordings."""
    form, found, reason = claim.test["form"], None, "the network was not tried as C"
    for document in _of_claim(claim, deployments):
        rows = {row["form"]: row for row in document["forms"]}
        if "skipped" in rows.get(form, {}):
            reason = f"{form} was skipped: {rows[form]['skipped']}"
        elif form in rows and (found is None or found[1]["simulated"]):
            found = rows[form], document
    if found is None:
        return Outcome(NOT_TESTABLE, reason)
    row, document = found
    why = (
        f"{100 * row['agreement']:.1f} % of {row['epochs']:,} stages are those of the network in PyTorch, accuracy "
        f"{100 * row['accuracy']:.1f} %; run {document['run_key']}"
    )
    if document["simulated"]:
        return Outcome(NOT_TESTABLE, f"measured on simulated signals, which show nothing about real ones: {why}")
    kept = 100 * row["agreement"]
    return Outcome(REPRODUCED if kept >= claim.published else NOT_REPRODUCED, why, ours=kept)


def _of_claim(claim: Claim, deployments: Deployments) -> list[Mapping[str, Any]]:
    shape = claim.model, claim.test["n_channels"], SAMPLES_PER_EPOCH
    return [one for one in deployments if (one["title"], one["n_channels"], one["n_samples"]) == shape]


def _on_device(claim: Claim, deployments: Deployments) -> tuple[Mapping[str, Any] | None, Mapping[str, Any], str]:
    """What was measured on the claim's processor, and with what; or None and why not."""
    reason = "the network was not tried on the boards"
    for document in _of_claim(claim, deployments):
        for row in document["boards"]:
            if (row["core"], row["form"]) != (claim.test["processor"], claim.test["form"]):
                continue
            if "skipped" not in row:
                return row, document, ""
            reason = f"not measured here, the boards were skipped: {row['skipped']}"
    return None, {}, reason


def _where(row: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    return f"{row['form']} on an emulated {row['core']} ({row['machine']}), {document['versions']['emulator']}"


TESTS: dict[str, Callable[[Claim, pd.DataFrame, list[dict], str, bool, Deployments], Outcome]] = {
    "accuracy": accuracy_claim,
    "parameters": count_claim,
    "flops_tensorflow": count_claim,
    "reduction": reduction_claim,
    "device_time": device_time_claim,
    "device_memory": device_memory_claim,
    "device_accuracy": device_accuracy_claim,
}
