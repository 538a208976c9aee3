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
        recordings=lambda w: simulation_ids(DATASETS[w.source].simulation),
        psg_hours=lambda w: DATASETS[w.source].simulation["psg_hours"],
        seed=lambda w: DATASETS[w.source].simulation["seed"],
        code=code_sha256(["simulation/cohort.py"]),
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
        hint=lambda w: (
            f"delete results/data/{w.source}/recordings.csv and run again: the cohort is written anew"
            if w.source in SIMULATED
            else ""
        ),
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
        quality="results/data/{source}/prepared/{recording}.quality.json",
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
        simulated=lambda w: is_simulated(w.source),
        code=code_sha256(PREPARATION),
    message:
        "Preparing {wildcards.recording} of {wildcards.source}"
    script:
        "../scripts/prepare.py"


rule totals:
    input:
        folds="results/{dataset}/folds/{folds}.json",
        prepared=lambda w: of_recordings(w.dataset, "prepared/{recording}.json"),
    output:
        totals="results/{dataset}/totals/{folds}-{window}.json",
    log:
        "results/logs/{dataset}/totals/{folds}-{window}.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
        known=resources_sha256(KNOWN_TOTALS, KNOWN_EPOCHS),
        code=code_sha256(["signals/totals.py"]),
    message:
        "Comparing the epochs of {wildcards.dataset}, {wildcards.folds}, window {wildcards.window}, with the known totals"
    script:
        "../scripts/totals.py"


rule quality:
    input:
        quality=lambda w: of_recordings(w.dataset, "prepared/{recording}.quality.json"),
        table=lambda w: table_of(DATASETS[w.dataset].source),
    output:
        **table_files("quality"),
    log:
        "results/logs/{dataset}/quality.log",
    benchmark:
        "results/benchmarks/{dataset}/quality.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: quality of the recordings of {wildcards.dataset}"
    script:
        "../scripts/quality.py"


rule hypnograms:
    input:
        quality=lambda w: of_recordings(w.dataset, "prepared/{recording}.quality.json"),
    output:
        **figure_files("hypnograms"),
    log:
        "results/logs/{dataset}/hypnograms.log",
    benchmark:
        "results/benchmarks/{dataset}/hypnograms.tsv"
    conda:
        ENVIRONMENT
    params:
        code=REPORTING_CODE,
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: hypnograms of {wildcards.dataset}"
    script:
        "../scripts/hypnograms.py"


rule realism:
    input:
        prepared=lambda w: of_recordings(w.dataset, "prepared/{recording}.npy"),
        # A network has to do better than a regression on the powers that the simulation is calibrated to.
        predictions=lambda w: predictions(w.dataset, "clean"),
    output:
        **{form: f"results/{{dataset}}/realism.{form}" for form in ("csv", "md", "pdf", "png")},
    log:
        "results/logs/{dataset}/realism.log",
    wildcard_constraints:
        dataset="|".join(SIMULATED),
    conda:
        ENVIRONMENT
    threads: 2
    params:
        code=code_sha256(["simulation/realism.py", "simulation/cohort.py", "evaluation/metrics.py", "reporting/realism.py"]),
    message:
        "Comparing the simulated cohort {wildcards.dataset} with the statistics of the real recordings"
    script:
        "../scripts/realism.py"


rule data:
    input:
        [of_recordings(dataset, "verified/{recording}.json") for dataset in config["run"]["datasets"]],


rule prepared:
    input:
        [
            of_recordings(dataset, f"prepared/{{recording}}.{form}")
            for dataset in config["run"]["datasets"]
            for form in ("npy", "quality.json")
        ],
        [totals(dataset) for dataset in config["run"]["datasets"]],
