from pathlib import Path

from sleepbench.jobs import cross_report, job

with job(snakemake):
    cross_report(snakemake.input, snakemake.params, Path(snakemake.output.page))
