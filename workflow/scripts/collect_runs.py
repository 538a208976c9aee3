from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import collect_runs

with logged(snakemake.log[0]):
    collect_runs(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.params.experiment,
        Path(snakemake.output.table),
    )
