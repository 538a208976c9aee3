from pathlib import Path

from sleepbench.jobs import job, prepare

with job(snakemake):
    prepare(
        snakemake.config,
        snakemake.params.reading["dataset"],
        Path(snakemake.input.receipt),
        Path(snakemake.output.signals),
    )
