rule select_responses:
    input:
        code=code("select_responses"),
        scores="results/{study}/scores/review_evaluations.jsonl",
        splits=corpus_table("splits"),
    output:
        chosen="results/{study}/datasets/{dataset}/chosen.parquet",
        ledger="results/{study}/datasets/{dataset}/ledger.parquet",
        manifest="results/{study}/datasets/{dataset}/choose.manifest.json",
    log:
        "results/{study}/logs/select_responses/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/select_responses/{dataset}.jsonl"
    wildcard_constraints:
        dataset=alternatives(datasets_of("sft")),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=choice_spec,
    message:
        asking("Selecting the responses of {wildcards.dataset} of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --scores {input.scores:q}"
        " --splits {input.splits:q} --chosen {output.chosen:q} --ledger {output.ledger:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule pair_responses:
    input:
        code=code("pair_responses"),
        scores=scores_of_dataset,
        splits=corpus_table("splits"),
        responses=responses_of_dataset,
        prompts=labels_of_prompts,
        sft=lambda wildcards: chosen_by(overlapped(wildcards), wildcards.study),
    output:
        chosen="results/{study}/datasets/{dataset}/chosen.parquet",
        ledger="results/{study}/datasets/{dataset}/ledger.parquet",
        manifest="results/{study}/datasets/{dataset}/choose.manifest.json",
    log:
        "results/{study}/logs/pair_responses/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/pair_responses/{dataset}.jsonl"
    wildcard_constraints:
        dataset=alternatives(datasets_of("dpo")),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=choice_spec,
        sft=chosen_arguments("--sft", overlapped),
        optional=optional("prompts"),
    message:
        asking("Pairing the responses of {wildcards.dataset} of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --scores {input.scores:q}"
        " --splits {input.splits:q} --responses {input.responses:q} {params.optional} {params.sft} --chosen {output.chosen:q}"
        " --ledger {output.ledger:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule render_dataset:
    input:
        code=code("render_dataset"),
        templates="resources/prompts",
        chosen="results/{study}/datasets/{dataset}/chosen.parquet",
        prompts=corpus_table("prompts"),
        responses=responses_of_dataset,
        scores=scores_of_dataset,
        images=images_table(lambda wildcards: dataset_of(wildcards).corpus),
        model=model_manifest,
    output:
        rendered="results/{study}/datasets/{dataset}/{modality}/rendered.parquet",
        left_out="results/{study}/datasets/{dataset}/{modality}/left_out.parquet",
        manifest="results/{study}/datasets/{dataset}/{modality}/render.manifest.json",
    log:
        "results/{study}/logs/render_dataset/{dataset}-{modality}.log",
    benchmark:
        "results/{study}/benchmarks/render_dataset/{dataset}-{modality}.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=each_attempt(6000),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=render_spec,
        model=model_of,
        images=images_argument,
    message:
        asking("Rendering {wildcards.dataset} of {wildcards.study} as {wildcards.modality}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --chosen {input.chosen:q}"
        " --prompts {input.prompts:q} --responses {input.responses:q} --scores {input.scores:q} {params.images}"
        " --model {params.model:q} --rendered {output.rendered:q} --left-out {output.left_out:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule align_modalities:
    input:
        code=code("align_modalities"),
        rendered="results/{study}/datasets/{dataset}/{modality}/rendered.parquet",
        others=other_modalities(LEFT_OUT_FILE, [""]),
    output:
        train="results/{study}/datasets/{dataset}/{modality}/train.parquet",
        val="results/{study}/datasets/{dataset}/{modality}/val.parquet",
        manifest="results/{study}/datasets/{dataset}/{modality}/align.manifest.json",
    log:
        "results/{study}/logs/align_modalities/{dataset}-{modality}.log",
    benchmark:
        "results/{study}/benchmarks/align_modalities/{dataset}-{modality}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=align_spec,
        others=others_arguments(LEFT_OUT_FILE),
    message:
        asking("Aligning {wildcards.dataset} of {wildcards.study} as {wildcards.modality}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --rendered {input.rendered:q} {params.others}"
        " --train {output.train:q} --val {output.val:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule validate_dataset:
    input:
        code=code("validate_dataset"),
        templates="resources/prompts",
        train="results/{study}/datasets/{dataset}/{modality}/train.parquet",
        val="results/{study}/datasets/{dataset}/{modality}/val.parquet",
        left_out="results/{study}/datasets/{dataset}/{modality}/left_out.parquet",
        modalities=other_modalities(MODALITY_FILE, COMPARED),
        images=images_table(lambda wildcards: dataset_of(wildcards).corpus),
        chosen="results/{study}/datasets/{dataset}/chosen.parquet",
        ledger="results/{study}/datasets/{dataset}/ledger.parquet",
        prompts=corpus_table("prompts"),
        responses=responses_of_dataset,
        splits=corpus_table("splits"),
        scores=scores_of_dataset,
        checklist=checklist_file,
        others=lambda wildcards: chosen_by(other_datasets(wildcards), wildcards.study),
        generations=lambda wildcards: list(mined_generations(wildcards).values()),
        model=model_manifest,
    output:
        report="results/{study}/datasets/{dataset}/{modality}/validation.json",
    log:
        "results/{study}/logs/validate_dataset/{dataset}-{modality}.log",
    benchmark:
        "results/{study}/benchmarks/validate_dataset/{dataset}-{modality}.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=each_attempt(6000),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=validation_spec,
        stage=lambda wildcards: dataset_of(wildcards).stage,
        model=model_of,
        others=chosen_arguments("--others", other_datasets),
        modalities=modalities_arguments,
        images=images_argument,
        checklist=optional("checklist"),
        generations=lambda wildcards: flagged("--generations", generations_arguments(wildcards)),
    message:
        asking("Validating {wildcards.dataset} of {wildcards.study} as {wildcards.modality}, from source")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --stage {params.stage} --train {input.train:q}"
        " --val {input.val:q} --left-out {input.left_out:q} {params.modalities} {params.images}"
        " --chosen {input.chosen:q} --ledger {input.ledger:q} --prompts {input.prompts:q}"
        " --responses {input.responses:q} --splits {input.splits:q} --scores {input.scores:q}"
        " {params.checklist} {params.others} {params.generations:q} --model {params.model:q}"
        " --report {output.report:q} > {log:q} 2>&1"


rule export_datasets:
    input:
        code=code("export_dataset"),
        validations=lambda wildcards: validations(wildcards.study),
        rendered=lambda wildcards: list(rendered(wildcards.study).values()),
    output:
        manifest="results/{study}/exports/{format}/manifest.json",
    log:
        "results/{study}/logs/export_datasets/{format}.log",
    benchmark:
        "results/{study}/benchmarks/export_datasets/{format}.jsonl"
    wildcard_constraints:
        format="llama_factory|verl",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=export_spec,
        datasets=lambda wildcards: [f"{key}={file}" for key, file in rendered(wildcards.study).items()],
        folder=subpath(output.manifest, parent=True),
    message:
        asking("Exporting the datasets of {wildcards.study} for {wildcards.format}")
    shell:
        "{params.python:q} {input.code[0]:q} --format {wildcards.format} --spec {params.spec:q}"
        " --datasets {params.datasets:q} --out {params.folder:q} --manifest {output.manifest:q} > {log:q} 2>&1"
