from pathlib import Path

from sleepbench.core.files import write_json
from sleepbench.core.logs import logged
from sleepbench.datasets.recordings import find_recording, read_recordings
from sleepbench.signals.download import fetch_recording

with logged(snakemake.log[0]):
    recording = find_recording(read_recordings(snakemake.input.table), snakemake.wildcards.recording)
    receipt = fetch_recording(
        recording, Path(snakemake.params.directory), snakemake.params.base_url, snakemake.params.hint
    )
    write_json(snakemake.output.receipt, receipt)
