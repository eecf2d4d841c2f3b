"""Made-up posts and tweets in the files of the sarcasm studies; certain words give most of the sarcastic ones away."""

import csv
from collections.abc import Iterator
from pathlib import Path

from labelled_study import text
from winnow.core.ids import unit_interval

POSTS, TWEETS, SARCASTIC_TWEETS = 480, 150, 0.35
GIVEAWAY = 0.9  # of sarcastic texts have one of these words, and the others have not
WORDS = ("sure", "genius", "bravo")


def said(key: str, *, sarcastic: bool) -> str:
    """Words that depend on the key; among them, if the text is sarcastic and as a rule, one that gives it away."""
    words = text(key, 4 + int(unit_interval(key, "length") * 5)).split()
    if sarcastic == (unit_interval(key, "giveaway") < GIVEAWAY):
        word = WORDS[int(unit_interval(key, "word") * len(WORDS))]
        words.insert(int(unit_interval(key, "place") * len(words)), word)
    return f"{' '.join(words)} ({key.replace(' ', '')})"


def _posts(part: str, count: int) -> Iterator[tuple[str, int, str]]:
    for number in range(count):
        is_sarcastic = (
            unit_interval(f"{part} {number}", "label") < 0.5
        )  # by no pattern of numbers, which are in the text
        yield "sarc" if is_sarcastic else "notsarc", number, said(f"{part} {number}", sarcastic=is_sarcastic)


def _tweets() -> Iterator[tuple[int, str, str, str]]:
    for number in range(TWEETS):
        is_sarcastic = unit_interval(f"tweet {number}", "label") < SARCASTIC_TWEETS
        meant = said(f"rephrase {number}", sarcastic=False) if is_sarcastic else ""
        yield number, said(f"tweet {number}", sarcastic=is_sarcastic), str(int(is_sarcastic)), meant


def write_raw_files(data: Path) -> None:
    """Write what `{data_root}` of the sarcasm studies must hold."""
    for folder in ("sarcasm_v2", "isarcasm_eval"):
        (data / folder).mkdir(parents=True)
    for part, count in (("GEN", POSTS), ("HYP", 24), ("RQ", 24)):
        with (data / f"sarcasm_v2/{part}-sarc-notsarc.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("class", "id", "text"), *_posts(part, count)])
    with (data / "isarcasm_eval/train.En.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("", "tweet", "sarcastic", "rephrase"), *_tweets()])
