"""Which judge a study's settings mean. Each imports its own library only when it judges: slow, or not always there."""

from pathlib import Path

from winnow.core.config.signals import LexicalJudge, OpenAIJudge, VllmJudge
from winnow.scoring.judge import Judge, Variant
from winnow.scoring.lexical import Lexical
from winnow.scoring.openai_api import OpenAIEndpoint
from winnow.scoring.vllm import Vllm


def make_judge(settings: LexicalJudge | VllmJudge | OpenAIJudge, variant: Variant, model: Path | None) -> Judge:
    """Return the judge that a study names. A slow one loads its model when it is first asked.

    Args:
        settings: of the study.
        variant: how it judges, see judge.Identity.
        model: folder of the model that prepare_model made, for a judge that has one.
    """
    if isinstance(settings, VllmJudge):
        return Vllm(settings, variant, model)
    if isinstance(settings, OpenAIJudge):
        return OpenAIEndpoint(settings, variant)
    return Lexical(variant)
