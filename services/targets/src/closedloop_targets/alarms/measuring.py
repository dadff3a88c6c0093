"""Every week the week before is measured: colours set, alarms raised, weeks told to whoever counts on them (S13, S14)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta

from closedloop.targets.v1 import events_pb2
from closedloop_chassis.work import Work
from closedloop_targets import aggregation, amounts, holders
from closedloop_targets.alarms import causes, raising, rules, store
from closedloop_targets.alarms.raising import Finding
from closedloop_targets.alarms.rules import LIGHTS, AlarmRules
from closedloop_targets.alarms.store import Deviation
from closedloop_targets.boards import measuring as boards
from closedloop_targets.boards.rules import Standing
from closedloop_targets.forecasts import reading
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import DAY, FiscalCalendar, Period

WEEK_DAY = "targets.deviation_week"
COMPANY = "company"


def next_week(work: Work) -> None:
    """One timer for the company; one that is set stays."""
    allowed, today = work.rules(AlarmRules), work.home.today()
    day = today + timedelta(days=(allowed.weekday - today.isoweekday()) % 7)
    moment = work.home.moment(day, time(allowed.hour))
    if moment <= work.now:
        moment = work.home.moment(day + timedelta(weeks=1), time(allowed.hour))
    work.timers.set(WEEK_DAY, COMPANY, moment)


async def measure(work: Work) -> None:
    """The last full week, and once more those before it."""
    allowed, calendar = work.rules(AlarmRules), work.rules(FiscalCalendar)
    today = work.home.today()
    last = periods.containing(periods.containing(today, "week", calendar).start - DAY, "week", calendar)
    for metric in allowed.metrics or (work.rules(MetricRules).main,):
        week = last
        for _ in range(allowed.measured_again):
            week = periods.containing(week.start - DAY, "week", calendar)
            await _week(work, metric, week)
        found = await _week(work, metric, last)
        await _warn(work, metric, last, found)
        for quarter in {periods.containing(day, "quarter", calendar): None for day in (last.start, last.end)}:
            await _quarter(work, metric, quarter, min(last.end, quarter.end))
    await _orphans(work, today)


async def _week(work: Work, metric: str, week: Period) -> list[Deviation]:
    """Keeps and tells what is new or has changed; answers all of the week."""
    stood = await reading.of_week(work, work.tx, metric, week)
    # Of what does not add up nothing may have been measured: then there is no deviation.
    rows = [
        _deviation(work, kind, one, one.done, metric, week, stood.get((kind, one.holder_id)))
        for kind, one in await boards.everybody(work, work.tx, metric, week, week.end + DAY)
        if one.done is not None
    ]
    for row in await store.measured(work.tx, rows):
        _tell(work, row)
    return rows


def _deviation(
    work: Work, kind: str, one: Standing, done: int, metric: str, week: Period, forecast: int | None
) -> Deviation:
    """Held against what was forecast when the week began; against its target where nothing better than a guess was."""
    allowed, target = work.rules(AlarmRules), one.target or 0
    expected = target if forecast is None else forecast
    leader = work.org.manager_of(one.unit_id)
    owner = one.holder_id if kind == "person" else leader.id if leader else ""
    return Deviation(
        holder_kind=kind,
        holder_id=one.holder_id,
        unit_id=one.unit_id,
        owner_id=owner,
        target_id=one.target_id,
        metric=metric,
        period=week.code,
        start_date=week.start,
        end_date=week.end,
        target=target,
        forecast=expected,
        forecast_made=forecast is not None,
        actual=done,
        currency=one.currency,
        deviation_ratio=rules.deviation(done, expected),
        light=LIGHTS.index(rules.light(done, expected, one.weeks_under, allowed, aggregation.of(work, metric))),
        weeks_under=one.weeks_under,
        rule_version=work.process.rulebooks.version(AlarmRules, work.now),
    )


async def _warn(work: Work, metric: str, week: Period, rows: Sequence[Deviation]) -> None:
    """One warning a holder: weeks under the target say it where they are too many, the deviation otherwise."""
    allowed = work.rules(AlarmRules)
    findings, in_order = [], []
    for row in rows:
        kind = "weeks_under" if row.weeks_under >= allowed.red_after_weeks else "deviation"
        warned = rules.warns(LIGHTS[row.light], allowed)
        quiet = (
            ("weeks_under", "deviation") if not warned else ("deviation" if kind == "weeks_under" else "weeks_under",)
        )
        in_order += [raising.cause_key(one, row.holder_kind, row.holder_id, metric) for one in quiet]
        if warned:
            findings.append(_finding(kind, row))
    raised = await raising.raise_(work, findings)
    await raising.clear(work, in_order)
    if findings:
        work.tx.do(
            store.NOTE_ALARMS,
            {
                "kinds": [one.holder_kind for one in findings],
                "holders": [one.holder_id for one in findings],
                "alarms": [raised[one.cause_key] for one in findings],
                "metric": metric,
                "start": week.start,
            },
        )


def _finding(kind: str, row: Deviation) -> Finding:
    done, asked = amounts.words(row.actual, row.currency), amounts.words(row.forecast, row.currency)
    said = f"{row.holder_id}: {done} in {row.period} where {asked} was expected ({row.deviation_ratio:+.1%})"
    if kind == "weeks_under":
        said = f"{row.holder_id}: {row.weeks_under} weeks in a row under the weekly target; {done} of {asked} in {row.period}"
    return Finding(
        kind=kind,
        light=LIGHTS[row.light],
        owner_id=row.owner_id,
        unit_id=row.unit_id,
        holder_kind=row.holder_kind,
        holder_id=row.holder_id,
        metric=row.metric,
        period=row.period,
        start_date=row.start_date,
        end_date=row.end_date,
        message=said,
        rule="red_after_weeks" if kind == "weeks_under" else f"{LIGHTS[row.light]}_beyond",
        rule_version=row.rule_version,
        actual=row.actual,
        reference=row.forecast,
        currency=row.currency,
        deviation_ratio=row.deviation_ratio,
        target_id=row.target_id,
        grew_from=(
            raising.cause_key("deviation", row.holder_kind, row.holder_id, row.metric) if kind == "weeks_under" else ""
        ),
    )


async def _quarter(work: Work, metric: str, quarter: Period, day: date) -> None:
    """A quarter up to a day: done against what its weeks asked for so far (S8).

    Every quarter has an alarm of its own, and one that caught up is warned of no longer."""
    allowed, calendar, manner = work.rules(AlarmRules), work.rules(FiscalCalendar), aggregation.of(work, metric)
    over = sum(part.end <= day for part in periods.split(quarter, "week", calendar))
    standings = await boards.everybody(work, work.tx, metric, quarter, day)
    findings, in_order = [], []
    for kind, one in standings:
        if not one.expected or one.done is None or not rules.low(one.done, one.expected, over, allowed, manner):
            in_order.append(raising.cause_key("low_attainment", kind, one.holder_id, metric, quarter.code))
            continue
        leader = work.org.manager_of(one.unit_id)
        done, asked = amounts.words(one.done, one.currency), amounts.words(one.expected, one.currency)
        share = f"{one.reached or 0:.0%}"
        findings.append(
            Finding(
                kind="low_attainment",
                light=allowed.attainment_light,
                owner_id=one.holder_id if kind == "person" else leader.id if leader else "",
                unit_id=one.unit_id,
                holder_kind=kind,
                holder_id=one.holder_id,
                metric=metric,
                period=quarter.code,
                start_date=quarter.start,
                end_date=quarter.end,
                message=f"{one.holder_id}: {share} of what {quarter.code} asked for by {day} ({done} of {asked})",
                rule="attainment_floor",
                rule_version=work.process.rulebooks.version(AlarmRules, work.now),
                actual=one.done,
                reference=one.expected,
                currency=one.currency,
                deviation_ratio=rules.deviation(one.done, one.expected),
                target_id=one.target_id,
                subject=quarter.code,
            )
        )
    whole = {(kind, one.holder_id): one.target or 0 for kind, one in standings}
    targets = {one.cause_key: whole[one.holder_kind, one.holder_id] for one in findings}
    await raising.raise_(work, findings, await causes.ranked(work, findings, day, targets))
    await raising.clear(work, in_order)


async def _orphans(work: Work, today: date) -> None:
    """Targets in force of people who left and units that closed (S5); whoever leads the unit above answers."""
    org = work.org
    gone_people = [person.id for person in org.people.values() if not person.active]
    gone = gone_people + [unit.id for unit in org.units.values() if not unit.active]
    if not gone:
        return
    allowed = work.rules(AlarmRules)
    findings = []
    for row in await work.tx.all(store.ORPHANED, {"today": today, "gone": gone, "gone_people": gone_people}):
        leader = org.manager_of(row["unit_id"])
        findings.append(
            Finding(
                kind="orphaned_target",
                light=allowed.orphaned_light,
                owner_id=leader.id if leader else "",
                unit_id=row["unit_id"],
                holder_kind=row["holder_kind"],
                holder_id=row["holder_id"],
                metric=row["metric"],
                period=row["period"],
                start_date=row["start_date"],
                end_date=row["end_date"],
                message=f"{row['holder_id']} is gone; {amounts.words(row['minor'], row['currency'])} of "
                f"{row['period']} have nobody who answers for them",
                rule="orphaned_light",
                rule_version=work.process.rulebooks.version(AlarmRules, work.now),
                reference=row["minor"],
                currency=row["currency"],
                target_id=row["id"],
            )
        )
    unique = {one.cause_key: one for one in findings}
    await raising.raise_(work, list(unique.values()))


def _tell(work: Work, row: Deviation) -> None:
    told = events_pb2.AttainmentMeasured(
        holder=holders.to_proto(row.holder_kind, row.holder_id),
        unit_id=row.unit_id,
        metric=row.metric,
        period=period_shapes.stored(row.period, "week", row.start_date, row.end_date),
        target=amounts.amount(row.target, row.currency),
        done=amounts.amount(row.actual, row.currency),
        light=row.light + 1,  # type: ignore[arg-type]
        revision=row.revision,
    )
    if (attained := aggregation.of(work, row.metric).attained(row.actual, row.target)) is not None:
        told.completion_ratio = attained
    work.tell(told, subject=row.holder_id)
