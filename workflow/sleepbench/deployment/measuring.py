"""What a run's network does as C, here and on emulated boards: accuracy, agreement, speed, memory, instructions.

Speed and accuracy of a row are of the same code and the same pass over the test fold, one epoch at a time, as MLPerf
Tiny asks of a single stream.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document
from sleepbench.deployment.built import (
    BOARDS,
    Board,
    Outputs,
    lacks_boards,
    lacks_compiler,
    run_here,
    run_on,
    sizes,
    versions,
)
from sleepbench.deployment.bundle import Bundle
from sleepbench.deployment.making import bundle_run
from sleepbench.deployment.quantisation import calibrate, calibration_epochs, constant_bytes, quantise
from sleepbench.deployment.to_c import NAMES, CNetwork, c_network, write_c
from sleepbench.evaluation.metrics import confusion_matrix, summary
from sleepbench.models.transformation import NONE
from sleepbench.preparation.prepared import PreparedFiles
from sleepbench.profiling.latency import processor_name
from sleepbench.protocols.folds import folds_of, read_folds
from sleepbench.training.epochs import EpochSet, fold_sets
from sleepbench.training.keys import read_training

TARGET = 0.99
"""Of the accuracy of the network in PyTorch: the quality that a form must keep."""
PERCENTILE = 99.9
"""Of the magnitudes of an activation, of a range that leaves out the largest ones."""
TITLES = {32: "single precision", 16: "W8A16", 8: "INT8"}
SECONDS_ON_A_BOARD = 1.0
"""Of this machine, for each form on each board."""
MOST_ON_A_BOARD = 2000
"""Epochs, which are in memory several times."""


@dataclass(frozen=True)
class DeploymentJob:
    """What is needed to measure a run's network.

    training : the directory of the fold
    folds : the fold file
    prepared : the prepared files of each recording
    output : the JSON document
    seconds : for each form on each board, after which no further epoch is begun there
    """

    config: Config
    training: Path
    folds: Path
    prepared: Mapping[str, PreparedFiles]
    output: Path
    seconds: float = SECONDS_ON_A_BOARD


def measure(job: DeploymentJob) -> None:
    """Write the document: a row for each form of the network on this machine, and for each form on each board.

    What cannot be measured here is a row that says why.
    """
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as name:
        scratch = Path(name)
        bundle = bundle_run(job.config, str(job.training), scratch / "run.bundle")
        settings = read_training(job.training)["settings"]
        fold = folds_of(read_folds(job.folds))[settings["fold"]]
        (sets,) = fold_sets([fold], job.prepared, settings["channels"], settings["trimming"], NONE)
        network, test = c_network(bundle), sets["test"]
        epochs = test.signals(np.arange(len(test)))
        reference = _pytorch(bundle, epochs)
        forms = _forms(network, sets["train"], test.stage, epochs, reference, scratch)
        boards = _boards(network, epochs, reference, scratch, job.seconds)
    told = bundle.description
    write_document(
        job.output,
        {
            **{"run_key": told.run_key, "model": told.model, "title": told.title, "dataset": told.data.dataset},
            **{"n_channels": len(told.roles), "n_samples": told.samples_per_epoch, "target": TARGET},
            **{"test_epochs": len(test), "calibration_epochs": len(calibration_epochs(len(sets["train"])))},
            **{"simulated": told.data.kind == "simulated", "hardware": processor_name(), "forms": forms},
            **{"boards": boards, "versions": {} if lacks_boards() else versions()},
        },
    )
    for row in (*forms, *boards):
        print(row)


def _pytorch(bundle: Bundle, epochs: np.ndarray) -> Outputs:
    """The network itself, eager, an epoch at a time on one thread."""
    network, prepared, before = bundle.network(), torch.from_numpy(bundle.prepare(epochs)), torch.get_num_threads()
    logits, seconds = [], []
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            network(prepared[:1])
            for epoch in prepared.split(1):
                start = time.process_time()
                logits.append(network(epoch).double().numpy()[0])
                seconds.append(time.process_time() - start)
    finally:
        torch.set_num_threads(before)
    logits = np.array(logits)
    return Outputs(logits.argmax(axis=1), logits, np.array(seconds))


# -------------------------------------------------------------------------------------------------------- this machine


def _forms(
    network: CNetwork, train: EpochSet, stage: np.ndarray, epochs: np.ndarray, reference: Outputs, scratch: Path
) -> list[dict[str, Any]]:
    """The network in PyTorch and its forms in C: what each does on the test fold."""

    def row(form: str, title: str, ranges: str, n_bytes: int, run: Callable[[], Outputs], lacks: str) -> dict[str, Any]:
        told = {"form": form, "title": title, "ranges": ranges, "weight_bytes": n_bytes}
        return told | _or_skipped(lacks, lambda: _quality(run(), stage, reference))

    lacks, n_weights = lacks_compiler(), sum(p.numel() for p in network.bundle.network().parameters())
    rows = [row("pytorch", "PyTorch, as trained", "", 4 * n_weights, lambda: reference, "")]
    folded = network.folded
    seen = train.signals(calibration_epochs(len(train)))
    n_samples = epochs.shape[-1]
    clipped = quantise(folded, calibrate(folded, seen, PERCENTILE), 8, n_samples)
    ranges_seen = network.bundle.description.activation_ranges or calibrate(folded, seen)
    whole = quantise(folded, ranges_seen, 8, n_samples)
    for number, (bits, ranges, variant) in enumerate(
        [
            (32, "", network),
            *((bits, "largest, twice over", network) for bits in network.integers),
            (8, "largest", replace(network, integers={8: whole})),
            (8, f"{PERCENTILE} % of all", replace(network, integers={8: clipped})),
        ]
    ):
        directory = scratch / f"form-{number}"
        write_c(variant, directory, "")
        values = variant.folded.astype(np.float32) if bits == 32 else variant.integers[bits]

        def run(directory: Path = directory, bits: int = bits) -> Outputs:
            return run_here(directory, bits, epochs, directory)

        clips = f", ranges of {PERCENTILE} %" if variant.integers.get(8) is clipped else ""
        rows.append(row(NAMES[bits], f"C, {TITLES[bits]}{clips}", ranges, constant_bytes(values), run, lacks))
    return rows


def _or_skipped(lacks: str, measured: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured, or why nothing was: a benchmark does not end because of an emulator."""
    try:
        return {"skipped": lacks} if lacks else measured()
    except BenchmarkError as error:
        return {"skipped": str(error)}


