"""TerritoryService."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from closedloop.customers.v1 import territories_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import codes, profiles
from closedloop_customers.assignment.rules import AssignmentRules
from closedloop_customers.territories import desk, rules, store
from closedloop_customers.territories.rules import Kind, Territory, Tree, tree_on

rpcs = Rpcs("closedloop.customers.v1.TerritoryService")

END_DATE = "end_date"


@dataclass(slots=True)
class Figures:
    """What lies in a territory with all below it."""

    accounts: int = 0
    leads: int = 0
    pooled: int = 0
    high: int = 0
    red: int = 0
    grades: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@rpcs.method
async def list_territories(request: pb.ListTerritoriesRequest, call: Call) -> pb.ListTerritoriesResponse:
    day = protos.day(request.date) if request.HasField("date") else call.home.today()
    tree = tree_on(await store.versions(call.db), day)
    if request.root_id and request.root_id not in tree.of:
        raise errors.NotFound("TERRITORY_NOT_FOUND", f"no territory {request.root_id} on {day.isoformat()}")
    figures = await _figures(call, tree) if request.with_figures else None
    (start,) = pages.after(request, 0)
    numbered = list(enumerate(tree.ordered(request.root_id), 1))[max(start, 0) :][: pages.size(request) + 1]
    page, token = pages.split(numbered, request, lambda pair: (pair[0],))
    shown = [_to_proto(call, one, figures) for _, one in page]
    return pb.ListTerritoriesResponse(territories=shown, next_page_token=token)


@rpcs.method
async def create_territory(request: pb.CreateTerritoryRequest, call: Call) -> pb.Territory:
    call.tx.do(store.HOLD)
    made = Territory(
        id=new_id(),
        profile=profiles.read(request.profile),
        effective_on=protos.day(request.effective_date) if request.HasField("effective_date") else call.home.today(),
        ended_on=None,
        version=1,
    )
    return await _stand(call, None, made, "created", validate_only=False)


@rpcs.method
async def update_territory(request: pb.UpdateTerritoryRequest, call: Call) -> pb.Territory:
    call.tx.do(store.HOLD)
    history = (await store.versions(call.tx)).get(request.id)
    if history is None:
        raise errors.NotFound("TERRITORY_NOT_FOUND", f"no territory {request.id}")
    day = protos.day(request.effective_date) if request.HasField("effective_date") else call.home.today()
    old = next((one for one in reversed(history) if one.effective_on <= day), history[0])
    etags.check(request.etag, old.version)
    paths = [path for path in request.update_mask.paths if path != END_DATE]
    profile = profiles.masked(old.profile, profiles.read(request.profile), paths, pb.TerritoryProfile)
    if not profile.get("name") or not profile.get("unit_id"):
        raise errors.InvalidArgument("NAME_MISSING", "a territory has a name and a unit", {"profile": "incomplete"})
    ended = old.ended_on
    if END_DATE in request.update_mask.paths:
        ended = protos.day(request.end_date, END_DATE) if request.HasField("end_date") else None
    new = replace(old, profile=profile, effective_on=day, ended_on=ended, version=old.version + 1)
    return await _stand(call, old, new, request.reason, validate_only=request.validate_only)


async def _stand(
    call: Call, old: Territory | None, new: Territory, reason: str, *, validate_only: bool
) -> pb.Territory:
    """Checks a territory against the tree of its day, writes it, and brings pooled accounts home if the day is here."""
    today = call.home.today()
    for name, day in (("effective_date", new.effective_on), (END_DATE, new.ended_on)):
        if day is not None and day < today:
            raise errors.InvalidArgument("DATE_IN_PAST", "the past stays as it was", {name: "in the past"})
    _check_codes(call, new)
    versions = await store.versions(call.tx)
    tree = tree_on({id_: history for id_, history in versions.items() if id_ != new.id}, new.effective_on)
    before = tree_on(versions, new.effective_on)
    rules.check(new, Tree([*tree.of.values(), *([before.of[new.id]] if new.id in before.of else [])]))
    below = [one for one in before.ordered(new.id) if one.id != new.id]
    if new.ended_on is not None and any(one.ended_on is None or one.ended_on > new.ended_on for one in below):
        raise errors.FailedPrecondition("HAS_CHILDREN", "territories below it are in force longer")
    after = Tree([*tree.of.values(), new])
    store.put(call.tx, new, reason, call.caller.subject, call.now)
    call.audit(new.id, "update" if old else "create", _trail(old) if old else {}, {**_trail(new), "reason": reason})
    if new.effective_on <= today and (new.ended_on is None or new.ended_on > today):
        await desk.bring_home(call, after)
    answer = _to_proto(call, new, await _figures(call, after))
    if validate_only:
        await call.tx.rollback()
    return answer


def _check_codes(call: Call, territory: Territory) -> None:
    if call.org.unit(territory.unit_id) is None:
        raise errors.InvalidArgument("UNKNOWN_UNIT", f"no unit {territory.unit_id}", {"profile.unit_id": "unknown"})
    known = call.rules(codes.CodeRules)
    for region in territory.listed("region_codes"):
        codes.check({"region_code": region}, known, call.org)
    for industry in territory.listed("industries"):
        codes.check({"industry": industry}, known, call.org)


async def _figures(call: Call, tree: Tree) -> dict[str, Figures]:
    """Of what the caller may see."""
    params = {**call.scope.params, "named": sorted(tree.named)}
    reader = call.tx if call.method.mutates else call.db
    figures: dict[str, Figures] = defaultdict(Figures)
    for row in await reader.all(store.ACCOUNTS, params):
        for territory in tree.place(_kind(row)):
            found = figures[territory.id]
            found.accounts += row["accounts"]
            found.pooled += row["pooled"]
            found.high += row["high"]
            found.red += row["red"]
            if row["grade"]:
                found.grades[row["grade"]] += row["accounts"]
    for row in await reader.all(store.LEADS, params):
        for territory in tree.place(_kind(row)):
            figures[territory.id].leads += row["leads"]
    return figures


def _kind(row: dict[str, Any]) -> Kind:
    return Kind(row["region_code"], row["industry"], tuple(row["product_lines"]), row["id"])


def _to_proto(call: Call, one: Territory, figures: dict[str, Figures] | None) -> pb.Territory:
    return pb.Territory(
        id=one.id,
        profile=profiles.fill(pb.TerritoryProfile, one.profile),
        effective_date=protos.date_proto(one.effective_on),
        end_date=protos.date_proto(one.ended_on),
        figures=_figures_proto(call, one, figures[one.id]) if figures is not None else None,
        etag=etags.of(one.version),
    )


def _figures_proto(call: Call, one: Territory, found: Figures) -> pb.TerritoryFigures:
    roles = call.rules(AssignmentRules).seller_roles
    units = call.org.subtree(one.unit_id)
    sellers = [p for unit in units for p in call.org.members(unit) if p.active and roles & set(p.roles)]
    return pb.TerritoryFigures(
        accounts=found.accounts,
        open_leads=found.leads,
        pooled=found.pooled,
        high_potential_accounts=found.high,
        red_accounts=found.red,
        accounts_by_grade=found.grades,
        sellers=len(sellers),
    )


def _trail(one: Territory) -> dict[str, Any]:
    return {**profiles.trail(one.profile), "effective_on": one.effective_on, "ended_on": one.ended_on}
