from sleepbench.core.logs import logged
from sleepbench.reporting.tables.main import write_claims

with logged(snakemake.log[0]):
    write_claims(
        snakemake.input.claims,
        snakemake.input.runs,
        snakemake.input.profiles,
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.output.csv,
        snakemake.output.md,
        snakemake.output.tex,
    )
