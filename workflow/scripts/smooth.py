from pathlib import Path

from sleepbench.config.keys import TrainingKey
from sleepbench.core.logs import logged
from sleepbench.jobs import smooth

with logged(snakemake.log[0]):
    smooth(
        snakemake.config,
        TrainingKey.named(snakemake.wildcards),
        snakemake.wildcards.selection,
        Path(snakemake.input.folds),
        Path(snakemake.input.recordings),
        Path(snakemake.output.smoothed),
        snakemake.threads,
        snakemake.params.code,
    )
