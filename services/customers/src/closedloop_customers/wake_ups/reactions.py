"""Silence that lasted too long, answers that did not come, and what became of each message."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.common.v1.common_pb2 import Evidence
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import enums, protos
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import asking, explanations, records
from closedloop_customers.records import Standing
from closedloop_customers.wake_ups import desk, flow, silence, store
from closedloop_customers.wake_ups.rules import Plan, Refusal, WakeUpRules

reactions = Reactions()

# Reports that say a message did not and will not arrive.
FAILURES = frozenset({"bounced", "failed"})
REFUSED = frozenset({"suppressed", "complained"})


@reactions.clock(silence.KIND)
async def went_quiet(due: list[Due], work: Work) -> None:
    """Days without an effective touch: a wake-up begins; where none can, its owner is asked to call (S27)."""
    keys = [(str(d.attributes.get("type", "account")), d.subject) for d in due if d.phase == "due"]
    standing = [s for s in (await records.find(work.tx, keys)).values() if s.open] if keys else []
    if not standing:
        return
    outcomes = await flow.plans(work, work.tx, standing)
    planned: list[tuple[Standing, Plan]] = []
    for one in standing:
        outcome = outcomes[one.type, one.id]
        if isinstance(outcome, Refusal):
            _ask_owner(work, one, outcome)
        else:
            planned.append((one, outcome))
    if planned:
        await flow.begin(work, planned)
    quiet = [one for one in standing if isinstance(outcomes[one.type, one.id], Refusal)]
    for type_ in ("account", "lead"):
        held = [(one.id, one.owner_id, one.unit_id) for one in quiet if one.type == type_]
        silence.watch(work, type_, held, work.rules(WakeUpRules).rest)


@reactions.clock(desk.STEP)
async def no_answer(due: list[Due], work: Work) -> None:
    """The next message, or after the last one the end; then the customer is left alone for a while."""
    rules = work.rules(WakeUpRules)
    found = await store.lock(work.tx, [d.subject for d in due if d.phase == "due"])
    running = [wake_up for wake_up in found.values() if wake_up.state == "running"]
    sent = await store.messages(work.tx, [wake_up.id for wake_up in running]) if running else {}
    going_on = [wake_up for wake_up in running if len(sent[wake_up.id]) < rules.messages]
    looked_at = await flow.looked_at(work, going_on)
    more = [one for one in looked_at if isinstance(one, store.WakeUp)]
    changed = [
        now for was, now in zip(going_on, looked_at, strict=True) if isinstance(now, store.WakeUp) and now != was
    ]
    store.hand_over(work.tx, changed)
    await _over(work, [one for one in looked_at if isinstance(one, flow.Over)])
    over = [wake_up for wake_up in running if len(sent[wake_up.id]) >= rules.messages]
    following = [flow.message(work, wake_up, len(sent[wake_up.id])) for wake_up in more]
    store.add_messages(work.tx, following)
    for wake_up, message in zip(more, following, strict=True):
        flow.send(work, wake_up, message)
    if more:
        work.clocks.start_many(desk.STEP, rules.answer, [(w.id, w.owner_id, w.unit_id, {}) for w in more])
        following_at = work.calendars.due(rules.answer, work.now)
        last = [w.id for w in more if len(sent[w.id]) + 1 >= rules.messages]
        work.tx.do(store.NEXT, {"ids": last, "at": None})
        work.tx.do(store.NEXT, {"ids": [w.id for w in more if w.id not in last], "at": following_at})
    if over:
        for wake_up in await store.end(
            work.tx, [w.id for w in over], "exhausted", "all messages sent, no answer", work.now
        ):
            desk.close(work, wake_up)
            silence.watch(
                work, wake_up.record_type, [(wake_up.record_id, wake_up.owner_id, wake_up.unit_id)], rules.rest
            )


async def _over(work: Work, over: Sequence[flow.Over]) -> None:
    """Ends these before their last message. One round trip for each way to end."""
    for state, reason in sorted({(one.state, one.reason) for one in over}):
        ids = [one.wake_up.id for one in over if (one.state, one.reason) == (state, reason)]
        for wake_up in await store.end(work.tx, ids, state, reason, work.now):
            desk.close(work, wake_up)
            if reason != flow.RECORD_CLOSED:
                held = [(wake_up.record_id, wake_up.owner_id, wake_up.unit_id)]
                silence.watch(work, wake_up.record_type, held, work.rules(WakeUpRules).rest)


@reactions.on(integrations.DeliveryReported)
async def delivered(event: Heard[integrations.DeliveryReported], work: Work) -> None:
    report = event.message
    if report.origin != asking.ORIGIN or report.subject_type != "wake_up":
        return
    state = enums.word(deliveries_pb2.DeliveryState, report.state)
    at = protos.instant(report.time) if report.HasField("time") else event.time
    fields = {"sent_at": None, "delivered_at": None, "opened_at": None, "clicked_at": None, "replied_at": None}
    if f"{state}_at" in fields:
        fields[f"{state}_at"] = at  # type: ignore[assignment]
    failure = report.reason or state if state in FAILURES | REFUSED else ""
    row = await work.tx.one(store.REPORT, {**fields, "failure": failure[:500], "dedupe_key": report.dedupe_key})
    if row is None:
        return
    verdict = (
        ("awakened", "the customer answered")
        if state == "replied"
        else ("opted_out", report.reason or "wants no messages")
        if state in REFUSED
        else ("unreachable", report.reason or "all messages bounced")
        if state in FAILURES and row["all_others_failed"]
        else None
    )
    if verdict is None:
        return
    for wake_up in await store.end(work.tx, [row["wake_up_id"]], *verdict, work.now):
        desk.close(work, wake_up)
        if wake_up.state != "awakened":
            rest = work.rules(WakeUpRules).rest
            silence.watch(work, wake_up.record_type, [(wake_up.record_id, wake_up.owner_id, wake_up.unit_id)], rest)


def _ask_owner(work: Work, quiet: Standing, why: Refusal) -> None:
    """Nobody is forgotten because no message can be written: the owner, or the unit's manager, calls."""
    days = (work.now - quiet.last_interaction_at).days if quiet.last_interaction_at else None
    span = f"{days} 天" if days is not None else "至今"
    setting = work.rules(WakeUpRules).silence
    rule = explanations.because(
        work, WakeUpRules, "silence", f"no effective touch for {setting.days:g} days, and {why.explanation}"
    )
    asking.task(
        work,
        kind="follow_up",
        warning=silence.KIND,
        subject_type=quiet.type,
        subject_id=quiet.id,
        title=f"{quiet.name or '客户'} {span}未互动，请致电",
        description=f"无法自动唤醒（{why.reason}）：{why.explanation}",
        assignee="owner" if quiet.owner_id else "manager_of_owner",
        owner_id=quiet.owner_id,
        unit_id=quiet.unit_id,
        account_id=quiet.account_id or "",
        cause_time=quiet.last_interaction_at,
        evidence=[Evidence(name="silent_days", value=days, unit="d")] if days is not None else [],
        rule=explanations.reference(rule),
    )
