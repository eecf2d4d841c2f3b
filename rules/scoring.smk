rule judge_responses:
    input:
        code=code("judge_responses"),
        checklist=checklist_file,
        responses=judged_corpus,
    output:
        judged="results/{study}/judged/{batch}/{shard}-of-{shards}.jsonl",
    log:
        "results/{study}/logs/judge_responses/{batch}/{shard}-of-{shards}.log",
    benchmark:
        "results/{study}/benchmarks/judge_responses/{batch}/{shard}-of-{shards}.jsonl"
    retries: 2
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec(study_of(wildcards).signal),
        cache=lambda wildcards, resources: "cache/judge",
    message:
        "Judging {wildcards.batch} of {wildcards.study}, shard {wildcards.shard} of {wildcards.shards}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --checklist {input.checklist:q}"
        " --responses {input.responses:q} --shard {wildcards.shard} --shards {wildcards.shards}"
        " --cache {params.cache:q} --out {output.judged:q} > {log:q} 2>&1"


rule gather_scores:
    input:
        code=code("gather_scores"),
        checklist=checklist_file,
        judged=lambda wildcards: judged(wildcards, JUDGED),
        prompts=per_corpus("prompts"),
        responses=per_corpus("responses"),
        annotations=annotation_files,
    output:
        scores="results/{study}/scores/review_evaluations.jsonl",
        report="results/{study}/scores/judge_report.json",
        manifest="results/{study}/scores/scores.manifest.json",
    log:
        "results/{study}/logs/gather_scores.log",
    benchmark:
        "results/{study}/benchmarks/gather_scores.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=lambda wildcards: spec(study_of(wildcards).signal),
        judged=lambda wildcards: judged(wildcards, f"{{corpus}}={JUDGED}"),
        prompts=per_corpus_arguments("prompts"),
        responses=per_corpus_arguments("responses"),
        annotations=lambda wildcards, input: (f"--annotations {input.annotations}" if input.annotations else ""),
    message:
        "Gathering the scores of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --checklist {input.checklist:q}"
        " --judged {params.judged:q} --prompts {params.prompts:q} --responses {params.responses:q}"
        " {params.annotations} --scores {output.scores:q} --report {output.report:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"
