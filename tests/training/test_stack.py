"""A stack of folds against the folds trained alone."""

import itertools
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from edf_files import load_night
from fake_models import recipe_of
from synthetic_night import ROLES, write_night
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe
from sleepbench.models.kernels import fused, fused_kernel
from sleepbench.models.transformation import Standard
from sleepbench.training import job, loop
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.memory import is_out_of_memory
from sleepbench.training.schedule import learning_rate_at
from sleepbench.training.stack import WARM_UP_STEPS, Stack, is_stackable, train_stack
from sleepbench.training.timing import Timing

ULW = describe("ulw_sleepnet")
ULW_RECIPE = {
    **{"learning_rate": 1e-3, "schedule": "cosine_restarts", "first_cycle_steps": 4, "cycle_multiplier": 2},
    **{"batch_size": 8, "training_epochs": 3, "amsgrad": True, "epsilon": 1e-7},
}
COMMON = {
    **{"learning_rate": 1e-2, "schedule": "cosine", "batch_size": 16, "training_epochs": 2},
    **{"weight_decay": 1e-2, "clip_norm": 0.5, "class_weights": "balanced", "label_smoothing": 0.1},
}
# Nights of 24 and of 13 epochs: training sets of 72, 61 and 37, so that folds end within a training epoch, and with
# batches that are smaller. The last fold has no validation subjects.
FOLDS = (
    {"train": ["SC4001", "SC4002", "SC4011"], "validation": ["SC4031"], "test": ["SC4021"]},
    {"train": ["SC4011", "SC4021", "SC4031"], "validation": ["SC4002"], "test": ["SC4001"]},
    {"train": ["SC4031", "SC4002"], "validation": [], "test": ["SC4001", "SC4011"]},
)


@pytest.fixture(scope="module")
def uneven_nights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("prepared")
    lengths = {"SC4001": 24, "SC4002": 24, "SC4011": 24, "SC4021": 24, "SC4031": 13}
    return {id: write_night(directory, id, n_epochs=n, seed=i) for i, (id, n) in enumerate(lengths.items())}


@pytest.fixture
def folds(uneven_nights):
    torch.set_num_threads(1)
    return [
        {
            name: epoch_set([load_night(uneven_nights[id]) for id in ids], ROLES, "standard")
            for name, ids in fold.items()
        }
        for fold in FOLDS
    ]


@pytest.fixture
def in_double(monkeypatch):
    """Signals, and what becomes of them, in float64."""
    monkeypatch.setattr(EpochSet, "signals", lambda *a, plain=EpochSet.signals: plain(*a).astype(np.float64))


def fresh(dtype=torch.float32, dropout=False):
    torch.manual_seed(5)
    model = create_model("ulw_sleepnet", len(ROLES)).to(dtype)
    for module in model.modules():
        if isinstance(module, nn.Dropout) and not dropout:
            module.p = 0.0
    return model


def alone(folds, recipe, dtype):
    return [loop.train(fresh(dtype), recipe, fold, 5, "fast", ULW, lambda line: None) for fold in folds]


def stacked(folds, recipe, dtype=torch.float32, **options):
    return train_stack(fresh(dtype), recipe, folds, 5, ULW, lambda line: None, **options)[0]


@pytest.mark.parametrize("settings", [ULW_RECIPE | {"training_epochs": 6}, COMMON], ids=["ulw", "common"])
def test_folds_end_as_they_do_alone_in_float64(folds, in_double, settings):
    recipe = recipe_of(settings)
    expected, found = alone(folds, recipe, torch.float64), stacked(folds, recipe, torch.float64)
    for one, other in zip(expected, found, strict=True):
        assert one.selected == other.selected
        pd.testing.assert_frame_equal(pd.DataFrame(one.history), pd.DataFrame(other.history), rtol=0, atol=1e-8)
        assert one.weights.keys() == other.weights.keys()
        for training_epoch, state in one.weights.items():
            assert list(state) == list(other.weights[training_epoch])
            for name, tensor in state.items():
                ours = other.weights[training_epoch][name]
                assert ours.dtype == tensor.dtype and torch.allclose(ours, tensor, rtol=0, atol=1e-6), name
    assert expected[0].history[0]["train_loss"] != expected[1].history[0]["train_loss"]


