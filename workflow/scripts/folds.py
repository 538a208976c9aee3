from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import folds

with logged(snakemake.log[0]):
    folds(
        snakemake.wildcards.dataset,
        Path(snakemake.input.recordings),
        snakemake.params.settings,
        Path(snakemake.params.committed),
        Path(snakemake.output.folds),
    )
