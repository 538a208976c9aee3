import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fake_results import DEPLOYMENT

from sleepbench.config.recipe import recipe_from
from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation import metrics
from sleepbench.evaluation.claims import comparator_bounds, evaluate_claims, load_claims

REPOSITORY = Path(__file__).parents[2]
PATH = REPOSITORY / "workflow" / "resources" / "claims.yaml"
RECIPES = REPOSITORY / "workflow" / "definitions" / "recipes.yaml"
ULW = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))["ulw"]
RECIPE = {"name": "ulw", **ULW}
PROFILE = {
    "title": "ULW-SleepNet",
    "n_channels": 4,
    "n_samples": 3000,
    "operations": {"parameters": 13_337, "macs": 3_498_352, "flops_2x": 6_996_704, "flops_tensorflow": 7_885_806},
}


TEST_EPOCHS = {"sleep-edf-20": 32_843, "sleep-edf-78": 195_099, "simulated": 1_000}


def recipe(**changes):
    """What the runs table says of the recipe ulw with other settings; None removes one."""
    settings = {name: value for name, value in {**ULW, **changes}.items() if value is not None}
    return json.dumps(recipe_from("ulw", settings).settings(), sort_keys=True)


def runs_with(accuracies, seed=32, n_epochs=1000, **changes):
    """One run per accuracy, each with that share of `n_epochs` on the diagonal of its confusion matrix."""
    sizes = n_epochs if isinstance(n_epochs, list) else [n_epochs] * len(accuracies)
    total = TEST_EPOCHS[changes.get("dataset", "sleep-edf-20")]
    rows = []
    for fold, (accuracy, size) in enumerate(zip(accuracies, sizes, strict=True)):
        confusion = np.zeros((5, 5), dtype=int)
        confusion[2, 2] = round(accuracy * size)
        confusion[2, 1] = size - confusion[2, 2]
        rows.append(
            {
                "run_key": f"key{seed}-{fold}",
                "dataset": "sleep-edf-20",
                "simulated": False,
                "title": "ULW-SleepNet",
                "protocol": "released",
                "recipe": "ulw",
                "recipe_settings": recipe(),
                "input": "four",
                "n_channels": 4,
                "seed": seed,
                "fold": fold,
                "n_folds": 10,
                "selection": "best_test",
                "trimming": "authors",
                "n_test": total // 10 + (total % 10 if fold == 0 else 0),
                "accuracy": accuracy,
                **metrics.confusion_items(confusion),
                **changes,
            }
        )
    return pd.DataFrame(rows)


def evaluate(runs, dataset="sleep-edf-20", simulated=False, profiles=(PROFILE,)):
    return evaluate_claims(load_claims(PATH), runs, list(profiles), dataset, simulated).set_index("id")


def accuracy_verdict(runs, **settings):
    return evaluate(runs, **settings).loc["accuracy-sleep-edf-20"]


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (0.869, "reproduced"),
        (0.860, "reproduced"),
        (0.879, "reproduced"),
        (0.858, "not reproduced"),
        (0.95, "not reproduced"),
    ],
)
def test_accuracy_is_checked_against_its_tolerance(accuracy, verdict):
    row = accuracy_verdict(runs_with([accuracy] * 10))
    assert row.verdict == verdict
    assert row.ours == pytest.approx(100 * accuracy)
    assert row.run_keys.split() == [f"key32-{fold}" for fold in range(10)]


def test_mean_of_folds_decides_and_pooled_stands_beside_it():
    # A small bad fold pulls the mean of the folds, but hardly the pooled accuracy.
    row = accuracy_verdict(runs_with([0.87] * 9 + [0.50], n_epochs=[1000] * 9 + [10]))
    assert row.ours == pytest.approx((9 * 87 + 50) / 10)
    assert row.ours_pooled == pytest.approx(100 * (9 * 870 + 5) / 9010)
    assert row.verdict == "not reproduced"


