"""Windows of 30 s a second that each engine trains and classifies on this machine, interleaved in one run.

python -m sleepbench.benchmark_training [MODEL] [--channels 4] [--batch 32] [--threads 2] [--rounds 20]
"""

import argparse
import platform
import statistics
import sys
import time

import torch
from torch import nn

from sleepbench.errors import BenchmarkError
from sleepbench.models import create_model, describe
from sleepbench.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.training.engines import ENGINES, forward_of
from sleepbench.training.loop import INFERENCE_BATCH

STEPS_A_ROUND = 5


def measure(model: str, n_channels: int, batch: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Windows a second of every round, by engine and by what is done: "training", a whole step of Adam, or "inference".

    The engines take turns, so that what else the machine does falls on all alike; the first, slower round is left out.
    """
    torch.manual_seed(0)
    signals = 20 * torch.randn(max(batch, INFERENCE_BATCH), n_channels, SAMPLES_PER_EPOCH)
    stage = torch.arange(batch) % len(STAGES)
    networks = {engine: create_model(model, n_channels) for engine in ENGINES}
    optimizers = {engine: torch.optim.Adam(network.parameters(), amsgrad=True) for engine, network in networks.items()}

    def train(engine: str) -> None:
        optimizers[engine].zero_grad(set_to_none=True)
        logits = forward_of(networks[engine].train(), engine)(signals[:batch])
        nn.functional.cross_entropy(logits, stage).backward()
        optimizers[engine].step()

    @torch.inference_mode()
    def infer(engine: str) -> None:
        forward_of(networks[engine].eval(), engine)(signals[:INFERENCE_BATCH])

    rates = {what: {engine: [] for engine in ENGINES} for what in ("training", "inference")}
    for _ in range(rounds + 1):
        for what, work, size in (("training", train, batch), ("inference", infer, INFERENCE_BATCH)):
            for engine in ENGINES:
                started = time.perf_counter()
                for _ in range(STEPS_A_ROUND):
                    work(engine)
                rates[what][engine].append(STEPS_A_ROUND * size / (time.perf_counter() - started))
    return {what: {engine: values[1:] for engine, values in engines.items()} for what, engines in rates.items()}


def main(arguments: list[str]) -> None:
    """Print median rates and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m sleepbench.benchmark_training", description=__doc__.split("\n")[0])
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
        f"{platform.processor() or platform.machine()}: median windows a second of {options.rounds} rounds"
    )
    print(f"{'':10}{'batch':>7}" + "".join(f"{engine:>12}" for engine in ENGINES) + f"{'ratio':>8}")
    for what, size in (("training", options.batch), ("inference", INFERENCE_BATCH)):
        fast, reference = (statistics.median(rates[what][engine]) for engine in ENGINES)
        print(f"{what:10}{size:>7}{fast:>12.0f}{reference:>12.0f}{fast / reference:>8.2f}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")
