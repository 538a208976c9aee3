from sleepbench.core.logs import logged
from sleepbench.reporting.quality import quality_table

with logged(snakemake.log[0]):
    quality_table(
        snakemake.input.quality,
        snakemake.input.table,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
