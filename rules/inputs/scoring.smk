"""From wildcards to files and settings: checklists, batches of judging, their shards and models."""

import functools
import shlex
import shutil

from snakemake.logging import logger

JUDGED = "results/{study}/judged/{batch}/{shard}-of-{shards}.jsonl"
OPTIMAL = "results/{study}/checklist/optimal_checklist.json"

# What a batch judges, and how it differs from judging the corpus: its name is <kind>-<corpus>.
BATCHES = {
    "corpus": {},
    "candidates": {"part": "optimize"},
    "candidates_retest": {"part": "optimize", "variant": "retest"},
    "candidates_retest2": {"part": "optimize", "variant": "retest2"},
    "retest": {"variant": "retest"},
    "reordered": {"variant": "reordered"},
    "injected": {"injected": True},
    "second": {},
    "generated": {},
    "generated_second": {},
}


def kind_of(batch):
    """Return the kind and the corpus of a batch."""
    return batch.split("-", 1)


def compared_kinds(signal):
    """Return the kinds of batches in which a sample is judged again, to test the judge."""
    if signal.reliability.sample == 0:
        return []
    return [*signal.reliability.checks, *(["second"] if signal.reliability.second_judge else [])]


def retest_kinds(signal):
    """Return the kinds of batches in which candidate items are judged again, to see which are stable."""
    return ["candidates_retest", "candidates_retest2"] if signal.optimize.retest_sample else []


def judge_of(wildcards):
    """Return the settings of the judge of a batch."""
    signal = study_of(wildcards).signal
    if kind_of(wildcards.batch)[0] not in ("second", "generated_second"):
        return signal.judge
    if signal.reliability.second_judge is None:
        raise WorkflowError(f"studies/{wildcards.study}.yaml: there is no signal.reliability.second_judge")
    return signal.reliability.second_judge


def smallest_limit(*limits):
    """Return the smallest of several limits, of which 0 is none."""
    return min((limit for limit in limits if limit), default=0)


def batch_settings(wildcards):
    """Return what a batch judges and how: what a job needs to know, and no more."""
    signal, (kind, _) = study_of(wildcards).signal, kind_of(wildcards.batch)
    judge = without_scheduling(judge_of(wildcards).model_dump(mode="json"))
    if is_generated(kind):  # what models wrote is judged whole: a limit is for a quick look at a corpus
        return BATCHES[kind] | {"judge": judge, "limit": 0}
    sample = 0
    if kind.startswith("candidates_"):
        sample = signal.optimize.retest_sample
    elif kind in compared_kinds(signal):
        sample = signal.reliability.sample
    return BATCHES[kind] | {"judge": judge, "limit": smallest_limit(signal.limit, sample)}


def without_scheduling(settings):
    """Return the settings of a judge or an engine without where and how long it may run, which change no result."""
    return {key: value for key, value in settings.items() if key not in SCHEDULING}


def scoring_settings(signal):
    """Return a study's signal without what only the scheduler is told."""
    settings = signal.model_dump(mode="json")
    if not signal.judges:
        return settings
    settings["judge"] = without_scheduling(settings["judge"])
    if settings["reliability"]["second_judge"]:
        settings["reliability"]["second_judge"] = without_scheduling(settings["reliability"]["second_judge"])
    return settings


def label_spec(wildcards):
    """Return what scoring by labels needs to know: the signal, and each corpus's words for its labels."""
    study = study_of(wildcards)
    answers = {name: study.answers_of(name) for name in study.corpora}
    return spec({"signal": scoring_settings(study.signal), "answers": answers})


def given_checklist(wildcards):
    """Return the checklist that a study names, if it names one."""
    if study_of(wildcards).signal.checklist is None:
        return []
    return existing(
        [study_of(wildcards).signal.checklist],
        f"studies/{wildcards.study}.yaml, key signal.checklist",
    )


def checklist_file(wildcards):
    """Return the checklist that a study's corpora are judged by: the one it names, or the best of its items."""
    return chosen_checklist(wildcards) or given_checklist(wildcards)


def chosen_checklist(wildcards):
    """Return the checklist that a study chose itself, if it chooses one."""
    return OPTIMAL.format(study=wildcards.study) if study_of(wildcards).signal.optimize is not None else []


def checklist_of_batch(wildcards):
    """Return the checklist of a batch: candidates are judged by all that there are."""
    is_choosing = kind_of(wildcards.batch)[0].startswith("candidates")
    return given_checklist(wildcards) if is_choosing else checklist_file(wildcards)


