from pathlib import Path

from sleepbench.jobs import job, totals

with job(snakemake):
    totals(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.wildcards.trimming,
        Path(snakemake.input.folds),
        Path(snakemake.input.recordings),
        Path(snakemake.output.totals),
    )
