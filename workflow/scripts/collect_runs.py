from pathlib import Path

from sleepbench.jobs import collect_runs, job

with job(snakemake):
    collect_runs(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.params.experiment,
        Path(snakemake.output.table),
    )
