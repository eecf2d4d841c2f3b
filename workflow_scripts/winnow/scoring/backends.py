"""Which judge a study's settings mean."""

from pathlib import Path

from winnow.core.config import LexicalJudge, OpenAIJudge, VllmJudge
from winnow.scoring.judge import Judge, Variant


def make_judge(settings: LexicalJudge | VllmJudge | OpenAIJudge, variant: Variant, model: Path | None) -> Judge:
    """Return the judge that a study names. A slow one loads its model when it is first asked.

    Args:
        settings: of the study.
        variant: how it judges, see judge.Identity.
        model: folder of the model that prepare_model made, for a judge that has one.
    """
    # Imported one by one: a judge's own libraries are in its own environment only.
    if isinstance(settings, VllmJudge):
        from winnow.scoring.vllm import Vllm  # noqa: PLC0415

        return Vllm(settings, variant, model)
    if isinstance(settings, OpenAIJudge):
        from winnow.scoring.openai_api import OpenAIEndpoint  # noqa: PLC0415

        return OpenAIEndpoint(settings, variant)
    from winnow.scoring.lexical import Lexical  # noqa: PLC0415

    return Lexical(variant)