def test_losses_agree_in_float32(folds):
    recipe = recipe_of(
        ULW_RECIPE | {"training_epochs": 6}
    )  # the first training epoch has 5 to 9 steps, all have 30 to 54
    for one, other in zip(alone(folds, recipe, torch.float32), stacked(folds, recipe), strict=True):
        expected, found = ([row["train_loss"] for row in training.history] for training in (one, other))
        assert found[0] == pytest.approx(expected[0], abs=1e-4)
        assert found == pytest.approx(expected, abs=2e-3)


def test_activations_in_bfloat16_change_a_training_little_and_nothing_else_is_in_bfloat16(folds):
    """Weights and statistics stay in single precision; a fold alone does the same."""
    exact, halved = (
        recipe_of(ULW_RECIPE | {"training_epochs": 1, "activations": kind}) for kind in ("float32", "bfloat16")
    )
    assert "activations" not in exact.settings() and halved.settings()["activations"] == "bfloat16"
    trainings = [*(stacked(folds[1:], recipe)[0] for recipe in (exact, halved))]
    trainings += alone(folds[1:2], halved, torch.float32)
    losses = [training.history[0]["train_loss"] for training in trainings]
    assert losses[0] != losses[1] and losses == pytest.approx([losses[0]] * 3, abs=0.03)
    dtypes = {tensor.dtype for state in trainings[1].weights.values() for tensor in state.values()}
    assert dtypes == {torch.float32, torch.int64}


def test_activations_in_bfloat16_are_refused_where_a_model_has_no_such_form(folds):
    model = create_model("chambon2018", len(ROLES))
    recipe = recipe_of(ULW_RECIPE | {"activations": "bfloat16"})
    with pytest.raises(BenchmarkError, match="not for SleepStagerChambon2018: leave the key out"):
        loop.train(model, recipe, folds[0], 5, "fast", describe("chambon2018"), lambda line: None)


def plain_steps(fold, recipe, batches, dtype=torch.float32):
    """Of one network in the reference arrangement: the loss of each batch, and the gradient (n,) of the last."""
    model, losses = fresh(dtype).train(), []
    optimizer = torch.optim.Adam(model.parameters(), eps=recipe.epsilon, amsgrad=recipe.amsgrad)
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = learning_rate_at(recipe, step)
        optimizer.zero_grad()
        stage = torch.from_numpy(fold["train"].stage[batch.epochs])
        signals = torch.from_numpy(fold["train"].signals(batch.epochs)).to(dtype)
        loss = nn.functional.cross_entropy(model(signals), stage)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


SEVENS = recipe_of(ULW_RECIPE | {"batch_size": 7})
"""72, 61 and 37 epochs are 11, 9 and 6 batches: from the sixth step on not all folds have a whole one."""


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """PyTorch's operators, and those of them that a GPU is given."""
    monkeypatch.setattr(fused, "_is_held_up_by_memory", lambda x: True)
    with fused_kernel.switched_off():
        yield


def test_losses_of_ten_steps_agree_in_float32_as_a_gpu_arranges_them(folds, as_on_a_gpu):
    stack, masked = Stack(fresh(), SEVENS, folds, 5, ULW, Timing()), []
    plain, (batches, *_) = stack.step, stack.draw()
    stack.step = lambda is_masked: masked.append(is_masked) or plain(is_masked)
    for generator in stack.shuffling:
        generator.manual_seed(5)
    stack.training_epoch()
    assert masked == 5 * [False] + 6 * [True]
    for i, own in enumerate(batches):
        found = stack.tables["losses"][: len(own), i].tolist()[:10]
        assert found == pytest.approx(plain_steps(folds[i], SEVENS, own[:10])[0], abs=1e-4)


