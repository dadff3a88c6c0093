"""Forgets a person: records keep their id and nothing of the person, merges included, and the other services are told."""

from __future__ import annotations

from collections.abc import Collection

from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import leads_pb2
from closedloop_chassis import contract, protos
from closedloop_chassis.events import forgetting
from closedloop_chassis.traces import LEAST_NAME, Traces, digest, name_digests
from closedloop_chassis.work import Work
from closedloop_customers import records
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.identifiers import MatchingRules
from closedloop_customers.leads import desk as leads
from closedloop_customers.personal import mentions, places
from closedloop_customers.personal.rules import PersonalDataRules
from closedloop_customers.wake_ups import desk as wake_ups

OF_LEADS = frozenset(field.name for field in leads_pb2.LeadProfile.DESCRIPTOR.fields if contract.is_personal(field)) | {
    "custom_fields",
    "need",
}


def _written(keys: Collection[str], prefix: str) -> set[str]:
    """Phones with and without our country, mail addresses, names in messengers, as answers have them."""
    said = {key.partition(":")[2] for key in keys}
    return said | {one.removeprefix(prefix) for one in said}


async def erase(work: Work, named: Collection[tuple[str, str]], request_id: str = "") -> None:
    """(type, id) of contacts and leads. A handful of round trips, however many records; it cannot be undone."""
    ids = {kind: sorted(id_ for type_, id_ in named if type_ == kind) for kind in ("contact", "lead")}
    name = work.rules(PersonalDataRules).erased_name
    await wake_ups.person_gone(work, ids["contact"], "the person was erased")
    await wake_ups.ended(work, [*ids["lead"]], "stopped", "the person was erased")
    people = [await contacts.erase(work, ids["contact"], name), await leads.erase(work, ids["lead"], OF_LEADS)]
    keys = {key for erased in people for key in erased.keys}
    # Names are looked for where somebody asked to be forgotten: of many whose time is over, each is another's namesake.
    called = name_digests(written for erased in people for written in erased.names) if request_id else {}
    places.empty(work.tx, [*ids["contact"], *ids["lead"]], keys)
    addresses = [digest(key.partition(":")[2]) for key in sorted(keys) if key.startswith(("phone:", "mail:"))]
    prefix = work.rules(MatchingRules).country_prefix
    await forgetting.forget(
        work, Traces(frozenset((*ids["contact"], *ids["lead"])), frozenset(addresses), country_prefix=prefix)
    )
    accounts = sorted({account for erased in people for account in erased.accounts})
    await mentions.replace(work, Traces(names=called), accounts, name)
    if request_id:
        forgetting.forget_answers(
            work,
            {*ids["contact"], *ids["lead"], *_written(keys, prefix)},
            {name_ for one in people for name_ in one.names if len(name_) >= LEAST_NAME},
            accounts,
        )
    erased = events.PersonErased(
        personal_data_request_id=request_id,
        records=[records.reference(type_, id_) for type_ in ids for id_ in ids[type_]],
        address_digests=addresses,
        name_digests=[events.NameDigest(sha256=sha256, length=length) for sha256, length in called.items()],
        account_ids=accounts,
        erase_time=protos.timestamp(work.now),
    )
    subject = request_id or next((id_ for _, id_ in named), "")
    work.tell(erased, subject)
