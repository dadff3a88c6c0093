"""Who gets a record: by region, industry and product line, then capacity and leave, then a fair share (S23, U13)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis.org.snapshot import OrgSnapshot, Person
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules
from closedloop_customers.codes import covers


class ScoreWeights(Part):
    """Shares of the order among eligible sellers; each part is 0..1 before its weight."""

    # Named for exactly this region, industry or product line, instead of taking whatever comes.
    region: float = Field(default=0.25, ge=0, le=1)
    industry: float = Field(default=0.15, ge=0, le=1)
    product_line: float = Field(default=0.10, ge=0, le=1)
    # Free share of the capacity.
    room: float = Field(default=0.40, ge=0, le=1)
    # Time since the last one, full after `rest_hours`.
    rest: float = Field(default=0.10, ge=0, le=1)


class AssignmentRules(Rules):
    """How records find their owner."""

    rulebook: ClassVar[str] = "customers.assignment"

    seller_roles: frozenset[str] = frozenset({"rep"})
    lead_capacity: int = Field(default=30, ge=0, le=10000)
    account_capacity: int = Field(default=300, ge=0, le=100000)
    weights: ScoreWeights = ScoreWeights()
    rest_hours: float = Field(default=24, gt=0, le=24 * 366)
    # A customer we know goes to who owns it, where that person can take it.
    account_owner_first: bool = True
    # From this priority on a lead goes first to those who earned priority (S56, S90).
    valuable_priority: int = Field(default=70, ge=0, le=100)
    # Candidates kept with an assignment.
    shown_candidates: int = Field(default=20, ge=1, le=100)
    # The pool (U12).
    protection_days: int = Field(default=30, ge=0, le=3660)
    cool_down_days: int = Field(default=7, ge=0, le=366)
    claims_a_day: int = Field(default=10, ge=0, le=1000)
    # Without effective interaction for so long, and past its protection, a record goes back to the pool.
    recycle_lead_days: int = Field(default=30, ge=1, le=3660)
    recycle_account_days: int = Field(default=180, ge=1, le=3660)
    # Customers of these grades are never recycled.
    kept_grades: frozenset[str] = frozenset({"A"})
    protect_most_days: int = Field(default=180, ge=1, le=3660)
    recycle_every: ClockSetting = ClockSetting(days=1)
    largest_recycling: int = Field(default=500, ge=1, le=10_000)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be given. `keeper_id`: owner of the customer it comes from; `missed`: who let it fall overdue
    before."""

    id: str
    region_code: str = ""
    industry: str = ""
    product_lines: tuple[str, ...] = ()
    priority: int = 0
    keeper_id: str = ""
    stand_in_for: str = ""
    missed: frozenset[str] = frozenset()


@dataclass(slots=True)
class Seller:
    """One seller as the rules see him. Empty lists mean no restriction; `away` holds standing reasons to give him
    nothing."""

    person_id: str
    name: str
    unit_id: str
    regions: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    product_lines: tuple[str, ...] = ()
    capacity: int = 30
    load: int = 0
    weight: float = 1.0
    away: tuple[str, ...] = ()
    stand_in_id: str = ""
    prior: bool = False
    rested_hours: float | None = None


@dataclass(slots=True)
class Candidate:
    """A seller as he was weighed. `named`: dimensions for which he is named and fits; `ahead`: by earned priority."""

    person_id: str
    name: str
    ineligibilities: tuple[str, ...]
    open_leads: int
    capacity: int
    score: float
    named: tuple[str, ...]
    rested_hours: float | None
    ahead: bool

    @property
    def eligible(self) -> bool:
        return not self.ineligibilities

    @property
    def kept(self) -> tuple[Any, ...]:
        """What an assignment keeps of it: `Candidate(*kept)` is the same again."""
        return (
            self.person_id,
            self.name,
            self.ineligibilities,
            self.open_leads,
            self.capacity,
            self.score,
            self.named,
            self.rested_hours,
            self.ahead,
        )

    @property
    def explanation(self) -> str:
        if self.ineligibilities:
            return f"{self.name}: not eligible ({', '.join(self.ineligibilities)})"
        matched = (
            f"named for {', '.join(self.named)}" if self.named else "open to any region, industry and product line"
        )
        rested = (
            "never assigned before" if self.rested_hours is None else f"last assigned {self.rested_hours:.1f} h ago"
        )
        first = ", served first by earned priority" if self.ahead else ""
        return f"{self.name}: {matched}; {self.open_leads} of {self.capacity} open; {rested}{first}; score {self.score:.3f}"


