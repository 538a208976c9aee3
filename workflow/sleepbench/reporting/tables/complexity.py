"""Table: parameters, operations by counting convention, and latency."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.evaluation.claims import Claim, load_claims
from sleepbench.models.registry import describe
from sleepbench.profiling.conventions import counts_per_epoch
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import DASH, Column, number, shown, text

SIZE_IS = {
    "outputs": "",
    "size": "; size verified: it equals a published or an independent one, outputs were not compared",
    None: "; after the description: neither outputs nor size equal published or independent ones",
}
"""What is said of a model by what of it is verified."""
COUNTS = ("parameters", "macs", "flops_2x", "flops_tensorflow", "flops_tensorflow_graph", "fvcore_flops")
LATENCIES = ("median_us", "iqr_us", "p99_us")
OTHERS = {"fast": "Fast engine", "onnxruntime": "ONNX Runtime", "ours": "Own C"}
"""Ways of inference beside PyTorch eager, whose latency stands in more detail."""
COLUMNS = (
    *("model", "n_channels", *COUNTS, *(f"latency_{name}_per_epoch" for name in LATENCIES)),
    *(f"latency_{engine}_us_per_epoch" for engine in OTHERS),
    *("latency_reliable", "mark", "source"),
)
UNRELIABLE = "?"


def complexity(profiles: Sequence[Mapping[str, Any]], claims: Sequence[Claim]) -> pd.DataFrame:
    """Parameters, operations of one 30-s epoch by counting convention, and latency.

    The rows measured here come first, then those of what the authors print. Operations and latency of a sequence model
    are those of one training sequence, divided by its length.

    Parameters
    ----------
    profiles : one dict per profiled model: title, n_channels, operations, latency (of `profiling.latency`)
    claims : published claims; those about parameters and operations become one row per model
    """
    rows = [
        {
            **{"model": profile["title"], "n_channels": profile["n_channels"]},
            **counts_per_epoch(profile["operations"]),
            **latencies(profile["latency"]),
            **{"mark": "measured", "source": profiled_here(profile)},
        }
        for profile in profiles
    ]
    by_model: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.test["kind"] in COUNTS:
            by_model.setdefault(claim.model, []).append(claim)
    for model, (first, *others) in by_model.items():
        printed = " and ".join(claim.statement for claim in (first, *others))
        rows.append(
            {
                **{"model": model, "n_channels": first.test["n_channels"]},
                **{claim.test["kind"]: claim.published for claim in (first, *others)},
                "mark": first.mark,
                "source": f"{first.source}, which prints {printed} and names no convention",
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(COUNTS, "Int64"))


def latencies(latency: Mapping[str, Any]) -> dict[str, float | bool | None]:
    """Microseconds an epoch by every way of inference, None where there is none, and whether they are reliable."""
    length, engines = latency["length"], latency["batches"]["1"]
    medians = {engine: engines[engine] and engines[engine]["median_us"] / length for engine in OTHERS}
    return {
        **{f"latency_{name}_per_epoch": engines["eager"][name] / length for name in LATENCIES},
        **{f"latency_{engine}_us_per_epoch": median for engine, median in medians.items()},
        "latency_reliable": not latency["disturbances"],
    }


def profiled_here(profile: Mapping[str, Any]) -> str:
    """The source of counts and latency: how many passes were timed where, and of what."""
    latency, length = profile["latency"], profile["operations"]["length"]
    passes = f"{latency['batches']['1']['eager']['runs']} passes" + (
        f" of sequences of {length} epochs" if length > 1 else ""
    )
    if (n_samples := profile["n_samples"]) != SAMPLES_PER_EPOCH:
        passes += f", epochs of {n_samples} samples"
    size = SIZE_IS[describe(profile["model"]).verified]
    where = f"on {latency['hardware']} with torch {latency['torch']}, onnxruntime {latency['onnxruntime']}"
    doubts = "; ".join(latency["disturbances"])
    return f"counted and timed here ({passes}), {where}{size}" + (f"; UNRELIABLE times: {doubts}" if doubts else "")


def build(inputs: Inputs) -> pd.DataFrame:
    """The table of size and cost, from profiles and the published claims."""
    return complexity([read_json(path) for path in inputs.paths("profiles")], load_claims(inputs.path("claims")))


def count(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a count in full; a published one with the three digits its source prints."""

    def cell(row: pd.Series) -> str:
        value = row[name]
        if pd.isna(value) or row["mark"] == "measured":
            return shown(value, ",.0f")
        return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}K"

    return cell


