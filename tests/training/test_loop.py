"""The loop, on networks of a few weights; single epochs against a plain loop written down here."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from edf_files import load_night
from fake_models import OfEpochs, OfSequences, recipe_of
from synthetic_night import ROLES
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe
from sleepbench.models.transformation import NONE
from sleepbench.training import loop
from sleepbench.training.epochs import epoch_set
from sleepbench.training.loop import evaluate, predict_probabilities, train
from sleepbench.training.schedule import learning_rate_at
from sleepbench.training.sequences import Sampler

PLAIN = {"learning_rate": 1e-2, "schedule": "constant", "batch_size": 10, "training_epochs": 3}


@pytest.fixture(autouse=True)
def fakes(fake_models):
    torch.set_num_threads(1)


def without_validation(sets):
    return sets | {"validation": epoch_set([], ROLES, "standard")}


def fitted(name, sets, seed=3, report=lambda line: None, **settings):
    torch.manual_seed(seed)
    model = create_model(name, len(ROLES))
    recipe = recipe_of(PLAIN | settings)
    return model, train(model, recipe, sets, seed, "reference", describe(name), report)


def weights_of(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def plain_loop(model, recipe, sets, seed):
    """Training of single epochs as it is meant, in one piece; mean losses of the training epochs."""
    epochs = sets["train"]
    optimizer = torch.optim.Adam(model.parameters(), lr=1, eps=recipe.epsilon, amsgrad=recipe.amsgrad)
    shuffling, step, means = torch.Generator().manual_seed(seed), 0, []
    torch.manual_seed(seed)
    for _ in range(recipe.training_epochs):
        losses = []
        for indices in torch.randperm(len(epochs), generator=shuffling).split(recipe.batch_size):
            optimizer.param_groups[0]["lr"] = learning_rate_at(recipe, step)
            optimizer.zero_grad()
            stage = torch.from_numpy(epochs.stage[indices.numpy()])
            logits = model.train()(torch.from_numpy(epochs.signals(indices.numpy())))
            loss = nn.functional.cross_entropy(logits, stage)
            loss.backward()
            optimizer.step()
            losses.append((loss.item(), len(indices)))
            step += 1
        means.append(np.average([loss for loss, _ in losses], weights=[n for _, n in losses]))
    return means


@pytest.mark.parametrize("name", ["of_epochs", "ulw_sleepnet"])
def test_single_epochs_train_bit_for_bit_as_a_plain_loop(sets, name):
    recipe = {"schedule": "cosine_restarts", "first_cycle_steps": 4, "cycle_multiplier": 2, "amsgrad": True}
    model, training = fitted(name, sets, **recipe)
    torch.manual_seed(3)
    expected = create_model(name, len(ROLES))
    losses = plain_loop(expected, recipe_of(PLAIN | recipe), sets, 3)
    assert [row["train_loss"] for row in training.history] == losses
    assert (weights_of(model) == weights_of(expected)).all()
    # 5 steps a training epoch, cycles end after 4 and 12
    assert training.selected["cycle_end"] == 2
    assert training.selected["last"] == 3
    assert set(training.weights) == set(training.selected.values())


@pytest.mark.parametrize("name", ["of_windows", "of_nights"])
def test_a_model_of_sequences_learns(sets, name):
    model, training = fitted(name, sets, training_epochs=30)
    assert training.history[-1]["train_loss"] < 0.7 * training.history[0]["train_loss"]
    assert training.history[-1]["test_accuracy"] == evaluate(model, sets["test"], "fast", describe(name))["accuracy"]
    again = fitted(name, sets, training_epochs=30)[0]
    assert (weights_of(model) == weights_of(again)).all()


def test_cycles_of_a_model_of_sequences_end_where_the_learning_rate_jumps(sets, monkeypatch):
    """The number of steps varies from one training epoch to the next."""
    rates, steps_done = [], []
    monkeypatch.setattr(loop, "set_learning_rate", lambda optimizer, rate: rates.append(rate))
    cycles = {"schedule": "cosine_restarts", "first_cycle_steps": 7, "cycle_multiplier": 2, "batch_unit": "sequences"}
    settings = {"training_epochs": 20, "batch_size": 2, **cycles}
    training = fitted("of_windows", sets, report=lambda line: steps_done.append(len(rates)), **settings)[1]
    assert len(set(np.diff(steps_done))) > 1
    last_jump = max(step for step in range(1, len(rates)) if rates[step] > rates[step - 1])
    assert training.selected["cycle_end"] == sum(done <= last_jump for done in steps_done)


@pytest.mark.parametrize(
    ("name", "balanced", "draws"), [("of_epochs", 0, 1), ("of_epochs", 1, 1), ("of_windows", 0, 9)]
)
def test_batches_are_drawn_ahead_only_where_their_number_varies(sets, monkeypatch, name, balanced, draws):
    cycles = {"schedule": "cosine_restarts", "first_cycle_steps": 7, "cycle_multiplier": 2, "training_epochs": 9}
    recipe = recipe_of(PLAIN | cycles | {"balanced_sampling": bool(balanced)})
    sampler, plain, numbers = loop.sampler_of(recipe, sets["train"], describe(name)), Sampler.draw, []
    shuffling = torch.Generator().manual_seed(3)
    expected = np.cumsum([len(sampler.draw(shuffling)) for _ in range(9)])
    monkeypatch.setattr(Sampler, "draw", lambda *a: numbers.append(plain(*a)) or numbers[-1])
    found = loop.training_epochs_before_cycle_ends(recipe, sampler, 3)
    assert len(numbers) == draws
    assert found == {sum(expected <= steps) for steps in (7, 21, 49, 105) if expected[0] <= steps <= expected[-1]}


def test_every_epoch_of_a_sequence_counts_once_in_loss_and_accuracy(sets):
    """All windows in one batch, nearly no learning rate: the numbers of the training are those of an evaluation."""
    settings = {"training_epochs": 1, "learning_rate": 1e-12, "batch_size": 1000}
    model, training = fitted("without_context", sets, **settings)
    expected = evaluate(model, sets["train"], "fast", describe("without_context"))
    assert training.history[0]["train_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert training.history[0]["train_accuracy"] == expected["accuracy"]


def test_predictions_of_a_night_are_those_of_each_segment_whole(sets):
    model, _ = fitted("of_nights", sets)
    test = sets["test"]
    with torch.inference_mode():
        whole = model.eval()(torch.from_numpy(test.signals(np.arange(len(test))[None]))).softmax(dim=-1)[0].numpy()
    assert (predict_probabilities(model, test, "fast", describe("of_nights")) == whole).all()


def test_predictions_in_windows_are_averages(sets):
    model, _ = fitted("of_windows", sets)
    test, total, times = sets["test"], np.zeros((24, 5)), np.zeros(24)
    with torch.inference_mode():
        for start in [*range(0, 19, 2), 19]:
            window = np.arange(start, start + 5)
            total[window] += model.eval()(torch.from_numpy(test.signals(window[None]))).softmax(dim=-1)[0].numpy()
            times[window] += 1
    found = predict_probabilities(model, test, "fast", describe("of_windows"))
    np.testing.assert_allclose(found, total / times[:, None], atol=1e-6)


def test_segments_of_one_epoch_are_trained_and_predicted_too(nights):
    """The authors' trimming keeps every other epoch of these nights."""
    of = {"train": ["SC4001", "SC4002"], "validation": [], "test": ["SC4021"]}
    sets = {k: epoch_set([load_night(nights[id]) for id in ids], ROLES, "authors") for k, ids in of.items()}
    for name in ("of_windows", "of_nights"):
        model, training = fitted(name, sets)
        probabilities = predict_probabilities(model, sets["test"], "fast", describe(name))
        assert probabilities.shape == (12, 5) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        assert np.isfinite(training.history[-1]["train_loss"])


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"weight_decay": 0.1}, "of_epochs"),
        ({"clip_norm": 1e-3}, "of_epochs"),
        ({"class_weights": "balanced"}, "of_epochs"),
        ({"class_weights": [1, 2, 3, 4, 5]}, "of_windows"),
        ({"label_smoothing": 0.2}, "of_windows"),
        ({"augmentation": ["roll_10"]}, "ulw_sleepnet"),
        ({"augmentation": ["roll_10"], "batch_unit": "sequences"}, "of_windows"),
        ({"l2": 0.1}, "of_epochs"),
        ({"balanced_sampling": True}, "of_epochs"),
        ({"schedule": "cosine"}, "of_epochs"),
        ({"schedule": "steps", "steps": [[1, 1e-3]]}, "of_windows"),
        ({"learning_rate_of": {"amplitudes": 1e-6}}, "of_epochs"),
    ],
)
def test_every_setting_changes_the_training_and_repeats_with_the_seed(sets, settings, name):
    first, again, without = (weights_of(fitted(name, sets, **kept)[0]) for kept in (settings, settings, {}))
    assert (first == again).all()
    assert not torch.equal(first, without)