def test_seeds_that_differ_widen_the_tolerance():
    runs = pd.concat([runs_with([0.83] * 10, seed=1), runs_with([0.87] * 10, seed=2)])
    row = accuracy_verdict(runs)
    assert row.tolerance == pytest.approx(2 * np.std([83, 87], ddof=1))
    assert row.ours == pytest.approx(85) and row.verdict == "reproduced"


def test_seeds_that_agree_do_not_narrow_the_tolerance():
    runs = pd.concat([runs_with([0.860] * 10, seed=1), runs_with([0.861] * 10, seed=2)])
    row = accuracy_verdict(runs)
    assert row.tolerance == 1.0 and row.verdict == "reproduced"


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (runs_with([0.869] * 9), "9 runs, not each of 10 folds once"),
        (pd.concat([runs_with([0.869] * 10), runs_with([0.869])]), "11 runs, not each of 10 folds once"),
        (pd.concat([runs_with([0.869] * 10), runs_with([0.869] * 4, seed=2)]), "14 runs"),
        (
            runs_with([0.869] * 10, recipe_settings=recipe(learning_rate=0.01)),
            "the recipe 'ulw' differs from the published one in learning_rate: 0.01 (expected 0.001)",
        ),
        (
            runs_with([0.869] * 10, recipe_settings=recipe(training_epochs=8, amsgrad=False)),
            "published one in training_epochs: 8 (expected 50); amsgrad: False (expected True)",
        ),
        (
            runs_with(
                [0.869] * 10,
                recipe_settings=recipe(
                    weight_decay=0.1, schedule="constant", first_cycle_steps=None, cycle_multiplier=None
                ),
            ),
            "first_cycle_steps: None (expected 10); cycle_multiplier: None (expected 2); "
            "weight_decay: 0.1 (expected 0.0)",
        ),
        (
            runs_with([0.869] * 10).assign(recipe_settings=[recipe()] * 9 + [recipe(batch_size=64)]),
            "batch_size: 32 and 64 (expected 32)",
        ),
        (runs_with([0.869] * 10, n_folds=20), "run with 20 folds; the claim needs 10"),
        (runs_with([0.869] * 10, selection="last"), "run with the selection last; the claim needs best_test"),
        (runs_with([0.869] * 10, trimming="standard"), "run with the trimming standard; the claim needs authors"),
        (runs_with([0.869] * 10, n_test=3_000), "30,000 test epochs; the released protocol has 32,843"),
        (runs_with([0.869] * 10, protocol="clean"), "no run of ULW-SleepNet with protocol released"),
        (runs_with([0.869] * 10, recipe="common"), "no run of ULW-SleepNet"),
        (runs_with([0.869] * 10, n_channels=1), "no run of ULW-SleepNet"),
        (runs_with([0.869] * 10, title="TinySleepNet"), "no run of ULW-SleepNet"),
        (runs_with([0.869] * 10).assign(input=["four"] * 5 + ["other"] * 5), "several inputs"),
        (runs_with([0.869] * 10, simulated=True), "no run of ULW-SleepNet"),
    ],
)
def test_without_the_claims_own_conditions_there_is_no_verdict(runs, why):
    row = accuracy_verdict(runs)
    assert row.verdict == "not testable here" and why in row.why
    assert np.isnan(row.ours) and np.isnan(row.ours_pooled)


def test_simulated_data_never_gives_a_verdict_on_an_accuracy():
    # Even if every other condition of the claim is met, and whatever the dataset is called.
    for dataset in ("simulated", "sleep-edf-20"):
        runs = runs_with([0.869] * 10, dataset=dataset, simulated=True)
        row = accuracy_verdict(runs, dataset=dataset, simulated=True)
        assert row.verdict == "not testable here" and "simulated" in row.why and np.isnan(row.ours)


def test_each_accuracy_is_tested_on_its_own_dataset():
    table = evaluate(runs_with([0.814] * 10, dataset="sleep-edf-78"), dataset="sleep-edf-78")
    assert table.verdict["accuracy-sleep-edf-78"] == "reproduced"
    assert table.verdict["accuracy-sleep-edf-20"] == "not testable here"


