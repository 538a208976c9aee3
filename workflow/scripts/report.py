from pathlib import Path

from sleepbench.jobs import job, report

with job(snakemake):
    report(snakemake.input, snakemake.params, Path(snakemake.output.report))
