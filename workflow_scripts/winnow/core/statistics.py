"""Intervals for the numbers that a report shows. Missing values are the caller's to count, not ours."""

import math


def wilson_interval(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float] | None:
    """Return the Wilson score interval of a proportion (95 % by default), or None without trials.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.
    """
    if trials == 0:
        return None
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)
