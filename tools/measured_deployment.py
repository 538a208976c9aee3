"""Measure a run's network as C on emulated boards for long: workflow/resources/measured_deployment.json.

    python tools/measured_deployment.py DATASET SECONDS

in a project where DATASET was run, with gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm installed.
SECONDS are those of each form on each board. What a run measures by itself (`sleepbench run`, results/DATASET/
deployment.json) is the same for a few seconds; the table holds it against what is kept here.
"""

import sys
from pathlib import Path

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file, sha256_of_json, write_document
from sleepbench.deployment.built import SOURCE, lacks_boards
from sleepbench.deployment.measuring import DeploymentJob, measure
from sleepbench.preparation.index import read_index
from sleepbench.workflow import RESOURCE_FILES, Workflow

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / RESOURCE_FILES["measured_deployment"]


def main(dataset: str, seconds: str) -> None:
    """Write the file."""
    if lacks := lacks_boards():
        raise BenchmarkError(f"nothing can be measured: {lacks}")
    config = load()
    run = Workflow(config, Path()).deployed(dataset)
    if run is None:
        raise BenchmarkError(f"{dataset}: this experiment has no run whose network is written as C")
    measure(
        DeploymentJob(
            config,
            Path(paths.training(run.training)),
            Path(paths.folds(dataset, run.training.folds)),
            read_index(paths.recordings(dataset)).prepared,
            OUTPUT,
            float(seconds),
        )
    )
    kept = {name: value for name, value in read_document(OUTPUT).items() if name not in ("forms", "hardware")}
    write_document(OUTPUT, {**kept, "code_sha256": code_sha256()})


def code_sha256() -> str:
    """A hash of the C that runs on the boards: what is kept is of this code."""
    return sha256_of_json(
        [sha256_of_file(SOURCE / name) for name in ("sleepbench.c", "board/board.c", "board/board.ld")]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
