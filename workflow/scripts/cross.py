from pathlib import Path

from sleepbench.config.keys import CrossKey
from sleepbench.jobs import cross, job

with job(snakemake):
    cross(
        snakemake.config,
        CrossKey.named(snakemake.wildcards),
        snakemake.params.trainings,
        Path(snakemake.input.folds),
        Path(snakemake.output.crossed),
        snakemake.threads,
        snakemake.params.code,
        gpu=bool(snakemake.resources.gpu),
    )
