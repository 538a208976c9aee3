from sleepbench.core.logs import logged
from sleepbench.reporting.figures.of_statistics import sleep_agreement_figure

with logged(snakemake.log[0]):
    sleep_agreement_figure(
        snakemake.input.nights,
        snakemake.input.sleep_measures,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
    )