@pytest.mark.parametrize(("step", "sizes"), [(0, [7, 7, 7]), (5, [7, 7, 2])])
def test_gradients_of_a_step_agree_in_float32_as_a_gpu_arranges_them(folds, as_on_a_gpu, step, sizes):
    """With exact ones: by rounding alone either arrangement may take another of two values for the larger."""
    stack, gradients = Stack(fresh(), SEVENS, folds, 5, ULW, Timing()), []
    batches, *_ = stack.draw()
    assert [len(own[step].epochs) for own in batches] == sizes
    stack.at.fill_(step)
    stack.adam.step = lambda gradient, rate, active: gradients.append(gradient)
    stack.step(masked=min(sizes) < 7)
    # The bias of a convolution that feeds a batch norm has no gradient but rounding.
    is_none, named = ("main1.pointwise.bias", "main2.pointwise.bias"), fresh().named_parameters()
    compared = torch.cat([torch.full((p.numel(),), not name.endswith(is_none)) for name, p in named])
    for i, own in enumerate(batches):
        expected = plain_steps(folds[i], SEVENS, own[step : step + 1], torch.float64)[1]
        assert (gradients[0][i] - expected)[compared].abs().max() < 1e-4 * expected.abs().max()


def test_nothing_is_validated_where_no_fold_has_validation_subjects(folds):
    without = [fold | {"validation": epoch_set([], ROLES, "standard")} for fold in folds]
    for training in stacked(without, recipe_of(ULW_RECIPE | {"training_epochs": 1})):
        assert training.history[0]["validation_accuracy"] is None
        assert set(training.selected) == {"best_test", "last"}


def test_one_step_of_a_fold_without_a_batch_changes_nothing_of_it(folds):
    """In the last steps of a training epoch only the largest fold still has batches."""
    stack = Stack(fresh(), recipe_of(ULW_RECIPE | {"training_epochs": 1}), folds, 5, ULW, Timing())
    steps, plain = [], stack.step

    def watched(masked):
        before = [tensor.clone() for tensor in (stack.parameters, stack.statistics, stack.counters)]
        before += [tensor.clone() for tensor in stack.adam.state.values()]
        plain(masked)
        after = [stack.parameters, stack.statistics, stack.counters, *stack.adam.state.values()]
        pairs = list(zip(before, after, strict=True))
        steps.append([[not torch.equal(b[fold], a[fold]) for b, a in pairs] for fold in range(3)])

    stack.step = watched
    stack.training_epoch()
    assert len(steps) == 9  # 72 epochs in batches of 8; the others have 61 and 37
    changed = np.array(steps)
    assert changed[:8, :2].all() and changed[:5, 2].all() and changed[8, 0].all()
    assert not changed[8, 1].any() and not changed[5:, 2].any()


def test_saved_weights_repeat_the_predictions_bit_for_bit(folds):
    recipe = recipe_of(ULW_RECIPE)
    trainings, stack = train_stack(fresh(dropout=True), recipe, folds, 5, ULW, lambda line: None)
    for fold, training in enumerate(trainings):
        for training_epoch, state in training.weights.items():
            scores = loop.scores(stack.predict(fold, state), folds[fold]["test"].stage)
            assert scores["accuracy"] == training.history[training_epoch - 1]["test_accuracy"]
            assert scores["loss"] == training.history[training_epoch - 1]["test_loss"]


def test_the_same_seed_gives_the_same_bits_with_dropout(folds):
    def weights():
        trainings = train_stack(fresh(dropout=True), recipe_of(ULW_RECIPE), folds, 5, ULW, lambda line: None)[0]
        return torch.cat([tensor.flatten().float() for t in trainings for tensor in t.weights[3].values()])

    assert torch.equal(weights(), weights())


