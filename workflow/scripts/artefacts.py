from sleepbench.jobs import artefacts, job

with job(snakemake, reads=snakemake.params.files.get("quality", [])):
    artefacts(snakemake.wildcards.dataset, snakemake.input, snakemake.params)
