"""ConversationService."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop_chassis import bulk, errors, etags, pages, protos
from closedloop_chassis.enums import word
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.conversations import intake, store

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_MOMENT = "9999-12-31T00:00:00+00:00"

rpcs = Rpcs("closedloop.integrations.v1.ConversationService")


@rpcs.method
async def import_conversations(request: pb.ImportConversationsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    outcome = await intake.take_in(call, good, dry=request.validate_only)
    summary = bulk.summary(
        read=len(request.rows),
        created=outcome.created,
        updated=outcome.updated,
        refused=[*refused, *outcome.refused],
    )
    if not request.validate_only:
        after = {"read": summary.read, "created": summary.created, "updated": summary.updated}
        call.audit("conversations", "import", after=after)
    return summary


@rpcs.method
async def get_conversation(request: pb.GetConversationRequest, call: Call) -> pb.Conversation:
    entry = await store.get(call.db, request.id)
    if entry is None:
        raise _unknown(request.id)
    _authorize(entry, call)
    return intake.conversation(entry)


@rpcs.method
async def list_conversations(request: pb.ListConversationsRequest, call: Call) -> pb.ListConversationsResponse:
    started, id = pages.after(request, LAST_MOMENT, LAST_ID)
    begin, end = protos.bounds(request.started)
    found = await store.listed(
        call.db,
        {
            **call.scope.params,
            "started": started,
            "id": id,
            "kind": word(pb.ConversationKind, request.kind),
            "person_id": request.person_id,
            "contact_id": request.contact_id or None,
            "account_id": request.account_id or None,
            "opportunity_id": request.opportunity_id or None,
            "source": request.source,
            "unlinked": request.unlinked,
            "begin": begin,
            "end": end,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(
        found, request, lambda entry: (entry.started_at.astimezone(UTC).isoformat(), str(entry.id))
    )
    return pb.ListConversationsResponse(
        conversations=[intake.conversation(each, words=False) for each in shown], next_page_token=token
    )


@rpcs.method
async def link_conversation(request: pb.LinkConversationRequest, call: Call) -> pb.Conversation:
    """The deal is not known here; funnel takes it where it knows it."""
    seen = await store.hold(call.tx, request.id)
    if seen is None:
        raise _unknown(request.id)
    _authorize(seen, call)
    etags.check(request.etag, seen.version)
    account = (await store.accounts(call.tx, [request.account_id])).get(request.account_id)
    if account is None:
        raise errors.NotFound("ACCOUNT_UNKNOWN", f"no account {request.account_id} is known here")
    call.authorize(account["owner_id"], account["unit_id"], account["participant_ids"])
    contact_id = request.contact_id
    if contact_id and (await store.employers(call.tx, [contact_id])).get(contact_id) != request.account_id:
        raise errors.InvalidArgument(
            "CONTACT_OF_ANOTHER", "the contact is not the account's", {"contact_id": "a contact of the account"}
        )
    linked = {"account_id": request.account_id, "contact_id": contact_id, "opportunity_id": request.opportunity_id}
    before = store.Entry(**{name: getattr(seen, name) for name in store.NAMES})
    [entry] = await intake.keep(
        call, [replace(before, linked=linked, linked_by=call.actor, version=before.version + 1)]
    )
    intake.tell(call, entry)
    call.audit(entry.id, "link", before=before.linked, after=linked)
    return intake.conversation(entry)


def _authorize(entry: store.Seen, call: Call) -> None:
    """Whoever took part, whose talk it is, and whose customer: they and their line."""
    if entry.account_id and call.scope.covers(entry.account_owner_id, entry.account_unit_id, entry.participant_ids):
        return
    call.authorize(entry.owner_id, entry.unit_id, entry.involved)


def _unknown(id: str) -> errors.NotFound:
    return errors.NotFound("CONVERSATION_UNKNOWN", f"no conversation {id}")
