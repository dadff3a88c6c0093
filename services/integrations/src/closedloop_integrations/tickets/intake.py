"""Tickets come in, in any order and as often as they like: the newest that support has said stands (S72)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from closedloop.common.v1.common_pb2 import RowError
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import tickets_pb2 as pb
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.enums import word
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations import posted
from closedloop_integrations.tickets import store


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many were new, how many newer than what was known, and which were refused."""

    created: int
    updated: int
    refused: list[RowError]


async def take_in(work: Work, given: Sequence[tuple[int, pb.Ticket]], *, dry: bool = False) -> Outcome:
    """`given` are tickets that keep the contract's rules, with their positions."""
    refused: list[RowError] = []
    drafts: dict[tuple[str, str], store.Entry] = {}
    for position, ticket in given:
        try:
            entry = _draft(work, ticket)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        before = drafts.get(key := (entry.source, entry.source_id))
        if before is None or before.updated_at < entry.updated_at:
            drafts[key] = entry
    known = await store.known(work.tx, list(drafts))
    created = [entry for key, entry in drafts.items() if key not in known]
    updated = [
        replace(entry, id=str(known[key]["id"]), created_at=known[key]["created_at"])
        for key, entry in drafts.items()
        if key in known and known[key]["updated_at"] < entry.updated_at
    ]
    if not dry and (created or updated):
        for entry in await _keep(work, [*created, *updated]):
            tell(work, entry)
    return Outcome(len(created), len(updated), refused)


async def link(work: Work, entries: Sequence[store.Entry]) -> None:
    """Customers that have become known: tickets that are theirs are told again."""
    before = {entry.id: (entry.account_id, entry.contact_id) for entry in entries}
    for entry in await _keep(work, entries):
        if (entry.account_id, entry.contact_id) != before[entry.id]:
            tell(work, entry)


def erase(work: Work, entries: Sequence[store.Entry]) -> None:
    """What a person said and where it was said from goes; that there was a ticket stays."""
    bare = []
    for entry in entries:
        document = pb.Ticket.FromString(entry.document)
        for name in ("title", "text", "need_sentence", "contact_address", "custom_fields"):
            document.ClearField(name)
        bare.append(replace(entry, title="", contact_address="", document=document.SerializeToString()))
    if bare:
        store.put(work.tx, bare)


def ticket(entry: store.Entry) -> pb.Ticket:
    """As support told it, with our ids."""
    found = pb.Ticket.FromString(entry.document)
    found.id = str(entry.id)
    found.account_id, found.contact_id = str(entry.account_id or ""), str(entry.contact_id or "")
    return found


def tell(work: Work, entry: store.Entry) -> None:
    work.tell(events.TicketReceived(ticket=ticket(entry)), str(entry.id))


async def _keep(work: Work, entries: Sequence[store.Entry]) -> list[store.Entry]:
    asked = []
    for at, entry in enumerate(entries):
        said = pb.Ticket.FromString(entry.document)
        asked.append(
            {
                "at": at,
                "source": entry.source,
                "code": entry.account_code,
                "address": entry.contact_address,
                "account_id": said.account_id or None,
                "contact_id": said.contact_id or None,
            }
        )
    whose = await store.whose(work.tx, asked) if asked else {}
    linked = [
        replace(entry, account_id=_text(whose[at]["account_id"]), contact_id=_text(whose[at]["contact_id"]))
        for at, entry in enumerate(entries)
    ]
    if linked:
        store.put(work.tx, linked)
    return linked


def _draft(work: Work, said: pb.Ticket) -> store.Entry:
    """Raises InvalidArgument PROVENANCE_MISSING, TIME_OUT_OF_RANGE, NOT_A_NUMBER."""
    document = posted.kept(said, work)
    for name, given in (("first_response_time", said.first_response_time), ("resolve_time", said.resolve_time)):
        protos.instant(given, name)
    return store.Entry(
        id=new_id(),
        source=said.provenance.source,
        source_id=said.provenance.source_id,
        number=said.number,
        kind=word(pb.TicketKind, said.kind),
        state=word(pb.TicketState, said.state),
        title=said.title,
        account_code=said.account_code,
        contact_address=said.contact_address.strip().casefold(),
        product_id=said.product_id,
        document=document.SerializeToString(),
        account_id=None,
        contact_id=None,
        opened_at=protos.instant(said.open_time),
        updated_at=protos.instant(said.update_time),
        created_at=work.now,
    )


def _text(id: object) -> str | None:
    return str(id) if id else None
