from sleepbench.core.logs import logged
from sleepbench.reporting.realism import realism_report

with logged(snakemake.log[0]):
    realism_report(
        snakemake.input.prepared,
        snakemake.input.predictions,
        snakemake.wildcards.dataset,
        snakemake.output.md,
        snakemake.output.csv,
        snakemake.output.png,
        snakemake.output.pdf,
    )
