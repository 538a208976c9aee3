from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import summary

with logged(snakemake.log[0]):
    summary(snakemake.input, snakemake.params, Path(snakemake.output.summary))
