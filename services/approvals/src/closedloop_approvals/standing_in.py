"""Who may act for whom at a moment: dated delegations, one step deep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.org.snapshot import OrgSnapshot

# As a jsonb array; put into a query with %(now)s and a condition on `delegation`.
IN_FORCE = """
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'delegator_id', delegator_id, 'delegate_id', delegate_id, 'request_kinds', request_kinds,
           'task_kinds', task_kinds, 'limit_minor', limit_minor, 'limit_currency', limit_currency,
           'ends_at', ends_at) ORDER BY id), '[]')
  FROM delegation WHERE starts_at <= %(now)s AND ends_at > %(now)s
"""


@dataclass(frozen=True, slots=True)
class StandIn:
    """`delegate_id` may act for `delegator_id` until `ends_at`; empty kinds on both sides mean everything."""

    delegator_id: str
    delegate_id: str
    request_kinds: tuple[str, ...] = ()
    task_kinds: tuple[str, ...] = ()
    limit_minor: int | None = None
    limit_currency: str = ""
    ends_at: datetime | None = None

    def covers_request(self, kind: str, amount_minor: int | None, currency: str) -> bool:
        """An amount in another currency than the limit's is above it: what cannot be compared is not passed on."""
        if (self.request_kinds or self.task_kinds) and kind not in self.request_kinds:
            return False
        if self.limit_minor is None or amount_minor is None:
            return True
        return currency == self.limit_currency and amount_minor <= self.limit_minor

    def covers_task(self, kind: str) -> bool:
        return not (self.request_kinds or self.task_kinds) or kind in self.task_kinds


def has_left(person_id: str, org: OrgSnapshot) -> bool:
    """Known, and gone: whatever was delegated to him, or asked of him, he does no more."""
    person = org.person(person_id)
    return person is not None and not person.active


def parse(rows: Iterable[dict[str, Any]]) -> list[StandIn]:
    """Out of the jsonb array of IN_FORCE."""
    return [
        StandIn(
            delegator_id=row["delegator_id"],
            delegate_id=row["delegate_id"],
            request_kinds=tuple(row["request_kinds"]),
            task_kinds=tuple(row["task_kinds"]),
            limit_minor=row["limit_minor"],
            limit_currency=row["limit_currency"],
            ends_at=datetime.fromisoformat(row["ends_at"]),
        )
        for row in rows
    ]
