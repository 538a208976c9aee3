from pathlib import Path

from sleepbench.core.files import read_json
from sleepbench.core.logs import logged
from sleepbench.datasets.recordings import find_recording, read_recordings
from sleepbench.signals.prepare import prepare_recording

with logged(snakemake.log[0]):
    receipt = read_json(snakemake.input.receipt)
    prepare_recording(
        find_recording(read_recordings(snakemake.input.table), snakemake.wildcards.recording),
        Path(receipt["psg"]["path"]),
        Path(receipt["hypnogram"]["path"]),
        snakemake.params.channels,
        Path(snakemake.output.signals),
        simulated=snakemake.params.simulated,
    )
