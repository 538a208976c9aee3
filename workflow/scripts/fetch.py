from pathlib import Path

from sleepbench.jobs import fetch, job

with job(snakemake):
    fetch(
        snakemake.config,
        snakemake.params.reading["dataset"],
        snakemake.wildcards.recording,
        Path(snakemake.output.receipt),
    )
