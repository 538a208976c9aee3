CROSSED = f"{paths.CROSS}/{paths.CROSSED}"


rule cross:
    input:
        unpack(W.cross_inputs),
    output:
        crossed=directory(CROSSED),
    log:
        paths.log(CROSSED),
    benchmark:
        paths.benchmark(CROSSED)
    conda:
        ENVIRONMENT
    threads: W.config.training.threads
    resources:
        gpu=int(W.uses_gpu),
        mem_mb=4 * MEMORY_MB,
        runtime=8 * MINUTES,
    params:
        trainings=W.networks,
        remedies=list(W.config.cross.remedies),
        code=W.cross_code,
    message:
        "Testing {wildcards.model} of {wildcards.trained} on {wildcards.tested}, seed {wildcards.seed}; progress in {log}"
    script:
        "../scripts/cross.py"


rule cross_report:
    # One job for all, and one for all pairs: a pair stands beside the others.
    input:
        crossed=W.crossed(),
        runs=W.cross_runs(),
    output:
        W.cross_reports()[:-1],
        page=paths.cross_page(),
    log:
        paths.log(paths.cross_page()),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=4 * MINUTES,
    params:
        settings=W.cross_settings(),
        titles=W.config.figures.titles,
        code=module_sha256("sleepbench.reporting.cross.page"),
        parts=[
            module_sha256(one.module) for room in ("tables", "figures") for one in declared(f"cross.{room}").values()
        ],
    message:
        "Statistics, tables and figures of networks tested on other datasets"
    script:
        "../scripts/cross_report.py"