def test_counts_are_tested_on_any_data():
    table = evaluate(runs_with([0.5], dataset="simulated"), dataset="simulated", simulated=True)
    assert table.verdict["parameters"] == "reproduced" and table.ours["parameters"] == 13_337
    assert table.verdict["flops"] == "reproduced" and table.ours["flops"] == 7_885_806
    assert "3,498,352 multiply-accumulates" in table.why["flops"]


@pytest.mark.parametrize(
    ("kind", "id_", "value"), [("parameters", "parameters", 13_351), ("flops_tensorflow", "flops", 7_884_999)]
)
def test_a_count_that_rounds_differently_is_not_reproduced(kind, id_, value):
    profile = {**PROFILE, "operations": {**PROFILE["operations"], kind: value}}
    assert evaluate(runs_with([0.8]), profiles=[profile]).verdict[id_] == "not reproduced"


def test_counts_need_a_profile_with_the_claims_channels():
    table = evaluate(runs_with([0.8]), profiles=[{**PROFILE, "n_channels": 1}])
    assert set(table.verdict[["parameters", "flops"]]) == {"not testable here"}
    uncounted = {**PROFILE, "operations": {**PROFILE["operations"], "flops_tensorflow": None}}
    assert evaluate(runs_with([0.8]), profiles=[uncounted]).verdict["flops"] == "not testable here"


def test_the_reduction_is_never_testable_and_bounds_its_comparator():
    claim = next(claim for claim in load_claims(PATH) if claim.id == "reduction")
    lowest, highest = comparator_bounds(claim)
    for comparator, inside in ((lowest, True), (highest, True), (0.99 * lowest, False), (1.01 * highest, False)):
        reduction = 100 * (1 - 13_300 / comparator)
        assert (98.55 - 1e-9 <= reduction <= 98.65 + 1e-9) == inside
    row = evaluate(runs_with([0.869] * 10)).loc["reduction"]
    assert row.verdict == "not testable here"
    assert "comparator not named" in row.why and "0.92M to 0.99M" in row.why


def test_the_reduction_names_the_smallest_and_the_largest_comparator_and_those_in_range():
    def profile(title: str, n_channels: int, parameters: int) -> dict:
        named = {"title": title, "n_channels": n_channels, "n_samples": 3000}
        return {**named, "operations": {"parameters": parameters}}

    others = [profile("Small", 1, 26_674), profile("Within", 1, 950_000), profile("Large", 1, 1_333_700)]
    # The network of the claim has four channels, wherever it stands in the list.
    why = evaluate(
        runs_with([0.8]), profiles=[PROFILE, *others, {**PROFILE, **profile(PROFILE["title"], 1, 7_193)}]
    ).why
    assert "against Small (26,674): 50.0 % and Large (1,333,700): 99.0 %; in that range of those" in why["reduction"]
    assert why["reduction"].endswith("profiled: Within")
    assert (
        evaluate(runs_with([0.8]), profiles=[PROFILE, others[0]])
        .why["reduction"]
        .endswith("50.0 %; in that range of those profiled: none")
    )


def device_verdicts(**changed):
    """Verdicts on the parts of real-time monitoring, with what was measured of the network as C changed."""
    claims = [claim for claim in load_claims(PATH) if claim.id.startswith("wearable")]
    return evaluate_claims(
        claims, runs_with([0.8]), [PROFILE], "simulated", True, [{**DEPLOYMENT, **changed}]
    ).set_index("id")


def boards_with(**changed):
    return [row if "skipped" in row else {**row, **changed} for row in DEPLOYMENT["boards"]]