def test_gradients_are_clipped_before_the_step(sets, monkeypatch):
    norms = []

    def step(self, closure=None):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    fitted("of_epochs", sets, clip_norm=0.05)
    assert norms and max(norms) <= 0.05 * 1.001


def test_l2_adds_half_the_squares_of_the_named_parameters_to_what_is_descended(sets, monkeypatch):
    """The gradient of the penalised parameter differs by l2 times the parameter, that of the others not at all."""
    gradients = {}

    def step(self, closure=None):
        gradients.setdefault(current, [p.grad.clone() for group in self.param_groups for p in group["params"]])

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    for current in (0.0, 0.5):
        model, _ = fitted("of_epochs", sets, l2=current)
    names = [name for name, _ in model.named_parameters()]
    for name, without, with_l2 in zip(names, gradients[0.0], gradients[0.5], strict=True):
        penalty = 0.5 * model.classifier.weight if name == "classifier.weight" else torch.zeros(())
        assert torch.allclose(with_l2 - without, penalty, atol=1e-6), name


def test_l2_of_a_model_that_names_no_parameters_is_an_error(sets):
    with pytest.raises(BenchmarkError, match=r"l2 is 0\.1, but OfSequences does not say which of its parameters"):
        fitted("of_windows", sets, l2=0.1)


