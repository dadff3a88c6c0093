"""DeliveryService."""

from __future__ import annotations

from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis import bulk, errors, etags, pages, protos
from closedloop_chassis.enums import word, words
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.deliveries import again, consents, intake, outcomes, preferences, store, wire
from closedloop_integrations.deliveries.moves import follow, move
from closedloop_integrations.deliveries.rules import DeliveryRules
from closedloop_integrations.deliveries.store import Delivery

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

rpcs = Rpcs("closedloop.integrations.v1.DeliveryService")


@rpcs.method
async def request_delivery(request: pb.RequestDeliveryRequest, call: Call) -> pb.Delivery:
    delivery, target = await _prepared(request.content, call, call.tx)
    kept = await intake.request(call, delivery)
    if kept is not delivery:
        call.authorize(kept.owner_id, kept.unit_id, target.participant_ids)
    return wire.delivery(kept, words=True)


@rpcs.method
async def bulk_request_deliveries(request: pb.BulkRequestDeliveriesRequest, call: Call) -> BulkSummary:
    """A message that may not go is a refused row, and is kept as suppressed, so that one sees why."""
    good, refused = bulk.sift(request.rows)
    drafts: dict[tuple[str, str], tuple[int, intake.Draft]] = {}
    worded = await intake.word_all(call, call.tx, [content for _, content in good])
    for (position, content), draft in zip(good, worded, strict=True):
        try:
            if isinstance(draft, errors.DomainError):
                raise draft
            _authorize(content, draft, call)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
        else:
            drafts.setdefault(draft.key, (position, draft))
    known = await store.find(call.tx, [draft.delivery for _, draft in drafts.values()])
    # Of several recipients that are one address, the first.
    fresh = list(
        {draft.place: (at, draft) for at, draft in reversed(drafts.values()) if draft.delivery.id not in known}.values()
    )[::-1]
    await intake.admit(call, call.tx, [draft for _, draft in fresh])
    new = {draft.delivery.id for _, draft in fresh}
    if not request.validate_only:
        new = await intake.keep(call, [draft.delivery for _, draft in fresh])
    barred = [(position, draft) for position, draft in fresh if draft.delivery.state == "suppressed"]
    for position, draft in barred:
        if draft.delivery.id in new:
            reason, message = draft.delivery.reason.upper(), draft.delivery.explanation
            refused.append(RowError(row=position, reason=reason, message=message))
    created = len(new - {draft.delivery.id for _, draft in barred})
    summary = bulk.summary(read=len(request.rows), created=created, refused=refused)
    if not request.validate_only:
        call.audit("deliveries", "bulk_request", after={"read": summary.read, "created": summary.created})
    return summary


