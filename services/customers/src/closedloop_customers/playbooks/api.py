"""PlaybookService."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from closedloop.customers.v1 import interactions_pb2
from closedloop.customers.v1 import playbooks_pb2 as pb
from closedloop_chassis import enums, errors, pages, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, asking, explanations, profiles, records
from closedloop_customers.playbooks import desk, store
from closedloop_customers.playbooks.rules import (
    Facts,
    Playbook,
    PlaybookRules,
    Step,
    check_answers,
    choose,
    current,
    say,
)
from closedloop_customers.playbooks.store import Followed, Listed, StepRow
from closedloop_customers.records import Standing

rpcs = Rpcs("closedloop.customers.v1.PlaybookService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"
FIRST_MOMENT = "-infinity"


@rpcs.method
async def get_guidance(request: pb.GetGuidanceRequest, call: Call) -> pb.Guidance:
    standing = await records.reach(call.db, call, request.record)
    followed = await _followed(call.db, standing)
    key, playbook = _applying(call, followed)
    guidance = _guidance(call, standing, followed, key, playbook, await store.steps(call.db, standing.id, key))
    return await accesses.shown(call, guidance)


@rpcs.method
async def list_playbook_steps(request: pb.ListPlaybookStepsRequest, call: Call) -> pb.ListPlaybookStepsResponse:
    after_due, after_id, after_playbook, after_step = pages.after(request, FIRST_MOMENT, FIRST_ID, "", "")
    type_, id_ = records.key(request.record) if request.HasField("record") else ("", "")
    params = {
        **records.filters(request, call),
        "record_type": type_,
        "record_id": id_ or None,
        "states": enums.words(pb.PlaybookStepState, request.states) or ["due", "overdue"],
        "playbook": request.playbook,
        "due_before": protos.instant(request.due_before_time) if request.HasField("due_before_time") else None,
        "now": call.now,
        "after_due": after_due,
        "after_id": after_id,
        "after_playbook": after_playbook,
        "after_step": after_step,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Listed)
    page, token = pages.split(
        found, request, lambda row: (row.due_at.isoformat(), row.record_id, row.playbook, row.step)
    )
    known = call.rules(PlaybookRules).playbooks
    listed = pb.ListPlaybookStepsResponse(steps=[_listed(row, known) for row in page], next_page_token=token)
    return await accesses.shown(call, listed)


@rpcs.method
async def complete_playbook_step(request: pb.CompletePlaybookStepRequest, call: Call) -> pb.Guidance:
    standing = await records.reach(call.tx, call, request.record)
    records.may_change(call, standing.owner_id, standing.unit_id, standing.participant_ids)
    followed = await _followed(call.tx, standing)
    key, playbook = _applying(call, followed)
    steps = await store.steps(call.tx, standing.id, key)
    step = current(playbook, {name for name, row in steps.items() if row.state != "open"})
    if key != request.playbook or step is None or step.key != request.step:
        now = f"{key}/{step.key}" if step is not None else f"{key} is at its end"
        raise errors.FailedPrecondition("STEP_NOT_CURRENT", f"the present step is {now}", step=step.key if step else "")
    answers = {name: text.strip() for name, text in request.answers.items()}
    check_answers(step, answers, skip=request.skip, note=request.note)
    opened = steps.get(step.key) or _unopened(call, standing, followed, key, playbook, steps)
    state = "skipped" if request.skip else "done"
    settled = replace(
        opened,
        state=state,
        answers=answers,
        note=request.note.strip(),
        completed_by=call.caller.subject,
        completed_at=call.now,
    )
    if not await store.settle(call.tx, settled):
        raise errors.FailedPrecondition("STEP_NOT_CURRENT", "somebody settled it a moment ago", step=step.key)
    call.audit(
        standing.id, f"playbook_{state}", {}, {f"{key}.{step.key}.{q}": profiles.hint(a) for q, a in answers.items()}
    )
    steps[step.key] = settled
    following = current(playbook, {name for name, row in steps.items() if row.state != "open"})
    if following is not None:
        moments = desk.due(call, following, call.now, standing.unit_id)
        steps[following.key] = desk.row(standing.type, standing.id, key, following, moments)
        store.open_next(call.tx, steps[following.key])
    return _guidance(call, standing, followed, key, playbook, steps)


async def _followed(reader: Reader | Transaction, standing: Standing) -> Followed:
    found = await store.followed(reader, standing.type, standing.id)
    if found is None:
        raise errors.InvalidArgument(
            "RECORD_NOT_FOUND", "playbooks are of leads and accounts", {"record.type": "lead or account"}
        )
    return found


def _applying(call: Call, followed: Followed) -> tuple[str, Playbook]:
    rules = call.rules(PlaybookRules)
    facts = Facts(followed.type, followed.stage, followed.source, followed.industry, tuple(followed.product_lines))
    key = choose(facts, rules)
    if not key:
        raise errors.FailedPrecondition(
            "NO_PLAYBOOK_APPLIES",
            f"customers.playbooks has none for a {followed.type} in {followed.stage or 'its end'}",
        )
    return key, rules.playbooks[key]


def _unopened(
    call: Call, standing: Standing, followed: Followed, key: str, playbook: Playbook, steps: Mapping[str, StepRow]
) -> StepRow:
    """The present step of a record that nobody opened one for: it came before the playbook did."""
    step = current(playbook, {name for name, row in steps.items() if row.state != "open"})
    assert step is not None
    since = max((row.completed_at for row in steps.values() if row.completed_at), default=followed.began_at)
    return desk.row(standing.type, standing.id, key, step, desk.due(call, step, since, standing.unit_id))


def _guidance(
    call: Call, standing: Standing, followed: Followed, key: str, playbook: Playbook, steps: Mapping[str, StepRow]
) -> pb.Guidance:
    words = {
        "contact": followed.contact,
        "account": followed.account,
        "need": followed.need,
        "source": followed.source,
        "product_lines": "、".join(followed.product_lines),
        "owner": asking.name_of(call, standing.owner_id or call.caller.subject),
    }
    why = f"the first playbook for a {followed.type} in {followed.stage}"
    kept = explanations.because(call, PlaybookRules, f"playbooks.{key}", why)
    present = current(playbook, {name for name, row in steps.items() if row.state != "open"})
    shown = []
    for step in playbook.steps:
        row = steps.get(step.key)
        if row is None and step is present:
            row = _unopened(call, standing, followed, key, playbook, steps)
        shown.append(
            pb.PlaybookStep(
                record=records.reference(standing.type, standing.id),
                ownership=records.ownership(standing.owner_id, standing.unit_id),
                playbook=key,
                key=step.key,
                title=step.title,
                state=enums.number(pb.PlaybookStepState, _state(row, call.now)),
                channel=enums.number(interactions_pb2.Channel, step.channel),
                script=say(step.script, words),
                checklist=_checklist(step, row.answers if row is not None else {}),
                due_time=protos.timestamp(row.due_at) if row is not None else None,
                complete_time=protos.timestamp(row.completed_at) if row is not None else None,
                note=row.note if row is not None else "",
            )
        )
    return pb.Guidance(
        record=records.reference(standing.type, standing.id),
        playbook=key,
        title=playbook.title,
        rule=explanations.reference(kept),
        steps=shown,
    )


def _checklist(step: Step, answers: Mapping[str, str]) -> list[pb.ChecklistItem]:
    return [
        pb.ChecklistItem(
            key=one.key,
            question=one.question,
            hint=one.hint,
            required=one.required,
            answer=answers.get(one.key, ""),
        )
        for one in step.checklist
    ]


def _state(row: StepRow | None, now: datetime) -> str:
    if row is None or (row.state == "open" and now < row.due_at):
        return "planned"
    if row.state != "open":
        return row.state
    return "due" if now < row.overdue_at else "overdue"


def _listed(row: Listed, known: Mapping[str, Playbook]) -> pb.PlaybookStep:
    """A step as its playbook has it today; one that the rulebook dropped keeps its key."""
    steps = known[row.playbook].steps if row.playbook in known else ()
    step = next((one for one in steps if one.key == row.step), None)
    return pb.PlaybookStep(
        record=records.reference(row.record_type, row.record_id),
        ownership=records.ownership(row.owner_id, row.unit_id),
        playbook=row.playbook,
        key=row.step,
        title=step.title if step is not None else row.step,
        state=enums.number(pb.PlaybookStepState, row.state),
        channel=enums.number(interactions_pb2.Channel, step.channel if step is not None else ""),
        checklist=_checklist(step, row.answers) if step is not None else [],
        due_time=protos.timestamp(row.due_at),
        complete_time=protos.timestamp(row.completed_at),
        note=row.note,
    )
