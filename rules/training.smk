rule prepare_model:
    input:
        code=code("prepare_model"),
        texts=tiny_texts,
        files=local_model_files,
    output:
        manifest="results/{study}/models/{model}/manifest.json",
    log:
        "results/{study}/logs/prepare_model/{model}.log",
    benchmark:
        "results/{study}/benchmarks/prepare_model/{model}.jsonl"
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=lambda wildcards: spec(study_of(wildcards).models[wildcards.model]),
        texts=lambda wildcards, input: f"--texts {input.texts}" if input.texts else "",
        folder=subpath(output.manifest, parent=True),
    message:
        "Preparing the base model {wildcards.model} of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} {params.texts} --out {params.folder:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule preflight:
    input:
        code=code("preflight"),
        model=lambda wildcards: f"{run_base(wildcards)}/manifest.json",
        train=run_data("train.parquet"),
        val=run_data("val.parquet"),
        labels=lambda wildcards: list(label_tables(wildcards).values()),
        validation=run_data("validation.json"),
        settings=lambda wildcards: list(run_of(wildcards).recipe_files),
    output:
        report="results/{study}/runs/{run}/preflight.json",
    log:
        "results/{study}/logs/preflight/{run}.log",
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=lambda wildcards: spec(training_settings(run_of(wildcards))),
        gpus=lambda wildcards, resources: spec(SITE.gpus),
        model=run_base,
        labels=label_arguments,
    message:
        "Checking the settings of {wildcards.run} of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --gpus {params.gpus:q} --model {params.model:q}"
        " --train {input.train:q} --val {input.val:q} {params.labels} --validation {input.validation:q} --report {output.report:q}"
        " > {log:q} 2>&1"


rule write_estimates:
    input:
        code=code("write_estimates"),
        reports=per_run("preflight.json"),
    output:
        table="results/{study}/runs/estimates.md",
    log:
        "results/{study}/logs/write_estimates.log",
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
    message:
        "Writing down what the runs of {wildcards.study} will take"
    shell:
        "{params.python:q} {input.code[0]:q} --reports {input.reports:q} --out {output.table:q} > {log:q} 2>&1"


rule train_sft:
    input:
        code=code("train_sft"),
        launcher=launcher,
        settings=lambda wildcards: list(run_of(wildcards).recipe_files),
        preflight="results/{study}/runs/{run}/preflight.json",
        model=lambda wildcards: f"{run_base(wildcards)}/manifest.json",
        parent=parent_ready,
        train=run_data("train.parquet"),
        val=run_data("val.parquet"),
        labels=lambda wildcards: list(label_tables(wildcards).values()),
    output:
        spec="results/{study}/runs/{run}/spec.json",
        metrics="results/{study}/runs/{run}/metrics.jsonl",
        manifest="results/{study}/runs/{run}/manifest.json",
    log:
        "results/{study}/logs/train/{run}.log",
    benchmark:
        "results/{study}/benchmarks/train_sft/{run}.jsonl"
    wildcard_constraints:
        run=alternatives(runs_of("sft")),
    conda:
        "../envs/train.yaml"
    threads: lookup("{study}/runs/{run}/threads", within=STUDY_TREE)
    resources:
        gpu=on_one_machine(lambda wildcards: run_of(wildcards).gpu),
        gpu_model=on_one_machine(gpu_model(run_of)),
        gres=on_several_machines(gpus_of_each_machine),
        nodes=on_several_machines(lambda wildcards: run_of(wildcards).nodes),
        tasks=on_several_machines(lambda wildcards: run_of(wildcards).nodes),
        tasks_per_gpu=on_several_machines(lambda wildcards: 0),
        mpi=on_several_machines(lambda wildcards: "srun"),
        mem_mb=each_attempt(lambda wildcards: run_of(wildcards).mem_mb),
        runtime=each_attempt(lambda wildcards: run_of(wildcards).runtime),
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        spec=lambda wildcards: spec(training_settings(run_of(wildcards))),
        model=run_base,
        gpus=gpus_in_words,
        launch=launch_arguments,
        parent=parent_argument,
        labels=label_arguments,
        checkpoints="checkpoints/{study}/{run}",
        trackers=lambda wildcards, resources: f"--trackers {','.join(SITE.trackers)}" if SITE.trackers else "",
    message:
        asking("Training {wildcards.run} of {wildcards.study} (SFT)", gpus="{params.gpus}")
    # `exec`: bash would die of the SIGTERM that is meant for the trainer, and SLURM would end the job before it has saved.
    shell:
        "exec {params.python:q} {params.launch} {input.code[0]:q} --spec {params.spec:q} --train {input.train:q} --val {input.val:q}"
        " {params.labels} --model {params.model:q} {params.parent} --checkpoints {params.checkpoints:q}"
        " {params.trackers} --spec-out {output.spec:q} --metrics {output.metrics:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


use rule train_sft as train_dpo with:
    input:
        code=code("train_dpo"),
        launcher=launcher,
        settings=lambda wildcards: list(run_of(wildcards).recipe_files),
        preflight="results/{study}/runs/{run}/preflight.json",
        model=lambda wildcards: f"{run_base(wildcards)}/manifest.json",
        parent=parent_ready,
        train=run_data("train.parquet"),
        val=run_data("val.parquet"),
        labels=lambda wildcards: list(label_tables(wildcards).values()),
    benchmark:
        "results/{study}/benchmarks/train_dpo/{run}.jsonl"
    wildcard_constraints:
        run=alternatives(runs_of("dpo")),
    message:
        asking("Training {wildcards.run} of {wildcards.study} (DPO)", gpus="{params.gpus}")


rule merge_adapter:
    input:
        code=code("merge_adapter"),
        run="results/{study}/runs/{run}/manifest.json",
        model=lambda wildcards: f"{run_base(wildcards)}/manifest.json",
        parent=parent_ready,
    output:
        manifest="results/{study}/runs/{run}/merge.json",
    log:
        "results/{study}/logs/merge_adapter/{run}.log",
    benchmark:
        "results/{study}/benchmarks/merge_adapter/{run}.jsonl"
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=each_attempt(lambda wildcards: run_of(wildcards).mem_mb),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["train"],
        pins=PINS["train"],
        model=run_base,
        parent=parent_argument,
        checkpoints="checkpoints/{study}/{run}",
    message:
        asking("Merging the adapter of {wildcards.run} of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --run-manifest {input.run:q} --model {params.model:q} {params.parent}"
        " --checkpoints {params.checkpoints:q} --manifest {output.manifest:q} > {log:q} 2>&1"