def test_balanced_sampling_of_sequences_is_an_error(sets):
    with pytest.raises(BenchmarkError, match="balanced_sampling is for models of single epochs, but of_windows"):
        fitted("of_windows", sets, balanced_sampling=True)


def test_submodules_keep_their_own_learning_rate(sets):
    torch.manual_seed(3)
    before = create_model("of_epochs", len(ROLES))
    after, _ = fitted("of_epochs", sets, learning_rate_of={"amplitudes": 1e-9})
    assert torch.allclose(before.amplitudes.linear.weight, after.amplitudes.linear.weight, atol=1e-6)
    assert not torch.allclose(before.classifier.weight, after.classifier.weight, atol=1e-3)
    with pytest.raises(BenchmarkError, match="learning_rate_of: OfEpochs has no part 'amplitude', only amplitudes"):
        fitted("of_epochs", sets, learning_rate_of={"amplitude": 1e-9})


def test_patience_ends_a_training_whose_validation_accuracy_has_not_risen(sets):
    lines = []
    settings = {"training_epochs": 200, "patience": 4, "learning_rate": 1e-2}
    _, training = fitted("of_epochs", sets, report=lines.append, **settings)
    accuracies = [row["validation_accuracy"] for row in training.history]
    best = training.selected["best_validation"]
    assert len(accuracies) == best + 4 < 200
    assert accuracies[best - 1] == max(accuracies)
    assert training.selected["last"] == len(accuracies)
    assert training.remarks == ["stopped early: no better on the validation set for 4 training epochs"] == lines[-1:]


def test_patience_without_validation_subjects_is_ignored_and_said(sets):
    lines = []
    _, training = fitted("of_epochs", without_validation(sets), report=lines.append, patience=1, training_epochs=9)
    assert len(training.history) == 9
    assert "patience 1 of the recipe r is ignored: no validation subjects are held out" in training.remarks[0]
    assert lines[0] == training.remarks[0]


def first_phase(**changes):
    phase = {"model": "of_epochs", "submodule": "amplitudes", **PLAIN, "training_epochs": 40, "balanced_sampling": True}
    return {"pretrain": phase | changes}


