from sleepbench.jobs import job, statistics

with job(snakemake):
    statistics("subjects", snakemake.input, snakemake.params, dict(snakemake.output.items()))
