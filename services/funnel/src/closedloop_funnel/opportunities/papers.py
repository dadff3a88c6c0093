"""Quotes and contracts under way while their deal changes: who signs them is told, and what no longer holds is taken back."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1 import common_pb2
from closedloop_chassis.work import Work
from closedloop_funnel.clearance.deal import ACCOUNT, ASKED_FOR
from closedloop_funnel.opportunities import telling

# A decision is about one customer. What he holds in his hand he holds; a contract made of it asks by itself.
OTHER_CUSTOMER = f"""
UPDATE {{table}} p SET state = 'draft', approval_state = 'withdrawn', approval_due_at = NULL, revision = p.revision + 1,
                     updated_at = %(now)s
  FROM opportunity o LEFT JOIN account began ON began.id = o.account_id
 WHERE o.id = ANY(%(ids)s::uuid[]) AND p.opportunity_id = o.id AND p.state IN ('submitted', 'approved')
   AND {ASKED_FOR.format("p")} IS DISTINCT FROM {ACCOUNT}
RETURNING p.id, p.submitted_revision AS revision
"""
UNDECIDED = """
UPDATE {table} SET state = 'draft', approval_state = 'withdrawn', approval_due_at = NULL, revision = revision + 1,
                   updated_at = %(now)s
 WHERE opportunity_id = ANY(%(ids)s::uuid[]) AND state = 'submitted'
RETURNING id, submitted_revision AS revision
"""
WAITING = """
SELECT 'quote' AS kind, id, submitted_revision AS revision FROM quote
 WHERE opportunity_id = ANY(%(ids)s::uuid[]) AND state = 'submitted'
UNION ALL
SELECT 'contract', id, submitted_revision FROM contract WHERE opportunity_id = ANY(%(ids)s::uuid[]) AND state = 'submitted'
"""


async def other_customer(work: Work, deal_ids: Sequence[str]) -> None:
    """Submitted and approved papers of these deals that were for somebody else become drafts, and clear nothing."""
    await _take_back(work, OTHER_CUSTOMER, deal_ids, "the deal is another customer's now")


async def lost(work: Work, deal_ids: Sequence[str]) -> None:
    """Nobody has to decide on a deal that is over."""
    await _take_back(work, UNDECIDED, deal_ids, "the opportunity was lost")


async def other_owner(work: Work, deal_ids: Sequence[str], owner_id: str, unit_id: str, reason: str) -> None:
    """Who has the deal now decides on nothing of it; his line does."""
    if deal_ids:
        for paper in await work.tx.all(WAITING, {"ids": list(deal_ids)}):
            reassign(work, paper["kind"], paper["id"], paper["revision"], owner_id, unit_id, reason)


def reassign(work: Work, kind: str, id_: str, revision: int, owner_id: str, unit_id: str, reason: str) -> None:
    told = approvals.ApprovalReassigned(
        origin="funnel",
        kind=kind,
        subject_id=id_,
        version=revision,
        ownership=common_pb2.Ownership(owner_id=owner_id, unit_id=unit_id),
        reason=reason,
        actor_id=work.actor,
    )
    work.tell(told, id_)


async def _take_back(work: Work, statement: str, deal_ids: Sequence[str], reason: str) -> None:
    if not deal_ids:
        return
    for kind in ("quote", "contract"):
        params = {"ids": list(deal_ids), "now": work.now}
        for paper in await work.tx.all(statement.format(table=kind), params):
            telling.withdrawn(work, kind, paper["id"], paper["revision"], reason)
            work.audit(paper["id"], "approval_withdrawn", after={"state": "draft", "reason": reason})
