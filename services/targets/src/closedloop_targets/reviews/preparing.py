"""Packs are made of what is known: a fortnight's deviations with their causes, open alarms, and what they suggest (S7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any

from closedloop.targets.v1 import reviews_pb2 as pb
from closedloop_chassis import errors, ids
from closedloop_chassis.org.snapshot import Person, Unit
from closedloop_chassis.work import Work
from closedloop_targets import aggregation, amounts, asking
from closedloop_targets.alarms import causes
from closedloop_targets.alarms import rules as alarm_rules
from closedloop_targets.alarms import shapes as alarm_shapes
from closedloop_targets.alarms.raising import Finding
from closedloop_targets.alarms.rules import LIGHTS, AlarmRules
from closedloop_targets.boards import asking as board_asking
from closedloop_targets.boards import measuring as boards
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import DAY, FiscalCalendar, Period
from closedloop_targets.reviews import rules, store
from closedloop_targets.reviews.rules import Miss, ReviewRules
from closedloop_targets.reviews.store import Note, Pack

REVIEW_DAY = "targets.review_day"
COMPANY = "company"
WARNING = "targets.review_pack"

Holder = tuple[str, str]


def next_review(work: Work) -> None:
    """One timer for the company; one that is set stays."""
    allowed, calendar = work.rules(ReviewRules), work.rules(FiscalCalendar)
    fortnight = periods.containing(work.home.today(), "fortnight", calendar)
    moment = _moment(work, periods.containing(fortnight.start - DAY, "fortnight", calendar), allowed)
    if moment <= work.now:
        moment = _moment(work, fortnight, allowed)
    work.timers.set(REVIEW_DAY, COMPANY, moment)


def _moment(work: Work, fortnight: Period, allowed: ReviewRules) -> Any:
    return work.home.moment(fortnight.end + allowed.after_days * DAY, time(allowed.hour))


def leader(work: Work, unit: Unit) -> Person:
    """Raises FailedPrecondition UNIT_WITHOUT_LEADER; whoever leads the unit above has a pack of that one."""
    found = work.org.person(unit.manager_id)
    if found is None or not found.active:
        raise errors.FailedPrecondition("UNIT_WITHOUT_LEADER", f"nobody leads {unit.id}", unit_id=unit.id)
    return found


async def prepare(work: Work, units: Sequence[Unit], fortnight: Period, *, only_measured: bool = False) -> list[Pack]:
    """Of units that are led, each anew unless somebody has written in it. Set-based, whatever their number.

    `only_measured` leaves out units none of whose members was measured in the fortnight."""
    known = {one.unit_id: one for one in await _locked(work, units, fortnight)}
    units = [unit for unit in units if unit.id not in known or known[unit.id].state == "prepared"]
    if not units:
        return list(known.values())
    members = {unit.id: _members(work, unit) for unit in units}
    everybody = sorted({holder for unit in units for holder in (("unit", unit.id), *members[unit.id])})
    asked = {"kinds": [kind for kind, _ in everybody], "holders": [holder for _, holder in everybody]}
    span = {"since": fortnight.start, "until": fortnight.end}
    deviations = {
        (row["holder_kind"], row["holder_id"], row["metric"]): _measured(work, row, fortnight)
        for row in await work.tx.all(store.FORTNIGHT, {**asked, **span, **aggregation.manners(work)})
    }
    if only_measured:
        measured = {key[:2] for key in deviations}
        units = [unit for unit in units if measured & members[unit.id]]
    ranked = await _causes(work, deviations.values(), fortnight)
    alarms: dict[Holder, list[str]] = {}
    for row in await work.tx.all(store.OPEN_ALARMS, asked):
        alarms.setdefault((row["holder_kind"], row["holder_id"]), []).append(row["id"])
    progress = await _progress(work, fortnight, {unit.id for unit in units})
    pack_ids = {unit.id: known[unit.id].id if unit.id in known else ids.new_id() for unit in units}
    shown = {
        unit.id: pb.ReviewPack(
            progress=progress.get(unit.id, []),
            alarm_ids=[one for holder in (("unit", unit.id), *members[unit.id]) for one in alarms.get(holder, [])],
        )
        for unit in units
    }
    if not units:
        return list(known.values())
    work.tx.do(
        store.PUT,
        {
            "ids": [pack_ids[unit.id] for unit in units],
            "units": [unit.id for unit in units],
            "owners": [leader(work, unit).id for unit in units],
            "data": [shown[unit.id].SerializeToString() for unit in units],
            "period": fortnight.code,
            "start": fortnight.start,
            "end": fortnight.end,
            "now": work.now,
        },
    )
    _fill(work, pack_ids, members, deviations, ranked)
    for unit in units:
        if unit.id not in known:
            _ask(work, unit, pack_ids[unit.id], fortnight)
    return await _locked(work, units, fortnight)


def _fill(
    work: Work,
    pack_ids: Mapping[str, str],
    members: Mapping[str, set[Holder]],
    deviations: Mapping[tuple[str, str, str], dict[str, Any]],
    ranked: Mapping[tuple[str, str, str], list[dict[str, Any]]],
) -> None:
    """Deviations, the largest first, and the system's proposals for them."""
    allowed = work.rules(ReviewRules)
    lines: list[tuple[str, int, str, str, str, bytes, str]] = []
    proposed: list[Note] = []
    for unit_id, pack_id in pack_ids.items():
        own = [(key, row) for key, row in deviations.items() if key[:2] in members[unit_id]]
        own.sort(key=lambda one: (-abs(one[1]["deviation_ratio"]), one[0]))
        misses = []
        for position, (key, row) in enumerate(own[: allowed.most_deviations]):
            why = ranked.get(key, [])
            line = pb.ReviewDeviation(deviation=alarm_shapes.deviation(row), causes=alarm_shapes.causes(why))
            cause = why[0]["cause"] if why else ""
            lines.append((pack_id, position, *key, line.SerializeToString(), cause))
            if why:
                short = aggregation.of(work, row["metric"]).short(row["actual"], row["forecast"])
                missing = amounts.words(short, row["currency"])
                misses.append(Miss(key[1], missing, row["deviation_ratio"], cause, why[0]["explanation"]))
        proposed += [
            Note(ids.new_id(), pack_id, one.kind, one.text, one.expected_effect, store.SYSTEM, work.now)
            for one in rules.propose(misses, allowed)
        ]
    work.tx.do(store.CLEAR_DEVIATIONS, {"ids": list(pack_ids.values())})
    work.tx.do(store.CLEAR_NOTES, {"ids": list(pack_ids.values())})
    if lines:
        names = ("packs", "positions", "kinds", "holders", "metrics", "data", "causes")
        columns = (list(column) for column in zip(*lines, strict=True))
        work.tx.do(store.ADD_DEVIATIONS, dict(zip(names, columns, strict=True)))
    store.add_notes(work.tx, proposed)


