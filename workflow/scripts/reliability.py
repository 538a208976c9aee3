from sleepbench.core.logs import logged
from sleepbench.reporting.figures.of_statistics import reliability_figure

with logged(snakemake.log[0]):
    reliability_figure(
        snakemake.input.reliability,
        snakemake.input.intervals,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
    )
