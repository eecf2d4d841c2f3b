"""How far a rating is from what people gave. An unread rating is as wrong as its scale allows."""

import math
from collections.abc import Collection, Sequence


def reference_rating(ratings: Sequence[float]) -> float | None:
    """Return what a rating is compared with: the mean of the paper's (other) human ratings, None without any.

    For a human review the others' ratings are given, so that nobody is compared with themselves.
    """
    return math.fsum(ratings) / len(ratings) if ratings else None


def rating_error(rating: float | None, reference: float | None, scale: Sequence[float]) -> float | None:
    """Return the distance of a rating from the reference, in points of its scale.

    An unread rating has the error of the legal rating that is farthest from the reference: to answer nothing is never
    better than any answer. (Averages over read ratings alone, as in DeepReviewer, reward silence.)

    Args:
        rating: None where it could not be read.
        reference: of `reference_rating`; None where nobody rated the paper, and then there is no error.
        scale: legal ratings, ascending.
    """
    if reference is None:
        return None
    if rating is None:
        return max(reference - scale[0], scale[-1] - reference)
    return abs(rating - reference)


def rating_squared_error(rating: float | None, reference: float | None, scale: Sequence[float]) -> float | None:
    """Return the square of `rating_error`, in squared points; its mean is the mean squared error."""
    error = rating_error(rating, reference, scale)
    return None if error is None else error * error


def rating_bias(rating: float | None, reference: float | None) -> float | None:
    """Return the rating minus the reference, in points: above 0 is more generous. None for an unread rating."""
    return None if rating is None or reference is None else rating - reference


def rating_in_human_set(rating: float | None, given: Collection[float]) -> float | None:
    """Return 1 where some human gave just this rating, else 0; an unread rating is 0, None where nobody gave one.

    Source: Idahl and Ahmadi 2025 (OpenReviewer), exact match with one of the human ratings.
    """
    return float(rating in given) if given else None
