"""Facts that integrations read from customers' mail become suggestions; time takes back what nobody decided."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import mail_pb2
from closedloop_chassis import enums, errors, ids
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import asking, identifiers, records
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.suggestions import proposing, store
from closedloop_customers.suggestions.rules import OWN_FIELDS, RECORD_OF, SuggestionRules, news

reactions = Reactions()

# Who left is somebody whose job changed to where nobody knows; an absence changes no record.
KINDS = {
    "job_change": "job_change",
    "left_company": "job_change",
    "new_contact": "new_contact",
    "new_project": "new_project",
    "contact_detail": "contact_detail",
}
LISTS = frozenset({"phones", "email_addresses", "product_lines"})
SAID = {
    "job_change": "换了工作",
    "new_contact": "新联系人",
    "new_project": "有新项目",
    "contact_detail": "联系方式有变",
}


@reactions.on(integrations.MailReceived)
async def read_facts(event: Heard[integrations.MailReceived], work: Work) -> None:
    mail = event.message.mail
    rules = work.rules(SuggestionRules)
    facts = [
        (fact, kind)
        for fact in mail.facts
        if (kind := KINDS.get(enums.word(mail_pb2.MailFactKind, fact.kind), ""))
        and fact.confidence >= rules.least_confidence
    ]
    if mail.direction != mail_pb2.MAIL_DIRECTION_INBOUND or not facts:
        return
    sender = getattr(mail, "from")
    people = await contacts.found_by_keys(
        work.tx,
        _keys([sender.address, *(fact.person_address for fact, _ in facts)]),
        [id_ for id_ in (sender.contact_id, *(fact.contact_id for fact, _ in facts)) if ids.is_id(id_)],
    )
    by_id = {person.id: person for person in people}
    by_key = {key: person for person in people for key in contacts.keys_of(work, person.profile)}
    author = by_id.get(sender.contact_id) or by_key.get(f"mail:{identifiers.mail(sender.address)}")
    account_id = mail.account_id or (author.account_id if author else "")
    wanted = {("contact", id_) for id_ in by_id} | ({("account", account_id)} if ids.is_id(account_id) else set())
    standing = await records.find(work.tx, wanted) if wanted else {}
    proposals = []
    for fact, kind in facts:
        about = by_id.get(fact.contact_id) or by_key.get(f"mail:{identifiers.mail(fact.person_address)}")
        if about is None and not (fact.contact_id or fact.person_address) and kind != "new_contact":
            about = author
        subject = ("contact", about.id if about else "") if RECORD_OF[kind] == "contact" else ("account", account_id)
        if subject not in standing or (kind == "new_contact" and about is not None):
            continue
        present = _present(about) if about is not None and RECORD_OF[kind] == "contact" else {}
        try:
            changes = news(kind, present, _values(fact, kind, present, rules), proposing.fields_of(kind))
        except errors.DomainError:
            continue  # known already, or nothing a record could say
        who = fact.person_name or (about.profile["name"] if about else standing[subject].name or "")
        said = "、".join(str(change.proposed) for change in changes)
        proposals.append(
            proposing.Proposal(
                record=standing[subject],
                kind=kind,
                changes=changes,
                summary=f"{who} {SAID[kind]}：{said}"[:1000],
                quote=fact.sentence,
                kept=_kept(event, author.id if author else None),
                confidence=fact.confidence,
            )
        )
    await proposing.propose(work, proposals)


@reactions.clock(proposing.CLOCK)
async def undecided(due: list[Due], work: Work) -> None:
    """Nobody decided in time: nothing was written, the suggestion expires."""
    up = [d.subject for d in due if d.phase == "due"]
    for row in await work.tx.all(store.EXPIRE, {"ids": up, "now": work.now}) if up else []:
        work.audit(row["id"], "expire", {"state": "open"}, {"state": "expired"})
        asking.task_cleared(work, proposing.CLOCK, row["id"], "subject_gone")


def _values(fact: mail_pb2.MailFact, kind: str, present: dict[str, Any], rules: SuggestionRules) -> dict[str, Any]:
    """The fact's values as fields; what is added to a list stands first in it."""
    found: dict[str, Any] = {}
    for name, value in fact.values.items():
        field = _detail(value) if name == "detail" else rules.value_fields.get(name)
        if field is None or not value.strip():
            continue
        if field == "change_date" and not _is_day(value):
            continue
        if field in LISTS:
            held = found.get(field, list(present.get(field, [])))
            found[field] = held if value in held else [value, *held]
        else:
            found[field] = value.strip()
    if kind == "new_contact":
        found.setdefault("name", fact.person_name)
        if fact.person_address:
            found.setdefault("email_addresses", [fact.person_address])
    if kind == "new_project":
        found.setdefault("need", fact.sentence)
    if kind == "job_change" and not found:
        # They left and nobody knows where to, or do something else here and nobody knows what.
        found["employer_name" if fact.kind == mail_pb2.MAIL_FACT_KIND_LEFT_COMPANY else "job_title"] = ""
    allowed = proposing.fields_of(kind) | OWN_FIELDS[kind]
    return {field: value for field, value in found.items() if field in allowed}


def _present(person: Any) -> dict[str, Any]:
    held = person.employments[0] if person.employments else {}
    return {**person.profile, "employer_name": held.get("employer_name")}


def _kept(event: Heard[integrations.MailReceived], contact_id: str | None) -> dict[str, Any]:
    mail = event.message.mail
    observed = mail.receive_time.ToDatetime() if mail.HasField("receive_time") else event.time
    kept = {
        "source": "mail",
        "source_id": mail.id,
        "brought_by": "integrations",
        "observed_time": observed.isoformat() + ("" if observed.tzinfo else "+00:00"),
    }
    return {**kept, "contact_id": contact_id} if contact_id else kept


def _keys(addresses: Iterable[str]) -> list[str]:
    return sorted({f"mail:{address}" for raw in addresses if (address := identifiers.mail(raw))})


def _detail(text: str) -> str:
    """What sort of contact detail it is by its looks."""
    return "email_addresses" if "@" in text else "phones" if identifiers.phone(text) else "wechat_id"


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
