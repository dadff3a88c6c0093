"""Conversations come in: they grow, find whose they are, and are told (S68).

Talk among colleagues alone is kept and told to nobody: nothing is to be read out of it about a customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from closedloop.common.v1.common_pb2 import Ownership, RowError
from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import bulk, errors, etags, protos
from closedloop_chassis.enums import word
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations import posted
from closedloop_integrations.conversations import store
from closedloop_integrations.conversations.growing import grown
from closedloop_integrations.conversations.rules import ConversationRules
from closedloop_integrations.conversations.store import Entry

# As many digits tell a mobile number from another, whatever stands before them.
MOBILE_DIGITS = 11


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many were new, how many have grown, and which were refused."""

    created: int
    updated: int
    refused: list[RowError]


async def take_in(work: Work, given: Sequence[tuple[int, pb.Conversation]], *, dry: bool = False) -> Outcome:
    """`given` are conversations that keep the contract's rules, with their positions."""
    refused: list[RowError] = []
    told: dict[tuple[str, str], pb.Conversation] = {}
    for position, said in given:
        try:
            document = _checked(work, said)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        key = document.provenance.source, document.provenance.source_id
        told[key] = grown(told.get(key, document), document)
    known = await store.known(work.tx, list(told))
    created = [_entry(work, document) for key, document in told.items() if key not in known]
    updated = [
        replace(before, document=after.SerializeToString(deterministic=True), version=before.version + 1)
        for key, before in known.items()
        if not before.erased
        and (after := grown(stood := pb.Conversation.FromString(before.document), told[key])) != stood
    ]
    if not dry and (created or updated):
        for entry in await keep(work, [*created, *updated]):
            tell(work, entry)
    return Outcome(len(created), len(updated), refused)


async def resolve(work: Work, entries: Sequence[Entry]) -> None:
    """Customers that have become known: conversations that are theirs are told again."""
    before = {entry.id: entry.account_id for entry in entries}
    later = [replace(entry, version=entry.version + 1) for entry in entries]
    found = [entry for entry in await _resolved(work, later) if entry.account_id != before[entry.id]]
    if found:
        store.put(work.tx, found)
    for entry in found:
        tell(work, entry)


async def keep(work: Work, entries: Sequence[Entry]) -> list[Entry]:
    resolved = await _resolved(work, entries)
    if resolved:
        store.put(work.tx, resolved)
    return resolved


def conversation(entry: Entry, *, words: bool = True) -> pb.Conversation:
    """As it was told, with our people, contacts and ids."""
    found = pb.Conversation.FromString(entry.document)
    for side, participant in zip(entry.sides, found.participants, strict=False):
        participant.person_id, participant.contact_id = side["person_id"], side["contact_id"]
    if not words:
        found.ClearField("turns")
    found.id, found.version, found.etag = str(entry.id), entry.version, etags.of(entry.version)
    found.account_id, found.opportunity_id = str(entry.account_id or ""), str(entry.opportunity_id or "")
    found.ownership.CopyFrom(Ownership(owner_id=entry.owner_id, unit_id=entry.unit_id))
    found.create_time.FromDatetime(entry.created_at)
    return found


def tell(work: Work, entry: Entry) -> None:
    if entry.account_id or any(not side["person_id"] for side in entry.sides):
        work.tell(events.ConversationReceived(conversation=conversation(entry)), str(entry.id))


def bare(entry: Entry, contact_ids: set[str]) -> tuple[Entry, list[str]]:
    """Without what was said and who of the erased said it; and under which names they were known outside."""
    document = pb.Conversation.FromString(entry.document)
    users = []
    for side, participant in zip(entry.sides, document.participants, strict=False):
        if side["contact_id"] in contact_ids:
            users.append(participant.source_user_id)
            participant.Clear()
    for turn in document.turns:
        turn.text = ""
    document.subject = document.recording_uri = ""
    document_left = document.SerializeToString(deterministic=True)
    return replace(entry, document=document_left, phones=[], mails=[], handles=[], erased=True), users


def _checked(work: Work, said: pb.Conversation) -> pb.Conversation:
    """Raises InvalidArgument PROVENANCE_MISSING, PARTICIPANT_UNKNOWN, PERSON_UNKNOWN, TIME_IN_FUTURE."""
    if not said.provenance.source or not said.provenance.source_id:
        raise errors.InvalidArgument(
            "PROVENANCE_MISSING", "a row names its source and its id there", {"provenance": "required"}
        )
    ahead = timedelta(seconds=work.rules(ConversationRules).skew_seconds)
    if protos.instant(said.start_time, "start_time") > work.now + ahead:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it has not begun yet", {"start_time": "in the future"})
    if max([said.initiator, *(turn.participant for turn in said.turns)]) >= len(said.participants):
        raise errors.InvalidArgument(
            "PARTICIPANT_UNKNOWN", "somebody began or spoke who took no part", {"turns": "a position in participants"}
        )
    for participant in said.participants:
        if participant.person_id and work.org.person(participant.person_id) is None:
            raise errors.InvalidArgument(
                "PERSON_UNKNOWN", f"nobody here is {participant.person_id}", {"participants": "unknown person"}
            )
    document = posted.kept(said, work)
    for name in ("etag", "create_time", "version"):
        document.ClearField(name)
    return document


