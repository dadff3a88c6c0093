"""InteractionService."""

from __future__ import annotations

from datetime import UTC, datetime

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.customers.v1 import interactions_pb2 as pb
from closedloop_chassis import bulk, enums, errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, explanations, provenance, records
from closedloop_customers.interactions import desk, store
from closedloop_customers.interactions.rules import Touch

rpcs = Rpcs("closedloop.customers.v1.InteractionService")

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_TIME = datetime(9999, 1, 1, tzinfo=UTC).isoformat()


@rpcs.method
async def list_interactions(request: pb.ListInteractionsRequest, call: Call) -> pb.ListInteractionsResponse:
    asked: dict[str, str | None] = {"account_id": None, "contact_id": None, "lead_id": None}
    if request.HasField("record"):
        found = await records.reach(call.db, call, request.record)
        asked[f"{found.type}_id"] = found.id
    elif not call.scope.company:
        raise errors.InvalidArgument("RECORD_MISSING", "say of which record", {"record": "value is required"})
    before, before_id = pages.after(request, LAST_TIME, LAST_ID)
    begins, ends = protos.bounds(request.occurred)
    params = {
        **asked,
        "channels": enums.words(pb.Channel, request.channels) or None,
        "sources": list(request.sources) or None,
        "effective": request.effective if request.HasField("effective") else None,
        "start": begins,
        "end": ends,
        "before": before,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    found_rows = await store.page(call.db, params)
    page, token = pages.split(found_rows, request, lambda row: (row.occurred_at.isoformat(), row.id))
    listed = pb.ListInteractionsResponse(interactions=[_to_proto(row) for row in page], next_page_token=token)
    return await accesses.shown(call, listed)


@rpcs.method
async def bulk_record_interactions(request: pb.BulkRecordInteractionsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    people = {("contact", row.contact_id) for _, row in good if row.contact_id}
    standing = await records.find(call.tx, people | {records.key(row.record) for _, row in good})
    touches: dict[tuple[str, str], Touch] = {}
    for position, row in good:
        try:
            touch = _read(call, row, standing)
        except errors.DomainError as error:
            refused.append(_refusal(position, error))
            continue
        touches.setdefault((touch.kept["source"], touch.kept["source_id"]), touch)
    noted = await desk.record(call, list(touches.values()))
    if request.validate_only:
        await call.tx.rollback()
    created = sum(row.fresh for row in noted)
    return bulk.summary(read=len(request.rows), created=created, updated=len(noted) - created, refused=refused)


def _read(call: Call, row: pb.InteractionRow, standing: dict[records.Key, records.Standing]) -> Touch:
    record = standing.get(records.key(row.record))
    if record is None:
        raise errors.NotFound("RECORD_NOT_FOUND", f"no {records.key(row.record)[0]} {row.record.id}")
    call.authorize(record.owner_id, record.unit_id, record.participant_ids)
    kept = provenance.keep(row.provenance, call.actor, call.now)
    if not kept["source_id"]:
        raise errors.InvalidArgument("SOURCE_ID_MISSING", "a row is known again by it", {"provenance.source_id": ""})
    occurred = protos.instant(row.occur_time, "occur_time")
    if occurred > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "a touch has happened", {"occur_time": "in the future"})
    direction = enums.word(pb.InteractionDirection, row.direction)
    person_id = row.person_id
    if person_id:
        records.person_unit(call, person_id, "person_id")
    elif direction != "inbound":
        if call.caller.roles <= {"service", "integration"}:
            raise errors.InvalidArgument(
                "PERSON_MISSING", "a program says who of ours it was", {"person_id": "value is required"}
            )
        person_id = call.caller.subject
    return Touch(
        kept=kept,
        channel=enums.word(pb.Channel, row.channel),
        direction=direction,
        action=row.action,
        occurred_at=occurred,
        duration=protos.span(row.duration) if row.HasField("duration") else None,
        person_id=person_id,
        summary=row.summary,
        product_ids=list(row.product_ids),
        account_id=record.account_id,
        contact_id=record.id if record.type == "contact" else _contact(call, row, record, standing),
        lead_id=record.id if record.type == "lead" else None,
    )


def _contact(
    call: Call, row: pb.InteractionRow, record: records.Standing, standing: dict[records.Key, records.Standing]
) -> str | None:
    """Of the record's account, or one the caller may see: whoever the touch names has been heard from."""
    if not row.contact_id:
        return None
    found = standing.get(("contact", row.contact_id))
    if found is None:
        raise errors.NotFound("CONTACT_NOT_FOUND", f"no contact {row.contact_id}")
    if found.account_id != record.account_id:
        call.authorize(found.owner_id, found.unit_id, found.participant_ids)
    return found.id


def _refusal(position: int, error: errors.DomainError) -> RowError:
    if isinstance(error, errors.InvalidArgument):
        return bulk.refused(position, error, next(iter(error.violations), ""))
    field = "contact_id" if error.reason == "CONTACT_NOT_FOUND" else "record"
    return bulk.refused(position, error, field)


def _to_proto(row: store.Interaction) -> pb.Interaction:
    return pb.Interaction(
        id=row.id,
        account_id=row.account_id or "",
        contact_id=row.contact_id or "",
        lead_id=row.lead_id or "",
        opportunity_id=row.opportunity_id or "",
        channel=enums.number(pb.Channel, row.channel),
        direction=enums.number(pb.InteractionDirection, row.direction),
        action=row.action,
        occur_time=protos.timestamp(row.occurred_at),
        duration=protos.duration(row.duration),
        person_id=row.person_id,
        summary=row.summary,
        product_ids=row.product_ids,
        effective=row.effective,
        rule=explanations.reference(row.rule),
        provenance=provenance.to_proto(row.provenance),
    )