def latency(row: pd.Series) -> str:
    """Median and interquartile range of the latency."""
    median, iqr = row["latency_median_us_per_epoch"], row["latency_iqr_us_per_epoch"]
    return DASH if pd.isna(median) else f"{median:,.0f} [{iqr:,.0f}]{doubt(row)}"


def time_in(name: str) -> Callable[[pd.Series], str]:
    """Cells that show another latency, with a mark where it is not reliable."""
    return lambda row: DASH if pd.isna(row[name]) else f"{row[name]:,.0f}{doubt(row)}"


def doubt(row: pd.Series) -> str:
    """The mark of a latency that was measured beside other work; empty where it is reliable."""
    return "" if row["latency_reliable"] else f" {UNRELIABLE}"


ARTEFACT = Table(
    name="complexity",
    place=50,
    heading="Size and cost of the networks",
    caption=(
        "Trainable parameters, and operations of one epoch, of 30 s unless a note says otherwise, by convention: MACs "
        "are multiply-accumulates of convolutions, linear layers, recurrent gates and attention products. TF FLOPs: "
        "the TensorFlow profiler's float operations without AddV2. TF, graph: the same as read off the Keras graph, "
        "which holds the part applied "
        "to each channel twice: each kind of operator in it is halved, and the biases of the dense layers with it. "
        "fvcore counts 1 per MAC and 2 per batch-norm element. Latency, per epoch: one thread, batch of one epoch, all "
        "ways of inference taking turns in one process. PyTorch eager: median, width of the interquartile range (IQR), "
        "99th percentile (p99) over 400 passes, or over as many as 20 s hold, but at least 50; the notes say how many. "
        "The others: medians. Own C: the whole network in C, which ULW-SleepNet has. A question mark: other work on "
        "the machine disturbed each of three measurements, the notes say how. A sequence model's operations and "
        "latency are those of one training sequence, divided by its length. They depend on the network and its "
        "input, not on the data. Outputs, and with them parameters, equal those of another program (see the table of "
        "parity), unless a note says 'size verified' or 'after the description'. Models that are no networks are left "
        f"out. {DASH} in a measured row: the convention lacks a rule for an operator of the network, or (TF, graph) no "
        "part of the network is applied to each channel; the network has no such form."
    ),
    inputs=("profiles", "claims"),
    build=build,
    columns=(
        Column("Model", text("model"), "left"),
        Column("Channels", number("n_channels", ".0f")),
        Column("Parameters", count("parameters"), sort_by="parameters"),
        Column("MACs", count("macs"), sort_by="macs"),
        Column("2 × MACs", count("flops_2x"), sort_by="flops_2x"),
        Column("TF FLOPs", count("flops_tensorflow"), sort_by="flops_tensorflow"),
        Column("TF, graph", count("flops_tensorflow_graph"), sort_by="flops_tensorflow_graph"),
        Column("fvcore FLOPs", count("fvcore_flops"), sort_by="fvcore_flops"),
        Column("Latency, µs [IQR]", latency, sort_by="latency_median_us_per_epoch"),
        Column("p99, µs", time_in("latency_p99_us_per_epoch"), sort_by="latency_p99_us_per_epoch"),
        *(
            Column(f"{title}, µs", time_in(f"latency_{engine}_us_per_epoch"), sort_by=f"latency_{engine}_us_per_epoch")
            for engine, title in OTHERS.items()
        ),
        Column("Source", text("mark"), "left"),
    ),
    note=text("source"),
    in_summary=True,
)