def test_a_first_phase_trains_another_model_and_copies_its_part(sets):
    frozen = {"learning_rate_of": {"amplitudes": 1e-12}, "training_epochs": 1}
    model, training = fitted("of_windows", sets, **frozen, **first_phase())
    without, _ = fitted("of_windows", sets, **frozen)
    assert len(training.pretraining) == 40 and len(training.history) == 1
    assert training.pretraining[-1]["train_loss"] < training.pretraining[0]["train_loss"]
    assert set(training.pretraining[0]) == {"training_epoch", "learning_rate", "train_loss", "train_accuracy"}
    assert not torch.allclose(model.amplitudes.linear.weight, without.amplitudes.linear.weight, atol=1e-2)
    alone = OfEpochs(len(ROLES))  # the part is that of the other model, trained by the same recipe
    torch.manual_seed(3)
    OfSequences(len(ROLES))
    alone = OfEpochs(len(ROLES))
    settings = {k: v for k, v in first_phase()["pretrain"].items() if k not in ("model", "submodule")}
    train(alone, recipe_of(settings), sets, 3, "reference", describe("of_epochs"), lambda line: None)
    assert torch.allclose(model.amplitudes.linear.weight, alone.amplitudes.linear.weight, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"submodule": "amplitude"}, "submodule: OfSequences has no part 'amplitude', only amplitudes, context"),
        ({"submodule": "classifier"}, "'classifier' of of_epochs does not fit into OfSequences"),
        ({"model": "of_windows"}, "balanced_sampling is for models of single epochs"),
    ],
)
def test_a_first_phase_that_does_not_fit_is_an_error(sets, changes, message):
    with pytest.raises(BenchmarkError, match=message):
        fitted("of_windows", sets, **first_phase(**changes))


def test_labels_of_the_test_set_change_nothing_in_a_training(sets):
    """But the selection that is made on it."""
    other = sets["test"]
    shuffled = type(other)(other.recordings, other.channels, other.recording, other.row, other.stage[::-1].copy())
    settings = {"class_weights": "class_aware", "patience": 3}
    for name in ("of_epochs", "of_windows"):
        first, second = (fitted(name, sets | {"test": test}, **settings)[0] for test in (other, shuffled))
        assert (weights_of(first) == weights_of(second)).all()


def test_no_training_epochs_is_an_error(sets):
    with pytest.raises(BenchmarkError, match="the training set holds no epochs"):
        fitted("of_epochs", sets | {"train": epoch_set([], ROLES, "standard")})


def test_a_first_phase_that_sees_other_signals_is_an_error(sets):
    """What it hands over would be given other signals than it was trained on."""
    with pytest.raises(BenchmarkError, match="scaled and of_windows transform their input differently"):
        fitted("of_windows", sets, **first_phase(model="scaled"))


def test_the_transformation_of_the_entry_is_what_a_model_trains_and_predicts_on(nights):
    """As if the signals had been transformed on the disk."""
    ids = {"train": ["SC4001", "SC4002"], "validation": ["SC4011"], "test": ["SC4021"]}
    info, loaded = describe("scaled"), {id: load_night(path) for id, path in nights.items()}
    on_disk = {}
    for id, night in loaded.items():
        low, median, high = np.percentile(night.signals, (25, 50, 75), axis=(0, 2), keepdims=True)
        on_disk[id] = replace(night, signals=((night.signals - median) / (high - low)).clip(-3, 3).astype(np.float32))
    scaled, plain = (
        {name: epoch_set([of[id] for id in own], ROLES, "standard", transformation) for name, own in ids.items()}
        for of, transformation in ((loaded, info.input_transformation), (on_disk, NONE))
    )
    (model, training), (expected, of_expected) = fitted("scaled", scaled), fitted("of_epochs", plain)
    assert training.history[-1]["train_loss"] == pytest.approx(of_expected.history[-1]["train_loss"], abs=1e-5)
    assert torch.allclose(weights_of(model), weights_of(expected), atol=1e-4)


# ------------------------------------------------------------------------------------------------ recipes of sequences


@pytest.mark.parametrize("sequences", ["overlapping", "balanced", "side_by_side", "stretches"])
def test_a_model_that_carries_a_state_learns_from_every_kind_of_sequences(sets, sequences):
    settings = {"batch_unit": "sequences", "batch_size": 2, "sequences": sequences, "training_epochs": 15}
    model, training = fitted("carrying", sets, **settings)
    assert training.history[-1]["train_loss"] < 0.7 * training.history[0]["train_loss"]
    assert (weights_of(fitted("carrying", sets, **settings)[0]) == weights_of(model)).all()


def test_side_by_side_a_state_goes_through_the_night(sets, monkeypatch):
    """Without learning, the losses of the batches are those of the nights in one piece."""
    settings = {"batch_unit": "sequences", "batch_size": 2, "sequences": "side_by_side", "training_epochs": 1}
    still = {"learning_rate": 1e-30, "frozen_norms": True}
    model, training = fitted("carrying", sets, **settings, **still)
    epochs = sets["train"]
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(epochs.signals(np.arange(48).reshape(2, 24)))).flatten(0, 1)
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(epochs.stage))
    assert training.history[0]["train_loss"] == pytest.approx(expected.item(), rel=1e-5)
    cut = fitted("carrying", sets, **settings | still | {"sequences": "cut"})[1]
    assert cut.history[0]["train_loss"] != pytest.approx(expected.item(), rel=1e-5)


