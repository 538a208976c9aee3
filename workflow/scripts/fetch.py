from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import fetch

with logged(snakemake.log[0]):
    fetch(snakemake.config, snakemake.params.dataset, snakemake.wildcards.recording, Path(snakemake.output.receipt))