def judged_corpus(table):
    """Return a function from wildcards to a table of the corpus that a batch of judging covers."""
    return lambda wildcards: f"results/{wildcards.study}/corpus/{kind_of(wildcards.batch)[1]}/{table}.parquet"


def is_generated(kind):
    """Say whether a kind of batch judges what the models of a study wrote, and not a corpus."""
    return kind in ("generated", "generated_second")


def judged_responses(wildcards):
    """Return the responses that a batch of judging covers: a corpus's, or those that models wrote to its prompts."""
    if is_generated(kind_of(wildcards.batch)[0]):
        return f"results/{wildcards.study}/evaluation/heldout/responses.parquet"
    return judged_corpus("responses")(wildcards)


def splits_of_batch(wildcards):
    """Return the splits, if a batch covers a part of them."""
    return judged_corpus("splits")(wildcards) if BATCHES[kind_of(wildcards.batch)[0]].get("part") else []


def injections_of_batch(wildcards):
    """Return the file of instructions to plant, if a batch plants them."""
    return "resources/injections.yaml" if BATCHES[kind_of(wildcards.batch)[0]].get("injected") else []


@functools.cache
def require_judge_interpreter():
    """Stop, if there is no Python with vLLM here, before a job finds out behind a queue; a dry run only says so."""
    if IN_CONDA or shutil.which(PYTHON["judge"]) is not None:
        return
    problem = (
        f"config.yaml, key interpreters.judge: {PYTHON['judge']}: there is no such interpreter\n"
        "  fix: `make judge` makes one with vLLM for a CPU; or give one with vLLM for GPUs, or use --sdm conda"
    )
    if not workflow.dryrun:
        raise WorkflowError(problem)
    logger.warning(f"{problem}\nWithout it this plan cannot be carried out.")


def judge_model(wildcards):
    """Return the manifest of the judge's model, if it has one that lies here."""
    judge = judge_of(wildcards)
    if judge.backend != "vllm":
        return []
    require_judge_interpreter()
    return f"results/{wildcards.study}/models/{judge.model}/manifest.json"


def judge_kind(wildcards):
    """Return the kind of environment that a batch's judge needs."""
    return "judge" if judge_of(wildcards).backend == "vllm" else "data"


def optional(*flags):
    """Return a function to the arguments of those inputs that a job has, each named like its flag."""
    return lambda wildcards, input: " ".join(
        f"--{flag} {shlex.quote(str(input.get(flag)))}" for flag in flags if input.get(flag)
    )


def judged(wildcards, kinds, pattern=JUDGED, corpora=None):
    """Return `pattern` for every shard of some kinds of batches; those that judge a sample have one shard.

    Args:
        wildcards: of a job.
        kinds: of batches.
        pattern: with the wildcards of a batch and its shard.
        corpora: of which; None for all of the study.
    """
    signal = study_of(wildcards).signal
    return [
        pattern.format(
            study=wildcards.study,
            kind=kind,
            corpus=corpus,
            batch=f"{kind}-{corpus}",
            shard=shard,
            shards=shards,
        )
        for kind in kinds
        for corpus in corpora or study_of(wildcards).corpora
        for shards in [signal.shards if kind in ("corpus", "candidates", "generated") else 1]
        for shard in range(shards)
    ]


def judged_generations(wildcards, kind):
    """Return every judged shard of what models wrote, by the study's judge ("generated") or by its second one."""
    return judged(wildcards, [kind], corpora=[heldout_corpus(wildcards)])


def flagged(flag, values):
    """Return arguments with their flag before them, or none at all."""
    return [flag, *values] if values else []


def compared_arguments(wildcards):
    """Return KIND:CORPUS=PATH arguments for the batches in which a sample was judged again."""
    kinds = compared_kinds(study_of(wildcards).signal)
    return flagged("--compared", judged(wildcards, kinds, f"{{kind}}:{{corpus}}={JUDGED}"))


def retest_arguments(wildcards):
    """Return CORPUS=PATH arguments for the batches in which candidate items were judged again."""
    kinds = retest_kinds(study_of(wildcards).signal)
    return flagged("--retests", judged(wildcards, kinds, f"{{corpus}}={JUDGED}"))


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


def optional_file(key, path):
    """Return the file that a key of the study names, if it names one."""
    return lambda wildcards: (
        existing([found], f"studies/{wildcards.study}.yaml, key {key}")
        if (found := path(study_of(wildcards).signal))
        else []
    )
