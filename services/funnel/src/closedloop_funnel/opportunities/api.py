"""OpportunityService: deals opened, read, changed; their evidence and their moves. Steps are in `steps.py`."""

from __future__ import annotations

from dataclasses import replace

from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.attachments import references
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.opportunities import evidence, listing, opening, papers, proto, store, telling
from closedloop_funnel.opportunities.changing import change
from closedloop_funnel.opportunities.record import DateChange
from closedloop_funnel.opportunities.rules import pushed_days
from closedloop_funnel.pipelines import api as pipelines_api
from closedloop_funnel.pipelines import removed, scope
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.OpportunityService")


@rpcs.method
async def create_opportunity(request: pb.CreateOpportunityRequest, call: Call) -> pb.Opportunity:
    owner_id = request.owner_id or call.caller.subject
    unit_id = opening.unit_of(owner_id, call)
    call.authorize(owner_id, unit_id)
    values = plain(request.custom_fields)
    call.rules(FunnelFieldRules).check("opportunity", values)
    participants = {p.person_id: word(pb.ParticipantRole, p.role) for p in request.participants}
    found = await store.references(call.tx, request.account_id, [line.product_id for line in request.lines])
    account_id = opening.reachable(request.account_id, found, call)
    priced = request.HasField("amount")
    deal = await opening.open_deal(
        opening.Beginning(
            name=request.name,
            owner_id=owner_id,
            unit_id=unit_id,
            source=request.provenance.source or "manual",
            source_id=request.provenance.source_id,
            pipeline_id=request.pipeline_id,
            need=request.need,
            account_id=account_id,
            lines=[proto.line_from_proto(line, f"lines.{i}") for i, line in enumerate(request.lines)],
            amount_minor=protos.minor_units(request.amount) if priced else None,
            currency=request.amount.currency_code,
            engage_date=protos.day_of(request, "engage_date"),
            expected_close_date=protos.day_of(request, "expected_close_date"),
            competitors=list(request.competitors),
            participants=participants,
            lead_id=request.lead_id or None,
            opportunity_point_id=request.opportunity_point_id or None,
            customer_type=request.customer_type,
            custom_fields=values,
        ),
        found,
        call,
    )
    return proto.Writer(call).write(deal)


@rpcs.method
async def get_opportunity(request: pb.GetOpportunityRequest, call: Call) -> pb.Opportunity:
    deal = await store.get(call.db, request.opportunity_id, call.home.today())
    if deal is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
    call.authorize(deal.owner_id, deal.unit_id, deal.participant_ids)
    writer = proto.Writer(call)
    answer = writer.write(deal)
    given = await store.evidence_of(call.db, deal.id)
    answer.evidence.extend(proto.evidence_to_proto(one) for one in given)
    changes = await store.date_changes_of(call.db, deal.id)
    answer.close_date_changes.extend(proto.date_change_to_proto(one) for one in changes)
    lacking = evidence.missing(writer.stage(deal), deal)
    answer.missing_evidence.extend(pipelines_api.requirement_proto(rule) for rule in lacking)
    return answer


@rpcs.method
async def list_opportunities(request: pb.ListOpportunitiesRequest, call: Call) -> pb.ListOpportunitiesResponse | bytes:
    return await listing.listed(request, call)


@rpcs.method
async def update_opportunity(request: pb.UpdateOpportunityRequest, call: Call) -> pb.Opportunity:
    before = await store.lock(call.tx, request.opportunity_id, call.home.today())
    call.authorize(before.owner_id, before.unit_id, before.participant_ids)
    etags.check(request.etag, before.version)
    if before.state != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"it was {before.state}; reopen it first")
    after = await change(before, request, call)
    pushed = pushed_days(before.expected_close_date, after.expected_close_date)
    after = replace(
        after,
        version=before.version + 1,
        updated_at=call.now,
        push_count=before.push_count + (pushed > 0),
        pushed_days=before.pushed_days + pushed,
    )
    if after.expected_close_date != before.expected_close_date:
        moved = DateChange(
            opportunity_id=before.id,
            at=call.now,
            from_date=before.expected_close_date,
            to_date=after.expected_close_date,
            author_id=call.actor,
            reason=request.close_date_reason,
        )
        store.add_date_changes(call.tx, [moved])
    store.save(call.tx, [after])
    if after.account_id != before.account_id:
        await papers.other_customer(call, [after.id])
    call.audit(after.id, "update", opening.plain_opportunity(before), opening.plain_opportunity(after))
    writer = proto.Writer(call)
    telling.tell(call, after, writer.stage(after), after.account_name)
    return writer.write(after)


@rpcs.method
async def add_evidence(request: pb.AddEvidenceRequest, call: Call) -> pb.Opportunity:
    deal = await store.lock(call.tx, request.opportunity_id, call.home.today(), proto.records_named(request.evidence))
    call.authorize(deal.owner_id, deal.unit_id, deal.participant_ids)
    if deal.state != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"it was {deal.state}; reopen it first")
    pipeline = removed.as_stood_in(deal.pipeline_id, deal.stage_key, call)
    given = proto.evidence_from_proto(request.evidence, deal.id, call)
    files = [one for piece in given for one in piece.attachment_ids]
    photos = [one for piece in given if piece.kind == "photo" for one in piece.attachment_ids]
    known = [*deal.known_records, *await references.usable(call, files, photos)]
    evidence.check(given, pipeline, known, call.rules(UnitRules))
    store.add_evidence(call.tx, given)
    references.attach(call, files, "opportunity", deal.id)
    call.audit(deal.id, "add_evidence", after={"evidence": [[one.requirement_key, one.id] for one in given]})
    return proto.Writer(call).write(deal)


@rpcs.method
async def list_stage_moves(request: pb.ListStageMovesRequest, call: Call) -> pb.ListStageMovesResponse:
    first = ("-infinity", "00000000-0000-0000-0000-000000000000", 0)
    after, after_id, after_sequence = pages.after(request, *first)
    params = {
        **scope.params(request.scope, call),
        "id": request.opportunity_id or None,
        "from": protos.instant_of(request.period, "start_time"),
        "to": protos.instant_of(request.period, "end_time"),
        "skips_only": request.skips_only,
        "after": after,
        "after_id": after_id,
        "after_sequence": after_sequence,
        "limit": pages.size(request) + 1,
    }
    found = await store.moves(call.db, params)
    page, token = pages.split(found, request, lambda m: [m.at.isoformat(), m.opportunity_id, m.sequence])
    return pb.ListStageMovesResponse(moves=[proto.move_to_proto(move) for move in page], next_page_token=token)
