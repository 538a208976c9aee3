from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import realism

with logged(snakemake.log[0]):
    realism(
        snakemake.config,
        snakemake.wildcards.dataset,
        Path(snakemake.input.recordings),
        dict(snakemake.output.items()),
        snakemake.threads,
    )
