rule profile:
    output:
        profile=paths.profile("{model}", "{shape}"),
    log:
        paths.log(paths.profile("{model}", "{shape}")),
    benchmark:
        paths.benchmark(paths.profile("{model}", "{shape}"))
    conda:
        ENVIRONMENT
    threads: workflow.cores  # latency is measured with nothing beside it
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        code=lambda w: code_sha256("profile", model=w.model),
    message:
        "Profiling {wildcards.model} with {wildcards.shape} channel(s), alone on the machine"
    script:
        "../scripts/profile.py"


rule parity:
    output:
        parity=paths.parity("{model}"),
    log:
        paths.log(paths.parity("{model}")),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        code=lambda w: code_sha256("parity", model=w.model),
        references=lambda w: W.parity_sha256(w.model),
    message:
        "Holding {wildcards.model} against other programs of it"
    script:
        "../scripts/parity.py"


rule profiles:
    input:
        [W.profiles(dataset) for dataset in W.plan.datasets],
