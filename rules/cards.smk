rule write_dataset_card:
    input:
        code=code("write_dataset_card"),
        templates="resources/cards",
        ingested=lambda wildcards: f"results/{wildcards.study}/corpus/{dataset_of(wildcards).corpus}/ingest.manifest.json",
        splits=lambda wildcards: f"results/{wildcards.study}/corpus/{dataset_of(wildcards).corpus}/splits.manifest.json",
        scores=scores_manifests,
        chosen="results/{study}/datasets/{dataset}/choose.manifest.json",
        rendered="results/{study}/datasets/{dataset}/{modality}/render.manifest.json",
        aligned="results/{study}/datasets/{dataset}/{modality}/align.manifest.json",
        images=lambda wildcards: images_manifests(wildcards.study, wildcards.dataset, wildcards.modality),
        validation="results/{study}/datasets/{dataset}/{modality}/validation.json",
    output:
        card="results/{study}/datasets/{dataset}/{modality}/dataset_card.md",
    log:
        "results/{study}/logs/write_dataset_card/{dataset}-{modality}.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=card_spec,
        results=subpath(output.card, ancestor=4),
    message:
        "Writing the card of the dataset {wildcards.dataset} of {wildcards.study} as {wildcards.modality}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --results {params.results:q}"
        " --dataset {wildcards.dataset:q} --modality {wildcards.modality:q} --out {output.card:q} > {log:q} 2>&1"


rule write_model_card:
    input:
        code=code("write_model_card"),
        templates="resources/cards",
        manifests=ancestry,
        metrics=card_metrics,
    output:
        card="results/{study}/runs/{run}/model_card.md",
    log:
        "results/{study}/logs/write_model_card/{run}.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        python=lambda wildcards, resources: PYTHON["report"],
        pins=PINS["report"],
        spec=card_spec,
        results=subpath(output.card, ancestor=3),
        model="checkpoints/{study}/{run}/model",
    message:
        "Writing the card of the model {wildcards.run} of {wildcards.study}"
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --results {params.results:q} --run {wildcards.run:q}"
        " --model {params.model:q} --out {output.card:q} > {log:q} 2>&1"
