"""Units come, change, move and close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from closedloop.targets.v1 import org_pb2 as pb
from closedloop_chassis import errors, etags, protos, provenance
from closedloop_chassis.work import Call
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.org import announce, dated, inputs, rules, shapes, store
from closedloop_targets.org.rpcs import rpcs
from closedloop_targets.org.rules import Chart, OrgRules, UnitRecord, UnitState
from closedloop_targets.org.store import Organisation


@rpcs.method
async def create_unit(request: pb.CreateUnitRequest, call: Call) -> pb.Unit:
    before = await store.load_for_change(call.tx)
    org_rules, given = call.rules(OrgRules), request.unit
    day = protos.day(request.open_date, "open_date") if request.HasField("open_date") else announce.today(call, before)
    if given.id in before.units:
        raise errors.AlreadyExists("UNIT_EXISTS", f"there is a unit {given.id} already")
    roots = [unit.id for unit in before.units.values() if not dated.as_of(unit.states, day).parent_id]
    if not given.parent_id and roots:
        raise errors.FailedPrecondition("ROOT_EXISTS", f"{roots[0]} is the root; say a parent_id")
    fields = inputs.unit_fields(given)
    inputs.check_own("unit", fields, call.rules(TargetFieldRules))
    _check_links(before, fields, day, org_rules)
    unit = UnitRecord(
        id=given.id,
        open_date=day,
        close_date=None,
        successor_id="",
        provenance=provenance.keep(given.provenance, call.actor),
        version=0,
        updated_at=call.now,
        told="",
        states=(UnitState(day, **fields),),
    )
    call.audit(f"unit:{unit.id}", "create", after={**fields, "open_date": day})
    return _saved(call, before, {unit.id: unit}, unit.id)


@rpcs.method
async def update_unit(request: pb.UpdateUnitRequest, call: Call) -> pb.Unit:
    before = await store.load_for_change(call.tx)
    unit = _known(before, request.unit.id)
    etags.check(request.etag, unit.version)
    today = announce.today(call, before)
    day = protos.day(request.effective_date, "effective_date") if request.HasField("effective_date") else today
    if day < unit.open_date:
        raise errors.InvalidArgument(
            "DATE_BEFORE_OPENING", f"{unit.id} opens on {unit.open_date}", {"effective_date": "too early"}
        )
    paths = inputs.masked(request.update_mask, inputs.UNIT_PATHS)
    fields = {name: value for name, value in inputs.unit_fields(request.unit).items() if name in paths}
    inputs.check_own("unit", fields, call.rules(TargetFieldRules))
    for name in ("name", "kind"):
        if name in fields and not fields[name]:
            raise errors.InvalidArgument("UNIT_INCOMPLETE", "a unit has name and kind", {f"unit.{name}": "is needed"})
    held = dated.as_of(unit.states, day)
    if fields.get("parent_id") == "" and held.parent_id:
        raise errors.FailedPrecondition("ROOT_EXISTS", "only the root has no parent")
    _check_links(before, fields, day, call.rules(OrgRules))
    source = provenance.keep(request.unit.provenance, call.actor) if "provenance" in paths else {}
    changed = replace(unit, states=dated.change(unit.states, day, fields), provenance=source or unit.provenance)
    call.audit(
        f"unit:{unit.id}",
        "update",
        before={**{name: getattr(held, name) for name in fields}, "effective_date": None},
        after={**fields, "effective_date": day if changed != unit else None},
        business_action=request.reason,
    )
    return _saved(call, before, {unit.id: changed}, unit.id)


@rpcs.method
async def close_unit(request: pb.CloseUnitRequest, call: Call) -> pb.Unit:
    before = await store.load_for_change(call.tx)
    unit = _known(before, request.unit_id)
    etags.check(request.etag, unit.version)
    today, home = announce.today(call, before), call.home.rules
    day = protos.day(request.close_date, "close_date") if request.HasField("close_date") else today
    if day < unit.open_date:
        raise errors.InvalidArgument(
            "DATE_BEFORE_OPENING", f"{unit.id} opens on {unit.open_date}", {"close_date": "too early"}
        )
    chart = Chart(before.units.values(), day, home)
    successor = request.successor_id
    if successor and (not chart.is_active(successor) or successor in chart.subtree(unit.id)):
        raise errors.FailedPrecondition(
            "SUCCESSOR_INVALID", f"{successor} is not open on {day}, or lies below {unit.id}"
        )
    people = [
        person
        for person in before.people.values()
        if person.state_on(day) != "closed" and dated.as_of(person.states, day).unit_id == unit.id
    ]
    below = [before.units[child] for child in chart.children(unit.id) if before.units[child].state_on(day) != "closed"]
    if not successor and people:
        raise errors.FailedPrecondition(
            "UNIT_HAS_PEOPLE", f"{len(people)} people are in {unit.id}; name a successor_id"
        )
    if not successor and below:
        raise errors.FailedPrecondition("UNIT_HAS_CHILDREN", f"{below[0].id} lies below {unit.id}; name a successor_id")
    if await call.tx.value(store.HOLDS_TARGETS, {"unit_id": unit.id, "day": day}):
        raise errors.FailedPrecondition(
            "UNIT_HAS_TARGETS",
            f"{unit.id} holds targets from {day} on; give them to another unit in a new plan version",
        )
    changed = {unit.id: replace(unit, close_date=day, successor_id=successor)}
    for child in below:
        changed[child.id] = replace(child, states=dated.change(child.states, day, {"parent_id": successor}))
    moved = {
        person.id: replace(person, states=dated.change(person.states, day, {"unit_id": successor})) for person in people
    }
    call.audit(
        f"unit:{unit.id}",
        "close",
        before={"close_date": unit.close_date, "successor_id": unit.successor_id},
        after={"close_date": day, "successor_id": successor, "people": sorted(moved), "units": [c.id for c in below]},
        business_action=request.reason,
    )
    return _saved(call, Organisation(before.units, before.people), changed, unit.id, moved)


def _saved(
    call: Call,
    before: Organisation,
    units: Mapping[str, UnitRecord],
    unit_id: str,
    people: Mapping[str, rules.PersonRecord] | None = None,
) -> pb.Unit:
    after = Organisation({**before.units, **units}, {**before.people, **(people or {})})
    rules.check_tree(before.units, after.units, units, call.rules(OrgRules))
    today = announce.today(call, before)
    saved = announce.save(call, before, after, today)
    return shapes.unit(saved.units[unit_id], Chart(saved.units.values(), today, call.home.rules))


def _known(organisation: Organisation, unit_id: str) -> UnitRecord:
    if unit_id not in organisation.units:
        raise errors.NotFound("UNIT_NOT_FOUND", f"there is no unit {unit_id}", unit_id=unit_id)
    return organisation.units[unit_id]


def _check_links(organisation: Organisation, fields: Mapping[str, Any], day: date, org_rules: OrgRules) -> None:
    if fields.get("kind"):
        rules.check_kind(fields["kind"], org_rules)
    parent, manager = fields.get("parent_id", ""), fields.get("manager_id", "")
    if parent and parent not in organisation.units:
        raise errors.NotFound("PARENT_NOT_FOUND", f"there is no unit {parent}", unit_id=parent)
    if parent and organisation.units[parent].state_on(day) == "closed":
        raise errors.FailedPrecondition("PARENT_CLOSED", f"unit {parent} is closed on {day}")
    if manager and (manager not in organisation.people or organisation.people[manager].state_on(day) == "closed"):
        raise errors.NotFound("PERSON_NOT_FOUND", f"there is no person {manager}", person_id=manager)
