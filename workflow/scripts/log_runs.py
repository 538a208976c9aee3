from pathlib import Path

from sleepbench.jobs import job, log_runs

with job(snakemake, also=filter(None, [snakemake.params.file])):
    log_runs(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.params.experiment,
        snakemake.params.store,
        Path(snakemake.output.runs),
    )
