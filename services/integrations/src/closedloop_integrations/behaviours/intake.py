"""Actions come in, late, twice or out of order: each is kept as it was reported first, and told once (S72)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from closedloop.common.v1.common_pb2 import RowError
from closedloop.integrations.v1 import behaviours_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.enums import word
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations import posted
from closedloop_integrations.behaviours import store


@dataclass(frozen=True, slots=True)
class Outcome:
    created: int
    refused: list[RowError]


async def take_in(work: Work, given: Sequence[tuple[int, pb.Behaviour]], *, dry: bool = False) -> Outcome:
    """`given` are actions that keep the contract's rules, with their positions."""
    refused: list[RowError] = []
    drafts: dict[tuple[str, str], store.Entry] = {}
    for position, behaviour in given:
        try:
            entry = _draft(work, behaviour)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        drafts.setdefault((entry.source, entry.source_id), entry)
    known = await store.known(work.tx, list(drafts))
    fresh = [entry for key, entry in drafts.items() if key not in known]
    if fresh and not dry:
        entries = await _linked(work, fresh)
        store.put(work.tx, entries)
        for entry in entries:
            tell(work, entry)
    return Outcome(len(fresh), refused)


def behaviour(entry: store.Entry) -> pb.Behaviour:
    """As it was reported, with our ids."""
    found = pb.Behaviour.FromString(entry.document)
    found.id = str(entry.id)
    found.account_id, found.contact_id = str(entry.account_id or ""), str(entry.contact_id or "")
    return found


def tell(work: Work, entry: store.Entry) -> None:
    work.tell(events.BehaviourObserved(behaviour=behaviour(entry)), str(entry.id))


def bare(entry: store.Entry) -> store.Entry:
    """Without what names the person."""
    document = pb.Behaviour.FromString(entry.document)
    for name in ("visitor_id", "custom_fields"):
        document.ClearField(name)
    return replace(entry, visitor_id="", document=document.SerializeToString())


async def _linked(work: Work, entries: Sequence[store.Entry]) -> list[store.Entry]:
    """The source knows best; then the visitor. A contact's action is its customer's too."""
    visitors = await store.visitors(work.tx, sorted({e.visitor_id for e in entries if e.visitor_id and not e.said}))
    found = []
    for entry in entries:
        if not entry.said and (whose := visitors.get(entry.visitor_id)):
            entry = replace(entry, account_id=whose[0], contact_id=whose[1])
        found.append(entry)
    lonely = sorted({entry.contact_id for entry in found if entry.contact_id and not entry.account_id})
    employers = await store.employers(work.tx, lonely)
    return [
        replace(entry, account_id=employers.get(entry.contact_id))
        if entry.contact_id and not entry.account_id
        else entry
        for entry in found
    ]


def _draft(work: Work, said: pb.Behaviour) -> store.Entry:
    """Raises InvalidArgument PROVENANCE_MISSING, TIME_OUT_OF_RANGE, NOT_A_NUMBER."""
    document = posted.kept(said, work)
    return store.Entry(
        id=new_id(),
        source=said.provenance.source,
        source_id=said.provenance.source_id,
        kind=word(pb.BehaviourKind, said.kind),
        observed_at=protos.instant(said.time),
        visitor_id=said.visitor_id,
        product_ids=list(said.product_ids),
        document=document.SerializeToString(),
        account_id=said.account_id or None,
        contact_id=said.contact_id or None,
        said=bool(said.account_id or said.contact_id),
        created_at=work.now,
    )
