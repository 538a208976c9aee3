from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import train

with logged(snakemake.log[0]):
    train(
        snakemake.config,
        snakemake.params.trainings,
        Path(snakemake.input.folds),
        Path(snakemake.input.recordings),
        snakemake.threads,
        snakemake.params.code,
        Path(snakemake.output.receipt) if hasattr(snakemake.output, "receipt") else None,
    )
