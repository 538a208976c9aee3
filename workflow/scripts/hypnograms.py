from sleepbench.core.logs import logged
from sleepbench.reporting.quality import hypnogram_wall

with logged(snakemake.log[0]):
    hypnogram_wall(
        snakemake.input.quality,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.png,
        snakemake.output.pdf,
        snakemake.output.csv,
    )
