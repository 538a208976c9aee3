import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from edf_files import load_night
from synthetic_night import ROLES, write_night

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.cross import remedies
from sleepbench.models import create_model, describe
from sleepbench.training.epochs import epoch_set
from sleepbench.training.keys import read_training
from sleepbench.training.loop import predict_probabilities

PROBABILITIES = [f"p_{name}" for name in STAGES]


def network(work, fold):
    """The network of a fold, by hand."""
    weights = torch.load(work.trainings[fold] / "weights.pt", weights_only=True)
    model = create_model(work.model, len(ROLES))
    model.load_state_dict(weights[read_training(work.trainings[fold])["runs"]["last"]["training_epoch"]])
    return model


def epochs_of(paths):
    return epoch_set([load_night(path) for path in paths], ROLES, "standard")


def by_hand(model, epochs):
    return predict_probabilities(model, epochs, "fast", describe("ulw_sleepnet"))


@pytest.fixture(scope="module")
def crossed(work):
    return work.cross("scaled", "adabn", "finetuned_1", "finetuned_3", "finetuned_5")


def test_each_fold_alone_and_the_mean_of_all(work, crossed):
    table = pd.read_parquet(crossed / "as_is.parquet")
    assert table.attrs["simulated"] is True
    expected = [
        np.concatenate([by_hand(network(work, f), epochs_of([p])) for p in work.there.values()]) for f in (0, 1)
    ]
    np.testing.assert_allclose(table[PROBABILITIES].to_numpy(), np.mean(expected, axis=0), atol=1e-6)
    for fold in (0, 1):
        assert table[f"fold_{fold}"].tolist() == expected[fold].argmax(axis=1).tolist()
    assert table.recording.unique().tolist() == list(work.there) and len(table) == 7 * 12


def test_a_document_says_whose_networks_these_are(work, crossed):
    document = read_document(crossed / "cross.json")
    keys = [read_training(directory)["runs"]["last"]["run_key"] for directory in work.trainings.values()]
    assert [member["run_key"] for member in document["members"]] == keys
    assert document["ways"] == ["as_is", "scaled", "adabn", "finetuned_1", "finetuned_3", "finetuned_5"]
    assert document["files"] == {path.name: sha256_of_file(path) for path in crossed.glob("*.parquet")}
    assert document["lacking"] == {}


def test_people_of_the_fine_tuning_are_not_tested_and_the_same_are_for_each_number(crossed):
    drawn = read_document(crossed / "cross.json")["drawn"]
    assert len(set(drawn)) == 5
    for n in (1, 3, 5):
        tested = pd.read_parquet(crossed / f"finetuned_{n}.parquet").subject.unique()
        assert sorted([*tested, *drawn]) == sorted(map(str, range(7)))
    tables = [pd.read_parquet(crossed / f"finetuned_{n}.parquet") for n in (1, 3, 5)]
    assert not np.allclose(tables[0][PROBABILITIES], tables[2][PROBABILITIES], atol=1e-4)


def test_a_night_of_another_amplitude_is_scaled_to_that_of_the_training(work, tmp_path):
    # The same night, three times as large and off by 10 microvolts, of a network that was trained on it alone.
    louder = tmp_path / "X9.npy"
    write_night(tmp_path, "X9", 12, 3, "9", 1)
    signals = np.load(work.here["SC4021"])
    shutil.copy(work.here["SC4021"].with_suffix(".epochs.csv"), louder.with_suffix(".epochs.csv"))
    np.save(louder, (3 * signals + 10).astype(np.float32))
    plain, other = epochs_of([work.here["SC4021"]]), epochs_of([louder])
    spread = remedies.spread_of(plain)
    scaled = remedies.rescaled(other, remedies.spread_of(other), [spread])
    np.testing.assert_allclose(scaled.signals(np.arange(5)), plain.signals(np.arange(5)), rtol=1e-4, atol=1e-2)
    model = network(work, 0)
    np.testing.assert_allclose(by_hand(model, scaled), by_hand(model, plain), atol=1e-3)
    assert not np.allclose(by_hand(model, other), by_hand(model, plain), atol=1e-3)


def test_a_channel_that_never_changes_stays_finite(work):
    night = load_night(work.there["X0"])
    flat = replace(night, signals=np.zeros_like(night.signals))
    epochs = epoch_set([flat], ROLES, "standard")
    scaled = remedies.rescaled(epochs, remedies.spread_of(epochs), [np.array([[1, 2], [3, 4]], np.float32)])
    assert scaled.signals(np.arange(2))[:, :, 0].tolist() == [[1, 2], [1, 2]]


def test_batch_norms_take_the_statistics_of_the_recording(work):
    model, epochs = network(work, 0), epochs_of([work.there["X0"]])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    adapted = remedies.with_norms_of(model, epochs, describe("ulw_sleepnet"))
    seen = {}
    first = remedies.norms_of(adapted)[0]
    hook = first.register_forward_pre_hook(lambda _, x: seen.setdefault("x", x[0]))
    adapted(torch.from_numpy(epochs.signals(np.arange(len(epochs)))))
    hook.remove()
    x = seen["x"].transpose(0, 1).flatten(1)
    torch.testing.assert_close(first.running_mean, x.mean(dim=1), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(first.running_var, x.var(dim=1), rtol=1e-3, atol=1e-4)
    assert not adapted.training and all(not one.training for one in remedies.norms_of(adapted))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_every_epoch_is_in_one_batch_of_a_night(work):
    epochs = epochs_of([work.there["X0"]])
    batches = remedies._spread_batches(epochs, describe("ulw_sleepnet"))
    assert sorted(np.concatenate([batch.epochs for batch in batches])) == list(range(len(epochs)))


@pytest.mark.parametrize(
    ("remedy", "model", "n_subjects", "reason"),
    [
        ("scaled", "attn_sleep", 9, ""),
        ("scaled", "u_time", 9, "in units of its own"),
        ("adabn", "ulw_sleepnet", 9, ""),
        ("adabn", "chambon2018", 9, "no batch norms"),
        ("finetuned_5", "ulw_sleepnet", 6, "too few are left"),
        ("finetuned_3", "ulw_sleepnet", 5, ""),
    ],
)
def test_a_remedy_that_is_not_defined_has_a_reason(remedy, model, n_subjects, reason):
    info = describe(model)
    found = remedies.lacks(remedy, info, create_model(model, info.least_channels), n_subjects)
    assert re.search(reason, found) if reason else not found


def test_what_is_not_defined_is_recorded(work):
    few = dict(list(work.there.items())[:4])
    document = read_document(work.cross("finetuned_1", "finetuned_3", there=few, output="few") / "cross.json")
    assert document["ways"] == ["as_is", "finetuned_1"] and "too few" in document["lacking"]["finetuned_3"]
    assert len(document["drawn"]) == 1


def test_draws_are_nested_and_repeat():
    people = [str(number) for number in range(9)]
    assert remedies.draw_subjects(people, 5)[:3] == remedies.draw_subjects(people[::-1], 3)
    assert remedies.draw_subjects(people, 0) == []


def test_a_damaged_training_is_refused(work, tmp_path):
    fold = tmp_path / "out" / "fold-0"
    shutil.copytree(work.trainings[0], fold)
    (fold / "weights.pt").write_bytes(b"weights of somebody else")
    with pytest.raises(BenchmarkError, match=r"weights\.pt differs from what"):
        work.with_trainings(tmp_path, {0: fold}).cross()
