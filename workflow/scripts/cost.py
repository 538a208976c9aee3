from sleepbench.core.logs import logged
from sleepbench.reporting.figures.of_statistics import cost_figure

with logged(snakemake.log[0]):
    cost_figure(
        snakemake.input.intervals,
        snakemake.input.runs,
        snakemake.input.profiles,
        snakemake.input.published,
        snakemake.input.claims,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
        snakemake.params.estimators,
    )