def judge(subject: Subject, seller: Seller, rules: AssignmentRules) -> Candidate:
    """The seller as a candidate, with every reason against him and, where there is none, his score 0..1 (2 with
    priority)."""
    (weighed,) = _weighed(subject, (seller,), rules)
    return _candidate(seller, weighed)


# What speaks against him, his score, for what he is named, whether he goes first.
Weighed = tuple[tuple[str, ...], float, tuple[str, ...], bool]


def _weighed(subject: Subject, sellers: Iterable[Seller], rules: AssignmentRules) -> Iterator[Weighed]:
    """Each seller in turn. What a choice asks of the rules and the subject for every one of them is asked once."""
    weights, rest_hours = rules.weights, rules.rest_hours
    room_weight, rest_weight = weights.room, weights.rest
    kind = (subject.region_code, subject.industry, subject.product_lines)
    missed_before, valuable = subject.missed, subject.priority >= rules.valuable_priority
    fit: dict[tuple[str, ...], float] = {}
    for seller in sellers:
        named, missed = _fits(*kind, seller.regions, seller.industries, seller.product_lines)
        ahead = valuable and seller.prior
        load, capacity, weight, rested = seller.load, seller.capacity, seller.weight, seller.rested_hours
        if missed or seller.away or load >= capacity or not weight or seller.person_id in missed_before:
            against = (*seller.away, *missed)
            if load >= capacity or not weight:
                against += ("capacity",)
            if seller.person_id in missed_before:
                against += ("missed_before",)
            yield against, 0.0, named, ahead
            continue
        if named not in fit:
            fit[named] = sum(getattr(weights, dimension) for dimension in named)
        room = max(0.0, 1 - load / (capacity * weight))
        rest = 1.0 if rested is None or rested >= rest_hours else rested / rest_hours
        yield (
            (),
            round(fit[named] + (room_weight * room + rest_weight * rest) + (1.0 if ahead else 0.0), 6),
            named,
            ahead,
        )


def _candidate(seller: Seller, weighed: Weighed) -> Candidate:
    against, score, named, ahead = weighed
    return Candidate(
        seller.person_id, seller.name, against, seller.load, seller.capacity, score, named, seller.rested_hours, ahead
    )


def choose(
    subject: Subject, sellers: Iterable[Seller], rules: AssignmentRules, most: int | None = None
) -> list[Candidate]:
    """All sellers as candidates, or so many of them, the best first; the first one gets it if he is eligible."""
    first = subject.stand_in_for or (subject.keeper_id if rules.account_owner_first else "")
    asked = list(sellers)
    ranked = [
        (bool(weighed[0]), seller.person_id != first, -weighed[1], seller.person_id, place, seller, weighed)
        for place, (seller, weighed) in enumerate(zip(asked, _weighed(subject, asked, rules), strict=True))
    ]
    # No two have the same place: nothing behind it is ever compared.
    ranked.sort()
    return [_candidate(each[5], each[6]) for each in ranked[:most]]


