from pathlib import Path

from sleepbench.config.keys import TrainingKey
from sleepbench.jobs import job, smooth

with job(snakemake, reads=[snakemake.params.recordings]):
    smooth(
        snakemake.config,
        TrainingKey.named(snakemake.wildcards),
        snakemake.wildcards.selection,
        Path(snakemake.input.folds),
        Path(snakemake.params.recordings),
        Path(snakemake.output.smoothed),
        snakemake.threads,
        snakemake.params.code,
        gpu=bool(snakemake.resources.gpu),
    )
