"""From wildcards to files: raw files and settings of a corpus."""


def corpus_of(wildcards):
    """Return the settings of the corpus that a job works on."""
    return study_of(wildcards).corpora[wildcards.corpus]


def raw_files(wildcards):
    """Return the raw files of a corpus."""
    corpus = corpus_of(wildcards)
    if corpus.adapter == "demo":
        return []
    if corpus.adapter == "jsonl":
        paths = [corpus.path]
    else:
        paths = [
            corpus.papers,
            *([corpus.reviews] if corpus.reviews else []),
            *corpus.model_reviews,
        ]
    return existing(paths, f"studies/{wildcards.study}.yaml, key corpora.{wildcards.corpus}")


def split_spec(wildcards):
    """Return what splitting needs to know of a corpus."""
    return spec(pick(corpus_of(wildcards), "splits", "near_duplicate_jaccard"))
