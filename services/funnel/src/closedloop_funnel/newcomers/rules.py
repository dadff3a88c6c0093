"""When a newcomer counts as having stayed, a customer as having come back (S62, S92, S93)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class NewcomerRules(Rules):
    """`retention_days` after the start; a customer came back when he bought again within `repurchase_days` of the first
    deal; `complex_products` are those whose penetration is measured; with fewer than `least` cases nothing is said. Whose
    segments are compared has `least_deals` deals, as has the guide: of one market of six segments two people with five
    deals each differ by 0.4, with twenty by 0.2. Until the
    first deal everybody is followed for `first_deal_horizon` days, neither more nor less."""

    rulebook: ClassVar[str] = "funnel.newcomers"

    retention_days: int = Field(default=90, ge=1, le=3660)
    repurchase_days: int = Field(default=180, ge=1, le=3660)
    complex_products: tuple[str, ...] = ()
    least: int = Field(default=5, ge=2, le=1_000_000)
    least_deals: int = Field(default=20, ge=1, le=1_000_000)
    first_deal_horizon: int = Field(default=180, ge=7, le=3660)


@dataclass(frozen=True, slots=True)
class Followed:
    """Days until the first deal of those who were followed for `horizon`, which is what counts for whoever has none by then: `none`
    of them. `too_new`: started too lately to be counted, whatever they have sold; counting the quick ones alone among them
    would make every new cohort look faster than the old one (restricted mean, equal follow-up)."""

    days: list[float]
    none: int
    too_new: int
    horizon: int

    @property
    def sentence(self) -> str:
        said = f"of the first {self.horizon} days; {self.none} of {len(self.days)} have sold nothing by then"
        return said + (f", {self.too_new} started too lately to be counted" if self.too_new else "")


def followed(rules: NewcomerRules, people: Iterable[tuple[date, date | None]], today: date) -> Followed:
    """`people`: start and first deal."""
    horizon, some = timedelta(days=rules.first_deal_horizon), list(people)
    old = [(start, first) for start, first in some if start + horizon <= today]
    reached = [first - start if first is not None and first - start < horizon else None for start, first in old]
    days = [float((horizon if span is None else span).days) for span in reached]
    return Followed(days, reached.count(None), len(some) - len(old), horizon.days)


def mismatch(rules: NewcomerRules, one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """0: the same segments in the same shares .. 1: none in common (total variation); None where one has too few deals."""
    if min(sum(one.values()), sum(other.values())) < rules.least_deals:
        return None
    return 1 - sum(min(share(one, key), share(other, key)) for key in {*one, *other})


def share(counts: Mapping[str, float], key: str) -> float:
    whole = sum(counts.values())
    return counts.get(key, 0.0) / whole if whole else 0.0