def _quality(outputs: Outputs, stage: np.ndarray, reference: Outputs) -> dict[str, Any]:
    found = summary(confusion_matrix(stage, outputs.stages))
    expected = summary(confusion_matrix(stage, reference.stages))["accuracy"]
    median, p90 = (1e6 * float(np.quantile(outputs.seconds, q)) for q in (0.5, 0.9))
    return {
        **{name: float(found[name]) for name in ("accuracy", "macro_f1", "cohen_kappa")},
        **_likeness(outputs.stages, outputs.logits, reference),
        **{"latency_us": median, "latency_p90_us": p90, "epochs": len(outputs.stages)},
        "meets_target": bool(found["accuracy"] >= TARGET * expected),
    }


def _likeness(stages: np.ndarray, logits: np.ndarray, reference: Outputs) -> dict[str, float]:
    """How like the network in PyTorch a form is, on the first epochs of the reference."""
    n = len(stages)
    difference = softmax(logits, axis=1) - softmax(reference.logits[:n], axis=1)
    return {
        "agreement": float(np.mean(stages == reference.stages[:n])),
        "probability_difference": float(np.abs(difference).max()),
        "logit_difference": float(np.abs(logits - reference.logits[:n]).max()),
    }


# --------------------------------------------------------------------------------------------------------------- boards


def _boards(
    network: CNetwork, epochs: np.ndarray, reference: Outputs, scratch: Path, seconds: float
) -> list[dict[str, Any]]:
    """Each form on each board."""
    directory = scratch / "boards"
    write_c(network, directory, "")
    lacks, rows = lacks_boards(), []
    # However few are tried, they are of the whole fold.
    order = np.random.default_rng(0).permutation(len(epochs))[:MOST_ON_A_BOARD]
    epochs, stages, logits = epochs[order], reference.stages[order], reference.logits[order]
    reference = Outputs(stages, logits, reference.seconds[order])
    for board in BOARDS:
        for bits in network.bits:
            told = {"core": board.core, "machine": board.machine, "form": NAMES[bits]}

            def on_board(board: Board = board, bits: int = bits) -> dict[str, Any]:
                found = run_on(directory, board, bits, epochs, scratch, seconds)
                size = sizes(directory, board, bits, scratch)
                return {
                    **{"epochs": len(found.stages), "instructions": float(found.instructions.mean())},
                    **{"last_sample_instructions": int(found.last.max())},
                    **{"flash_bytes": size.flash, "state_bytes": size.state, "stack_bytes": found.stack},
                    **_likeness(found.stages, found.logits, reference),
                }

            rows.append(told | _or_skipped(lacks, on_board))
    return rows
