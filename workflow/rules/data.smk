rule simulate:
    output:
        manifest="results/data/{source}/recordings.csv",
    log:
        "results/logs/data/{source}/simulate.log",
    benchmark:
        "results/benchmarks/data/{source}/simulate.tsv"
    wildcard_constraints:
        source="|".join(SIMULATED),
    conda:
        ENVIRONMENT
    threads: 2
    params:
        directory=lambda w: raw_directory(w.source),
        recordings=lambda w: simulation_ids(w.source),
        psg_hours=lambda w: DATASETS[w.source].simulation["psg_hours"],
        seed=lambda w: DATASETS[w.source].simulation["seed"],
        code=code_sha256(["data/simulation.py"]),
    message:
        "Writing the simulated cohort {wildcards.source} as EDF files"
    script:
        "../scripts/simulate.py"


rule fetch:
    input:
        table=lambda w: table_of(w.source),
    output:
        receipt="results/data/{source}/verified/{recording}.json",
    log:
        "results/logs/data/{source}/fetch-{recording}.log",
    conda:
        ENVIRONMENT
    resources:
        download=1,
    params:
        directory=lambda w: raw_directory(w.source),
        base_url=lambda w: None if w.source in SIMULATED else config["data"]["base_url"],
    message:
        "Fetching and verifying {wildcards.recording} of {wildcards.source}, progress in {log}"
    script:
        "../scripts/fetch.py"


rule prepare:
    input:
        receipt="results/data/{source}/verified/{recording}.json",
        table=lambda w: table_of(w.source),
    output:
        signals="results/data/{source}/prepared/{recording}.npy",
        epochs="results/data/{source}/prepared/{recording}.epochs.csv",
        record="results/data/{source}/prepared/{recording}.json",
    log:
        "results/logs/data/{source}/prepare-{recording}.log",
    benchmark:
        "results/benchmarks/data/{source}/prepare-{recording}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1500,
    params:
        channels=config["data"]["channels"],
        code=code_sha256(PREPARATION),
    message:
        "Preparing {wildcards.recording} of {wildcards.source}"
    script:
        "../scripts/prepare.py"
