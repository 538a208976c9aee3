from pathlib import Path

from sleepbench.jobs import index, job

with job(snakemake, reads=snakemake.params.receipts):
    index(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.input.prepared,
        snakemake.params.receipts,
        Path(snakemake.output.index),
    )
