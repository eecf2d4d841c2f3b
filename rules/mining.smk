# Hard negatives: a run is asked prompts that it was not trained on, and what it gets wrong is the rejected side of pairs.


use rule generate_responses as mine_responses with:
    input:
        code=code("generate_responses"),
        model=generating_model,
        run=evaluated_ready,
        heldout=asked_prompts,
    output:
        generations="results/{study}/datasets/{dataset}/mined/{evaluated}/{split}.generations.jsonl",
        manifest="results/{study}/datasets/{dataset}/mined/{evaluated}/{split}.generations.manifest.json",
    log:
        "results/{study}/logs/mine_responses/{dataset}/{evaluated}-{split}.log",
    benchmark:
        "results/{study}/benchmarks/mine_responses/{dataset}/{evaluated}-{split}.jsonl"
    wildcard_constraints:
        dataset=alternatives(names_of_mined()),
        split="train|val",
    params:
        spec=mining_spec,
    message:
        asking(
            "Asking {wildcards.evaluated} of {wildcards.study} the {wildcards.split} prompts of {wildcards.dataset}",
            gpus="{resources.gpu}",
        )


rule gather_mistakes:
    input:
        code=code("gather_mistakes"),
        generations=lambda wildcards: list(mined_generations(wildcards).values()),
        prompts=corpus_table("prompts"),
        responses=corpus_table("responses"),
    output:
        responses="results/{study}/datasets/{dataset}/responses.parquet",
        manifest="results/{study}/datasets/{dataset}/responses.manifest.json",
    log:
        "results/{study}/logs/gather_mistakes/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/gather_mistakes/{dataset}.jsonl"
    wildcard_constraints:
        dataset=alternatives(names_of_mined()),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(30),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=mistakes_spec,
        generations=generations_arguments,
    message:
        asking("Gathering the mistakes of {wildcards.dataset} of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --generations {params.generations:q}"
        " --prompts {input.prompts:q} --responses {input.responses:q} --out {output.responses:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


use rule score_labels as score_mistakes with:
    input:
        code=code("score_labels"),
        prompts=corpus_table("prompts"),
        responses=responses_of_dataset,
    output:
        scores="results/{study}/datasets/{dataset}/scores/review_evaluations.jsonl",
        report="results/{study}/datasets/{dataset}/scores/judge_report.json",
        manifest="results/{study}/datasets/{dataset}/scores/scores.manifest.json",
    log:
        "results/{study}/logs/score_mistakes/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/score_mistakes/{dataset}.jsonl"
    wildcard_constraints:
        dataset=alternatives(names_of_mined()),
    params:
        spec=mistakes_label_spec,
        prompts=of_own_corpus(corpus_table("prompts")),
        responses=of_own_corpus(responses_of_dataset),
    message:
        asking("Scoring the mistakes of {wildcards.dataset} of {wildcards.study} by labels")
