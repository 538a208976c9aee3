from sleepbench.core.logs import logged
from sleepbench.reporting.tables.postprocessing import write_postprocessing

with logged(snakemake.log[0]):
    write_postprocessing(
        snakemake.input.runs,
        snakemake.input.parameters,
        snakemake.params.models,
        snakemake.params.protocols,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