@rpcs.method
async def report_delivery_outcomes(request: pb.ReportDeliveryOutcomesRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    told, unknown = await outcomes.take_in(call, good)
    return bulk.summary(read=len(request.rows), updated=told, refused=[*refused, *unknown])


@rpcs.method
async def get_preference(request: pb.GetPreferenceRequest, call: Call) -> pb.Preference:
    person_id = _colleague(request.person_id, call)
    return preferences.to_proto((await preferences.of(call.db, [person_id])).get(person_id), person_id)


@rpcs.method
async def update_preference(request: pb.UpdatePreferenceRequest, call: Call) -> pb.Preference:
    person_id = _colleague(request.person_id or request.preference.person_id, call)
    before, after = await preferences.change(call.tx, request.preference, person_id)
    call.audit(person_id, "prefer", before=preferences.trail(before), after=preferences.trail(after))
    return preferences.to_proto(after, person_id)


@rpcs.method
async def preview_delivery(request: pb.PreviewDeliveryRequest, call: Call) -> pb.PreviewDeliveryResponse:
    delivery, _ = await _prepared(request.content, call, call.db)
    shown = wire.delivery(delivery, words=True)
    answer = pb.PreviewDeliveryResponse(
        channel=shown.channel,
        address=shown.address,
        subject=shown.subject,
        text=shown.text,
        state=shown.state,
        reason=shown.reason,
    )
    if delivery.state != "suppressed":
        answer.send_time.FromDatetime(delivery.due_at)
    return answer


@rpcs.method
async def get_delivery(request: pb.GetDeliveryRequest, call: Call) -> pb.Delivery:
    delivery = await store.get(call.db, request.id)
    if delivery is None:
        raise errors.NotFound("DELIVERY_UNKNOWN", f"no delivery {request.id}")
    call.authorize(delivery.owner_id, delivery.unit_id, [delivery.person_id, delivery.origin])
    return wire.delivery(delivery, await store.steps(call.db, request.id), words=True)


@rpcs.method
async def list_deliveries(request: pb.ListDeliveriesRequest, call: Call) -> pb.ListDeliveriesResponse:
    at, id = pages.after(request, "9999-12-31T00:00:00+00:00", LAST_ID)
    states = words(pb.DeliveryState, request.states)
    found = await store.listed(
        call.db,
        {
            **call.scope.params,
            "at": at,
            "id": id,
            "states": [*states, "sending"] if "queued" in states else states,
            "origin": request.origin,
            "person_id": request.person_id,
            "contact_id": request.contact_id or None,
            "account_id": request.account_id or None,
            "channel": word(pb.Channel, request.channel),
            "purpose": word(pb.DeliveryPurpose, request.purpose),
            "topic": request.topic,
            "experiment": request.experiment,
            "subject_id": request.subject_id,
            "dedupe_key": request.dedupe_key,
            "begin": protos.instant(request.requested.start_time) if request.requested.HasField("start_time") else None,
            "end": protos.instant(request.requested.end_time) if request.requested.HasField("end_time") else None,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(found, request, lambda each: (each.requested_at.isoformat(), each.id))
    return pb.ListDeliveriesResponse(deliveries=[wire.delivery(each) for each in shown], next_page_token=token)


@rpcs.method
async def cancel_delivery(request: pb.CancelDeliveryRequest, call: Call) -> pb.Delivery:
    delivery = await _locked(request.id, request.etag, call)
    if delivery.state not in ("queued", "held") or delivery.digest_id:
        raise errors.FailedPrecondition("DELIVERY_HANDED_OVER", f"it is {delivery.state} and cannot be taken back")
    move(call, delivery, "cancelled", request.reason[:200], request.reason)
    wire.report(call, delivery)
    await follow(call, delivery)
    return wire.delivery(delivery, words=True)


@rpcs.method
async def resolve_delivery(request: pb.ResolveDeliveryRequest, call: Call) -> pb.Delivery:
    delivery = await _locked(request.id, request.etag, call)
    if delivery.state not in ("uncertain", "failed"):
        raise errors.FailedPrecondition("DELIVERY_NOT_UNCERTAIN", f"it is {delivery.state}: there is nothing to settle")
    if request.send_again:
        if not delivery.address and not delivery.robot:
            raise errors.FailedPrecondition("ADDRESS_UNKNOWN", "it never had an address; ask for a new one")
        delivery.ended_at = None
        await again.look(call, [delivery], call.now, "resolved", request.reason)
        # Where it may not leave now, that was told.
        told = delivery.state != "queued"
    else:
        told = False
        delivery.sent_at, delivery.ended_at = delivery.sent_at or call.now, None
        move(call, delivery, "sent", "resolved", request.reason)
        await follow(call, delivery)
    if not told:
        wire.report(call, delivery)
    return wire.delivery(delivery, words=True)


@rpcs.method
async def set_consents(request: pb.SetConsentsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    addresses = [consents.addressed(row.address, call.rules(DeliveryRules)) for _, row in good if row.address]
    contacts = [row.contact_id for _, row in good if row.contact_id]
    owners = await call.tx.all(store.OWNERS, {"contacts": contacts, "addresses": addresses})
    rows = []
    for position, row in good:
        try:
            rows.append(_said(row, owners, call))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    created, updated = await consents.record(call, rows, dry=request.validate_only)
    return bulk.summary(read=len(request.rows), created=created, updated=updated, refused=refused)


@rpcs.method
async def list_consents(request: pb.ListConsentsRequest, call: Call) -> pb.ListConsentsResponse:
    (id,) = pages.after(request, LAST_ID)
    found = await call.db.all(
        store.LIST_CONSENTS,
        {
            **call.scope.params,
            "id": id,
            "contact_id": request.contact_id or None,
            "address": consents.addressed(request.address, call.rules(DeliveryRules)),
            "channel": word(pb.Channel, request.channel),
            "topic": request.topic,
            "history": request.include_history,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(found, request, lambda row: (row["id"],))
    return pb.ListConsentsResponse(consents=[wire.consent(row) for row in shown], next_page_token=token)


async def _prepared(content: pb.DeliveryContent, call: Call, read: Any) -> tuple[Delivery, intake.Target]:
    """Raises PermissionDenied where the caller may not write to this recipient, or in this name."""
    [draft] = await intake.word_all(call, read, [content])
    if isinstance(draft, errors.DomainError):
        raise draft
    _authorize(content, draft, call)
    await intake.admit(call, read, [draft])
    return draft.delivery, draft.target


def _authorize(content: pb.DeliveryContent, draft: intake.Draft, call: Call) -> None:
    """Raises PermissionDenied. Between colleagues, to robots and strangers a message is its sender's."""
    delivery, target = draft.delivery, draft.target
    if content.sender_id and content.sender_id != call.caller.subject:
        sender = call.org.person(content.sender_id)
        call.authorize(content.sender_id, sender.unit_id if sender else "")
    if target.contact_id or target.account_id:
        call.authorize(target.owner_id, target.unit_id, target.participant_ids)
    elif target.person_id != call.caller.subject:
        caller = call.org.person(call.caller.subject)
        delivery.owner_id, delivery.unit_id = call.caller.subject, caller.unit_id if caller else ""


def _colleague(person_id: str, call: Call) -> str:
    """The caller where nobody is named. Raises NotFound PERSON_UNKNOWN, PermissionDenied."""
    wanted = person_id or call.caller.subject
    person = call.org.person(wanted)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {wanted}")
    call.authorize(person.id, person.unit_id)
    return wanted


async def _locked(id: str, etag: str, call: Call) -> Delivery:
    delivery = await store.lock(call.tx, id)
    if delivery is None:
        raise errors.NotFound("DELIVERY_UNKNOWN", f"no delivery {id}")
    call.authorize(delivery.owner_id, delivery.unit_id, [delivery.origin])
    etags.check(etag, delivery.version)
    return delivery


def _said(row: pb.Consent, owners: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    address = consents.addressed(row.address, call.rules(DeliveryRules))
    if not address and not row.contact_id:
        raise errors.InvalidArgument("NOBODY_NAMED", "a consent names an address or a contact")
    whose = [each for each in owners if each["contact_id"] == row.contact_id or address in each["addresses"]]
    if not call.scope.company and not any(call.scope.covers(each["owner_id"], each["unit_id"]) for each in whose):
        raise errors.PermissionDenied("OUT_OF_SCOPE", "this is nobody of yours")
    return store.new_consent(
        address=address,
        contact_id=row.contact_id or None,
        channel=word(pb.Channel, row.channel),
        topic=row.topic,
        allowed=row.allowed,
        cause=row.cause,
        at=protos.instant(row.time) if row.HasField("time") else call.now,
        source=row.provenance.source or "manual",
        source_id=row.provenance.source_id,
        brought_by=call.actor,
    )
