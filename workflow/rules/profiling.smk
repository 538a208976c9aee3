rule profile:
    output:
        profile="results/profile/{model}-{n_channels}.json",
    log:
        "results/logs/profile/{model}-{n_channels}.log",
    benchmark:
        "results/benchmarks/profile/{model}-{n_channels}.tsv"
    conda:
        ENVIRONMENT
    threads: workflow.cores  # latency is measured with nothing beside it
    params:
        code=lambda w: code_sha256(["profiling/*.py", "models/layers.py"], w.model),
    message:
        "Profiling {wildcards.model} with {wildcards.n_channels} channel(s), alone on the machine"
    script:
        "../scripts/profile.py"


rule profiles:
    input:
        [profiles(dataset) for dataset in config["run"]["datasets"]],
