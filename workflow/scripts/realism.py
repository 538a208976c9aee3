from pathlib import Path

from sleepbench.jobs import job, realism

with job(snakemake):
    realism(
        snakemake.config,
        snakemake.wildcards.dataset,
        Path(snakemake.input.recordings),
        dict(snakemake.output.items()),
        snakemake.threads,
    )
