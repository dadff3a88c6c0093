"""The buying group out of what was read: each person with role and influence, each concern as rules look at it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop.customers.v1 import potential_pb2
from closedloop_customers import scoring
from closedloop_customers.chain import rules
from closedloop_customers.chain.rules import ChainRules, Concern
from closedloop_customers.chain.store import Graph


@dataclass(frozen=True, slots=True)
class Member:
    """`row` as read; confirmed: a person has set it."""

    row: dict[str, Any]
    role: str
    role_confirmed: bool
    influence: float
    influence_confirmed: bool
    dimensions: list[potential_pb2.ScoreDimension]
    last_interaction: datetime | None

    @property
    def id(self) -> str:
        return str(self.row["id"])


def members(graph: Graph, now: datetime, settings: ChainRules) -> list[Member]:
    """The most influential first."""
    below = Counter(
        relation["to_end"].removeprefix("contact:")
        for relation in graph.relations or ()
        if relation["kind"] == "reports_to"
    )
    found = [_member(row, below[row["id"]], now, settings) for row in graph.people or ()]
    return sorted(found, key=lambda member: (-member.influence, member.id))


def concerns(graph: Graph) -> list[Concern]:
    return [
        Concern(
            id=row["id"],
            contact_id=row["contact_id"] or "",
            kind=row["kind"],
            state=row["state"],
            topic=row["topic"],
            severity=row["severity"],
            occurrences=row["occurrences"],
            last_raised_at=datetime.fromisoformat(row["last_raised_at"]),
        )
        for row in graph.concerns or ()
    ]


def _member(row: dict[str, Any], reports: int, now: datetime, settings: ChainRules) -> Member:
    last = datetime.fromisoformat(row["last_interaction_at"]) if row["last_interaction_at"] else None
    position = rules.position(row["job_title"], row["department"], settings)
    known = bool(row["job_title"] or row["department"])
    measures: dict[str, float | None] = {
        "position": position.weight if known else None,
        "activity": float(row["touches"]),
        "recency": float(max((now - last).days, 0)) if last else None,
        "reports": float(reports),
        "key_contact": float(row["key_contact"]),
    }
    set_by_hand = row["influence"] is not None
    return Member(
        row=row,
        role=row["role"] or position.role,
        role_confirmed=bool(row["role"]),
        influence=row["influence"] if set_by_hand else rules.influence(measures, settings),
        influence_confirmed=set_by_hand,
        dimensions=scoring.parts(measures, settings.influence),
        last_interaction=last,
    )
