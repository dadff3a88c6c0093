"""Breakers open and close; customers hears of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.work import Work
from closedloop_funnel.breakers import rules, store
from closedloop_funnel.breakers.rules import BreakerRules
from closedloop_funnel.breakers.store import Breaker, Counted
from closedloop_funnel.lessons import soon as lessons
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.warnings import raising

WEEK = timedelta(weeks=1)


def week_of(now: datetime, work: Work) -> tuple[date, datetime, datetime]:
    """Monday, and the instants between which the week of `now` lies."""
    today = work.home.day(now)
    monday = today - timedelta(days=1) * today.weekday()
    return monday, work.home.moment(monday), work.home.moment(monday + WEEK)


async def look(work: Work) -> None:
    """Opens and closes by rule, everybody at once."""
    judged_by = work.rules(BreakerRules)
    monday, begins, ends = week_of(work.now, work)
    found = await store.counted(work.tx, work.rules(OpportunityRules).valid_needs, begins, ends)
    people = [one.person_id for one in found]
    known = {one.person_id: one for one in await work.tx.all(store.LOCK, {"people": people}, into=Breaker)}
    for one in found:
        before = known.get(one.person_id)
        if before is not None and before.state == "open":
            until = work.calendars.due(judged_by.longest, before.opened_at, before.unit_id)
            reason = rules.closes(judged_by, one.since_opening, until, work.now)
            if reason:
                close(before, one, reason, "", work)
        # One that was closed does not open again in the week for which it was closed.
        elif rules.opens(judged_by, one.visits, one.opportunities) and (before is None or before.week != monday):
            _open(before, one, monday, work)


def _open(before: Breaker | None, counted: Counted, monday: date, work: Work) -> None:
    judged_by, person = work.rules(BreakerRules), work.org.person(counted.person_id)
    opened = Breaker(
        person_id=counted.person_id,
        version=before.version + 1 if before else 1,
        unit_id=person.unit_id if person else "",
        state="open",
        week=monday,
        visit_count=counted.visits,
        opportunity_count=counted.opportunities,
        explanation=f"{counted.visits} visits in the week from {monday}, limit {judged_by.most_visits}; "
        f"{counted.opportunities} valid new opportunities, {judged_by.least_opportunities} wanted",
        rule_version=work.process.rulebooks.version(BreakerRules, work.now),
        opened_at=work.now,
    )
    _save(opened, work.actor, opened.explanation, work)
    suspended = events.LeadFeedSuspended(
        person_id=opened.person_id,
        unit_id=opened.unit_id,
        version=opened.version,
        rule=reference(opened),
        suspend_time=protos.timestamp(work.now),
    )
    work.tell(suspended, opened.person_id)
    lessons.for_seller(work, opened.person_id)
    task = _training(opened, judged_by, work)
    work.tell(task, opened.person_id)
    warned = raising.of_task("empty_visits", task.content, work, name=person.name if person else opened.person_id)
    raising.raise_all(work, [replace(warned, automatic_action=f"no new leads; {task.content.title}")])


def close(before: Breaker, counted: Counted, reason: str, closed_by: str, work: Work) -> Breaker:
    """By rule, or by hand with who it was."""
    after = replace(
        before,
        version=before.version + 1,
        state="closed",
        closed_at=work.now,
        closed_by=closed_by,
        close_reason=reason,
        visit_count=counted.visits,
        opportunity_count=counted.opportunities,
    )
    _save(after, closed_by or work.actor, reason, work)
    resumed = events.LeadFeedResumed(
        person_id=after.person_id,
        unit_id=after.unit_id,
        version=after.version,
        rule=reference(after),
        resume_time=protos.timestamp(work.now),
    )
    work.tell(resumed, after.person_id)
    withdrawn = approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=_cause(after.person_id),
        reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
        clear_time=protos.timestamp(work.now),
    )
    work.tell(withdrawn, after.person_id)
    return after


def _save(after: Breaker, author_id: str, reason: str, work: Work) -> None:
    work.tx.do(store.PUT, {"rows": rows.pack([after])})
    work.tx.do(
        store.ADD_CHANGE,
        {
            "person_id": after.person_id,
            "version": after.version,
            "state": after.state,
            "at": work.now,
            "visits": after.visit_count,
            "opportunities": after.opportunity_count,
            "author_id": author_id,
            "reason": reason,
        },
    )
    work.audit(after.person_id, f"breaker_{after.state}", after={"state": after.state, "reason": reason})


def _cause(person_id: str) -> str:
    return f"funnel.breaker:{person_id}"


def _training(opened: Breaker, judged_by: BreakerRules, work: Work) -> approvals.TaskRequested:
    content = tasks_pb2.TaskContent(
        kind=judged_by.task_kind,
        title=f"完成《{judged_by.training}》"[:200],
        description=f"本周拜访 {opened.visit_count} 次, 有效新增商机 {opened.opportunity_count} 个: 暂停派发新线索",
        assignee_role="owner",
        ownership=common_pb2.Ownership(owner_id=opened.person_id, unit_id=opened.unit_id),
        origin="funnel",
        cause_key=_cause(opened.person_id),
        warning="funnel.breaker",
        light=common_pb2.LIGHT_RED,
        subject_type="person",
        subject_id=opened.person_id,
        cause_time=protos.timestamp(work.now),
        rule=reference(opened),
        origin_checks=True,
    )
    return approvals.TaskRequested(content=content)


def reference(breaker: Breaker) -> common_pb2.RuleReference:
    said = breaker.explanation if breaker.state == "open" else breaker.close_reason
    return common_pb2.RuleReference(
        rulebook=BreakerRules.rulebook,
        version=breaker.rule_version,
        rule="most_visits" if breaker.state == "open" else "least_opportunities",
        explanation=said[:2000],
    )