def test_what_a_stack_cannot_do_is_trained_fold_by_fold():
    gpu, released = torch.device("cuda"), recipe_of(ULW_RECIPE)
    assert is_stackable(ULW, released, "fast", gpu, 3000)
    assert is_stackable(ULW, recipe_of(COMMON), "fast", gpu, 3000)
    assert not is_stackable(ULW, released, "fast", torch.device("cpu"), 12_000)
    assert is_stackable(ULW, released, "fast", torch.device("cpu"), 500), "most of a small step is overhead"
    assert not is_stackable(ULW, released, "reference", gpu, 3000)
    assert not is_stackable(describe("eegnet"), released, "fast", gpu, 3000)
    for key, value in (("augmentation", ["roll_10"]), ("patience", 3), ("l2", 0.1), ("learning_rate_of", {"a": 1.0})):
        assert not is_stackable(ULW, recipe_of(ULW_RECIPE | {key: value}), "fast", gpu, 3000)


def test_a_loss_that_is_no_number_is_an_error(folds):
    with pytest.raises(BenchmarkError, match=r"the training loss is nan in step 1 of \d of training epoch 1"):
        model = fresh()
        model.output.bias.data.fill_(torch.nan)
        train_stack(model, recipe_of(ULW_RECIPE), folds, 5, ULW, lambda line: None)


def test_a_name_of_everything_that_a_step_changes(folds):
    """What a capture puts back, and a checkpoint keeps, is all that there is."""
    stack = Stack(fresh(dropout=True), recipe_of(ULW_RECIPE), folds, 5, ULW, Timing())
    stack.training_epoch()
    state, drawing = [tensor.clone() for tensor in stack._tensors()], torch.get_rng_state()

    def after_a_step():
        for tensor, old in zip(stack._tensors(), state, strict=True):
            tensor.copy_(old)
        torch.set_rng_state(drawing)
        stack.model.train()
        stack.at.zero_()
        stack.step(masked=False)
        return [tensor.nan_to_num() for tensor in stack._tensors()]  # the loss of a fold without a batch

    first = after_a_step()
    stack.step(masked=True)
    assert all(torch.equal(one, other) for one, other in zip(first, after_a_step(), strict=True))


class Devices(TorchDispatchMode):
    """Notes every operation with a tensor that is not on the device "meta"."""

    def __init__(self):
        super().__init__()
        self.elsewhere, self.seen = [], 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        outputs = operation(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, outputs))
        self.seen += 1
        if {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)} - {"meta"}:
            self.elsewhere.append(operation)
        return outputs


@pytest.mark.parametrize("masked", [False, True])
def test_a_step_can_be_captured_on_a_gpu(folds, masked):
    """It stays on the device and reads nothing back: on the device "meta", where no tensor has values, both raise."""
    stack = Stack(fresh(dropout=True).to("meta"), recipe_of(COMMON | {"amsgrad": True}), folds, 5, ULW, Timing())
    stack.draw()
    with Devices() as devices:
        stack.step(masked)
    assert devices.seen > 100 and not devices.elsewhere
    with pytest.raises((RuntimeError, NotImplementedError)):
        stack.at.item()


READ_BACK = {"masked_select", "nonzero", "item", "_local_scalar_dense", "_to_cpu", "equal", "unique_dim", "is_nonzero"}
"""Operators that wait for a GPU, as the shape of what they give, or what the program does next, depends on values."""


def operators_of(stack, masked):
    """Names of all operators that a step runs on the CPU, those within others too."""
    stack.draw()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        stack.step(masked)
    names = {event.key for event in profiled.key_averages()}
    return {name.removeprefix("aten::") for name in names if name.startswith("aten::")}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("settings", [COMMON, ULW_RECIPE], ids=["common", "released"])
