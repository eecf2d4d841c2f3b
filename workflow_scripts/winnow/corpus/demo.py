"""Adapter: synthetic papers, reviews and decisions from a seeded generator, to show the machinery.

Papers have a quality, which drives the decision and, with a reviewer's own noise, the rating. Reviewers have a
thoroughness, which decides how much they talk about; it goes along with the rating, but is not the rating. So a
checklist can tell reviews apart, and its score and the rating agree in part, as they do in real reviews.
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from winnow.core.config.corpora import DemoCorpus
from winnow.core.ids import canonical_json, sha256_text
from winnow.corpus import cleaning
from winnow.corpus import demo_phrases as phrases
from winnow.corpus.records import Origin, Prompt, Rejected, Response
from winnow.graders.ratings import CONFIDENCE_SCALE, read_rating

SOURCE = "demo (synthetic)"
SCALE = tuple(map(float, phrases.RATINGS))
SHARE_OF_SENTENCES = 0.7  # of a section's, in one paper; with all of them any two papers would be near-duplicates


class DemoSource:
    """Made-up papers and reviews; the same settings give the same text on every machine."""

    duplicates_across_prompts = True

    def __init__(self, spec: DemoCorpus) -> None:
        """Remember the settings.

        Args:
            spec: the corpus as the study has it.
        """
        self.spec = spec

    @property
    def files(self) -> Mapping[str, Path]:
        """No files are read."""
        return {}

    def prompts(self) -> Iterator[Prompt | Rejected]:
        """Yield one paper after the other."""
        for number in range(self.spec.papers):
            paper = _Paper(self.spec.seed, number)
            yield Prompt(
                paper.identity,
                _origin(number, [paper.title, paper.abstract, paper.body]),
                title=paper.title,
                abstract=paper.abstract,
                body=paper.body,
                decision=paper.decision,
            )

    def responses(self) -> Iterator[Response | Rejected]:
        """Yield the reviews of one paper after the other."""
        for number in range(self.spec.papers):
            paper = _Paper(self.spec.seed, number)
            for reviewer in range(self.spec.reviews_per_paper):
                yield _review(self.spec.seed, paper, number, reviewer)


def _origin(line: int, content: Any) -> Origin:
    return Origin("demo", line + 1, SOURCE, sha256_text(canonical_json(content)))


class _Paper:
    """A paper: its words, what it is about, how good it is and what was decided."""

    def __init__(self, seed: int, number: int) -> None:
        rng = random.Random(f"{seed}/paper/{number}")
        self.identity = f"demo{number:05d}"
        method = f"{rng.choice(phrases.ADJECTIVES)} {rng.choice(phrases.NOUNS)}"
        (data, data2), (base, base2) = rng.sample(phrases.DATASETS, 2), rng.sample(phrases.BASELINES, 2)
        self.words = {
            "method": method,
            "task": rng.choice(phrases.TASKS),
            "problem": rng.choice(phrases.PROBLEMS),
            "data": data,
            "data2": data2,
            "base": base,
            "base2": base2,
            "gain": f"{rng.uniform(0.4, 6):.1f}",
            "loss": f"{rng.uniform(0.3, 4):.1f}",
            "cost": f"{rng.uniform(1.1, 3):.1f}",
            "share": str(rng.randrange(10, 60, 5)),
            "steps": f"{rng.randrange(10, 200) * 1000}",
            "hours": str(rng.randrange(2, 40)),
        }
        self.title = f"{method} for {self.words['task'].capitalize()} When {self.words['problem'].capitalize()}"
        self.abstract = rng.choice(phrases.ABSTRACT).format(**self.words)
        self.body = "\n\n".join(
            f"{heading}\n\n" + " ".join(self._sentences(rng, pool)) for heading, pool in phrases.SECTIONS.items()
        )
        self.quality = rng.gauss(0, 1)
        verdict = self.quality + rng.gauss(0, 0.5)
        self.decision = "accept" if verdict > 0 else "workshop" if verdict > -0.15 else "reject"
        if rng.random() < 0.04:
            self.decision = "withdrawn"

    def _sentences(self, rng: random.Random, pool: tuple[str, ...]) -> list[str]:
        """Return most sentences of a section in a random order, with numbers of their own: papers differ."""
        words = self.words | {"gain": f"{rng.uniform(0.4, 6):.1f}", "cost": f"{rng.uniform(1.1, 3):.1f}"}
        return [sentence.format(**words) for sentence in rng.sample(pool, round(SHARE_OF_SENTENCES * len(pool)))]


def _review(seed: int, paper: _Paper, number: int, reviewer: int) -> Response | Rejected:
    """Return a review, or the reason why a reviewer's text is none."""
    rng = random.Random(f"{seed}/paper/{number}/reviewer/{reviewer}")
    leaning = rng.gauss(0, 1.7)
    rating = min(10, max(1, round(5.6 + 1.2 * paper.quality + leaning)))
    thoroughness = min(1.0, max(0.0, 0.5 + 0.17 * leaning + rng.gauss(0, 0.2)))
    text = rng.choice(phrases.NO_REVIEWS) if rng.random() < 0.02 else _review_text(rng, paper, rating, thoroughness)
    label, confidence = f"{rating}: {phrases.RATINGS[rating]}", str(rng.choice((2, 3, 3, 4, 4, 4, 5)))
    identity = f"{paper.identity}-r{reviewer + 1}"
    origin = _origin(number, [identity, text, label, confidence])
    reason = cleaning.why_no_review(text)
    if reason is not None:
        return Rejected(identity, origin, "response", reason, cleaning.excerpt(text))
    return Response(
        identity,
        origin,
        prompt_id=paper.identity,
        text=text,
        author_kind="human",  # stands for a human; `source` says that it is none
        rating=read_rating(label, SCALE).value,
        rating_label=label,
        rating_scale=SCALE,
        confidence=read_rating(confidence, CONFIDENCE_SCALE).value,
        confidence_label=confidence,
    )


def _review_text(rng: random.Random, paper: _Paper, rating: int, thoroughness: float) -> str:
    """Return a review that touches on more the more thorough its reviewer is, in the tone of its rating."""
    words = paper.words | {
        "section": f"Section {rng.randrange(2, 6)}",
        "table": f"Table {rng.randrange(1, 5)}",
        "figure": f"Figure {rng.randrange(1, 6)}",
    }

    def tone() -> phrases.Tone:
        return "good" if rating + rng.gauss(0, 1.5) > 5.5 else "poor"

    chance = 0.04 + 0.86 * thoroughness
    sentences = [rng.choice(pool[tone()]) for pool in phrases.ASPECTS.values() if rng.random() < chance]
    overall: phrases.Tone = "good" if rating > 5 else "poor"
    opening = rng.choice(phrases.OPENINGS[overall])
    if len(sentences) < 3:
        sentences.append(rng.choice(phrases.SHORT_REMARKS[overall]))
    bullet, gap = rng.choice((("", " "), ("", "\n\n"), ("- ", "\n- ")))
    return f"{opening}\n\n{bullet}{gap.join(sentences)}".format(**words)
