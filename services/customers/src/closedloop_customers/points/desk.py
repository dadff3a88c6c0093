"""The one way in which a point is found, whoever heard the need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import asking, profiles
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.assignment import market
from closedloop_customers.explanations import Explanation
from closedloop_customers.points import store
from closedloop_customers.points.rules import PointRules
from closedloop_customers.points.store import Point
from closedloop_customers.provenance import Kept
from closedloop_customers.records import Standing

DECIDE = "customers.opportunity_point"


async def find(
    work: Work,
    account: Standing,
    *,
    need: str,
    quote: str,
    rule: Explanation,
    kept: Kept,
    contact_id: str | None = None,
    product_lines: Sequence[str] = (),
    owner: tuple[str, str] | None = None,
) -> Point | None:
    """A new point with a task for its owner: the account's, else whom the rules of assignment would choose; `owner`
    where somebody was named. None where its source has brought it before. Up to three round trips."""
    owner_id, unit_id = owner or (account.owner_id, account.unit_id)
    if not owner_id:
        sellers = await market.everybody(work, work.tx, "account")
        choice = assignment.propose(work, await accounts.subject(work.tx, account.id), sellers)
        owner_id, unit_id = choice.owner_id, choice.unit_id or unit_id
    settings = work.rules(PointRules)
    point = Point(
        id=new_id(),
        account_id=account.id,
        contact_id=contact_id,
        owner_id=owner_id,
        unit_id=unit_id,
        need=need[: settings.longest_need],
        quote=quote[: settings.longest_need],
        rule=rule,
        product_lines=list(product_lines),
        provenance=kept,
        state="open",
        created_at=work.now,
        due_at=work.calendars.due(settings.decide, work.now, unit_id),
        decided_by="",
        decided_at=None,
        decision_reason="",
        opportunity_id=None,
        version=1,
    )
    if not await store.add(work.tx, point):
        return None
    work.audit(point.id, "find", {}, {"account_id": account.id, "owner_id": owner_id, "need": profiles.hint(need)})
    asking.task(
        work,
        kind="confirmation",
        warning=DECIDE,
        subject_type="opportunity_point",
        subject_id=point.id,
        title=f"{account.name or '客户'}：可能的商机"[:200],
        description=need[:500],
        assignee="owner" if owner_id else "manager_of_owner",
        owner_id=owner_id,
        unit_id=unit_id,
        account_id=account.id,
        due_time=point.due_at,
    )
    return point


def decide(work: Work, point: Point, state: str, reason: str, by: str, owner: tuple[str, str]) -> Point:
    """Queues the decision and the end of its task."""
    owner_id, unit_id = owner
    params = {"id": point.id, "state": state, "owner_id": owner_id, "unit_id": unit_id, "decided_by": by}
    work.tx.do(store.DECIDE, {**params, "reason": reason, "now": work.now})
    work.audit(point.id, "decide", {"state": "open"}, {"state": state, "reason": reason, "owner_id": owner_id})
    asking.task_cleared(work, DECIDE, point.id)
    return replace(
        point,
        state=state,
        owner_id=owner_id,
        unit_id=unit_id,
        decided_by=by,
        decided_at=work.now,
        decision_reason=reason,
        version=point.version + 1,
    )
