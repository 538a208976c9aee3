from sleepbench.jobs import job, table

with job(snakemake, reads=snakemake.params.files.get("quality", [])):
    table(snakemake.wildcards.table, snakemake.input, snakemake.params, dict(snakemake.output.items()))
