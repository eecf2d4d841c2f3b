rule render_heldout:
    input:
        code=code("render_heldout"),
        templates="resources/prompts",
        prompts=heldout_source("prompts"),
        responses=heldout_source("responses"),
        splits=heldout_source("splits"),
        scores="results/{study}/scores/review_evaluations.jsonl",
        images=images_table(heldout_corpus),
        model=model_manifest,
    output:
        rendered="results/{study}/evaluation/heldout/{modality}.rendered.parquet",
        left_out="results/{study}/evaluation/heldout/{modality}.left_out.parquet",
        manifest="results/{study}/evaluation/heldout/{modality}.manifest.json",
    log:
        "results/{study}/logs/render_heldout/{modality}.log",
    benchmark:
        "results/{study}/benchmarks/render_heldout/{modality}.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=each_attempt(6000),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=heldout_spec,
        model=model_of,
        images=images_argument,
    message:
        asking("Rendering the held-out rows of {wildcards.study} as {wildcards.modality}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --prompts {input.prompts:q}"
        " --responses {input.responses:q} --scores {input.scores:q} --splits {input.splits:q} {params.images}"
        " --model {params.model:q} --rendered {output.rendered:q} --left-out {output.left_out:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule align_heldout:
    input:
        code=code("align_modalities"),
        rendered="results/{study}/evaluation/heldout/{modality}.rendered.parquet",
        others=other_modalities(HELDOUT_LEFT_OUT, [""]),
    output:
        heldout="results/{study}/evaluation/heldout/{modality}.parquet",
        manifest="results/{study}/evaluation/heldout/{modality}.align.manifest.json",
    log:
        "results/{study}/logs/align_heldout/{modality}.log",
    benchmark:
        "results/{study}/benchmarks/align_heldout/{modality}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec({"stage": "sft", "modality": wildcards.modality}),
        others=others_arguments(HELDOUT_LEFT_OUT),
    message:
        asking("Aligning the held-out rows of {wildcards.study} as {wildcards.modality}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --rendered {input.rendered:q} {params.others}"
        " --heldout {output.heldout:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule generate_responses:
    input:
        code=code("generate_responses"),
        model=generating_model,
        run=evaluated_ready,
        heldout=heldout_table,
    output:
        generations="results/{study}/evaluation/heldout/{evaluated}/generations.jsonl",
        manifest="results/{study}/evaluation/heldout/{evaluated}/generations.manifest.json",
    log:
        "results/{study}/logs/generate_responses/{evaluated}.log",
    benchmark:
        "results/{study}/benchmarks/generate_responses/{evaluated}.jsonl"
    conda:
        lambda wildcards: f"../envs/{generation_kind(wildcards)}.yaml"
    threads: lookup("{study}/evaluation/generation/threads", within=STUDY_TREE)
    resources:
        gpu=lookup("{study}/evaluation/generation/gpu", within=STUDY_TREE),
        gpu_model=gpu_model(lambda wildcards: study_of(wildcards).evaluation.generation),
        mem_mb=each_attempt(lambda wildcards: study_of(wildcards).evaluation.generation.mem_mb),
        runtime=each_attempt(lambda wildcards: study_of(wildcards).evaluation.generation.runtime),
    params:
        python=lambda wildcards, resources: PYTHON[generation_kind(wildcards)],
        pins=lambda wildcards: PINS[generation_kind(wildcards)],
        spec=generation_spec,
        model=evaluated_model,
        weights=evaluated_weights,
        cache=lambda wildcards, resources: "cache/generations",
    message:
        asking("Generating responses of {wildcards.evaluated} of {wildcards.study}", gpus="{resources.gpu}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --model {params.model:q} {params.weights}"
        " --heldout {input.heldout:q} --cache {params.cache:q} --generations {output.generations:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule gather_generations:
    input:
        code=code("gather_generations"),
        generations=per_evaluated("generations.jsonl"),
        responses=heldout_source("responses"),
    output:
        responses="results/{study}/evaluation/heldout/responses.parquet",
        manifest="results/{study}/evaluation/heldout/responses.manifest.json",
    log:
        "results/{study}/logs/gather_generations.log",
    benchmark:
        "results/{study}/benchmarks/gather_generations.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("checklist")),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec({"study": wildcards.study}),
        generations=per_evaluated_arguments("generations.jsonl"),
    message:
        asking("Reading the generated responses of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --generations {params.generations:q}"
        " --responses {input.responses:q} --out {output.responses:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule evaluate_run:
    input:
        code=code("evaluate_run"),
        model=lambda wildcards: f"{evaluated_model(wildcards)}/manifest.json",
        run=evaluated_ready,
        heldout=heldout_table,
        generations="results/{study}/evaluation/heldout/{evaluated}/generations.jsonl",
        preferences=lambda wildcards: list(preference_tables(wildcards).values()),
    output:
        rows="results/{study}/evaluation/heldout/{evaluated}/rows.jsonl",
        metrics="results/{study}/evaluation/heldout/{evaluated}/metrics.json",
    log:
        "results/{study}/logs/evaluate_run/{evaluated}.log",
    benchmark:
        "results/{study}/benchmarks/evaluate_run/{evaluated}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: lookup("{study}/evaluation/threads", within=STUDY_TREE)
    resources:
        gpu=lookup("{study}/evaluation/gpu", within=STUDY_TREE),
        gpu_model=gpu_model(lambda wildcards: study_of(wildcards).evaluation),
        mem_mb=each_attempt(lambda wildcards: study_of(wildcards).evaluation.mem_mb),
        runtime=each_attempt(lambda wildcards: study_of(wildcards).evaluation.runtime),
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=evaluation_spec,
        model=evaluated_model,
        weights=evaluated_weights,
        preferences=preference_arguments,
    message:
        asking("Evaluating {wildcards.evaluated} of {wildcards.study}", gpus="{resources.gpu}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --model {params.model:q} {params.weights}"
        " --heldout {input.heldout:q} {params.preferences} --generations {input.generations:q}"
        " --rows {output.rows:q} --metrics {output.metrics:q} > {log:q} 2>&1"


rule measure_responses:
    input:
        code=code("measure_responses"),
        responses="results/{study}/evaluation/heldout/responses.parquet",
        generations=per_evaluated("generations.jsonl"),
        rows=per_evaluated("rows.jsonl"),
        prompts=heldout_source("prompts"),
        corpus=heldout_source("responses"),
        splits=heldout_source("splits"),
        judged=lambda wildcards: judged_generations(wildcards, "generated"),
        second=judged_by_second,
        scores="results/{study}/scores/review_evaluations.jsonl",
        training=lambda wildcards: list(training_tables(wildcards).values()),
    output:
        measured="results/{study}/evaluation/heldout/measured.jsonl",
        manifest="results/{study}/evaluation/heldout/measured.manifest.json",
    log:
        "results/{study}/logs/measure_responses.log",
    benchmark:
        "results/{study}/benchmarks/measure_responses.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("checklist")),
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=each_attempt(6000),
        runtime=each_attempt(120),
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=measurement_spec,
        generations=per_evaluated_arguments("generations.jsonl"),
        rows=per_evaluated_arguments("rows.jsonl"),
        second=second_arguments,
        training=training_arguments,
    message:
        asking("Measuring the generated responses of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --responses {input.responses:q}"
        " --generations {params.generations:q} --rows {params.rows:q} --prompts {input.prompts:q}"
        " --corpus {input.corpus:q} --splits {input.splits:q} --judged {input.judged:q} {params.second:q}"
        " --scores {input.scores:q} --training {params.training:q} --measured {output.measured:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule measure_labels:
    input:
        code=code("measure_labels"),
        generations=per_evaluated("generations.jsonl"),
        rows=per_evaluated("rows.jsonl"),
        prompts=heldout_source("prompts"),
        splits=heldout_source("splits"),
    output:
        measured="results/{study}/evaluation/heldout/measured.jsonl",
        manifest="results/{study}/evaluation/heldout/measured.manifest.json",
    log:
        "results/{study}/logs/measure_labels.log",
    benchmark:
        "results/{study}/benchmarks/measure_labels.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("label")),
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=answers_spec,
        generations=per_evaluated_arguments("generations.jsonl"),
        rows=per_evaluated_arguments("rows.jsonl"),
    message:
        asking("Measuring the answers of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --generations {params.generations:q}"
        " --rows {params.rows:q} --prompts {input.prompts:q} --splits {input.splits:q}"
        " --measured {output.measured:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule compare_runs:
    input:
        code=code("compare_runs"),
        metrics=per_evaluated("metrics.json"),
        rows=per_evaluated("rows.jsonl"),
        measured="results/{study}/evaluation/heldout/measured.jsonl",
        measured_manifest="results/{study}/evaluation/heldout/measured.manifest.json",
        training=per_run("metrics.jsonl"),
        training_manifests=per_run("manifest.json"),
    output:
        comparison="results/{study}/comparison/comparison.json",
        plot="results/{study}/comparison/comparison.png",
        differences="results/{study}/comparison/differences.png",
        decisions="results/{study}/comparison/decisions.png",
    log:
        "results/{study}/logs/compare_runs.log",
    benchmark:
        "results/{study}/benchmarks/compare_runs.jsonl"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=comparison_spec,
        metrics=per_evaluated_arguments("metrics.json"),
        rows=per_evaluated_arguments("rows.jsonl"),
        training=per_run_arguments("metrics.jsonl"),
        training_manifests=per_run_arguments("manifest.json"),
        folder=subpath(output.comparison, parent=True),
    message:
        asking("Comparing the runs of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --metrics {params.metrics:q} --rows {params.rows:q}"
        " --measured {input.measured:q} --measured-manifest {input.measured_manifest:q} --training {params.training:q}"
        " --training-manifests {params.training_manifests:q} --comparison {output.comparison:q} --plots {params.folder:q} > {log:q} 2>&1"
