"""Epochs of 30 s that each engine trains and classifies in a second on this machine.

The engines take turns in one run.
"""

import platform
import statistics
import time
from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models import create_model, describe
from sleepbench.models.kernels.fused_kernel import switched_off
from sleepbench.training.engines import arrangement_of, forward_of
from sleepbench.training.loop import INFERENCE_BATCH

STEPS_A_ROUND = 5
IN_PYTORCH = "in PyTorch"
"""The column of the fast engine without its C kernel; only where there is one."""


SIZES = {"training": 32, "inference": INFERENCE_BATCH}
"""Epochs in a batch, by what is done."""


def measure(model: str, n_channels: int, sizes: Mapping[str, int], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Epochs a second of every round, by what is done and by column.

    `sizes` has what is measured, "training" or "inference", with its epochs in a batch.

    "training" is a whole step of Adam, "inference" a classification.

    The columns, engines and `IN_PYTORCH`, take turns, so that what else the machine does falls on all alike; the first,
    slower round is left out.
    """
    torch.manual_seed(0)
    signals = 20 * torch.randn(max(sizes.values()), n_channels, SAMPLES_PER_EPOCH)
    stage = torch.arange(len(signals)) % len(STAGES)
    has_kernel = arrangement_of(describe(model), "fast", signals.device) != "PyTorch"
    columns = {"fast": "fast"} | ({IN_PYTORCH: "fast"} if has_kernel else {}) | {"reference": "reference"}
    networks = {column: create_model(model, n_channels) for column in columns}
    optimizers = {column: torch.optim.Adam(network.parameters(), amsgrad=True) for column, network in networks.items()}

    def train(column: str, size: int) -> None:
        optimizers[column].zero_grad(set_to_none=True)
        logits = forward_of(networks[column].train(), columns[column])(signals[:size])
        nn.functional.cross_entropy(logits, stage[:size]).backward()
        optimizers[column].step()

    @torch.inference_mode()
    def infer(column: str, size: int) -> None:
        forward_of(networks[column].eval(), columns[column])(signals[:size])

    works = {"training": train, "inference": infer}
    rates: dict[str, dict[str, list[float]]] = {what: {column: [] for column in columns} for what in sizes}
    for _ in range(rounds + 1):
        for what, size in sizes.items():
            for column in columns:
                with switched_off() if column == IN_PYTORCH else nullcontext():
                    started = time.perf_counter()
                    for _ in range(STEPS_A_ROUND):
                        works[what](column, size)
                    rates[what][column].append(STEPS_A_ROUND * size / (time.perf_counter() - started))
    return {what: {column: values[1:] for column, values in columns.items()} for what, columns in rates.items()}


def compare_engines(
    model: str, channels: int = 4, batch: int | None = None, threads: int = 2, rounds: int = 20
) -> None:
    """Print the median rates of training and inference, and their ratio.

    batch : of training, by default 32 epochs; that of inference is what jobs take
    """
    info = describe(model)
    if info.kind != "network" or info.sequence_length:
        raise BenchmarkError(f"model {model}: only networks of single epochs are timed here")
    torch.set_num_threads(threads)
    sizes = SIZES | ({"training": batch} if batch else {})
    rates = measure(model, channels, sizes, rounds)
    print(
        f"{model}, {channels} channels, {threads} threads, torch {torch.__version__}, "
        f"{platform.processor() or platform.machine()}: median epochs a second of {rounds} rounds; the fast engine is "
        f"computed by {arrangement_of(info, 'fast', torch.device('cpu'))}"
    )
    print(f"{'':10}{'batch':>7}" + "".join(f"{column:>12}" for column in rates["training"]) + f"{'ratio':>8}")
    for name, size in sizes.items():
        medians = {column: statistics.median(values) for column, values in rates[name].items()}
        figures = "".join(f"{median:>12.0f}" for median in medians.values())
        print(f"{name:10}{size:>7}{figures}{medians['fast'] / medians['reference']:>8.2f}")