async def _locked(work: Work, units: Sequence[Unit], fortnight: Period) -> list[Pack]:
    params = {"units": [unit.id for unit in units], "start": fortnight.start}
    return await work.tx.all(store.LOCK_OF, params, into=Pack)


def _members(work: Work, unit: Unit) -> set[Holder]:
    """Whose figures its leader answers for: units one level down and its own people."""
    below: set[Holder] = {("unit", child.id) for child in work.org.children(unit.id) if child.active}
    return below | {("person", person.id) for person in work.org.members(unit.id)}


def _measured(work: Work, row: dict[str, Any], fortnight: Period) -> dict[str, Any]:
    allowed = work.rules(AlarmRules)
    manner = aggregation.of(work, row["metric"])
    light = alarm_rules.light(row["actual"], row["forecast"], row["weeks_under"], allowed, manner)
    return row | {
        "period": fortnight.code,
        "start_date": fortnight.start,
        "end_date": fortnight.end,
        "deviation_ratio": alarm_rules.deviation(row["actual"], row["forecast"]),
        "light": LIGHTS.index(light),
    }


async def _causes(
    work: Work, rows: Iterable[dict[str, Any]], fortnight: Period
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Of whoever missed what was expected; nobody asks why something went better."""
    missed = [
        row
        for row in rows
        if row["light"] and aggregation.of(work, row["metric"]).short(row["actual"], row["forecast"]) > 0
    ]
    findings = {
        (row["holder_kind"], row["holder_id"], row["metric"]): Finding(
            kind="deviation",
            light=LIGHTS[row["light"]],
            owner_id=row["owner_id"],
            unit_id=row["unit_id"],
            holder_kind=row["holder_kind"],
            holder_id=row["holder_id"],
            metric=row["metric"],
            period=fortnight.code,
            start_date=fortnight.start,
            end_date=fortnight.end,
            message="",
            rule="colours",
            rule_version=row["rule_version"],
        )
        for row in missed
    }
    targets = {findings[row["holder_kind"], row["holder_id"], row["metric"]].cause_key: row["target"] for row in missed}
    found = await causes.ranked(work, list(findings.values()), fortnight.end, targets)
    return {key: found[one.cause_key] for key, one in findings.items()}


async def _progress(work: Work, fortnight: Period, units: set[str]) -> dict[str, list[Any]]:
    """Of each unit, in the quarter the fortnight belongs to."""
    calendar = work.rules(FiscalCalendar)
    quarter = periods.containing(min(fortnight.end, work.home.today()), "quarter", calendar)
    found: dict[str, list[Any]] = {}
    for metric in work.rules(AlarmRules).metrics or (work.rules(MetricRules).main,):
        asked = board_asking.question(work, metric, quarter.code)
        for kind, one in await boards.everybody(work, work.tx, metric, quarter, asked.today):
            if kind == "unit" and one.holder_id in units:
                found.setdefault(one.holder_id, []).append(board_asking.progress(work, one, asked))
    return found


def _ask(work: Work, unit: Unit, pack_id: str, fortnight: Period) -> None:
    who = leader(work, unit).id
    asking.task(
        work,
        kind="review",
        warning=WARNING,
        subject_type="review_pack",
        subject_id=pack_id,
        title=f"{unit.name}: review of {fortnight.code}",
        description=f"{fortnight.start} - {fortnight.end}: deviations with their causes, proposals and open alarms wait.",
        assignee_id=who,
        owner_id=who,
        unit_id=unit.id,
        light=LIGHTS.index(work.rules(ReviewRules).review_light) + 1,
    )


def review_cause(pack_id: str) -> str:
    return f"{WARNING}:{pack_id}"


def over(today: date, calendar: FiscalCalendar) -> Period:
    """The last fortnight that is over."""
    return periods.containing(periods.containing(today, "fortnight", calendar).start - DAY, "fortnight", calendar)
