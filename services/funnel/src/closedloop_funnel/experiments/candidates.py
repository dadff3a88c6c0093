"""Who may be drawn into a test, each with its stratum and with whose work it touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.work import Call
from closedloop_funnel.experiments import rules, store
from closedloop_funnel.experiments.rules import Candidate, ExperimentRules, UnitWord
from closedloop_funnel.experiments.store import Account

SELLER = "rep"
MOST = 1000
YEAR = timedelta(days=1) * 365.25


async def candidates(design: pb.ExperimentDesign, kind: UnitWord, call: Call) -> list[Candidate]:
    """Raises InvalidArgument for who is not there, PermissionDenied for who is out of reach, FailedPrecondition
    TOO_MANY_UNITS."""
    if call.org.unit(design.unit_id) is None:
        raise errors.InvalidArgument("UNIT_UNKNOWN", f"no unit {design.unit_id}", {"design.unit_id": "unknown"})
    if not design.candidate_ids:
        call.authorize("", design.unit_id)
    found = await {"person": _people, "team": _teams, "account": _accounts}[kind](design, call)
    if len(found) > MOST:
        raise errors.FailedPrecondition(
            "TOO_MANY_UNITS", f"more than {MOST}; name a smaller unit, or whom to draw from"
        )
    if kind != "account" and sum(len(one.people) for one in found) > len(
        frozenset[str]().union(*(one.people for one in found))
    ):
        raise errors.InvalidArgument(
            "UNITS_OVERLAP", "somebody would be on both sides", {"design.candidate_ids": "one lies within another"}
        )
    return found


async def _people(design: pb.ExperimentDesign, call: Call) -> list[Candidate]:
    ids = list(dict.fromkeys(design.candidate_ids)) or [
        person.id
        for unit_id in call.org.subtree(design.unit_id)
        for person in call.org.members(unit_id)
        if person.active and SELLER in person.roles
    ]
    units = {}
    for one in ids:
        person = call.org.person(one)
        if person is None or not person.active:
            raise _unknown(f"nobody here is {one}")
        call.authorize(one, person.unit_id)
        units[one] = person.unit_id
    strata: dict[str, Mapping[str, str]] = {"unit": units}
    if "tenure" in design.strata:
        strata["tenure"] = await _tenure(ids, call)
    if "customer_type" in design.strata:
        strata["customer_type"] = await _types("o.owner_id", ids, call)
    return [Candidate(one, _stratum(design.strata, strata, one), frozenset((one,))) for one in ids]


async def _teams(design: pb.ExperimentDesign, call: Call) -> list[Candidate]:
    kinds = call.rules(ExperimentRules).team_kinds
    ids = list(dict.fromkeys(design.candidate_ids)) or sorted(
        one
        for one in call.org.subtree(design.unit_id)
        if (unit := call.org.unit(one)) and unit.active and unit.kind in kinds
    )
    above = {}
    for one in ids:
        unit = call.org.unit(one)
        if unit is None or not unit.active:
            raise _unknown(f"no unit {one}")
        call.authorize("", one)
        above[one] = unit.parent_id
    strata: dict[str, Mapping[str, str]] = {"unit": above}
    if "customer_type" in design.strata:
        strata["customer_type"] = await _types("o.unit_id", ids, call)
    return [Candidate(one, _stratum(design.strata, strata, one), _members(one, call)) for one in ids]


async def _accounts(design: pb.ExperimentDesign, call: Call) -> list[Candidate]:
    ids = list(dict.fromkeys(design.candidate_ids))
    params = {"ids": ids, "units": list(call.org.subtree(design.unit_id))}
    found = await call.tx.all(store.ACCOUNTS, params, into=Account)
    if ids and len(found) < len(ids):
        raise _unknown("not all of these customers are there")
    for one in found if ids else ():
        call.authorize(one.owner_id, one.unit_id)
    strata: dict[str, Mapping[str, str]] = {
        "unit": {one.id: one.unit_id for one in found},
        "customer_type": {one.id: one.customer_type for one in found},
        "grade": {one.id: one.grade for one in found},
        "industry": {one.id: one.industry for one in found},
    }
    return [
        Candidate(one.id, _stratum(design.strata, strata, one.id), frozenset(filter(None, (one.owner_id,))))
        for one in found
    ]


def _members(team: str, call: Call) -> frozenset[str]:
    return frozenset(
        person.id for unit_id in call.org.subtree(team) for person in call.org.members(unit_id) if person.active
    )


def _stratum(fields: Sequence[str], strata: Mapping[str, Mapping[str, str]], one: str) -> str:
    return " | ".join(strata[field].get(one, "") for field in fields)


async def _tenure(ids: Sequence[str], call: Call) -> dict[str, str]:
    judged_by, today = call.rules(ExperimentRules), call.home.today()
    since = {row["person_id"]: row["start_date"] for row in await call.tx.all(store.STARTS, {"people": list(ids)})}
    return {one: rules.tenure(judged_by, (today - since[one]) / YEAR if one in since else None) for one in ids}


async def _types(group: str, ids: Sequence[str], call: Call) -> dict[str, str]:
    found = await call.tx.all(store.TYPES.replace("{group}", group), {"groups": list(ids)})
    return {row["group_key"]: row["kind"] for row in found}


def _unknown(said: str) -> errors.InvalidArgument:
    return errors.InvalidArgument("UNIT_UNKNOWN", said, {"design.candidate_ids": "unknown"})