def test_no_operator_of_a_step_reads_values_back(folds, as_on_a_gpu, settings, masked):
    """Those of a device "meta" are not all that others have: PyTorch's losses ask for the values elsewhere."""
    found = operators_of(Stack(fresh(dropout=True), recipe_of(settings), folds, 5, ULW, Timing()), masked)
    assert len(found) > 30 and {"bmm", "_log_softmax"} <= found
    assert not found & READ_BACK and not any(name.startswith(("unique", "_unique")) for name in found)


class Stream:
    """Stands in for torch.cuda.Stream, which does nothing here but be the current one."""

    default = current = None

    def __init__(self, device=None):
        pass

    def wait_stream(self, other):
        assert isinstance(other, Stream)


class OnStream:
    """torch.cuda.stream: the stream that was the current one before is so again only when this is left."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        self.before, Stream.current = Stream.current, self.stream

    def __exit__(self, *of_error):
        Stream.current = self.before


class Capture:
    """torch.cuda.graph: like the real one, it does not leave its stream when the end of a capture fails."""

    failing_at_begin = failing_at_end = None

    def __init__(self, graph, stream=None):
        self.stream = OnStream(stream or Stream())

    def __enter__(self):
        self.stream.__enter__()
        if Capture.failing_at_begin:
            raise copy(Capture.failing_at_begin)

    def __exit__(self, *of_error):
        if Capture.failing_at_end:
            raise copy(Capture.failing_at_end)
        self.stream.__exit__(*of_error)


@pytest.fixture
def pretended_graphs(monkeypatch):
    """torch.cuda's part in a capture: a graph whose replay is the step, and streams that do nothing."""

    class Graph:
        stacks, replayed = [], 0

        def replay(self):
            (masked,) = (masked for masked, graph in self.stacks[0].graphs.items() if graph is self)
            Graph.replayed += 1
            self.stacks[0].step(masked)

    default = Stream()
    monkeypatch.setattr(Stream, "current", default)
    monkeypatch.setattr(Stream, "default", default)
    names = {
        "CUDAGraph": Graph,
        "Stream": Stream,
        "current_stream": lambda device=None: Stream.current,
        "stream": OnStream,
    }
    names |= {"graph": Capture, "get_rng_state": lambda device: torch.get_rng_state()}
    names |= {"set_rng_state": lambda state, device: torch.set_rng_state(state)}
    for name, stand_in in names.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return Graph


def failing(monkeypatch, stack, in_step=None, **errors):
    """Let a capture fail: `at_begin`, `at_end`, or in the step that is captured."""
    for where, error in errors.items():
        monkeypatch.setattr(Capture, f"failing_{where}", error)
    plain, steps = stack.step, itertools.count()

    def step(masked):
        if in_step and next(steps) == WARM_UP_STEPS:
            raise copy(in_step)
        plain(masked)

    stack.step = step


REFUSED = RuntimeError("operation not permitted when stream is capturing\nmore")
INVALID = RuntimeError("operation failed due to a previous error during capture")


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        pytest.param({}, None, id="succeeds"),
        pytest.param({"at_begin": REFUSED}, REFUSED, id="does not begin"),
        pytest.param({"in_step": REFUSED}, REFUSED, id="fails in the step"),
        pytest.param({"in_step": REFUSED, "at_end": INVALID}, INVALID, id="fails in the step and so at its end"),
        pytest.param({"at_end": torch.AcceleratorError("invalid")}, "invalid", id="fails at its end"),
        pytest.param({"at_end": RuntimeError()}, "RuntimeError", id="fails without a word"),
    ],
)
def test_a_capture_leaves_everything_as_it_was(folds, pretended_graphs, monkeypatch, errors, reason):
    """The warm-up steps before it do not count, whether it succeeds or not."""

    def rows(is_captured):
        lines = []
        stack = Stack(fresh(dropout=True), recipe_of(ULW_RECIPE), folds[1:], 5, ULW, Timing(), lines.append)
        stack.is_captured = is_captured
        pretended_graphs.stacks[:] = [stack]
        if is_captured:
            failing(monkeypatch, stack, **errors)
        return [stack.training_epoch() for _ in range(2)], stack.parameters.clone(), lines

    expected, found = rows(False), rows(True)
    assert found[0] == expected[0] and torch.equal(found[1], expected[1])
    assert Stream.current is Stream.default
    assert pretended_graphs.replayed == (0 if reason else 16)
    assert len(found[2]) == bool(reason)
    if reason:
        assert f"no CUDA graph ({str(reason).splitlines()[0]}): steps are launched" in found[2][0]


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")


