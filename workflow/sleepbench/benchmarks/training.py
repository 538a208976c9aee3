"""Windows of 30 s a second that each engine trains and classifies on this machine, interleaved in one run.

python -m sleepbench.benchmarks.training [MODEL] [--channels 4] [--batch 32] [--threads 2] [--rounds 20]
"""

import argparse
import platform
import statistics
import sys
import time
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


def measure(model: str, n_channels: int, batch: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Windows a second of every round, by column and by what is done: "training", a whole step of Adam, or "inference".

    The columns, engines and `IN_PYTORCH`, take turns, so that what else the machine does falls on all alike; the first,
    slower round is left out.
    """
    torch.manual_seed(0)
    signals = 20 * torch.randn(max(batch, INFERENCE_BATCH), n_channels, SAMPLES_PER_EPOCH)
    stage = torch.arange(batch) % len(STAGES)
    has_kernel = arrangement_of(describe(model), "fast", signals.device) != "PyTorch"
    columns = {"fast": "fast"} | ({IN_PYTORCH: "fast"} if has_kernel else {}) | {"reference": "reference"}
    networks = {column: create_model(model, n_channels) for column in columns}
    optimizers = {column: torch.optim.Adam(network.parameters(), amsgrad=True) for column, network in networks.items()}

    def train(column: str) -> None:
        optimizers[column].zero_grad(set_to_none=True)
        logits = forward_of(networks[column].train(), columns[column])(signals[:batch])
        nn.functional.cross_entropy(logits, stage).backward()
        optimizers[column].step()

    @torch.inference_mode()
    def infer(column: str) -> None:
        forward_of(networks[column].eval(), columns[column])(signals[:INFERENCE_BATCH])

    rates = {what: {column: [] for column in columns} for what in ("training", "inference")}
    for _ in range(rounds + 1):
        for what, work, size in (("training", train, batch), ("inference", infer, INFERENCE_BATCH)):
            for column in columns:
                with switched_off() if column == IN_PYTORCH else nullcontext():
                    started = time.perf_counter()
                    for _ in range(STEPS_A_ROUND):
                        work(column)
                    rates[what][column].append(STEPS_A_ROUND * size / (time.perf_counter() - started))
    return {what: {column: values[1:] for column, values in columns.items()} for what, columns in rates.items()}


def main(arguments: list[str]) -> None:
    """Print median rates and their ratio."""
    parser = argparse.ArgumentParser(
        prog="python -m sleepbench.benchmarks.training", description=__doc__.split("\n")[0]
    )
    parser.add_argument("model", nargs="?", default="ulw_sleepnet")
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    if describe(options.model).kind != "network" or describe(options.model).sequence_length:
        raise BenchmarkError(f"model {options.model}: only networks of single epochs are timed here")
    torch.set_num_threads(options.threads)
    rates = measure(options.model, options.channels, options.batch, options.rounds)
    print(
        f"{options.model}, {options.channels} channels, {options.threads} threads, torch {torch.__version__}, "
        f"{platform.processor() or platform.machine()}: median windows a second of {options.rounds} rounds; the fast "
        f"engine is computed by {arrangement_of(describe(options.model), 'fast', torch.device('cpu'))}"
    )
    print(f"{'':10}{'batch':>7}" + "".join(f"{column:>12}" for column in rates["training"]) + f"{'ratio':>8}")
    for what, size in (("training", options.batch), ("inference", INFERENCE_BATCH)):
        medians = {column: statistics.median(values) for column, values in rates[what].items()}
        figures = "".join(f"{median:>12.0f}" for median in medians.values())
        print(f"{what:10}{size:>7}{figures}{medians['fast'] / medians['reference']:>8.2f}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")
