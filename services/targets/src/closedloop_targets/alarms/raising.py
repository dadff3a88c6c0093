"""Alarms come, grow, are answered, checked and settled: one open alarm per cause (S102)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from closedloop.common.v1.common_pb2 import Evidence, Ownership
from closedloop.targets.v1 import alarms_pb2 as pb
from closedloop.targets.v1 import events_pb2
from closedloop_chassis import enums, errors, ids, protos
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.work import Work
from closedloop_targets import asking, holders
from closedloop_targets.alarms import store
from closedloop_targets.alarms.rules import LIGHTS, AlarmRules, Effect, Light
from closedloop_targets.alarms.store import Alarm
from closedloop_targets.periods import shapes as period_shapes

RESPONSE = "targets.alarm_response"
CHECK = "targets.alarm_check"


@dataclass(frozen=True, slots=True)
class Finding:
    """What somebody should be warned of. Amounts in minor units or millionths."""

    kind: str
    light: Light
    owner_id: str
    unit_id: str
    holder_kind: str
    holder_id: str
    metric: str
    period: str
    start_date: date
    end_date: date
    message: str
    rule: str
    rule_version: int
    actual: int = 0
    reference: int = 0
    currency: str = ""
    deviation_ratio: float = 0.0
    target_id: str = ""
    subject: str = ""
    # The cause key of the milder warning that this one grows out of: while nobody answered, it is the same alarm.
    grew_from: str = ""

    @property
    def cause_key(self) -> str:
        return cause_key(self.kind, self.holder_kind, self.holder_id, self.metric, self.subject)


def cause_key(kind: str, holder_kind: str, holder_id: str, metric: str, subject: str = "") -> str:
    return ":".join((kind, holder_kind, holder_id, metric, subject))


async def raise_(
    work: Work, findings: Sequence[Finding], causes: dict[str, list[dict[str, Any]]] | None = None
) -> dict[str, str]:
    """Alarm ids by cause key. What is open already is counted, and told again only where it became more severe.

    An open alarm that grew into another kind stays the same one: whoever was asked, since when and how often is not
    begun anew. `causes` are ranked causes by cause key. One round trip."""
    if not findings:
        return {}
    setting = work.rules(AlarmRules).response
    keys = [key for one in findings for key in (one.cause_key, one.grew_from) if key]
    known = {one.cause_key: one for one in await work.tx.all(store.OPEN, {"keys": keys}, into=Alarm)}
    new, grown = [], []
    for one in findings:
        told = (causes or {}).get(one.cause_key, [])
        milder = known.get(one.grew_from)
        before = known.get(one.cause_key) or (milder if milder and milder.state == "open" else None)
        if before is None:
            alarm = _new(work, one, told, setting)
            new.append(alarm)
            known[one.cause_key] = alarm
            _ask(work, alarm)
            _tell(work, alarm)
            continue
        worse = LIGHTS.index(one.light) > before.light
        after = replace(
            before,
            kind=one.kind,
            cause_key=one.cause_key,
            target_id=one.target_id,
            rule=one.rule,
            rule_version=one.rule_version,
            causes=told or before.causes,
            light=max(before.light, LIGHTS.index(one.light)),
            period=one.period if before.state == "open" else before.period,
            start_date=one.start_date if before.state == "open" else before.start_date,
            end_date=one.end_date if before.state == "open" else before.end_date,
            actual=one.actual,
            reference=one.reference,
            deviation_ratio=one.deviation_ratio if before.state == "open" else before.deviation_ratio,
            message=one.message,
            repeat_count=before.repeat_count + 1,
        )
        grown.append(after)
        known[one.cause_key] = after
        if after.kind != before.kind:
            asking.withdraw(work, task_cause(before), before.id, asking.ANSWERED)
            _ask(work, after)
        if worse or after.kind != before.kind:
            _tell(work, after)
    store.add(work.tx, new)
    store.put(work.tx, grown)
    return {key: alarm.id for key, alarm in known.items()}


def answer(work: Work, alarm: Alarm, cause: str, action: str, check_date: date, at: datetime, by: str) -> Alarm:
    """The first answer stops the response clock."""
    answered = replace(
        alarm,
        state="answered",
        responder_id=by,
        first_answered_at=alarm.first_answered_at or at,
        cause=cause,
        action=action,
        check_date=check_date,
        answered_repeats=alarm.repeat_count,
    )
    store.put(work.tx, [answered])
    work.clocks.meet(RESPONSE, alarm.id)
    work.timers.cancel(CHECK, alarm.id)
    work.timers.set(CHECK, alarm.id, work.home.moment(check_date))
    asking.withdraw(work, task_cause(alarm), alarm.id, asking.ANSWERED)
    work.audit(
        f"alarm:{alarm.id}",
        "answer",
        before={"state": alarm.state, "cause": alarm.cause},
        after={"state": "answered", "cause": cause, "check_date": check_date, "by": by},
        business_action=action,
    )
    return replace(answered, version=alarm.version + 1)


def judge(work: Work, alarm: Alarm, effect: Effect) -> Alarm:
    """Worked: resolved. Not: open again, one level higher. Cannot be said: checked again after the rulebook's span."""
    check = {
        "time": work.now.isoformat(),
        "worked": effect.worked,
        "before": effect.before,
        "after": effect.after,
        "verdict": effect.verdict,
    }
    checked = replace(alarm, checks=[*(alarm.checks or []), check])
    work.timers.cancel(CHECK, alarm.id)
    if effect.worked:
        checked = replace(checked, state="resolved", settled_at=work.now)
        asking.withdraw(work, task_cause(alarm), alarm.id)
        _settled(work, checked, effect.verdict)
    elif effect.worked is False:
        checked = _higher(work, replace(checked, state="open", light=min(alarm.light + 1, LIGHTS.index("red"))))
        # After who is asked next: a task of the same cause says it already, and which one it follows.
        asking.withdraw(work, task_cause(alarm), alarm.id, asking.HOLDS)
        _tell(work, checked)
    else:
        again = work.home.today() + timedelta(days=work.rules(AlarmRules).check_after_days)
        checked = replace(checked, check_date=again)
        work.timers.set(CHECK, alarm.id, work.home.moment(again))
    store.put(work.tx, [checked])
    work.audit(f"alarm:{alarm.id}", "check", before={"state": alarm.state}, after={"state": checked.state, **check})
    return replace(checked, version=alarm.version + 1)