def test_time_and_memory_on_a_board_get_verdicts_and_simulated_stages_none():
    found = device_verdicts()
    assert found.verdict.tolist() == ["reproduced", "reproduced", "not testable here"]
    assert found.ours["wearable-time"] == pytest.approx(15.0e6 * 2 / 64e6 * 1000)
    assert "an estimate, not a measurement: 15.0M instructions at 64 MHz" in found.why["wearable-time"]
    assert "305 to 469 ms of 30,000 ms, a duty of at most 1.6 %" in found.why["wearable-time"]
    assert found.ours["wearable-memory"] == 8888 + 2892 + 1248
    assert "measured on simulated signals" in found.why["wearable-accuracy"]
    assert "99.8 % of 1,431 stages" in found.why["wearable-accuracy"]


def test_a_slow_a_large_and_an_inaccurate_network_is_not_reproduced():
    assert device_verdicts(boards=boards_with(instructions=1e9)).verdict["wearable-time"] == "not reproduced"
    assert device_verdicts(boards=boards_with(flash_bytes=40_000)).verdict["wearable-memory"] == "not reproduced"
    for agreement, verdict in ((0.99, "reproduced"), (0.9899, "not reproduced")):
        forms = [{**row, "agreement": agreement} for row in DEPLOYMENT["forms"]]
        found = device_verdicts(forms=forms, simulated=False).loc["wearable-accuracy"]
        assert (found.verdict, found.ours) == (verdict, 100 * agreement)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"title": "Another"}, "the network was not tried"),
        ({"n_channels": 1}, "the network was not tried"),
        ({"n_samples": 500}, "the network was not tried"),
        (
            {"boards": [{**DEPLOYMENT["boards"][2], **{"skipped": "no compiler"}}]},
            "the boards were skipped: no compiler",
        ),
    ],
)
def test_what_was_not_measured_is_not_decided(changed, said):
    found = device_verdicts(**changed)
    assert set(found.verdict) == {"not testable here"} and found.ours.isna().all()
    assert said in found.why["wearable-time"] and said in found.why["wearable-memory"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda claim: claim | {"tolerence": 1}, "unknown key tolerence"),
        (lambda claim: {key: value for key, value in claim.items() if key != "mark"}, "missing key mark"),
        (lambda claim: claim | {"test": claim["test"] | {"kind": "speed"}}, "test.kind is 'speed'"),
        (lambda claim: claim | {"test": claim["test"] | {"fold": 3}}, "test: unknown key fold"),
        (lambda claim: claim | {"test": {"kind": "accuracy"}}, "test: missing key dataset"),
        (lambda claim: claim | {"test": claim["test"] | {"recipe": "ulw"}}, "test.recipe: found 'ulw'"),
        (lambda claim: claim | {"test": claim["test"] | {"recipe": {"batch_size": 32}}}, "expected the recipe's name"),
        (lambda claim: claim | {"test": claim["test"] | {"recipe": RECIPE | {"batchsize": 32}}}, "unknown key"),
        (lambda claim: claim | {"test": claim["test"] | {"recipe": RECIPE | {"batch_size": 0}}}, "batch_size: found 0"),
    ],
)
def test_a_wrong_claims_file_is_an_error_that_names_the_key(tmp_path, change, message):
    claims = yaml.safe_load(PATH.read_text())
    claims[0] = change(claims[0])
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(claims))
    with pytest.raises(BenchmarkError, match="accuracy-sleep-edf-20") as error:
        load_claims(path)
    assert message in str(error.value)


def test_a_recipe_is_the_same_whether_it_says_what_it_has_by_default_or_not():
    said = json.dumps({**json.loads(recipe()), "optimizer": "adam", "weight_decay": 0.0, "patience": None})
    assert accuracy_verdict(runs_with([0.869] * 10, recipe_settings=said)).verdict == "reproduced"


def test_the_published_recipe_is_the_configured_one():
    for claim in load_claims(PATH):
        if claim.test["kind"] == "accuracy":
            assert claim.test["recipe"] == {"name": "ulw", **ULW}


def test_two_claims_of_one_id_are_an_error(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(PATH.read_text()) * 2))
    with pytest.raises(BenchmarkError, match="more than once"):
        load_claims(path)
