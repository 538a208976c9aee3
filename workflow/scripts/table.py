from sleepbench.jobs import job, table

with job(snakemake):
    table(snakemake.wildcards.table, snakemake.input, snakemake.params, dict(snakemake.output.items()))
