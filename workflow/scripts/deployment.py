from pathlib import Path

from sleepbench.config.keys import TrainingKey
from sleepbench.jobs import job, measure_deployment

with job(snakemake, reads=[snakemake.params.recordings]):
    measure_deployment(
        snakemake.config,
        TrainingKey(**snakemake.params.key),
        Path(snakemake.input.folds),
        Path(snakemake.params.recordings),
        Path(snakemake.output.deployment),
    )
