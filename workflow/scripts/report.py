from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import report

with logged(snakemake.log[0]):
    report(snakemake.input, snakemake.params, Path(snakemake.output.report))