def distribute(
    subjects: Iterable[Subject], sellers: Sequence[Seller], rules: AssignmentRules
) -> dict[str, Candidate | None]:
    """Many at once, each choice counting in the loads of the next; None where nobody is eligible.

    Within a call loads only grow, so that scores only fall: a heap whose top is judged again before it is taken is
    exact."""
    state = {seller.person_id: seller for seller in sellers}
    heaps: dict[tuple[Any, ...], list[tuple[float, str]]] = {}
    chosen: dict[str, Candidate | None] = {}
    for subject in subjects:
        kind = (
            subject.region_code,
            subject.industry,
            subject.product_lines,
            subject.priority >= rules.valuable_priority,
        )
        kept = state.get(subject.keeper_id) if rules.account_owner_first else None
        winner = judge(subject, kept, rules) if kept else None
        if (winner is None or not winner.eligible) and subject.missed:
            ranked = choose(subject, state.values(), rules)
            winner = ranked[0] if ranked else None
        elif winner is None or not winner.eligible:
            if kind not in heaps:
                eligible = [c for c in (judge(subject, seller, rules) for seller in state.values()) if c.eligible]
                heaps[kind] = [(-candidate.score, candidate.person_id) for candidate in eligible]
                heapq.heapify(heaps[kind])
            winner = _best(subject, heaps[kind], state, rules)
        if winner is None or not winner.eligible:
            chosen[subject.id] = None
            continue
        chosen[subject.id] = winner
        taken = state[winner.person_id]
        state[winner.person_id] = replace(taken, load=taken.load + 1, rested_hours=0.0)
    return chosen


def _best(
    subject: Subject, heap: list[tuple[float, str]], state: Mapping[str, Seller], rules: AssignmentRules
) -> Candidate | None:
    while heap:
        score, person_id = heap[0]
        now = judge(subject, state[person_id], rules)
        if not now.eligible:
            heapq.heappop(heap)
        elif -now.score > score:
            heapq.heapreplace(heap, (-now.score, person_id))
        else:
            return now
    return None


def reach(org: OrgSnapshot, person: Person, profile: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What a seller takes: set for himself, else his own territory, else that of the nearest unit above which names
    one."""
    found: dict[str, tuple[str, ...]] = {}
    for dimension, setting in (
        ("regions", "region_codes"),
        ("industries", "industries"),
        ("product_lines", "product_lines"),
    ):
        own = profile.get(setting) or person.territory.get(dimension)
        if not own:
            above = (org.units[unit].territory.get(dimension) for unit in org.ancestry(person.unit_id))
            own = next((codes for codes in above if codes), ())
        found[dimension] = tuple(own)
    return found


def home_unit(subject: Subject, org: OrgSnapshot) -> str:
    """The deepest unit whose territory holds the record, else the root; its pool is where a record without owner
    lies."""
    best, rank = "", (-1, -1)
    wanted = ((subject.region_code,), (subject.industry,), subject.product_lines)
    for unit in org.units.values():
        lists = [unit.territory.get(dimension, ()) for dimension in ("regions", "industries", "product_lines")]
        held = [_covered(have, want) for have, want in zip(lists, wanted, strict=True) if have]
        if not unit.active or (unit.parent_id and not (held and all(held))):
            continue
        here = (len(held) if all(held) else 0, sum(1 for _ in org.ancestry(unit.id)))
        if here > rank:
            best, rank = unit.id, here
    return best


def fits(subject: Subject, seller: Seller) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Dimensions for which the seller is named and fits, and those in which he does not. What a record lacks
    excludes nobody."""
    return _fits(
        subject.region_code,
        subject.industry,
        subject.product_lines,
        seller.regions,
        seller.industries,
        seller.product_lines,
    )


# Many sellers take the same, and many records are of one kind.
@lru_cache(maxsize=10_000)
def _fits(
    region: str,
    industry: str,
    lines: tuple[str, ...],
    regions: tuple[str, ...],
    industries: tuple[str, ...],
    product_lines: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pairs = (
        ("region", regions, (region,)),
        ("industry", industries, (industry,)),
        ("product_line", product_lines, lines),
    )
    named: list[str] = []
    missed: list[str] = []
    for dimension, have, want in pairs:
        want = tuple(code for code in want if code)
        if have and want:
            (named if _covered(have, want) else missed).append(dimension)
    return tuple(named), tuple(missed)


def _covered(have: Iterable[str], want: Iterable[str]) -> bool:
    return any(covers(code, wanted) for wanted in want if wanted for code in have)
