"""Exceptions from the must-sum rule, which hold for one difference and no other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from closedloop.approvals.v1.events_pb2 import ApprovalWithdrawn
from closedloop_chassis.work import Work
from closedloop_targets import aggregation
from closedloop_targets.book import targets

ORIGIN = "targets"
KIND = "plan_exception"

# Signed for one difference and no other.
LAPSE = f"""
UPDATE sum_exception e SET state = 'lapsed'
 WHERE plan_id = %(plan_id)s AND number = %(number)s AND state IN ('waiting', 'signed')
   AND (%(all)s OR difference_minor IS DISTINCT FROM (
        SELECT nullif(missing, 0) FROM ({targets.MISSING} WHERE t.id = e.target_id GROUP BY t.id) AS now))
RETURNING e.*
"""


@dataclass(frozen=True, slots=True)
class Exemption:
    """An exception from the must-sum rule. `difference_minor` is what children lack; negative: they have too much."""

    id: str
    plan_id: str
    number: int
    target_id: str
    owner_id: str
    unit_id: str
    difference_minor: int
    difference_ratio: float
    currency: str
    reason: str
    requested_by: str
    requested_at: datetime
    state: str
    digest: str
    approval_request_id: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None
    comment: str = ""


async def lapse(work: Work, plan_id: str, number: int, *, everything: bool = False) -> None:
    """Ends those of a draft whose node differs otherwise by now, or all of them; approvals learns of it."""
    params = {"plan_id": plan_id, "number": number, "all": everything, **aggregation.manners(work)}
    for gone in await work.tx.all(LAPSE, params, into=Exemption):
        work.tell(
            ApprovalWithdrawn(
                origin=ORIGIN,
                kind=KIND,
                subject_id=gone.id,
                version=1,
                reason="the draft was dropped" if everything else "the difference is another one by now",
                actor_id=work.actor,
            ),
            subject=gone.id,
        )
        work.audit(
            f"plan:{plan_id}",
            "lapse_exception",
            before={"state": "open"},
            after={"state": "lapsed", "exception": gone.id},
        )
