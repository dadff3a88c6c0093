"""AbilityService: each person's growth, each team's heat map, and a manager's own judgement (S52, S89)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, cast

from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import abilities_pb2 as pb
from closedloop.funnel.v1.experiments_pb2 import Estimate
from closedloop_chassis import errors, protos
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.abilities import certainty, rules, store
from closedloop_funnel.abilities.rules import AbilityRules, PartWord
from closedloop_funnel.abilities.store import Assessment, Measured
from closedloop_funnel.drills.rules import DrillRules
from closedloop_funnel.words import number

rpcs = Rpcs("closedloop.funnel.v1.AbilityService")

Key = tuple[str, date | None, str]


@rpcs.method
async def get_growth_record(request: pb.GetGrowthRecordRequest, call: Call) -> pb.GrowthRecord:
    person_id, unit_id = _person(request.person_id or call.caller.subject, call)
    call.authorize(person_id, unit_id)
    return await _record(person_id, _period(request.period, call), call.db, call)


async def _record(
    person_id: str, period: tuple[datetime, datetime], db: Reader | Transaction, call: Call
) -> pb.GrowthRecord:
    judged_by = call.rules(AbilityRules)
    found = await _measured(db, call, period, group="person", monthly=True, people=[person_id])
    months: defaultdict[str, dict[date, list[Measured]]] = defaultdict(dict)
    for (_, month, ability), parts in found.items():
        assert month is not None
        months[ability][month] = parts
    whole = await _measured(db, call, period, group="person", monthly=False, people=[person_id])
    span = {"person": person_id, "from": period[0], "to": period[1]}
    lessons = {row["ability"]: row for row in await db.all(store.LESSONS, span)}
    # Off the event loop: the first interval of a process brings the statistics in.
    return await asyncio.to_thread(_grown, person_id, judged_by, months, whole, lessons, call.now)


def _grown(
    person_id: str,
    judged_by: AbilityRules,
    months: Mapping[str, Mapping[date, list[Measured]]],
    whole: Mapping[Key, list[Measured]],
    lessons: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> pb.GrowthRecord:
    answer = pb.GrowthRecord(person_id=person_id, refresh_time=protos.timestamp(now))
    for key, rule in judged_by.abilities.items():
        points = [
            (month, value, parts)
            for month, parts in sorted(months.get(key, {}).items())
            if (value := certainty.of_score(judged_by, _parts(parts))).HasField("value")
        ]
        overall = certainty.of_score(judged_by, _parts(whole.get((person_id, None, key), [])))
        nothing = estimates.cannot_say(certainty.UNIT, 0, "no month with a score")
        first, last = (
            (points[0][1], points[-1][1]) if len(points) > 1 else (points[0][1] if points else nothing, nothing)
        )
        told = lessons.get(key, {"applied": 0, "offered": 0})
        answer.abilities.append(
            pb.AbilityGrowth(
                ability_key=key,
                name=rule.name,
                score=overall.value if overall.HasField("value") else None,
                score_change=last.value - first.value if last.HasField("value") else None,
                estimate=overall,
                change=certainty.of_change(first, last),
                points=[_point(month, value, parts) for month, value, parts in points],
                lessons_applied=told["applied"],
                lessons_offered=told["offered"],
            )
        )
    return answer


def _point(month: date, found: Estimate, parts: Sequence[Measured]) -> pb.AbilityPoint:
    return pb.AbilityPoint(
        month=protos.date_proto(month),
        score=found.value,
        estimate=found,
        evidence_count=sum(one.cases for one in parts),
        parts=[
            common_pb2.Evidence(name=one.part, value=one.value, unit="1", text=f"{one.cases} cases") for one in parts
        ],
    )


@rpcs.method
async def get_ability_heat_map(request: pb.GetAbilityHeatMapRequest, call: Call) -> pb.AbilityHeatMap:
    me = call.org.person(call.caller.subject)
    unit_id = request.unit_id or (me.unit_id if me else "") or (call.home.root.id if call.home.root else "")
    if call.org.unit(unit_id) is None:
        raise errors.NotFound("UNIT_UNKNOWN", f"no unit {unit_id}")
    call.authorize("", unit_id)
    judged_by, period = call.rules(AbilityRules), _period(request.period, call)
    group = "unit" if request.by_unit else "person"
    below = call.org.subtree(unit_id)
    found = await _measured(call.db, call, period, group=group, monthly=False, units=list(below))
    company = await _measured(call.db, call, period, group="all", monthly=False)
    level = {key: rules.score(judged_by, _parts(company.get(("", None, key), []))) for key in judged_by.abilities}
    cells = await asyncio.to_thread(_cells, found, level, judged_by, call.org, by_unit=request.by_unit)
    return pb.AbilityHeatMap(
        period=Interval(start_time=protos.timestamp(period[0]), end_time=protos.timestamp(period[1])),
        refresh_time=protos.timestamp(call.now),
        cells=cells,
    )


def _cells(
    found: Mapping[Key, list[Measured]],
    level: Mapping[str, float | None],
    judged_by: AbilityRules,
    org: OrgSnapshot,
    *,
    by_unit: bool,
) -> list[pb.HeatMapCell]:
    cells = []
    for group_key in sorted({group_key for group_key, _, _ in found}):
        named = org.unit(group_key) if by_unit else org.person(group_key)
        for key, rule in judged_by.abilities.items():
            parts = _parts(found.get((group_key, None, key), []))
            told = certainty.of_score(judged_by, parts)
            value = told.value if told.HasField("value") else None
            cells.append(
                pb.HeatMapCell(
                    group_key=group_key,
                    group_name=named.name if named else group_key,
                    ability_key=key,
                    ability_name=rule.name,
                    score=value,
                    evidence_count=sum(one.cases for one in parts),
                    light=number(
                        common_pb2.Light,
                        rules.light(judged_by, value, told.high, level[key], rules.behind(judged_by, parts)),
                    ),
                    estimate=told,
                )
            )
    return cells


@rpcs.method
async def assess_ability(request: pb.AssessAbilityRequest, call: Call) -> pb.GrowthRecord:
    person_id, unit_id = _person(request.person_id, call)
    call.authorize(person_id, unit_id)
    if request.ability_key not in call.rules(AbilityRules).abilities:
        there = ", ".join(call.rules(AbilityRules).abilities)
        raise errors.InvalidArgument("ABILITY_UNKNOWN", f"there are {there}", {"ability_key": "unknown"})
    if person_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_ASSESSMENT", "nobody judges himself")
    made = Assessment(
        id=new_id(),
        person_id=person_id,
        unit_id=unit_id,
        ability_key=request.ability_key,
        score=request.score,
        comment=request.comment,
        author_id=call.caller.subject,
        at=call.now,
    )
    call.tx.do(store.ASSESS, {"rows": rows.pack([made])})
    call.audit(person_id, "assess_ability", after=rows.row(made, "id", "at"))
    begins, _ = _period(Interval(), call)
    # With the judgement of this moment.
    return await _record(person_id, (begins, call.now + timedelta.resolution), call.tx, call)


async def _measured(
    db: Reader | Transaction, call: Call, period: tuple[datetime, datetime], **how: Any
) -> dict[Key, list[Measured]]:
    scenarios = {key: one.ability for key, one in call.rules(DrillRules).scenarios.items()}
    found: defaultdict[Key, list[Measured]] = defaultdict(list)
    for one in await store.measured(
        db,
        call.rules(AbilityRules).abilities,
        scenarios,
        begins=period[0],
        ends=period[1],
        zone=str(call.home.zone()),
        **how,
    ):
        found[one.group_key, one.month, one.ability].append(one)
    return found


def _parts(found: Sequence[Measured]) -> list[rules.Piece]:
    return [rules.Piece(cast(PartWord, one.part), one.value, one.cases, one.grades or ()) for one in found]


def _person(person_id: str, call: Call) -> tuple[str, str]:
    """Raises NotFound PERSON_UNKNOWN."""
    person = call.org.person(person_id)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {person_id}")
    return person.id, person.unit_id


def _period(period: Interval, call: Call) -> tuple[datetime, datetime]:
    """The last months of the rulebook where it is open. Raises InvalidArgument TIMES_REVERSED."""
    begins, ends = protos.bounds(period)
    ends = ends or call.now
    if begins is None:
        local = call.home.day(ends)
        back = local.year * 12 + local.month - 1 - (call.rules(AbilityRules).months - 1)
        begins = call.home.moment(date(back // 12, back % 12 + 1, 1))
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    return begins, ends
