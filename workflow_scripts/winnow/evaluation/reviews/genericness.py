"""Whether a model says the same of every paper."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from winnow.evaluation.reviews.words import words

SELF_BLEU_PAPERS = 25  # BLEU grows with the number of references: held fixed, and low, for its cost is the square


def similarity_to_others(texts: Sequence[str], prompts: Sequence[str], background: Sequence[str]) -> list[float | None]:
    """Return the mean TF-IDF cosine of each text with the texts about other papers.

    The weights of words come from the texts and the human reviews of the same papers: not from other models, so that
    a number does not change with what it is compared to.

    Source: Salton and Buckley 1988; computed by scikit-learn with its own defaults.

    Args:
        texts: of one model and decoding.
        prompts: the paper of each. Shape: as `texts`.
        background: human reviews of the papers.

    Returns:
        One number per text, from 0 to 1; None where it has no word, or there is no text about another paper.
    """
    # Two seconds.
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    try:
        weights = TfidfVectorizer().fit([*texts, *background]).transform(texts)  # rows of length 1, or empty
    except ValueError:  # there is no word in any of them
        return [None] * len(texts)
    names = sorted(set(prompts))
    place = {prompt: number for number, prompt in enumerate(names)}
    papers = np.array([place[prompt] for prompt in prompts])
    # Mean cosine with all others is the product with their sum: linear in the number of texts.
    whole = np.asarray(weights.sum(axis=0)).ravel()
    found: list[float | None] = [None] * len(texts)
    for number in range(len(names)):
        own = np.flatnonzero(papers == number)
        if len(own) == len(texts):
            break
        others = whole - np.asarray(weights[own].sum(axis=0)).ravel()
        for index in own:
            if weights[index].nnz:
                found[index] = float((weights[index] @ others)[0] / (len(texts) - len(own)))
    return found


def distinct_2(texts: Sequence[str]) -> float | None:
    """Return the different pairs of neighbouring words, divided by all pairs; None without any.

    Source: Li et al. 2016, "A Diversity-Promoting Objective Function", section 5.3, with pairs in the denominator too.

    Args:
        texts: one review of each paper.
    """
    pairs = [pair for text in texts for found in [words(text)] for pair in pairwise(found)]
    return len(set(pairs)) / len(pairs) if pairs else None


def self_bleu(texts: Sequence[str]) -> float | None:
    """Return the mean BLEU, from 0 to 100, of each text with all the others as references; None for fewer than two.

    Source: Zhu et al. 2018 (Texygen), section 3; computed by sacrebleu for each text, with its tokens and smoothing,
    and with orders that a short text does not have left out (`effective_order`).

    Args:
        texts: one review of each paper; of those with a word the first `SELF_BLEU_PAPERS` are used. Empty ones would
            seem to repeat nothing.
    """
    from sacrebleu.metrics import BLEU  # noqa: PLC0415 - not needed where there are no sets

    used = [text for text in texts if words(text)][:SELF_BLEU_PAPERS]
    if len(used) < 2:
        return None
    bleu = BLEU(effective_order=True)
    scores = [bleu.sentence_score(text, used[:place] + used[place + 1 :]).score for place, text in enumerate(used)]
    return float(np.mean(scores))
