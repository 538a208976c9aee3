"""The paper's whole experiment on Sleep-EDF-20, rehearsed with simulated files.

A local server offers the simulated files under the real names. What is rehearsed is the path: the download, the real
subject and night numbers, all folds of all protocols, every table. The nights are short and simulated, each training is
one training epoch: the results mean nothing, and everything that is made says SIMULATED. It all stays in one directory,
apart from results on real recordings.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from sleepbench.config import paths
from sleepbench.config.load import CONFIG, load
from sleepbench.config.plan import recordings
from sleepbench.core.files import sha256_of_file, write_text
from sleepbench.core.processes import require_shared_memory
from sleepbench.datasets.base import Recording
from sleepbench.datasets.recordings_table import write_recordings
from sleepbench.datasets.simulated import STAGE_TEXTS
from sleepbench.datasets.sleep_edf_cassette import FOLDER
from sleepbench.simulation.cohort import simulate_night

ROOT = Path(__file__).parents[3]
DATASET, SOURCE = "sleep-edf-20", "sleep-edf"
SERVED_AT = "files/sleep-edfx/1.0.0"
"""PhysioNet's path of the database."""
PSG_HOURS, SEED, PROCESSES = 1.0, 20, 2


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line per request on the terminal."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def simulate_under_real_names(real: Sequence[Recording], directory: Path, table: Path) -> None:
    """Write simulated files by the names of `real` into `directory`, and the table of them to `table`."""
    directory.mkdir(parents=True, exist_ok=True)
    require_shared_memory()
    with ProcessPoolExecutor(PROCESSES) as pool:
        write_recordings(table, list(pool.map(partial(_simulate, directory), real)))


def _simulate(directory: Path, real: Recording) -> Recording:
    psg, scoring = (directory / real.file(role).name for role in ("psg", "scoring"))
    simulate_night(psg, scoring, real.id, int(real.subject), real.night, PSG_HOURS, SEED, STAGE_TEXTS)
    paths = [directory / file.name for file in real.files]
    known = [{"sha256": sha256_of_file(path), "n_bytes": path.stat().st_size} for path in paths]
    return replace(real, files=tuple(replace(file, **one) for file, one in zip(real.files, known, strict=True)))


def make_project(project: Path, table: Path, base_url: str) -> None:
    """A working directory with the repository's workflow, and a config of its own."""
    project.mkdir(parents=True, exist_ok=True)
    for name in ("Snakefile", "workflow", "envs"):
        link = project / name
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT / name)
    config = yaml.safe_load((ROOT / CONFIG).read_text(encoding="utf-8"))
    config["datasets"] = {DATASET: {"table": str(table), "simulated": True, "training_epochs": 1}}
    config["data"] = {SOURCE: {"directory": paths.raw(SOURCE), "base_url": base_url}}
    write_text(project / CONFIG, yaml.safe_dump(config, sort_keys=False))


def rehearse(directory: Path) -> int:
    """Write the cohort, serve it, run the experiment; the exit status of the run."""
    directory = directory.resolve()
    table, server_root = directory / "recordings.csv", directory / "server"
    served = server_root / SERVED_AT / FOLDER
    print(f"Writing short simulated nights under the names of {DATASET} into {served}", flush=True)
    simulate_under_real_names(recordings(load(ROOT / CONFIG), DATASET), served, table)
    command = ["run", "--experiment", "paper", "--datasets", DATASET]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=server_root)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project = directory / "project"
        make_project(project, table, f"http://127.0.0.1:{server.server_port}/{SERVED_AT}/")
        print(f"Running `sleepbench {' '.join(command)}` in {project}", flush=True)
        path = [str(ROOT / "workflow"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        run = [sys.executable, "-m", "sleepbench.cli.app", *command]
        status = subprocess.run(run, cwd=project, env=environment, check=False).returncode
        server.shutdown()
    return status
