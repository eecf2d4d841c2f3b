"""Which judge a study's settings mean."""

from winnow.core.config import LexicalJudge
from winnow.scoring.judge import Judge
from winnow.scoring.lexical import Lexical


def make_judge(settings: LexicalJudge) -> Judge:
    """Return the judge that a study names, ready to judge."""
    return {"lexical": Lexical}[settings.backend]()
