from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.jobs import audit

with logged(snakemake.log[0]):
    audit(
        snakemake.params.protocols,
        snakemake.input.folds,
        snakemake.input.totals,
        snakemake.params.label,
        Path(snakemake.output.audit),
    )
