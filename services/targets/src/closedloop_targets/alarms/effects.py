"""What became of an answered alarm's cause: measured, not believed (S102)."""

from __future__ import annotations

from closedloop_chassis.work import Work
from closedloop_targets.alarms import rules, store
from closedloop_targets.alarms.rules import AlarmRules, Effect
from closedloop_targets.alarms.store import Alarm
from closedloop_targets.boards import measuring
from closedloop_targets.periods.rules import Period

WEEKLY = ("deviation", "weeks_under")


async def measure(work: Work, alarms: list[Alarm]) -> dict[str, Effect]:
    """By alarm id. One round trip for all that are weekly, one for each quarter."""
    allowed = work.rules(AlarmRules)
    weekly = [one.id for one in alarms if one.kind in WEEKLY]
    since = {row["id"]: row for row in await work.tx.all(store.SINCE, {"ids": weekly})} if weekly else {}
    found = {}
    for one in alarms:
        if one.kind in WEEKLY:
            week = since.get(one.id)
            after, out = (week["deviation_ratio"], week["light"] == 0) if week else (None, False)
            found[one.id] = rules.effect(one.deviation_ratio, after, out, allowed)
        elif one.kind == "low_attainment":
            found[one.id] = await _quarter(work, one, allowed)
        else:
            found[one.id] = _again(one)
    return found


async def _quarter(work: Work, alarm: Alarm, allowed: AlarmRules) -> Effect:
    """Held against what its weeks ask for by now."""
    period = Period(alarm.period, "quarter", alarm.start_date, alarm.end_date)
    who = (alarm.holder_kind, alarm.holder_id)
    standings = await measuring.everybody(work, work.tx, alarm.metric, period, work.home.today(), who)
    if not standings:
        return rules.effect(alarm.deviation_ratio, None, False, allowed)
    [(_, standing)] = standings
    if standing.reached is None:
        return rules.effect(alarm.deviation_ratio, None, False, allowed)
    out = standing.reached >= allowed.attainment_floor
    return rules.effect(alarm.deviation_ratio, standing.deviation, out, allowed)


def _again(alarm: Alarm) -> Effect:
    """What has no number of its own worked if the cause did not come up again."""
    times = alarm.repeat_count - alarm.answered_repeats
    if times:
        return Effect(False, alarm.deviation_ratio, alarm.deviation_ratio, f"came up {times} times since the answer")
    return Effect(True, alarm.deviation_ratio, 0.0, "did not come up again: the action worked")