def _entry(work: Work, document: pb.Conversation) -> Entry:
    return Entry(
        id=new_id(),
        source=document.provenance.source,
        source_id=document.provenance.source_id,
        kind="",
        started_at=work.now,
        document=document.SerializeToString(deterministic=True),
        sides=[],
        person_ids=[],
        contact_ids=[],
        phones=[],
        mails=[],
        handles=[],
        owner_id="",
        unit_id="",
        account_id=None,
        opportunity_id=None,
        created_at=work.now,
    )


async def _resolved(work: Work, entries: Sequence[Entry]) -> list[Entry]:
    """With everything that follows from what was told: whose sides, whose talk, whose customer."""
    colleagues = _Colleagues(work)
    said = [pb.Conversation.FromString(entry.document) for entry in entries]
    asked: list[dict[str, Any]] = []
    for at, (entry, document) in enumerate(zip(entries, said, strict=True)):
        for side, participant in enumerate(document.participants):
            if not participant.contact_id and not colleagues.who(entry.source, participant):
                asked.append({"at": at, "side": side, **_ways([participant])})
    found = await store.who(work.tx, asked)
    named = [participant.contact_id for document in said for participant in document.participants]
    employers = await store.employers(
        work.tx, [*filter(None, named), *(e.linked["contact_id"] for e in entries if e.linked.get("contact_id"))]
    )
    drafts = [
        _sided(at, entry, document, colleagues, found, employers)
        for at, (entry, document) in enumerate(zip(entries, said, strict=True))
    ]
    owners = await store.accounts(work.tx, [draft.account_id for draft in drafts if draft.account_id])
    return [_owned(work, draft, document, owners) for draft, document in zip(drafts, said, strict=True)]


def _sided(
    at: int,
    entry: Entry,
    document: pb.Conversation,
    colleagues: _Colleagues,
    found: Mapping[tuple[int, int], tuple[str, str]],
    employers: Mapping[str, str],
) -> Entry:
    sides, strangers, accounts = [], [], []
    linked = entry.linked.get("contact_id", "")
    for side, participant in enumerate(document.participants):
        person_id = "" if participant.contact_id else colleagues.who(entry.source, participant)
        contact_id = participant.contact_id or found.get((at, side), ("", ""))[0]
        if not person_id and not contact_id and linked:
            # Whom a person has named is the first outsider nobody knows.
            contact_id, linked = linked, ""
        if not person_id and not contact_id:
            strangers.append(participant)
        accounts.append(found.get((at, side), ("", ""))[1] or employers.get(contact_id, ""))
        sides.append({"person_id": person_id, "contact_id": "" if person_id else contact_id})
    ways = _ways(strangers)
    account_id = entry.linked.get("account_id") or document.account_id or next(filter(None, accounts), "")
    return replace(
        entry,
        kind=word(pb.ConversationKind, document.kind),
        started_at=protos.instant(document.start_time),
        sides=sides,
        person_ids=[side["person_id"] for side in sides if side["person_id"]],
        contact_ids=sorted({side["contact_id"] for side in sides if side["contact_id"]}),
        account_id=account_id or None,
        opportunity_id=entry.linked.get("opportunity_id") or document.opportunity_id or None,
        phones=ways["phones"],
        mails=ways["mails"],
        handles=ways["handles"],
    )


def _owned(work: Work, entry: Entry, document: pb.Conversation, owners: Mapping[str, dict[str, Any]]) -> Entry:
    """Whose talk it is: who the source says, who of us began it, who of us took part, or who owns the customer."""
    began = entry.sides[document.initiator]["person_id"] if document.initiator < len(entry.sides) else ""
    customer = owners.get(entry.account_id or "", {})
    named = [document.ownership.owner_id, began, *entry.person_ids, customer.get("owner_id", "")]
    person = next((found for id in named if id and (found := work.org.person(id))), None)
    return replace(entry, owner_id=person.id if person else "", unit_id=person.unit_id if person else "")


def _ways(participants: Sequence[pb.Participant]) -> dict[str, list[str]]:
    addresses = [each.address.strip() for each in participants if each.address.strip()]
    return {
        "phones": [address for address in addresses if "@" not in address],
        "mails": [address for address in addresses if "@" in address],
        "handles": [each.source_user_id for each in participants if each.source_user_id],
    }


class _Colleagues:
    """Our people by what a platform calls them, by mail and by mobile number."""

    def __init__(self, work: Work) -> None:
        self._known: dict[tuple[str, str], str] = {}
        for person in work.org.people.values():
            for source, handle in person.handles.items():
                self._known[source, handle] = person.id
            if person.email:
                self._known["mail", person.email.casefold()] = person.id
            if mobile := _digits(person.mobile):
                self._known["mobile", mobile] = person.id

    def who(self, source: str, participant: pb.Participant) -> str:
        """The person, or empty."""
        address = participant.address.strip()
        return (
            participant.person_id
            or self._known.get((source, participant.source_user_id), "")
            or self._known.get(("mail", address.casefold()), "")
            or self._known.get(("mobile", _digits(address)), "")
        )


def _digits(number: str) -> str:
    digits = "".join(filter(str.isdecimal, number))
    return digits[-MOBILE_DIGITS:] if len(digits) >= MOBILE_DIGITS else ""
