"""Saves a changed organisation and tells what looks different today."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from closedloop_chassis.org import copy
from closedloop_chassis.rulebook.rules import LONGEST
from closedloop_chassis.work import Work
from closedloop_targets.org import rules, shapes, store
from closedloop_targets.org.rules import Chart, PersonRecord, UnitRecord
from closedloop_targets.org.store import Organisation

ORG_DAY = "targets.org_day"


def save(work: Work, before: Organisation, after: Organisation, today: date) -> Organisation:
    """Queues whatever differs from `before`, tells what others see differently today, and answers the saved records.

    A record that lies below a changed one is told, too, when its path, leader or calendar came out different.
    """
    home = work.home.rules
    chart = Chart(after.units.values(), today, home)
    units, told_units = _units(work, before, after.units.values(), chart)
    saved = Organisation({**after.units, **{unit.id: unit for unit in units}}, dict(after.people))
    chart.units.update({unit.id: unit for unit in units})
    people, told_people = _people(work, before, after.people.values(), chart)
    saved.people.update({person.id: person for person in people})

    store.save_units(work.tx, units)
    store.save_people(work.tx, people)
    unit_events = [shapes.unit_changed(unit, chart) for unit in told_units]
    person_events = [shapes.person_changed(person, chart, home.language) for person in told_people]
    copy.put_units(work.tx, unit_events)
    copy.put_people(work.tx, person_events)
    for unit_event in unit_events:
        work.tell(unit_event, subject=unit_event.unit_id)
    for person_event in person_events:
        work.tell(person_event, subject=person_event.person_id)
    look_again(work, saved, today)
    work.tx.after_commit(work.process.reload_soon)
    return saved


def look_again(work: Work, organisation: Organisation, today: date) -> None:
    """Sets the timer of the next day on which the organisation will look different."""
    day = rules.next_day_of_change(organisation.units.values(), organisation.people.values(), today)
    if day is None:
        return
    midnight = datetime.combine(day, time(), ZoneInfo(_zone(work, organisation, today))).astimezone(UTC)
    if midnight - work.now <= LONGEST:
        work.timers.set(ORG_DAY, day.isoformat(), midnight, {"day": day.isoformat()})


def today(work: Work, organisation: Organisation) -> date:
    """The calendar day at the root, by the tree as it stands in the transaction."""
    day = work.now.astimezone(ZoneInfo(work.home.rules.time_zone)).date()
    return work.now.astimezone(ZoneInfo(_zone(work, organisation, day))).date()


def _zone(work: Work, organisation: Organisation, day: date) -> str:
    chart = Chart(organisation.units.values(), day, work.home.rules)
    roots = [unit for unit in chart.children("") if chart.is_active(unit)]
    return chart.inherited(roots[0]).time_zone if roots else work.home.rules.time_zone


def _units(
    work: Work, before: Organisation, units: Iterable[UnitRecord], chart: Chart
) -> tuple[list[UnitRecord], list[UnitRecord]]:
    changed: list[UnitRecord] = []
    told: list[UnitRecord] = []
    for unit in units:
        known = unit.told
        if known or unit.state_on(chart.day) != "planned":
            known = rules.unit_digest(unit, chart)
        if known != unit.told or unit != before.units.get(unit.id):
            changed.append(replace(unit, told=known, version=unit.version + 1, updated_at=work.now))
        if known != unit.told:
            told.append(changed[-1])
    return changed, told


def _people(
    work: Work, before: Organisation, people: Iterable[PersonRecord], chart: Chart
) -> tuple[list[PersonRecord], list[PersonRecord]]:
    changed: list[PersonRecord] = []
    told: list[PersonRecord] = []
    for person in people:
        known = person.told
        if known or person.state_on(chart.day) != "planned":
            known = rules.person_digest(person, chart)
        if known != person.told or person != before.people.get(person.id):
            changed.append(replace(person, told=known, version=person.version + 1, updated_at=work.now))
        if known != person.told:
            told.append(changed[-1])
    return changed, told
