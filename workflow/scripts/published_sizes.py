from sleepbench.core.logs import logged
from sleepbench.reporting.tables.published_sizes import write_published_sizes

with logged(snakemake.log[0]):
    write_published_sizes(
        snakemake.input.profiles,
        snakemake.input.published,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