def escalate(work: Work, alarm: Alarm) -> Alarm:
    """Nobody answered in time: the next one of the line is asked."""
    higher = _higher(work, alarm)
    store.put(work.tx, [higher])
    work.audit(
        f"alarm:{alarm.id}",
        "escalate",
        before={"owner_id": alarm.owner_id, "level": alarm.escalation_level},
        after={"owner_id": higher.owner_id, "level": higher.escalation_level},
    )
    return higher


def lapse(work: Work, alarms: Sequence[Alarm], verdict: str) -> None:
    """Their causes went away before anybody acted: no action, and so none whose effect could be said."""
    check = {"time": work.now.isoformat(), "worked": None, "verdict": verdict}
    gone = [
        replace(
            one,
            state="lapsed",
            settled_at=work.now,
            checks=[*(one.checks or []), {**check, "before": one.deviation_ratio, "after": one.deviation_ratio}],
        )
        for one in alarms
    ]
    store.put(work.tx, gone)
    for one in gone:
        work.clocks.cancel(RESPONSE, one.id)
        asking.withdraw(work, task_cause(one), one.id)
        _settled(work, one, verdict)


async def clear(work: Work, in_order: Sequence[str]) -> None:
    """After what holds was raised: open alarms of these cause keys lapse, and those whose target holds no more. One round trip."""
    out = await work.tx.all(store.OUT, {"in_order": list(in_order)}, into=Alarm)
    lapse(work, out, "the cause went away before anybody acted")


def hand_over(work: Work, alarm: Alarm, owner_id: str) -> Alarm:
    """To another owner; the clock runs on."""
    given = replace(alarm, owner_id=owner_id)
    store.put(work.tx, [given])
    work.clocks.hand_over(alarm.id, owner_id, alarm.unit_id)
    asking.withdraw(work, task_cause(alarm), alarm.id, asking.ANSWERED)
    _ask(work, replace(given, version=alarm.version + 1))
    return replace(given, version=alarm.version + 1)


