from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import index

with logged(snakemake.log[0]):
    index(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.input.prepared,
        snakemake.input.receipts,
        Path(snakemake.output.index),
    )
