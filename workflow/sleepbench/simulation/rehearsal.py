"""`make paper DATASET=sleep-edf-20`, run to its end on simulated files that a local server holds under the real names.

python -m sleepbench.simulation.rehearsal DIRECTORY VENV

What is rehearsed is the path: the download, the real subject and night numbers, all folds of both protocols, every
table. The nights are short and simulated, each training is one training epoch: the results mean nothing, and everything
that is made says SIMULATED. It all stays in DIRECTORY, apart from results on real recordings.
"""

import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from sleepbench.core.files import write_text
from sleepbench.datasets.recordings import Recording, first_subjects, read_recordings, write_recordings
from sleepbench.simulation.cohort import simulate_cohort

ROOT = Path(__file__).parents[3]
DATASET = "sleep-edf-20"
SERVED_AT = "files/sleep-edfx/1.0.0"
"""PhysioNet's path of the data set."""
PSG_HOURS, SEED, TRAINING_EPOCHS, PROCESSES = 1.0, 20, 1, 2


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line per request on the terminal."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def simulate_under_real_names(real: list[Recording], directory: Path, table: Path) -> None:
    """Write simulated files by the names of `real` into `directory`, and the table of them to `table`."""
    ids = [recording.id for recording in real]
    simulated = simulate_cohort(directory, table, ids, PSG_HOURS, SEED, PROCESSES)
    renamed = []
    for recording, official in zip(simulated, sorted(real), strict=True):
        # Hypnograms end in their scorer's letter, which the simulation draws.
        (directory / recording.hypnogram).replace(directory / official.hypnogram)
        renamed.append(replace(recording, hypnogram=official.hypnogram, age=official.age, sex=official.sex))
    write_recordings(table, renamed)


def make_project(project: Path, table: Path, base_url: str) -> None:
    """A working directory with the repository's workflow, and a config of its own."""
    project.mkdir(parents=True, exist_ok=True)
    for name in ("Makefile", "Snakefile", "pyproject.toml", "envs", "workflow"):
        link = project / name
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT / name)
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["data"] |= {"base_url": base_url, "table": str(table), "simulated": True}
    config["datasets"][DATASET]["training_epochs"] = TRAINING_EPOCHS
    write_text(project / "config.yaml", yaml.safe_dump(config, sort_keys=False))


def rehearse(directory: Path, venv: Path, target: str = "paper") -> int:
    """Write the cohort, serve it, run `make <target>`; return make's exit status."""
    directory = directory.resolve()
    table = directory / "recordings.csv"
    real = read_recordings(ROOT / "workflow" / "resources" / "sleep_edf_recordings.csv")
    served = directory / "server" / SERVED_AT / "sleep-cassette"
    print(f"Writing short simulated nights under the names of {DATASET} into {served}", flush=True)
    simulate_under_real_names(first_subjects(real, 20), served, table)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=directory / "server")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        project = directory / "project"
        make_project(project, table, f"http://127.0.0.1:{server.server_port}/{SERVED_AT}/")
        print(f"Running `make {target} DATASET={DATASET}` in {project}", flush=True)
        status = subprocess.run(["make", target, f"DATASET={DATASET}", f"VENV={venv}"], cwd=project).returncode
        server.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(rehearse(Path(sys.argv[1]), Path(sys.argv[2])))
