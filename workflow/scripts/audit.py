from pathlib import Path

from sleepbench.jobs import audit, job

with job(snakemake):
    audit(
        snakemake.params.protocols,
        snakemake.input.folds,
        snakemake.input.totals,
        snakemake.params.label,
        Path(snakemake.output.audit),
    )
