"""From wildcards to files: checklists, judged shards and their arguments."""

JUDGED = "results/{study}/judged/corpus-{corpus}/{shard}-of-{shards}.jsonl"


def checklist_file(wildcards):
    """Return the checklist that a study judges by."""
    return existing(
        [study_of(wildcards).signal.checklist],
        f"studies/{wildcards.study}.yaml, key signal.checklist",
    )


def judged_corpus(wildcards):
    """Return the responses that a batch of judging covers."""
    return f"results/{wildcards.study}/corpus/{wildcards.batch.removeprefix('corpus-')}/responses.parquet"


def judged(wildcards, pattern):
    """Return `pattern` filled in for every shard of the study's corpora, as many as the study asks for."""
    shards = study_of(wildcards).signal.shards
    return [
        pattern.format(study=wildcards.study, corpus=corpus, shard=shard, shards=shards)
        for corpus in study_of(wildcards).corpora
        for shard in range(shards)
    ]


def per_corpus(table):
    """Return a function from wildcards to one table of every corpus of the study."""
    return lambda wildcards: [
        f"results/{wildcards.study}/corpus/{corpus}/{table}.parquet" for corpus in study_of(wildcards).corpora
    ]


def per_corpus_arguments(table):
    """Return a function from wildcards to CORPUS=PATH arguments of one table."""
    return lambda wildcards: named(
        f"results/{{study}}/corpus/{{key}}/{table}.parquet",
        study_of(wildcards).corpora,
        wildcards.study,
    )


def annotation_files(wildcards):
    """Return the people's labels that a judge is measured against, if the study names any."""
    annotations = study_of(wildcards).signal.annotations
    return existing([annotations], f"studies/{wildcards.study}.yaml, key signal.annotations") if annotations else []