def require_open(alarm: Alarm) -> None:
    """Raises FailedPrecondition ALARM_SETTLED."""
    if alarm.state in ("resolved", "lapsed"):
        raise errors.FailedPrecondition("ALARM_SETTLED", f"this alarm is {alarm.state}")


def task_cause(alarm: Alarm) -> str:
    """One task per owner that is asked."""
    return f"targets.{alarm.kind}:{alarm.id}:{alarm.owner_id}"


def _new(work: Work, one: Finding, causes: list[dict[str, Any]], setting: ClockSetting) -> Alarm:
    alarm_id = ids.new_id()
    due = work.clocks.start(RESPONSE, alarm_id, setting, owner_id=one.owner_id, unit_id=one.unit_id)
    named = {name: getattr(one, name) for name in one.__slots__ if name not in ("light", "grew_from")}
    return Alarm(
        id=alarm_id,
        cause_key=one.cause_key,
        light=LIGHTS.index(one.light),
        state="open",
        causes=causes,
        raised_at=work.now,
        due_at=due,
        checks=[],
        **named,
    )


def _higher(work: Work, alarm: Alarm) -> Alarm:
    line = work.org.line_of(alarm.owner_id)
    next_one = line[0].id if line else alarm.owner_id
    level = alarm.escalation_level + 1
    work.clocks.cancel(RESPONSE, alarm.id)
    setting = work.rules(AlarmRules).response
    due = work.clocks.start(RESPONSE, alarm.id, setting, owner_id=next_one, unit_id=alarm.unit_id)
    higher = replace(alarm, owner_id=next_one, escalation_level=level, due_at=due)
    if next_one != alarm.owner_id or alarm.state == "open":
        _ask(work, higher)
    return higher


def _ask(work: Work, alarm: Alarm) -> None:
    asking.task(
        work,
        kind="intervention",
        warning=f"targets.{alarm.kind}",
        subject_type="alarm",
        subject_id=alarm.id,
        cause=task_cause(alarm),
        title=alarm.message,
        description=_described(alarm),
        assignee_id=alarm.owner_id,
        owner_id=alarm.owner_id,
        unit_id=alarm.unit_id,
        light=alarm.light + 1,
        due_time=alarm.due_at,
        cause_time=alarm.raised_at,
        evidence=[Evidence(name="deviation", value=alarm.deviation_ratio, unit="1", text=alarm.message)],
        origin_checks=True,
    )


def _described(alarm: Alarm) -> str:
    ranked = "\n".join(f"{number}. {one['explanation']}" for number, one in enumerate(alarm.causes, 1))
    return f"{alarm.message}\n{ranked}".strip()


def _tell(work: Work, alarm: Alarm) -> None:
    work.tell(
        events_pb2.AlarmRaised(
            alarm_id=alarm.id,
            kind=enums.number(pb.AlarmKind, alarm.kind),
            light=alarm.light + 1,  # type: ignore[arg-type]
            ownership=Ownership(owner_id=alarm.owner_id, unit_id=alarm.unit_id),
            holder=holders.to_proto(alarm.holder_kind, alarm.holder_id),
            metric=alarm.metric,
            period=period_shapes.stored(alarm.period, grain(alarm.period), alarm.start_date, alarm.end_date),
            deviation_ratio=alarm.deviation_ratio,
            message=alarm.message,
            raise_time=protos.timestamp(alarm.raised_at),
            due_time=protos.timestamp(alarm.due_at),
        ),
        subject=alarm.id,
    )


def _settled(work: Work, alarm: Alarm, verdict: str) -> None:
    work.tell(
        events_pb2.AlarmSettled(
            alarm_id=alarm.id,
            kind=enums.number(pb.AlarmKind, alarm.kind),
            state=enums.number(pb.AlarmState, alarm.state),
            ownership=Ownership(owner_id=alarm.owner_id, unit_id=alarm.unit_id),
            action=alarm.action,
            verdict=verdict,
            settle_time=protos.timestamp(work.now),
        ),
        subject=alarm.id,
    )


def grain(code: str) -> str:
    """Of a period's code."""
    letters = {"W": "week", "Q": "quarter", "M": "month", "F": "fortnight", "H": "half"}
    return letters.get(code[5:6], "year" if len(code) == 4 else "custom" if "/" in code else "day")
