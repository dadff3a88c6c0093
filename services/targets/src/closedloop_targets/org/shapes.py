"""Units and people as the contract shows them."""

from __future__ import annotations

from datetime import timedelta

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import events_pb2
from closedloop.targets.v1 import org_pb2 as pb
from closedloop_chassis import etags, protos, provenance, structs
from closedloop_targets.org import dated
from closedloop_targets.org.rules import Chart, OrgStateName, PersonRecord, UnitRecord


def unit(record: UnitRecord, chart: Chart) -> pb.Unit:
    state, path = chart.state(record.id), chart.inherited(record.id).path
    return pb.Unit(
        id=record.id,
        name=state.name,
        kind=state.kind,
        parent_id=state.parent_id,
        path=path,
        depth=len(path) - 1,
        manager_id=state.manager_id,
        calendar=state.calendar,
        time_zone=state.time_zone,
        currency_code=state.currency_code,
        territory=pb.Territory(**state.territory),
        state=org_state(record.state_on(chart.day)),
        open_date=protos.date_proto(record.open_date),
        close_date=protos.date_proto(record.close_date),
        successor_id=record.successor_id,
        custom_fields=structs.struct(state.custom_fields),
        provenance=provenance.to_proto(record.provenance),
        etag=etags.of(record.version),
        update_time=protos.timestamp(record.updated_at),
    )


def person(record: PersonRecord, chart: Chart, *, memberships: bool = False) -> pb.Person:
    state = dated.as_of(record.states, chart.day)
    return pb.Person(
        id=record.id,
        name=state.name,
        unit_id=state.unit_id,
        unit_path=chart.inherited(state.unit_id).path,
        manager_id=chart.reports_to(record.id, state.unit_id),
        title=state.title,
        roles=roles(state.roles),
        function=state.function,
        email=state.email,
        mobile=state.mobile,
        handles=state.handles,
        time_zone=state.time_zone,
        language=state.language,
        territory=pb.Territory(**state.territory),
        state=org_state(record.state_on(chart.day)),
        hire_date=protos.date_proto(record.hire_date),
        leave_date=protos.date_proto(record.leave_date),
        memberships=_memberships(record) if memberships else (),
        custom_fields=structs.struct(state.custom_fields),
        provenance=provenance.to_proto(record.provenance),
        etag=etags.of(record.version),
        update_time=protos.timestamp(record.updated_at),
    )


def unit_changed(record: UnitRecord, chart: Chart) -> events_pb2.OrgUnitChanged:
    state, above = chart.state(record.id), chart.inherited(record.id)
    return events_pb2.OrgUnitChanged(
        unit_id=record.id,
        name=state.name,
        kind=state.kind,
        parent_id=state.parent_id,
        path=above.path,
        manager_id=above.manager_id,
        calendar=above.calendar,
        time_zone=above.time_zone,
        currency_code=above.currency_code,
        territory=pb.Territory(**state.territory),
        active=record.state_on(chart.day) == "active",
        successor_id=record.successor_id,
        effective_date=protos.date_proto(chart.day),
        version=record.version,
    )


def person_changed(record: PersonRecord, chart: Chart, language: str) -> events_pb2.PersonChanged:
    state = dated.as_of(record.states, chart.day)
    above = chart.inherited(state.unit_id)
    return events_pb2.PersonChanged(
        person_id=record.id,
        name=state.name,
        unit_id=state.unit_id,
        unit_path=above.path,
        manager_id=chart.reports_to(record.id, state.unit_id),
        title=state.title,
        roles=roles(state.roles),
        function=state.function,
        email=state.email,
        mobile=state.mobile,
        handles=state.handles,
        time_zone=state.time_zone or above.time_zone,
        language=state.language or language,
        territory=pb.Territory(**state.territory),
        active=record.state_on(chart.day) == "active",
        hire_date=protos.date_proto(record.hire_date),
        leave_date=protos.date_proto(record.leave_date),
        effective_date=protos.date_proto(chart.day),
        version=record.version,
    )


def roles(names: list[str]) -> list[options_pb2.Role.ValueType]:
    return [options_pb2.Role.Value(f"ROLE_{name.upper()}") for name in names]


def org_state(name: OrgStateName) -> pb.OrgState.ValueType:
    return pb.OrgState.Value(f"ORG_STATE_{name.upper()}")


def _memberships(record: PersonRecord) -> list[pb.Membership]:
    """One per unit and stretch of time, oldest first."""
    found: list[pb.Membership] = []
    for state in record.states:
        if found and found[-1].unit_id == state.unit_id:
            continue
        start = state.start_date if found else min(record.hire_date, state.start_date)
        if found:
            found[-1].end_date.CopyFrom(protos.date_proto(start - timedelta(days=1)))
        found.append(pb.Membership(unit_id=state.unit_id, start_date=protos.date_proto(start)))
    if record.leave_date is not None:
        found[-1].end_date.CopyFrom(protos.date_proto(record.leave_date - timedelta(days=1)))
    return found
