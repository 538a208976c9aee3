from pathlib import Path

from sleepbench.jobs import index, job

with job(snakemake):
    index(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.input.prepared,
        snakemake.input.receipts,
        Path(snakemake.output.index),
    )
