from pathlib import Path

from sleepbench.data.download import fetch_recording
from sleepbench.data.recordings import find_recording, read_recordings
from sleepbench.files import write_json
from sleepbench.logs import logged

with logged(snakemake.log[0]):
    recording = find_recording(read_recordings(snakemake.input.table), snakemake.wildcards.recording)
    receipt = fetch_recording(
        recording, Path(snakemake.params.directory), snakemake.params.base_url, snakemake.params.hint
    )
    write_json(snakemake.output.receipt, receipt)
