from sleepbench.core.logs import logged
from sleepbench.reporting.figures.of_statistics import ladder_figure

with logged(snakemake.log[0]):
    ladder_figure(
        snakemake.input.ladder,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
    )
