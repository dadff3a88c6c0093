"""SuggestionService."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.customers.v1 import suggestions_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, asking, profiles, provenance, records
from closedloop_customers.suggestions import deciding, proposing, store
from closedloop_customers.suggestions.rules import RECORD_OF, Change, Suggestion, corrected, news

rpcs = Rpcs("closedloop.customers.v1.SuggestionService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def get_suggestion(request: pb.GetSuggestionRequest, call: Call) -> pb.Suggestion:
    suggestion = await store.get(call.db, request.id)
    if suggestion is None:
        raise errors.NotFound("SUGGESTION_NOT_FOUND", f"no suggestion {request.id}")
    call.authorize(suggestion.owner_id, suggestion.unit_id)
    return await accesses.shown(call, _to_proto(suggestion))


@rpcs.method
async def list_suggestions(request: pb.ListSuggestionsRequest, call: Call) -> pb.ListSuggestionsResponse:
    (after_id,) = pages.after(request, FIRST_ID)
    type_, id_ = records.key(request.record) if request.HasField("record") else ("", "")
    begins, ends = protos.bounds(request.created)
    params = {
        **records.filters(request, call),
        "record_type": type_,
        "record_id": id_ or None,
        "account_id": request.account_id or None,
        "kinds": enums.words(pb.SuggestionKind, request.kinds) or None,
        "states": enums.words(pb.SuggestionState, request.states) or ["open"],
        "source": request.source,
        "start": begins,
        "end": ends,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Suggestion)
    page, token = pages.split(found, request, lambda row: (row.id,))
    listed = pb.ListSuggestionsResponse(suggestions=[_to_proto(row) for row in page], next_page_token=token)
    return await accesses.shown(call, listed)


@rpcs.method
async def propose_suggestion(request: pb.ProposeSuggestionRequest, call: Call) -> pb.Suggestion:
    kind = enums.word(pb.SuggestionKind, request.kind)
    key = records.key(request.record)
    if RECORD_OF.get(kind) != key[0]:
        wanted = RECORD_OF.get(kind)
        message = f"a {kind} is about {wanted}s" if wanted else f"no {kind} is kept yet"
        raise errors.InvalidArgument("UNKNOWN_FIELD", message, {"record.type": message})
    record = (await records.find(call.tx, [key])).get(key)
    if record is None:
        raise errors.NotFound("RECORD_NOT_FOUND", f"no {key[0]} {key[1]}")
    proposed = {change.field: profiles.from_value(change.proposed) for change in request.changes}
    changes = news(kind, await proposing.present(call.tx, record, kind), proposed, proposing.fields_of(kind))
    if kind in ("contact_detail", "new_contact", "account_detail"):
        proposing.checked_profile(kind, {change.field: change.proposed for change in changes})
    kept = provenance.by_hand(call, request.provenance)
    by_person = call.caller.subject in call.org.people
    proposal = proposing.Proposal(
        record=record,
        kind=kind,
        changes=changes,
        summary=request.summary or f"{record.name or record.id}: {', '.join(change.field for change in changes)}",
        quote=request.quote,
        kept=kept,
        confidence=1.0 if by_person else request.confidence_ratio,
    )
    found = await proposing.propose(call, [proposal])
    if found:
        return _to_proto(found[0])
    known = await store.known(call.tx, proposing.made(call, proposal))
    assert known is not None
    return _to_proto(known)


@rpcs.method
async def decide_suggestion(request: pb.DecideSuggestionRequest, call: Call) -> pb.Suggestion:
    suggestion = await store.lock(call.tx, request.id)
    if suggestion is None:
        raise errors.NotFound("SUGGESTION_NOT_FOUND", f"no suggestion {request.id}")
    key = (suggestion.record_type, suggestion.record_id)
    record = (await records.find(call.tx, [key])).get(key)
    if record is None:
        raise errors.FailedPrecondition("RECORD_CHANGED", "the record is gone")
    records.may_change(call, record.owner_id, record.unit_id, record.participant_ids)
    if suggestion.state != "open":
        raise errors.FailedPrecondition("ALREADY_DECIDED", f"it is {suggestion.state}", state=suggestion.state)
    etags.check(request.etag, suggestion.version)
    changes = [Change(**change) for change in suggestion.changes]
    effect = deciding.Effect()
    if request.decision == pb.SUGGESTION_DECISION_CONFIRM:
        corrections = {
            change.field: profiles.from_value(change.confirmed or change.proposed) for change in request.corrections
        }
        changes, state = corrected(changes, corrections), "confirmed"
        effect = await deciding.apply(call, suggestion, changes, record)
    else:
        state = "rejected"
        if request.corrections:
            raise errors.InvalidArgument(
                "CORRECTIONS_UNWANTED", "what is rejected is not corrected", {"corrections": "only with CONFIRM"}
            )
        if not request.reason.strip():
            raise errors.InvalidArgument(
                "REASON_MISSING", "say why, so that the reader can learn", {"reason": "required to reject"}
            )
    decided = replace(
        suggestion,
        state=state,
        changes=[asdict(change) for change in changes],
        decided_by=call.actor,
        decided_at=call.now,
        decision_reason=request.reason,
        created_contact_id=effect.contact_id,
        opportunity_point_id=effect.opportunity_point_id,
        version=suggestion.version + 1,
    )
    row: dict[str, Any] = {name: getattr(decided, name) for name in decided.__slots__}
    call.tx.do(store.DECIDE, {**row, "changes": Jsonb(decided.changes)})
    call.audit(
        decided.id,
        "decide",
        {"state": "open"},
        {"state": state, "reason": request.reason},
        deciding.cited(call, suggestion),
    )
    call.clocks.meet(proposing.CLOCK, decided.id)
    asking.task_cleared(call, proposing.CLOCK, decided.id)
    return _to_proto(decided)


def _to_proto(row: Suggestion) -> pb.Suggestion:
    return pb.Suggestion(
        id=row.id,
        record=records.reference(row.record_type, row.record_id),
        account_id=row.account_id or "",
        kind=enums.number(pb.SuggestionKind, row.kind),
        state=enums.number(pb.SuggestionState, row.state),
        changes=[
            pb.SuggestedChange(
                field=change["field"],
                present=profiles.to_value(change["present"]),
                proposed=profiles.to_value(change["proposed"]),
                confirmed=None if change["confirmed"] is None else profiles.to_value(change["confirmed"]),
            )
            for change in row.changes
        ],
        summary=row.summary,
        quote=row.quote,
        provenance=provenance.to_proto(row.provenance),
        confidence_ratio=row.confidence,
        ownership=records.ownership(row.owner_id, row.unit_id),
        create_time=protos.timestamp(row.created_at),
        due_time=protos.timestamp(row.due_at),
        decided_by=row.decided_by,
        decide_time=protos.timestamp(row.decided_at),
        decision_reason=row.decision_reason,
        created_contact_id=row.created_contact_id or "",
        opportunity_point_id=row.opportunity_point_id or "",
        etag=etags.of(row.version),
    )
