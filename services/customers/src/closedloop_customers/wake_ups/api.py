"""WakeUpService."""

from __future__ import annotations

from datetime import timedelta

from closedloop.common.v1.common_pb2 import Evidence
from closedloop.customers.v1 import wake_ups_pb2 as pb
from closedloop_chassis import enums, errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, explanations, records
from closedloop_customers.wake_ups import desk, flow, report, silence, store
from closedloop_customers.wake_ups.rules import Refusal, WakeUpRules

rpcs = Rpcs("closedloop.customers.v1.WakeUpService")

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@rpcs.method
async def get_wake_up(request: pb.GetWakeUpRequest, call: Call) -> pb.WakeUp:
    found = await store.get(call.db, request.id)
    if found is None:
        raise errors.NotFound("WAKE_UP_NOT_FOUND", f"no wake-up {request.id}")
    call.authorize(found.owner_id, found.unit_id)
    return await accesses.shown(call, to_proto(found, (await store.messages(call.db, [found.id]))[found.id]))


@rpcs.method
async def list_wake_ups(request: pb.ListWakeUpsRequest, call: Call) -> pb.ListWakeUpsResponse:
    (before_id,) = pages.after(request, LAST_ID)
    type_, id_ = records.key(request.record) if request.HasField("record") else ("", "")
    begins, ends = protos.bounds(request.started)
    params = {
        **records.filters(request, call),
        "record_type": type_,
        "record_id": id_ or None,
        "states": enums.words(pb.WakeUpState, request.states) or None,
        "topic": request.topic,
        "start": begins,
        "end": ends,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=store.WakeUp)
    page, token = pages.split(found, request, lambda row: (row.id,))
    said = await store.messages(call.db, [row.id for row in page])
    wake_ups = [to_proto(row, said[row.id], bodies=False) for row in page]
    return await accesses.shown(call, pb.ListWakeUpsResponse(wake_ups=wake_ups, next_page_token=token))


@rpcs.method
async def start_wake_up(request: pb.StartWakeUpRequest, call: Call) -> pb.WakeUp:
    record = await records.reach(call.tx, call, request.record)
    records.may_change(call, record.owner_id, record.unit_id, record.participant_ids)
    rules = call.rules(WakeUpRules)
    if record.type == "contact":
        raise errors.InvalidArgument(
            "RECORD_NOT_FOUND", "leads and accounts are woken", {"record.type": "lead or account"}
        )
    if request.topic and request.topic not in rules.topics:
        known = ", ".join(rules.topics)
        raise errors.InvalidArgument(
            "NO_TOPIC_APPLIES", f"customers.wake_up has the topics {known}", {"topic": "unknown"}
        )
    if await call.tx.value(store.RUNNING, {"type": record.type, "id": record.id}):
        raise errors.FailedPrecondition("ALREADY_RUNNING", "it is being woken already")
    lately = record.last_interaction_at
    if lately is not None and call.now - lately < timedelta(days=rules.least_silence_days):
        raise errors.FailedPrecondition("CONTACTED_LATELY", f"we spoke on {lately.date().isoformat()}")
    outcome = (await flow.plans(call, call.tx, [record], request.topic, request.contact_id))[record.type, record.id]
    if isinstance(outcome, Refusal):
        raise errors.FailedPrecondition(outcome.reason, outcome.explanation)
    started = await flow.begin(call, [(record, outcome)])
    if not started:
        raise errors.FailedPrecondition("ALREADY_RUNNING", "it is being woken already")
    call.clocks.cancel(silence.KIND, record.id)
    ((wake_up, first),) = started
    if request.validate_only:
        await call.tx.rollback()
    return to_proto(wake_up, [first])


@rpcs.method
async def stop_wake_up(request: pb.StopWakeUpRequest, call: Call) -> pb.WakeUp:
    found = (await store.lock(call.tx, [request.id])).get(request.id)
    if found is None:
        raise errors.NotFound("WAKE_UP_NOT_FOUND", f"no wake-up {request.id}")
    records.may_change(call, found.owner_id, found.unit_id)
    ended = await store.end(call.tx, [found.id], "stopped", request.reason, call.now)
    if not ended:
        raise errors.FailedPrecondition("WAKE_UP_ENDED", f"it ended before: {found.state}", state=found.state)
    desk.close(call, ended[0])
    silence.watch(
        call, found.record_type, [(found.record_id, found.owner_id, found.unit_id)], call.rules(WakeUpRules).rest
    )
    return to_proto(ended[0], (await store.messages(call.tx, [found.id]))[found.id])


@rpcs.method
async def get_topic_report(request: pb.GetTopicReportRequest, call: Call) -> pb.TopicReport:
    return await report.measure(request, call)


def to_proto(row: store.WakeUp, said: list[store.Message], *, bodies: bool = True) -> pb.WakeUp:
    return pb.WakeUp(
        id=row.id,
        record=records.reference(row.record_type, row.record_id),
        contact_id=row.contact_id or "",
        ownership=records.ownership(row.owner_id, row.unit_id),
        state=enums.number(pb.WakeUpState, row.state),
        topic=row.topic,
        control=row.control,
        behaviours=[Evidence(**behaviour) for behaviour in row.behaviours],
        rule=explanations.reference(row.rule),
        last_interaction_time=protos.timestamp(row.last_interaction_at),
        messages=[
            pb.WakeUpMessage(
                channel=flow.channel_proto(message.channel),
                template=message.template,
                subject_line=message.subject_line,
                body=message.body if bodies else "",
                send_time=protos.timestamp(message.sent_at),
                deliver_time=protos.timestamp(message.delivered_at),
                open_time=protos.timestamp(message.opened_at),
                click_time=protos.timestamp(message.clicked_at),
                reply_time=protos.timestamp(message.replied_at),
                failure=message.failure,
            )
            for message in said
        ],
        start_time=protos.timestamp(row.started_at),
        next_message_time=protos.timestamp(row.next_message_at),
        end_time=protos.timestamp(row.ended_at),
        end_reason=row.end_reason,
    )
