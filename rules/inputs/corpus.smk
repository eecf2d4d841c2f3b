"""From wildcards to files: raw files and settings of a corpus."""

PROMPTS_OF = "results/{study}/corpus/{key}/prompts.parquet"
IMAGE_SOURCE_KEYS = ("pdfs", "figures", "pages", "anonymous_pages")


def corpus_of(wildcards):
    """Return the settings of the corpus that a job works on."""
    return study_of(wildcards).corpora[wildcards.corpus]


def raw_files(wildcards):
    """Return the raw files of a corpus."""
    corpus = corpus_of(wildcards)
    if corpus.adapter == "demo":
        return []
    if corpus.adapter in ("jsonl", "isarcasm"):
        paths = [corpus.path]
    elif corpus.adapter == "sarcasm_v2":
        paths = list(corpus.files.values())
    else:
        paths = [
            corpus.papers,
            *([corpus.reviews] if corpus.reviews else []),
            *corpus.model_reviews,
        ]
    paths += [corpus.reasons] if corpus.has_templates else []
    return existing(paths, f"studies/{wildcards.study}.yaml, key corpora.{wildcards.corpus}")


def excluded_prompts(wildcards):
    """Return the prompts of the corpora whose texts a corpus must not have."""
    return [PROMPTS_OF.format(study=wildcards.study, key=other) for other in corpus_of(wildcards).exclude]


def ingest_spec(wildcards):
    """Return what reading needs to know of a corpus: not where its images are."""
    settings = corpus_of(wildcards).model_dump(mode="json")
    return spec({key: value for key, value in settings.items() if key not in IMAGE_SOURCE_KEYS})


def image_sources(wildcards):
    """Return every file that a modality's images may be drawn from, so that a changed one has them drawn again."""
    corpus = corpus_of(wildcards)
    if corpus.adapter == "demo":
        return []
    key = {"vision": "pages", "clean_images": "figures"}[wildcards.modality]
    named = {name: getattr(corpus, name) for name in (key, "pdfs") if getattr(corpus, name, None)}
    place = f"studies/{wildcards.study}.yaml, key corpora.{wildcards.corpus}"
    if not named:
        raise WorkflowError(
            f"{place}: neither pdfs nor {key} is set, and {wildcards.modality} shows images"
            f"\n  fix: name a folder by pdfs or {key} (docs/inputs.md), or leave that modality out"
        )
    files = []
    for name, folder in named.items():
        existing([folder], f"{place}.{name}")
        files += [str(file) for file in Path(folder).rglob("*") if file.is_file()]
    return sorted(files)


def draw_spec(wildcards):
    """Return what drawing the images of a corpus needs to know."""
    modality = pick(study_of(wildcards).modalities[wildcards.modality], "max_pixels", "min_pixels", "max_images")
    corpus = corpus_of(wildcards).model_dump(mode="json")
    sources = {key: value for key, value in corpus.items() if key in {"adapter", *IMAGE_SOURCE_KEYS}}
    return spec({"modality": wildcards.modality, **modality, **sources})


def split_spec(wildcards):
    """Return what splitting needs to know of a corpus."""
    return spec(pick(corpus_of(wildcards), "splits", "near_duplicate_jaccard", "near_duplicate_words"))
