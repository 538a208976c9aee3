from sleepbench.core.logs import logged
from sleepbench.reporting.tables.audit import write_audit

with logged(snakemake.log[0]):
    write_audit(
        snakemake.params.protocols,
        snakemake.params.folds,
        snakemake.params.totals,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
        snakemake.output.json,
    )
