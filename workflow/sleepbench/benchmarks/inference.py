"""The time of inference by every way there is, on one thread, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from sleepbench.profiling.inference import ENGINES
from sleepbench.profiling.latency import ATTEMPTS, measure_latency

TIMES = ("cpu_minimum_us", "cpu_median_us", "minimum_us", "median_us")


def print_inference(model: str, channels: int = 4, batches: Sequence[int] = (1, 64), rounds: int = 400) -> None:
    """Time every way of inference, in turns in one process, and print the table."""
    print(as_text(measure_latency(model, channels, runs=rounds, batches=sorted(set(batches)))))


def as_text(measured: Mapping[str, Any]) -> str:
    """Microseconds an epoch, of the CPU and by the clock, and the ratio of CPU medians to onnxruntime's."""
    length = measured["length"]
    of = f", sequences of {length} epochs" if length > 1 else ""
    lines = [
        f"{measured['model']}, {measured['n_channels']} channels{of}, {measured['threads']} thread, "
        f"{measured['hardware']}, torch {measured['torch']}, onnxruntime {measured['onnxruntime']}",
        "Microseconds an epoch; the engines take turns in one process",
        f"{'batch':>6}  {'engine':12}{'CPU: least':>12}{'median':>10}{'clock: least':>14}{'median':>10}"
        f"{'passes':>8}{'ratio':>8}",
    ]
    for batch, engines in measured["batches"].items():
        reference = engines["onnxruntime"]["cpu_median_us"]
        for name in ENGINES:
            if (one := engines[name]) is None:
                lines.append(f"{batch:>6}  {name:12}{'–':>12}")
                continue
            least_cpu, cpu, least, clock = (one[time] / int(batch) / length for time in TIMES)
            lines.append(
                f"{batch:>6}  {name:12}{least_cpu:>12,.1f}{cpu:>10,.1f}{least:>14,.1f}{clock:>10,.1f}"
                f"{one['runs']:>8}{one['cpu_median_us'] / reference:>8.2f}"
            )
    lines.append("eager: PyTorch; fast: its fast engine; ours: the whole network in C. Ratio: of CPU medians.")
    if doubts := measured["disturbances"]:
        lines.append(
            f"UNRELIABLE: {'; '.join(doubts)} ({ATTEMPTS} measurements were made, this one beside the least work of "
            "others). Measure again when nothing else runs."
        )
    return "\n".join(lines)
