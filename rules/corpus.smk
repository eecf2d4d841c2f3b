rule ingest:
    input:
        code=code("ingest"),
        raw=raw_files,
        excluded=excluded_prompts,
    output:
        prompts="results/{study}/corpus/{corpus}/prompts.parquet",
        responses="results/{study}/corpus/{corpus}/responses.parquet",
        rejected="results/{study}/corpus/{corpus}/rejected.parquet",
        manifest="results/{study}/corpus/{corpus}/ingest.manifest.json",
    log:
        "results/{study}/logs/ingest/{corpus}.log",
    benchmark:
        "results/{study}/benchmarks/ingest/{corpus}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=ingest_spec,
        excluded=lambda wildcards: named(PROMPTS_OF, corpus_of(wildcards).exclude, wildcards.study),
    message:
        asking("Reading the corpus {wildcards.corpus} of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --corpus {wildcards.corpus:q}"
        " --prompts {output.prompts:q} --responses {output.responses:q} --rejected {output.rejected:q}"
        " --excluded {params.excluded:q} --manifest {output.manifest:q} > {log:q} 2>&1"


rule draw_images:
    input:
        code=code("draw_images"),
        prompts="results/{study}/corpus/{corpus}/prompts.parquet",
        sources=image_sources,
    output:
        images="results/{study}/corpus/{corpus}/images/{modality}.parquet",
        rejected="results/{study}/corpus/{corpus}/images/{modality}.rejected.parquet",
        manifest="results/{study}/corpus/{corpus}/images/{modality}.manifest.json",
    log:
        "results/{study}/logs/draw_images/{corpus}/{modality}.log",
    benchmark:
        "results/{study}/benchmarks/draw_images/{corpus}/{modality}.jsonl"
    wildcard_constraints:
        modality="clean_images|vision",
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=each_attempt(8000),
        runtime=each_attempt(240),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=draw_spec,
    message:
        asking("Drawing the images of {wildcards.corpus} of {wildcards.study} for {wildcards.modality}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --prompts {input.prompts:q}"
        " --images {output.images:q} --rejected {output.rejected:q} --manifest {output.manifest:q}"
        " --threads {threads} > {log:q} 2>&1"


rule split:
    input:
        code=code("split"),
        prompts="results/{study}/corpus/{corpus}/prompts.parquet",
    output:
        splits="results/{study}/corpus/{corpus}/splits.parquet",
        manifest="results/{study}/corpus/{corpus}/splits.manifest.json",
    log:
        "results/{study}/logs/split/{corpus}.log",
    benchmark:
        "results/{study}/benchmarks/split/{corpus}.jsonl"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=each_attempt(4000),
        runtime=each_attempt(60),
    params:
        python=lambda wildcards, resources: PYTHON["data"],
        pins=PINS["data"],
        spec=split_spec,
    message:
        asking("Splitting the prompts of {wildcards.corpus} of {wildcards.study}")
    shell:
        "{params.python:q} {input.code[0]:q} --spec {params.spec:q} --prompts {input.prompts:q}"
        " --splits {output.splits:q} --manifest {output.manifest:q} > {log:q} 2>&1"
