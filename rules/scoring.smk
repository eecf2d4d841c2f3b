rule judge_responses:
    input:
        code=code("judge_responses"),
        prompts=["resources/prompts/judge.yaml"],
        checklist=checklist_of_batch,
        responses=judged_responses,
        splits=splits_of_batch,
        injections=injections_of_batch,
        model=judge_model,
    output:
        judged=JUDGED,
    log:
        "results/{study}/logs/judge_responses/{batch}/{shard}-of-{shards}.log",
    benchmark:
        "results/{study}/benchmarks/judge_responses/{batch}/{shard}-of-{shards}.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("checklist")),
        batch=alternatives(f"{kind}-{name}" for kind in BATCHES for name in names("corpora")),
    conda:
        lambda wildcards: f"../envs/{judge_kind(wildcards)}.yaml"
    threads: lambda wildcards: judge_of(wildcards).threads
    resources:
        gpu=lambda wildcards: judge_of(wildcards).gpu,
        gpu_model=gpu_model(judge_of),
        mem_mb=each_attempt(lambda wildcards: judge_of(wildcards).mem_mb),
        runtime=each_attempt(lambda wildcards: judge_of(wildcards).runtime),
    params:
        python=lambda wildcards, resources: PYTHON[judge_kind(wildcards)],
        pins=lambda wildcards: PINS[judge_kind(wildcards)],
        spec=lambda wildcards: spec(batch_settings(wildcards)),
        optional=optional("splits", "injections"),
        model=lambda wildcards, input: f"--model {shlex.quote(str(Path(input.model).parent))}" if input.model else "",
        cache=lambda wildcards, resources: "cache/judge",
    message:
        asking(
            "Judging {wildcards.batch} of {wildcards.study}, shard {wildcards.shard} of {wildcards.shards}",
            gpus="{resources.gpu}",
        )
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --checklist {input.checklist:q}"
        " --responses {input.responses:q} {params.optional} {params.model}"
        " --shard {wildcards.shard} --shards {wildcards.shards}"
        " --cache {params.cache:q} --out {output.judged:q} > {log:q} 2>&1"


rule optimize_checklist:
    input:
        code=code("optimize_checklist"),
        checklist=given_checklist,
        judged=lambda wildcards: judged(wildcards, ["candidates"]),
        retests=lambda wildcards: judged(wildcards, retest_kinds(study_of(wildcards).signal)),
        prompts=per_corpus("prompts"),
        responses=per_corpus("responses"),
        splits=per_corpus("splits"),
        labels=optional_file("signal.optimize.labels", lambda signal: signal.optimize.labels),
    output:
        checklist=OPTIMAL,
        trace="results/{study}/checklist/beam_search_trace.jsonl",
        manifest="results/{study}/checklist/manifest.json",
    log:
        "results/{study}/logs/optimize_checklist.log",
    benchmark:
        "results/{study}/benchmarks/optimize_checklist.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("checklist")),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(120),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec(study_of(wildcards).signal.optimize),
        judged=lambda wildcards: judged(wildcards, ["candidates"], f"{{corpus}}={JUDGED}"),
        retests=retest_arguments,
        prompts=per_corpus_arguments("prompts"),
        responses=per_corpus_arguments("responses"),
        splits=per_corpus_arguments("splits"),
        optional=optional("labels"),
    message:
        asking("Choosing the checklist of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --checklist {input.checklist:q}"
        " --judged {params.judged:q} {params.retests:q} --prompts {params.prompts:q} --responses {params.responses:q}"
        " --splits {params.splits:q} {params.optional} --out {output.checklist:q} --trace {output.trace:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule gather_scores:
    input:
        code=code("gather_scores"),
        checklist=checklist_file,
        judged=lambda wildcards: judged(wildcards, ["corpus"]),
        compared=lambda wildcards: judged(wildcards, compared_kinds(study_of(wildcards).signal)),
        prompts=per_corpus("prompts"),
        responses=per_corpus("responses"),
        annotations=optional_file("signal.annotations", lambda signal: signal.annotations),
        sheet=optional_file("signal.reliability.sheet", lambda signal: signal.reliability.sheet),
    output:
        scores="results/{study}/scores/review_evaluations.jsonl",
        report="results/{study}/scores/judge_report.json",
        manifest="results/{study}/scores/scores.manifest.json",
    log:
        "results/{study}/logs/gather_scores.log",
    benchmark:
        "results/{study}/benchmarks/gather_scores.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("checklist")),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec(scoring_settings(study_of(wildcards).signal)),
        judged=lambda wildcards: judged(wildcards, ["corpus"], f"{{corpus}}={JUDGED}"),
        compared=compared_arguments,
        prompts=per_corpus_arguments("prompts"),
        responses=per_corpus_arguments("responses"),
        optional=optional("annotations", "sheet"),
    message:
        asking("Gathering the scores of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --checklist {input.checklist:q}"
        " --judged {params.judged:q} {params.compared:q} --prompts {params.prompts:q} --responses {params.responses:q}"
        " {params.optional} --scores {output.scores:q} --report {output.report:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


# The same files as gather_scores, for studies whose responses are scored by labels.
rule score_labels:
    input:
        code=code("score_labels"),
        prompts=per_corpus("prompts"),
        responses=per_corpus("responses"),
    output:
        scores="results/{study}/scores/review_evaluations.jsonl",
        report="results/{study}/scores/judge_report.json",
        manifest="results/{study}/scores/scores.manifest.json",
    log:
        "results/{study}/logs/score_labels.log",
    benchmark:
        "results/{study}/benchmarks/score_labels.jsonl"
    wildcard_constraints:
        study=alternatives(studies_scored_by("label")),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=label_spec,
        prompts=per_corpus_arguments("prompts"),
        responses=per_corpus_arguments("responses"),
    message:
        asking("Scoring the responses of {wildcards.study} by labels")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --prompts {params.prompts:q}"
        " --responses {params.responses:q} --scores {output.scores:q} --report {output.report:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule write_sheet:
    input:
        code=code("write_sheet"),
        checklist=checklist_file,
        responses=per_corpus("responses"),
    output:
        sheet="results/{study}/scores/sheet.csv",
    log:
        "results/{study}/logs/write_sheet.log",
    wildcard_constraints:
        study=alternatives(studies_scored_by("checklist")),
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec(scoring_settings(study_of(wildcards).signal)),
        responses=per_corpus_arguments("responses"),
    message:
        "Writing the sheet for people of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --checklist {input.checklist:q}"
        " --responses {params.responses:q} --out {output.sheet:q} > {log:q} 2>&1"
