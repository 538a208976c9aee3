"""Make workflow/resources/sleep_stage_excerpts.json, which the simulation is calibrated to, from the real excerpts.

    python tools/excerpt_statistics.py DIRECTORY    the folder with the 39 files of the dataset sleep-edf-20-5s

The files are checked by SHA-256 first. The JSON has means, covariances and mixtures of log band powers, and mean
spectra, by stage; no waveform.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from sleepbench.core.files import write_json
from sleepbench.datasets import open_dataset
from sleepbench.reporting.realism.calibration import resource_of
from sleepbench.reporting.realism.excerpts import read_excerpts
from sleepbench.simulation.calibration import EXCERPTS

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    dataset = open_dataset("sleep-edf-20-5s", {"reader": "sleep_edf_excerpts"}, {})
    write_json(EXCERPTS, resource_of(read_excerpts(dataset, Path(sys.argv[1]))))
