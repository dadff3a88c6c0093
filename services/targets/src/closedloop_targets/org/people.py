"""People come, change, move and leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from closedloop.targets.v1 import org_pb2 as pb
from closedloop_chassis import errors, etags, protos, provenance
from closedloop_chassis.work import Call
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.org import announce, dated, inputs, shapes, store
from closedloop_targets.org.rpcs import rpcs
from closedloop_targets.org.rules import Chart, PersonRecord, PersonState, digest
from closedloop_targets.org.store import Organisation


@rpcs.method
async def create_person(request: pb.CreatePersonRequest, call: Call) -> pb.Person:
    given = request.person
    before = await store.load_for_change(call.tx, (given.id,))
    if given.id in before.people:
        raise errors.AlreadyExists("PERSON_EXISTS", f"there is a person {given.id} already")
    today = announce.today(call, before)
    day = protos.day(given.hire_date, "person.hire_date") if given.HasField("hire_date") else today
    fields = inputs.person_fields(given)
    inputs.check_own("person", fields, call.rules(TargetFieldRules))
    _check_unit(before, fields["unit_id"], day)
    person = PersonRecord(
        id=given.id,
        hire_date=day,
        leave_date=None,
        provenance=provenance.keep(given.provenance, call.actor),
        version=0,
        updated_at=call.now,
        told="",
        states=(PersonState(day, **fields),),
    )
    call.audit(f"person:{person.id}", "create", after={**_named(fields), "hire_date": day})
    return _saved(call, before, person, today)


@rpcs.method
async def update_person(request: pb.UpdatePersonRequest, call: Call) -> pb.Person:
    before = await store.load_for_change(call.tx, (request.person.id,))
    person = _known(before, request.person.id)
    etags.check(request.etag, person.version)
    today = announce.today(call, before)
    day = protos.day(request.effective_date, "effective_date") if request.HasField("effective_date") else today
    paths = inputs.masked(request.update_mask, inputs.PERSON_PATHS)
    fields = {name: value for name, value in inputs.person_fields(request.person).items() if name in paths}
    inputs.check_own("person", fields, call.rules(TargetFieldRules))
    for name in ("name", "unit_id"):
        if name in fields and not fields[name]:
            raise errors.InvalidArgument(
                "PERSON_INCOMPLETE", "a person has name and unit", {f"person.{name}": "is needed"}
            )
    if "unit_id" in fields:
        _check_unit(before, fields["unit_id"], day)
    held = dated.as_of(person.states, day)
    source = provenance.keep(request.person.provenance, call.actor) if "provenance" in paths else {}
    hired = "hire_date" in paths and request.person.HasField("hire_date")
    changed = replace(
        person,
        states=dated.change(person.states, day, fields),
        hire_date=protos.day(request.person.hire_date, "person.hire_date") if hired else person.hire_date,
        provenance=source or person.provenance,
    )
    call.audit(
        f"person:{person.id}",
        "update",
        before={**_named({name: getattr(held, name) for name in fields}), "hire_date": person.hire_date},
        after={**_named(fields), "hire_date": changed.hire_date},
        business_action=request.reason,
    )
    return _saved(call, before, changed, today)


@rpcs.method
async def deactivate_person(request: pb.DeactivatePersonRequest, call: Call) -> pb.Person:
    before = await store.load_for_change(call.tx, (request.person_id,))
    person = _known(before, request.person_id)
    etags.check(request.etag, person.version)
    today = announce.today(call, before)
    day = protos.day(request.leave_date, "leave_date") if request.HasField("leave_date") else today
    if day < person.hire_date:
        raise errors.InvalidArgument(
            "DATE_BEFORE_HIRE", f"{person.id} came on {person.hire_date}", {"leave_date": "too early"}
        )
    chart = Chart(before.units.values(), day, call.home.rules)
    led = [unit for unit in chart.units if chart.is_active(unit) and chart.state(unit).manager_id == person.id]
    if led:
        raise errors.FailedPrecondition(
            "PERSON_LEADS_UNIT", f"{person.id} leads {', '.join(sorted(led))}; name another leader first"
        )
    call.audit(
        f"person:{person.id}",
        "deactivate",
        before={"leave_date": person.leave_date},
        after={"leave_date": day},
        business_action=request.reason,
    )
    return _saved(call, before, replace(person, leave_date=day), today)


def _saved(call: Call, before: Organisation, person: PersonRecord, today: date) -> pb.Person:
    saved = announce.save(call, before, Organisation(before.units, {person.id: person}), today)
    chart = Chart(saved.units.values(), today, call.home.rules)
    return shapes.person(saved.people[person.id], chart, memberships=True)


def _known(organisation: Organisation, person_id: str) -> PersonRecord:
    if person_id not in organisation.people:
        raise errors.NotFound("PERSON_NOT_FOUND", f"there is no person {person_id}", person_id=person_id)
    return organisation.people[person_id]


def _check_unit(organisation: Organisation, unit_id: str, day: date) -> None:
    if unit_id not in organisation.units:
        raise errors.NotFound("UNIT_NOT_FOUND", f"there is no unit {unit_id}", unit_id=unit_id)
    if organisation.units[unit_id].state_on(day) == "closed":
        raise errors.FailedPrecondition("UNIT_CLOSED", f"unit {unit_id} is closed on {day}")


def _named(fields: dict[str, object]) -> dict[str, object]:
    """Personal data stays out of the trail: that it changed is kept, not what it says."""
    hidden = {"email", "mobile", "handles"}
    return {
        name: (f"#{digest(value)[:8]}" if value else "") if name in hidden else value for name, value in fields.items()
    }
