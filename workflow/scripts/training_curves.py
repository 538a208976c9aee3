from sleepbench.core.logs import logged
from sleepbench.reporting.figures.of_runs import training_curves_figure

with logged(snakemake.log[0]):
    training_curves_figure(
        snakemake.input.runs,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
    )
