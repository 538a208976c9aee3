from sleepbench.core.logs import logged
from sleepbench.reporting.tables.main import write_complexity

with logged(snakemake.log[0]):
    write_complexity(
        snakemake.input.profiles,
        snakemake.input.claims,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
