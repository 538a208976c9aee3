from sleepbench.core.logs import logged
from sleepbench.reporting.tables.main import write_main_results

with logged(snakemake.log[0]):
    write_main_results(
        snakemake.input.runs,
        snakemake.input.published,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
