from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import prepare

with logged(snakemake.log[0]):
    prepare(snakemake.config, snakemake.params.dataset, Path(snakemake.input.receipt), Path(snakemake.output.signals))
