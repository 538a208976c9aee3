from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import totals

with logged(snakemake.log[0]):
    totals(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.wildcards.trimming,
        Path(snakemake.input.folds),
        Path(snakemake.input.recordings),
        Path(snakemake.output.totals),
    )
