from pathlib import Path

from sleepbench.jobs import folds, job

with job(snakemake):
    folds(
        snakemake.wildcards.dataset,
        Path(snakemake.input.recordings),
        snakemake.params.settings,
        Path(snakemake.params.committed),
        Path(snakemake.output.folds),
    )