@pytest.mark.parametrize(
    "errors",
    [
        {"in_step": OUT_OF_MEMORY},
        {"in_step": OUT_OF_MEMORY, "at_end": INVALID},
        {"at_begin": torch.AcceleratorError("CUDA error: out of memory")},
        {"in_step": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")},
    ],
)
def test_a_capture_without_memory_is_not_one_that_is_refused(folds, pretended_graphs, monkeypatch, errors):
    """Steps launched one by one would need as much."""
    recipe, lines = recipe_of(ULW_RECIPE), []
    stack = Stack(fresh(), recipe, folds[1:], 5, ULW, Timing(), lines.append)
    stack.is_captured = True
    failing(monkeypatch, stack, **errors)
    without = pytest.raises(BenchmarkError, match="has too little memory for batches of 8")
    with without, job._memory_explained(recipe, 10, "cpu"):
        stack.training_epoch()
    assert not lines and Stream.current is Stream.default


def test_a_gpu_without_memory_says_what_to_lower(monkeypatch):
    recipe = recipe_of(ULW_RECIPE)
    with pytest.raises(BenchmarkError) as raised, job._memory_explained(recipe, 10, "cpu"):
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")
    message = str(raised.value)
    assert "batches of 8 (recipe r) of 10 fold(s)" in message and "tried to allocate 3 GiB" in message
    assert "training.folds_per_job below 10" in message and "recipes.r.batch_size" in message
    alone = pytest.raises(BenchmarkError, match="leave the GPU to this job alone")
    with alone, job._memory_explained(recipe, 1, "cpu"):
        raise torch.OutOfMemoryError
    with pytest.raises(RuntimeError, match="another"), job._memory_explained(recipe, 1, "cpu"):
        raise RuntimeError("another")


def test_a_lack_of_memory_is_seen_however_it_is_said():
    def raised(error, cause=None, handled=None):
        try:
            try:
                raise handled or ValueError
            except (ValueError, RuntimeError):
                raise error from cause
        except RuntimeError as caught:
            return caught

    assert is_out_of_memory(raised(torch.OutOfMemoryError()))
    assert is_out_of_memory(raised(torch.AcceleratorError("CUDA error: out of memory\nmore")))
    assert is_out_of_memory(raised(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")))
    assert is_out_of_memory(raised(RuntimeError("invalid"), handled=torch.OutOfMemoryError()))
    assert is_out_of_memory(raised(RuntimeError("invalid"), cause=torch.OutOfMemoryError()))
    assert not is_out_of_memory(raised(RuntimeError("invalid"), cause=KeyError("other")))


def test_a_stack_is_given_signals_as_the_model_sees_them(folds):
    transformed = [
        {name: replace(own, transformation=Standard(clip=2)) for name, own in fold.items()} for fold in folds
    ]
    stack = Stack(fresh(), recipe_of(ULW_RECIPE), transformed, 5, ULW, Timing())
    for i, fold in enumerate(transformed):
        for name in ("train", "test"):
            found = stack.signals[torch.from_numpy(stack.positions[name][i])].numpy()
            assert np.array_equal(found, fold[name].signals(np.arange(len(fold[name]))))
    assert stack.signals.abs().max() == 2