def test_frozen_norms_take_no_statistics_but_learn_their_weights(sets):
    model, _ = fitted("carrying", sets, frozen_norms=True)
    assert (model.norm.running_mean == 0).all() and (model.norm.running_var == 1).all()
    assert not (model.norm.weight == 1).any()
    assert (fitted("carrying", sets)[0].norm.running_mean != 0).all()


def test_frozen_norms_hold_for_the_fast_engine(sets):
    torch.manual_seed(3)
    model = create_model("ulw_sleepnet", len(ROLES))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    recipe = recipe_of(PLAIN | {"frozen_norms": True, "training_epochs": 1})
    train(model, recipe, sets, 3, "fast", describe("ulw_sleepnet"), lambda line: None)
    assert all((buffer == before[name]).all() for name, buffer in model.named_buffers())


def test_statistics_are_of_the_training_set_alone_and_taken_once(sets):
    model, _ = fitted("carrying", sets)
    assert model.loudest == np.abs(sets["train"].signals(np.arange(48))).max()
    assert model.loudest != np.abs(sets["test"].signals(np.arange(24))).max()


def test_a_sum_over_epochs_is_divided_by_their_number(sets):
    """With equal weights of 2 the loss is twice that by the weights."""
    weights, still = {"class_weights": [2, 2, 2, 2, 2]}, {"learning_rate": 1e-30, "training_epochs": 1}
    by_weights = fitted("of_windows", sets, **weights, **still)[1].history[0]["train_loss"]
    by_epochs = fitted("of_windows", sets, **weights, **still, loss_mean="epochs")[1].history[0]["train_loss"]
    assert by_epochs == pytest.approx(2 * by_weights, rel=1e-5)


def test_fused_probabilities_are_means_of_logarithms_over_all_windows(sets):
    model, _ = fitted("fusing", sets)
    epochs = sets["test"]
    total, times = np.zeros((24, 5)), np.zeros((24, 1))
    with torch.no_grad():
        for start in range(20):
            window = epochs.signals(np.arange(start, start + 5)[None])
            total[start : start + 5] += model.eval()(torch.from_numpy(window))[0].log_softmax(dim=1).numpy()
            times[start : start + 5] += 1
    expected = torch.from_numpy(total / times).softmax(dim=1).numpy()
    found = predict_probabilities(model, epochs, "reference", describe("fusing"))
    assert np.abs(found - expected).max() < 1e-5 and found.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "sequences", "message"),
    [
        ("of_epochs", "overlapping", "of_epochs is a model of single epochs; leave it out"),
        ("of_windows", "stretches", "of_windows has none to carry"),
    ],
)
def test_sequences_that_a_model_cannot_have_are_an_error(sets, name, sequences, message):
    with pytest.raises(BenchmarkError, match=f"recipe r: sequences is '{sequences}'.*{message}"):
        fitted(name, sets, sequences=sequences)


def test_both_metrics_must_not_be_worse_where_patience_asks_for_both():
    rows = [(0.5, 0.5), (0.6, 0.4), (0.6, 0.6), (0.7, 0.5), (0.4, 0.9)]
    history = [
        {"training_epoch": i, "validation_accuracy": accuracy, "validation_macro_f1": f1}
        for i, (accuracy, f1) in enumerate(rows, start=1)
    ]

    def due_after(metric: str) -> int | None:
        recipe = recipe_of(PLAIN | {"patience": 2, "patience_metric": metric})
        return next((n for n in range(1, 6) if loop._is_patience_over(recipe, history[:n])), None)

    assert {metric: due_after(metric) for metric in ("both", "accuracy", "macro_f1")} == {
        "both": 5,  # the third is the best
        "accuracy": None,
        "macro_f1": None,
    }


def test_weights_that_are_not_finite_end_the_training_epoch_that_made_them(sets):
    """A loss tells of the weights before its step, and these have no part in any prediction."""
    torch.manual_seed(3)
    model = create_model("of_epochs", len(ROLES))
    model.register_buffer("unused", torch.tensor([1.0, torch.inf]))
    with pytest.raises(loop.DivergedError, match="not all weights of 'unused' are finite after training epoch 1"):
        train(model, recipe_of(PLAIN), sets, 3, "reference", describe("of_epochs"), lambda line: None)
