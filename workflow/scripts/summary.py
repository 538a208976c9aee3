from pathlib import Path

from sleepbench.jobs import job, summary

with job(snakemake):
    summary(snakemake.input, snakemake.params, Path(snakemake.output.summary))
