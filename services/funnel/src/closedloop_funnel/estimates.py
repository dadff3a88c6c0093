"""Shares with what is known of them: Wilson's interval (Wilson 1927), or the word that it cannot be said."""

from __future__ import annotations

from statistics import NormalDist

from closedloop.funnel.v1 import experiments_pb2 as pb

CONFIDENCE = 0.95


def share(hits: int, tries: int, least: int = 1) -> pb.Estimate:
    """hits / tries; with fewer than `least` tries it says that it cannot say."""
    if tries < max(least, 1):
        return pb.Estimate(
            unit="1",
            sample_size=tries,
            verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY,
            explanation=f"{tries} cases, it takes {max(least, 1)}",
        )
    low, high = wilson(hits, tries)
    return pb.Estimate(
        value=hits / tries,
        unit="1",
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=tries,
        method="wilson",
        verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE,
        explanation=f"{hits} of {tries}",
    )


def wilson(hits: int, tries: int) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (hits + z * z / 2) / (tries + z * z)
    half = z / (tries + z * z) * (hits * (tries - hits) / tries + z * z / 4) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def mean(total: float, count: int) -> pb.Estimate:
    """A mean with nothing said of its spread; without cases it says that it cannot say."""
    if not count:
        return pb.Estimate(unit="1", sample_size=0, verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY, explanation="no cases")
    return pb.Estimate(
        value=total / count, unit="1", sample_size=count, method="mean", verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE
    )


def difference(hits: int, tries: int, other_hits: int, other_tries: int, least: int = 1) -> pb.Estimate:
    """First share less the second, with Newcombe's interval (Newcombe 1998, method 10); higher or lower only when zero
    lies outside of it."""
    if min(tries, other_tries) < max(least, 1):
        return pb.Estimate(
            unit="1",
            sample_size=tries + other_tries,
            verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY,
            explanation=f"{tries} against {other_tries} cases, it takes {max(least, 1)} each",
        )
    one, other = hits / tries, other_hits / other_tries
    (low, high), (other_low, other_high) = wilson(hits, tries), wilson(other_hits, other_tries)
    bottom = one - other - ((one - low) ** 2 + (other_high - other) ** 2) ** 0.5
    top = one - other + ((high - one) ** 2 + (other - other_low) ** 2) ** 0.5
    verdict = pb.ESTIMATE_VERDICT_NO_DIFFERENCE
    if bottom > 0:
        verdict = pb.ESTIMATE_VERDICT_HIGHER
    elif top < 0:
        verdict = pb.ESTIMATE_VERDICT_LOWER
    return pb.Estimate(
        value=one - other,
        unit="1",
        low=bottom,
        high=top,
        confidence_ratio=CONFIDENCE,
        sample_size=tries + other_tries,
        method="newcombe",
        verdict=verdict,
        explanation=f"{hits} of {tries} against {other_hits} of {other_tries}",
    )
