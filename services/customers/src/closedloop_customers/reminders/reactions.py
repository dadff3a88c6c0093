"""Notices whose moment has come, days that went by, and dates agreed in a seller's log (S26)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import ids, protos
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import asking, records
from closedloop_customers.reminders import desk, store
from closedloop_customers.reminders.rules import Agreed, Notice, ReminderRules, timely
from closedloop_customers.reminders.store import Owned

reactions = Reactions()

FUNNEL = "funnel"


@reactions.timer(desk.DAY_BEFORE)
async def day_before(rung: list[Rung], work: Work) -> None:
    await _notify(work, rung, "day_before")


@reactions.timer(desk.THAT_MORNING)
async def that_morning(rung: list[Rung], work: Work) -> None:
    await _notify(work, rung, "that_morning")


@reactions.timer(desk.DAY_OVER)
async def day_over(rung: list[Rung], work: Work) -> None:
    found = await store.lock(work.tx, [one.subject for one in rung])
    for one in found.values():
        if one.state == "open" and one.agreed.over <= work.now:
            state, note = ("missed", "") if one.record_open else ("cancelled", "its record ended")
            desk.end(work, one, state, note)


@reactions.timer(desk.OWNED_ANEW)
async def owned_anew(rung: list[Rung], work: Work) -> None:
    ids_ = {id_ for one in rung for id_ in one.attributes["record_ids"]}
    await desk.plan_again(work, await store.of_records(work.tx, ids_))


@reactions.batch(targets.PersonChanged)
async def moved(events: Sequence[Heard[targets.PersonChanged]], work: Work) -> None:
    """Who is somewhere else is reminded on the clocks of that place."""
    # Our copy of the tree in memory may not know yet.
    people = [event.message for event in newest(events, lambda told: told.person_id).values()]
    zones = {told.person_id: told.time_zone or work.home.zone(told.unit_id).key for told in people}
    await desk.plan_again(work, await store.of_owners(work.tx, zones), zones)


@reactions.batch(funnel.ActivityLogged)
async def next_step(events: Sequence[Heard[funnel.ActivityLogged]], work: Work) -> None:
    """What a seller agreed on in the daily log is reminded of; a log told anew moves it."""
    dated = {
        id_: event.message
        for id_, event in newest(events, lambda told: told.activity_id).items()
        if event.message.next_step_date.year
    }
    if not dated:
        return
    keys = {
        id_: ("lead", told.lead_id) if told.lead_id else ("account", told.account_id) for id_, told in dated.items()
    }
    standing = await records.find(work.tx, {key for key in keys.values() if ids.is_id(key[1])})
    known = await store.of_sources(work.tx, FUNNEL, list(dated))
    fresh: list[Owned] = []
    moved: list[tuple[Owned, Owned]] = []
    for id_, told in dated.items():
        record = standing.get(keys[id_])
        if record is None or not record.open:
            continue
        zone = desk.zone(work, record.owner_id, record.unit_id)
        agreed = Agreed(protos.day(told.next_step_date), None, zone)
        title, before = told.next_step.strip()[:500] or "下一步", known.get(id_)
        if agreed.over <= work.now:
            continue
        if before is None:
            kept = {"source": FUNNEL, "source_id": id_, "brought_by": FUNNEL, "observed_time": work.now.isoformat()}
            fresh.append(desk.made(work, record, title, agreed, kept, told.version))
        elif before.state == "open" and before.feed_version < told.version:
            after = replace(before, title=title, agreed_on=agreed.day, feed_version=told.version)
            moved.append((before, after))
    desk.agree(work, fresh)
    desk.change(work, moved)


async def _notify(work: Work, rung: list[Rung], kind: str) -> None:
    """Each once: of a notice that another sweep sent, and of one whose time is past, nothing is said."""
    rules = work.rules(ReminderRules)
    found = (await store.lock(work.tx, [one.subject for one in rung])).values()
    due: list[tuple[Owned, str]] = []
    early: list[Owned] = []
    skipped: list[tuple[str, str, str]] = []
    for one in found:
        person_id = desk.whom(work, one)
        reason = _skip_reason(work, one, kind, person_id, rules)
        if reason:
            skipped.append((one.id, kind, reason))
        elif _notice(work, one, kind).plan_at > work.now:
            early.append(one)
        else:
            due.append((one, person_id))
    for one in early:
        work.timers.set(desk.KINDS[kind], one.id, _notice(work, one, kind).plan_at)
    await desk.plan_again(work, early)
    store.skip(work.tx, [(id_, kind, None, reason) for id_, kind, reason in skipped])
    sent = await store.mark_sent(work.tx, [(one, kind) for one, _ in due], work.now)
    for one, person_id in due:
        if (one.id, kind) in sent:
            _send(work, one, kind, person_id, rules)


def _notice(work: Work, one: Owned, kind: str) -> Notice:
    return next(notice for notice in desk.notices(work, one) if notice.kind == kind)


def _skip_reason(work: Work, one: Owned, kind: str, person_id: str, rules: ReminderRules) -> str:
    if one.state != "open":
        return "ended_before"
    if not one.record_open:
        return "record_closed"
    zone = ZoneInfo(desk.zone(work, person_id, one.unit_id))
    if not timely(kind, one.agreed, zone, work.now, rules):
        return "too_late"
    return "" if person_id else "nobody_to_remind"


def _send(work: Work, one: Owned, kind: str, person_id: str, rules: ReminderRules) -> None:
    asking.message(
        work,
        person_id=person_id,
        template=rules.template,
        fields={
            "title": one.title,
            "account": one.name or "",
            "day": one.agreed_on.isoformat(),
            "hour": one.agreed_at.isoformat("minutes") if one.agreed_at else "",
            "time_zone": one.time_zone,
            "kind": kind,
        },
        dedupe_key=f"customers.reminder:{one.id}:{one.agreed_on.isoformat()}:{kind}",
        subject_type="reminder",
        subject_id=one.id,
        expire_time=one.agreed.latest,
    )
