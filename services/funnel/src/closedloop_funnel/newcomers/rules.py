"""When a newcomer counts as having stayed, a customer as having come back (S62, S92, S93)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class NewcomerRules(Rules):
    """`retention_days` after the start; a customer came back when he bought again within `repurchase_days` of the first
    deal; `complex_products` are those whose penetration is measured; with fewer than `least` cases nothing is said."""

    rulebook: ClassVar[str] = "funnel.newcomers"

    retention_days: int = Field(default=90, ge=1, le=3660)
    repurchase_days: int = Field(default=180, ge=1, le=3660)
    complex_products: tuple[str, ...] = ()
    least: int = Field(default=5, ge=2, le=1_000_000)


def mismatch(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """0: the same segments in the same shares .. 1: none in common (total variation); None where one is empty."""
    if not sum(one.values()) or not sum(other.values()):
        return None
    return 1 - sum(min(share(one, key), share(other, key)) for key in {*one, *other})


def share(counts: Mapping[str, float], key: str) -> float:
    whole = sum(counts.values())
    return counts.get(key, 0.0) / whole if whole else 0.0
