"""Reading the tree: OrgService's gets and lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import islice

from google.type.date_pb2 import Date

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import org_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.data import patterns
from closedloop_chassis.work import Call
from closedloop_targets.org import dated, shapes, store
from closedloop_targets.org.rpcs import rpcs
from closedloop_targets.org.rules import Chart, OrgRules, PersonRecord


def _day(call: Call, message: Date, given: bool) -> date:
    return protos.day(message) if given else call.home.today()


@rpcs.method
async def get_unit(request: pb.GetUnitRequest, call: Call) -> pb.Unit:
    organisation = await store.load(call.db, ())
    chart = Chart(organisation.units.values(), _day(call, request.date, request.HasField("date")), call.home.rules)
    return shapes.unit(organisation.units[_known(chart, request.unit_id)], chart)


@rpcs.method
async def list_units(request: pb.ListUnitsRequest, call: Call) -> pb.ListUnitsResponse:
    organisation = await store.load(call.db, ())
    chart = Chart(organisation.units.values(), _day(call, request.date, request.HasField("date")), call.home.rules)
    wanted = set(chart.subtree(_known(chart, request.unit_id))) if request.unit_id else set(chart.units)
    words = request.query.casefold()
    found = []
    for unit_id in wanted:
        state = chart.state(unit_id)
        if words not in unit_id.casefold() and words not in state.name.casefold():
            continue
        if request.kind not in ("", state.kind):
            continue
        if request.state not in (0, shapes.org_state(organisation.units[unit_id].state_on(chart.day))):
            continue
        found.append((len(chart.inherited(unit_id).path) - 1, unit_id))
    first = tuple(pages.after(request, -1, ""))
    rows = sorted(key for key in found if key > first)[: pages.size(request) + 1]
    page, token = pages.split(rows, request, lambda key: key)
    units = [shapes.unit(organisation.units[unit_id], chart) for _, unit_id in page]
    return pb.ListUnitsResponse(units=units, next_page_token=token)


@rpcs.method
async def get_person(request: pb.GetPersonRequest, call: Call) -> pb.Person:
    organisation = await store.load(call.db, (request.person_id,))
    if request.person_id not in organisation.people:
        raise errors.NotFound("PERSON_NOT_FOUND", f"there is no person {request.person_id}")
    chart = Chart(organisation.units.values(), _day(call, request.date, request.HasField("date")), call.home.rules)
    return shapes.person(organisation.people[request.person_id], chart, memberships=True)


@rpcs.method
async def list_people(request: pb.ListPeopleRequest, call: Call) -> pb.ListPeopleResponse:
    (after,) = pages.after(request, "")
    units = (await store.load(call.db, ())).units
    chart = Chart(units.values(), _day(call, request.date, request.HasField("date")), call.home.rules)
    below: list[str] | None = None
    if request.unit_id:
        below = (
            [_known(chart, request.unit_id)] if request.direct_only else chart.subtree(_known(chart, request.unit_id))
        )
    params = {
        "day": chart.day,
        "after": after,
        "units": below,
        "query": request.query,
        "like": patterns.containing(request.query),
        "role": options_pb2.Role.Name(request.role).removeprefix("ROLE_").lower() if request.role else "",
        "function": request.function,
        "state": pb.OrgState.Name(request.state).removeprefix("ORG_STATE_").lower() if request.state else "",
        "limit": pages.size(request) + 1,
    }
    ids = [row["id"] for row in await call.db.all(store.LIST_PEOPLE, params)]
    page, token = pages.split(ids, request, lambda person_id: (person_id,))
    people = await call.db.all(store.PEOPLE, {"ids": list(page)}) if page else []
    records = {row["id"]: store.person_record(row) for row in people}
    return pb.ListPeopleResponse(
        people=[shapes.person(records[person_id], chart) for person_id in page], next_page_token=token
    )


@rpcs.method
async def get_org_tree(request: pb.GetOrgTreeRequest, call: Call) -> pb.OrgTree:
    """A page of the tree; as much of it as the rulebook allows at once where no size is asked for."""
    organisation = await store.load(call.db)
    day = _day(call, request.date, request.HasField("date"))
    chart = Chart(organisation.units.values(), day, call.home.rules)
    members: dict[str, list[PersonRecord]] = {}
    for person in sorted(organisation.people.values(), key=lambda person: person.id):
        if person.state_on(day) == "active":
            members.setdefault(dated.as_of(person.states, day).unit_id, []).append(person)
    if request.unit_id:
        _known(chart, request.unit_id)
    passed = max(pages.after(request, 0)[0], 0)
    most = request.page_size or call.rules(OrgRules).largest_tree
    rows = list(islice(_depth_first(request, chart, members), passed, passed + most + 1))
    return pb.OrgTree(
        date=protos.date_proto(day),
        nodes=[_node(chart, members, one, depth) for one, depth in rows[:most]],
        next_page_token=pages.token(passed + most) if len(rows) > most else "",
    )


def _depth_first(
    request: pb.GetOrgTreeRequest, chart: Chart, members: Mapping[str, Sequence[PersonRecord]]
) -> Iterator[tuple[str | PersonRecord, int]]:
    """Units by id and people, with their depth: each unit, its people, then what lies below it."""
    tops = [request.unit_id] if request.unit_id else [unit for unit in chart.children("") if chart.is_active(unit)]
    ahead = [(unit_id, 0) for unit_id in reversed(tops)]
    while ahead:
        unit_id, depth = ahead.pop()
        yield unit_id, depth
        if request.max_depth and depth >= request.max_depth:
            continue
        if request.include_people:
            yield from ((person, depth + 1) for person in members.get(unit_id, ()))
        ahead.extend((child, depth + 1) for child in reversed(chart.children(unit_id)) if chart.is_active(child))


def _node(
    chart: Chart, members: Mapping[str, Sequence[PersonRecord]], one: str | PersonRecord, depth: int
) -> pb.OrgNode:
    if isinstance(one, PersonRecord):
        held = dated.as_of(one.states, chart.day)
        manager = chart.reports_to(one.id, held.unit_id)
        return pb.OrgNode(person_id=one.id, name=held.name, kind=held.title, depth=depth, manager_id=manager)
    state = chart.state(one)
    below = [unit for unit in chart.subtree(one) if chart.is_active(unit)]
    return pb.OrgNode(
        unit_id=one,
        name=state.name,
        kind=state.kind,
        depth=depth,
        manager_id=chart.inherited(one).manager_id,
        direct_heads=len(members.get(one, ())),
        total_heads=sum(len(members.get(unit, ())) for unit in below),
    )


def _known(chart: Chart, unit_id: str) -> str:
    if unit_id not in chart.units:
        raise errors.NotFound("UNIT_NOT_FOUND", f"there is no unit {unit_id}", unit_id=unit_id)
    return unit_id
