from sleepbench.data.simulation import simulate_cohort
from sleepbench.logs import logged

with logged(snakemake.log[0]):
    simulate_cohort(
        snakemake.params.directory,
        snakemake.output.manifest,
        snakemake.params.recordings,
        snakemake.params.psg_hours,
        snakemake.params.seed,
        processes=snakemake.threads,
    )
