rule save_study:
    input:
        code=code("save_study"),
    output:
        study="results/{study}/study.json",
    log:
        "results/{study}/logs/save_study.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec(study_of(wildcards)),
    message:
        "Saving the resolved settings of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --out {output.study:q} > {log:q} 2>&1"


rule plot_curves:
    input:
        code=code("plot_curves"),
        metrics="results/{study}/runs/{run}/metrics.jsonl",
    output:
        curves=report(
            "results/{study}/runs/{run}/curves.png",
            caption="../resources/report/curves.rst",
            category="{study}",
            subcategory="training",
            labels={"run": "{run}"},
        ),
    log:
        "results/{study}/logs/plot_curves/{run}.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=lambda wildcards: spec(training_settings(run_of(wildcards))),
    message:
        "Drawing the training curves of {wildcards.run} of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --metrics {input.metrics:q} --spec {params.spec:q}"
        " --out {output.curves:q} > {log:q} 2>&1"


# What the study cost. It runs where Snakemake runs, which is where SLURM's accounting can be asked, and after every job
# that it counts: the last of each chain is an input.
rule collect_usage:
    input:
        code=code("collect_usage"),
        exports=lambda wildcards: exports(wildcards.study),
        cards=lambda wildcards: cards(wildcards.study),
        comparison="results/{study}/comparison/comparison.json",
    output:
        usage="results/{study}/usage.json",
    log:
        "results/{study}/logs/collect_usage.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=lambda wildcards: spec(
            {"study": wildcards.study, "runs": list(map(training_settings, study_of(wildcards).runs.values()))}
        ),
        results=subpath(output.usage, parent=True),
        checkpoints="checkpoints/{study}",
    message:
        "Collecting what {wildcards.study} has cost"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --results {params.results:q}"
        " --checkpoints {params.checkpoints:q} --calls .snakemake/log --out {output.usage:q} > {log:q} 2>&1"


rule build_report:
    input:
        code=code("build_report"),
        template="resources/report",
        study="results/{study}/study.json",
        corpora=lambda wildcards: [
            f"results/{wildcards.study}/corpus/{corpus}/{name}.manifest.json"
            for corpus in study_of(wildcards).corpora
            for name in ("ingest", "splits")
        ],
        scores="results/{study}/scores/scores.manifest.json",
        judge_report="results/{study}/scores/judge_report.json",
        checklist=chosen_checklist,
        questions=checklist_file,
        validations=lambda wildcards: validations(wildcards.study),
        exports=lambda wildcards: exports(wildcards.study),
        runs=per_run("manifest.json"),
        curves=per_run("curves.png"),
        metrics=per_evaluated("metrics.json"),
        generations=per_evaluated("generations.jsonl"),
        responses=read_responses,
        measured="results/{study}/evaluation/heldout/measured.jsonl",
        measured_manifest="results/{study}/evaluation/heldout/measured.manifest.json",
        heldout=lambda wildcards: [
            f"results/{wildcards.study}/evaluation/heldout/{modality}.parquet"
            for modality in study_of(wildcards).modalities
        ],
        cards=lambda wildcards: cards(wildcards.study),
        comparison="results/{study}/comparison/comparison.json",
        usage="results/{study}/usage.json",
    output:
        report=report(
            "results/{study}/report.html",
            caption="../resources/report/report.rst",
            category="{study}",
            subcategory="report",
        ),
    log:
        "results/{study}/logs/build_report.log",
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=lambda wildcards: spec(study_of(wildcards)),
        results=subpath(output.report, parent=True),
        checklist=lambda wildcards, input: (
            f"--checklist-result {shlex.quote(str(input.checklist))}" if input.checklist else ""
        ),
    message:
        asking("Writing the report of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --results {params.results:q}"
        " {params.checklist} --out {output.report:q} > {log:q} 2>&1"
