from pathlib import Path

from sleepbench.config import paths
from sleepbench.jobs import job, train

stack = map(paths.training, snakemake.params.trainings) if hasattr(snakemake.output, "receipt") else ()
with job(snakemake, reads=[snakemake.params.recordings], also=stack):
    train(
        snakemake.config,
        snakemake.params.trainings,
        Path(snakemake.input.folds),
        Path(snakemake.params.recordings),
        snakemake.threads,
        snakemake.params.code,
        Path(snakemake.output.receipt) if hasattr(snakemake.output, "receipt") else None,
        gpu=bool(snakemake.resources.gpu),
    )
