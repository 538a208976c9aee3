from sleepbench.core.logs import logged
from sleepbench.reporting.figures.of_statistics import subjects_figure

with logged(snakemake.log[0]):
    subjects_figure(
        snakemake.input.subjects,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
    )
