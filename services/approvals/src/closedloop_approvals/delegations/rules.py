"""When two delegations cannot stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis import errors


@dataclass(frozen=True, slots=True)
class Standing:
    """Who stands in for whom, when, and for which kinds; empty kinds on both sides mean everything."""

    id: str
    delegator_id: str
    delegate_id: str
    starts_at: datetime
    ends_at: datetime
    request_kinds: tuple[str, ...]
    task_kinds: tuple[str, ...]

    def meets(self, other: Standing) -> bool:
        """Whether both hold at some moment."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at

    def shares_kinds(self, other: Standing) -> bool:
        mine, theirs = (self.request_kinds, self.task_kinds), (other.request_kinds, other.task_kinds)
        if not any(mine) or not any(theirs):
            return True
        return any(set(own) & set(others) for own, others in zip(mine, theirs, strict=True))


def check(new: Standing, others: Sequence[Standing], now: datetime) -> None:
    """Raises InvalidArgument DELEGATION_TO_SELF or PERIOD_INVALID, FailedPrecondition DELEGATION_OVERLAPS or _CYCLE.

    `others` are those of both persons. A delegation of the delegate to the delegator would leave the work with nobody.
    """
    if new.delegate_id == new.delegator_id:
        raise errors.InvalidArgument(
            "DELEGATION_TO_SELF", "nobody stands in for themselves", {"delegate_id": "is the delegator"}
        )
    if new.ends_at <= max(new.starts_at, now):
        raise errors.InvalidArgument(
            "PERIOD_INVALID", "a delegation ends after it starts and after now", {"period": "is over"}
        )
    for other in others:
        if not new.meets(other) or not new.shares_kinds(other):
            continue
        if other.delegator_id == new.delegator_id:
            raise errors.FailedPrecondition(
                "DELEGATION_OVERLAPS",
                f"{other.delegate_id} stands in for {new.delegator_id} at that time already",
                id=other.id,
            )
        if (other.delegator_id, other.delegate_id) == (new.delegate_id, new.delegator_id):
            raise errors.FailedPrecondition(
                "DELEGATION_CYCLE", f"{new.delegator_id} stands in for {new.delegate_id} at that time", id=other.id
            )


def state(starts_at: datetime, ends_at: datetime, now: datetime) -> str:
    """planned, in_force or ended."""
    if now < starts_at < ends_at:
        return "planned"
    return "in_force" if now < ends_at else "ended"
