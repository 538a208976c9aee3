from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import log_runs

with logged(snakemake.log[0]):
    log_runs(
        snakemake.config,
        snakemake.wildcards.dataset,
        snakemake.params.experiment,
        snakemake.params.store,
        Path(snakemake.output.runs),
    )
