"""The one way in which a date is agreed, moved and ended; what other slices may ask of reminders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import asking, profiles
from closedloop_customers.provenance import Kept
from closedloop_customers.records import Standing
from closedloop_customers.reminders import store
from closedloop_customers.reminders.rules import Agreed, Notice, ReminderRules, checked, planned
from closedloop_customers.reminders.store import Owned, Reminder

# Timers of one reminder.
DAY_BEFORE = "customers.reminder_day_before"
THAT_MORNING = "customers.reminder_that_morning"
DAY_OVER = "customers.reminder_day_over"
OWNED_ANEW = "customers.reminder_owned_anew"
KINDS = {"day_before": DAY_BEFORE, "that_morning": THAT_MORNING}


def zone(work: Work, owner_id: str, unit_id: str) -> str:
    """The owner's, else the unit's."""
    person = work.org.person(owner_id)
    return (person.time_zone if person is not None else "") or work.home.zone(unit_id).key


def whom(work: Work, one: Owned) -> str:
    """Who is reminded: the owner; where nobody owns, or the owner has left, who leads them."""
    return asking.working(work, one.owner_id, one.unit_id)


def notices(work: Work, one: Owned, zones: Mapping[str, str] | None = None) -> list[Notice]:
    """As they would be planned now, on the clocks of who is reminded now; `zones` by person, of those just heard of."""
    person_id = whom(work, one)
    place = (zones or {}).get(person_id) or zone(work, person_id, one.unit_id)
    return planned(one.agreed, ZoneInfo(place), work.now, work.rules(ReminderRules))


def made(work: Work, standing: Standing, title: str, agreed: Agreed, kept: Kept, feed_version: int = 0) -> Owned:
    return Owned(
        id=new_id(),
        record_type=standing.type,
        record_id=standing.id,
        title=title,
        agreed_on=agreed.day,
        agreed_at=agreed.hour,
        time_zone=agreed.zone,
        state="open",
        provenance=kept,
        feed_version=feed_version,
        created_at=work.now,
        ended_at=None,
        end_note="",
        version=1,
        owner_id=standing.owner_id,
        unit_id=standing.unit_id,
        participant_ids=standing.participant_ids,
        account_id=standing.account_id,
        name=standing.name,
        record_open=standing.open,
    )


def agree(work: Work, reminders: Sequence[Owned]) -> None:
    """Queues new reminders with their notices."""
    store.put(work.tx, reminders)
    for one in reminders:
        work.audit(one.id, "agree", {}, trail(one))
    _plan(work, reminders)


async def agree_next(work: Work, standing: Standing, source: str, title: str, day: date) -> None:
    """The next talk as `source` tells it; one agreed before in the same way and still open is moved. Raises
    InvalidArgument DATE_IN_PAST. One round trip."""
    agreed = checked(Agreed(day, None, zone(work, standing.owner_id, standing.unit_id)), work.now)
    before = await work.tx.all(store.OPEN_OF, {"record_id": standing.id, "source": source}, into=store.Owned)
    if before:
        change(work, [(old, replace(old, title=title, agreed_on=day, agreed_at=None)) for old in before])
        return
    observed = work.now.isoformat()
    kept = {"source": source, "source_id": new_id(), "brought_by": work.actor, "observed_time": observed}
    agree(work, [made(work, standing, title, agreed, kept)])


def change(work: Work, pairs: Sequence[tuple[Owned, Owned]]) -> list[Owned]:
    """Queues reminders as they are after a change of (before, after). A moved one is told of anew."""
    after = [replace(new, version=old.version + 1) for old, new in pairs]
    store.put(work.tx, after)
    moved = []
    for (old, _), new in zip(pairs, after, strict=True):
        work.audit(new.id, "update", trail(old), trail(new))
        if new.agreed != old.agreed:
            moved.append(new)
            for kind in (*KINDS.values(), DAY_OVER):
                work.timers.cancel(kind, new.id)
    store.skip(work.tx, [(one.id, None, None, "moved") for one in moved])
    _plan(work, moved)
    return after


def end(work: Work, old: Reminder, state: str, note: str) -> Reminder:
    """Queues its end; notices not sent yet are dropped."""
    after = replace(old, state=state, ended_at=work.now, end_note=note, version=old.version + 1)
    store.put(work.tx, [after])
    dropped(work, [(old, after)])
    return after


def dropped(work: Work, ended: Sequence[tuple[Reminder, Reminder]]) -> None:
    """Queues trail and the end of notices of reminders that have ended; their timers find nothing to do."""
    store.skip(work.tx, [(after.id, None, None, "ended_before") for _, after in ended])
    for before, after in ended:
        work.audit(after.id, after.state, trail(before), trail(after))


async def touched(work: Work, touches: Sequence[tuple[str, datetime]]) -> None:
    """(record, when) of effective interactions: a date agreed for that day was kept. One round trip."""
    said = [{"record_id": id_, "occurred_at": at} for id_, at in touches]
    after = await store.keep(work.tx, said, work.now) if said else []
    if after:
        dropped(work, [(replace(one, state="", ended_at=None, end_note=""), one) for one in after])


def trail(one: Reminder) -> dict[str, Any]:
    return {
        "record": f"{one.record_type}:{one.record_id}",
        "title": profiles.hint(one.title),
        "agreed_date": one.agreed_on,
        "agreed_time_of_day": one.agreed_at,
        "time_zone": one.time_zone,
        "state": one.state,
        "note": profiles.hint(one.end_note) if one.end_note else "",
    }


def owned_anew(work: Work, record_ids: Collection[str]) -> None:
    """Queues that what was agreed with these records is told on other clocks: they have another owner, or stand for more
    than before."""
    if record_ids:
        work.timers.set(OWNED_ANEW, new_id(), work.now, {"record_ids": sorted(record_ids)})


async def plan_again(work: Work, open_: Sequence[Owned], zones: Mapping[str, str] | None = None) -> None:
    """Notices not sent yet, on the clocks of who is reminded now. One round trip."""
    wanted = {(one.id, notice.kind): (one, notice) for one in open_ for notice in notices(work, one, zones)}
    for id_, kind in await store.plan_again(work.tx, list(wanted.values())):
        work.timers.cancel(KINDS[kind], id_)
        work.timers.set(KINDS[kind], id_, wanted[id_, kind][1].plan_at)


def _plan(work: Work, reminders: Sequence[Owned]) -> None:
    plans = [(one, notices(work, one)) for one in reminders]
    store.plan(work.tx, [(one, notice) for one, plan in plans for notice in plan])
    for one, plan in plans:
        for notice in plan:
            if not notice.skip_reason:
                work.timers.set(KINDS[notice.kind], one.id, notice.plan_at)
        work.timers.set(DAY_OVER, one.id, one.agreed.over)
