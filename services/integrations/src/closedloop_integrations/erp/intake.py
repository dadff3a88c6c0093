"""Transactions come in, one page or ten thousand: checked, understood, kept for ever, told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from closedloop.common.v1.common_pb2 import Provenance, RowError
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call, Work
from closedloop_integrations.economics import recording
from closedloop_integrations.erp import documents, store
from closedloop_integrations.erp import rules as erp_rules
from closedloop_integrations.erp.rules import Book, Codes, ErpRules, Meaning
from closedloop_integrations.erp.u8 import Document, Unapproved
from closedloop_integrations.procurement.matching import normalise

# So many old versions at a time.
WALK = 500
TYPES = {"account": "account_code", "person": "person_code", "unit": "unit_code", "channel": "channel_code"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many documents were new, how many superseded a known one, and which were refused."""

    created: int
    updated: int
    refused: list[RowError]


async def take_in(work: Work, given: Sequence[tuple[int, Document]], *, dry: bool = False) -> Outcome:
    """`given` are documents with their positions; of two with one source id the later counts. Idempotent by content."""
    refused: list[RowError] = []
    drafts: dict[tuple[str, str], tuple[int, store.Entry, Document]] = {}
    for position, document in given:
        try:
            entry = _draft(work, document)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        drafts[(entry.source, entry.source_id)] = (position, entry, document)
    reversed_keys = [(e.source, d.row.reverses_source_id) for _, e, d in drafts.values() if d.row.reverses_source_id]
    known = await store.known(work.tx, [*drafts, *reversed_keys])
    created, updated = [], []
    for key, (position, entry, document) in drafts.items():
        taken_back = (entry.source, document.row.reverses_source_id)
        if document.row.reverses_source_id and taken_back not in known and taken_back not in drafts:
            sentence = f"{document.row.reverses_source_id}, which it takes back, is not known"
            refused.append(bulk.refused(position, errors.InvalidArgument("REVERSED_UNKNOWN", sentence)))
        elif (before := known.get(key)) is None:
            created.append((entry, document))
        elif before.digest != entry.digest:
            next_one = replace(entry, version=before.version + 1, told_version=before.told_version + 1)
            updated.append((next_one, document))
    if not dry and (created or updated):
        await _keep(work, [*created, *updated])
    return Outcome(len(created), len(updated), refused)


async def withdraw(work: Work, source: str, given: Sequence[tuple[int, Unapproved]]) -> list[RowError]:
    """What the source approves no longer (弃审) is superseded by a version that counts nowhere; answers what may not be, its
    month being closed. Drafts that never were approved are none of ours, and who was withdrawn before stays so."""
    rules, refused = work.rules(ErpRules), list[RowError]()
    held = await store.in_force(work.tx, source, [said.source_id for _, said in given])
    withdrawn = []
    for position, said in given:
        if (before := held.get(said.source_id)) is None:
            continue
        kept = pb.Transaction.FromString(before.document)
        if kept.withdrawn:
            continue
        try:
            erp_rules.check_open(documents.month_of(kept, before.date), rules)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        kept.withdrawn = True
        entry = replace(
            before,
            id=new_id(),
            version=before.version + 1,
            told_version=before.told_version + 1,
            digest=documents.digest(kept),
            document=kept.SerializeToString(),
            brought_by=f"poll:{source}",
            observed_at=said.observed_at,
            created_at=work.now,
        )
        withdrawn.append((entry, Document(kept)))
    if withdrawn:
        await _keep(work, withdrawn)
    return refused


async def restate(work: Work, entries: Sequence[store.Entry]) -> int:
    """Codes mean something else by now: documents whose meaning changes are told again; answers how many."""
    book = await _book(work, [_codes(entry) for entry in entries])
    changed = []
    for entry in entries:
        after = _with(entry, erp_rules.read(_codes(entry), book))
        if after != entry:
            changed.append(replace(after, told_version=entry.told_version + 1))
    if changed:
        store.restate(work.tx, changed)
        rows = [transaction(entry) for entry in changed]
        await recording.restate(work, rows)
        for entry, row in zip(changed, rows, strict=True):
            tell(work, entry, row)
    return len(changed)


async def facts_of_old(work: Work, after: str) -> str:
    """Facts of the versions behind the id `after` that have none, as they were known and as long; answers the last id
    looked at, empty at the end."""
    walked = await store.walk(work.tx, after, WALK)
    old = [entry for entry in walked if entry.factless]
    if past := [(transaction(entry), entry.superseded_at) for entry in old if entry.superseded_at is not None]:
        recording.record_past(work, past)
    if present := [transaction(entry) for entry in old if entry.superseded_at is None]:
        await recording.record_old(work, present)
    return walked[-1].id if len(walked) == WALK else ""


def transaction(entry: store.Entry) -> pb.Transaction:
    """The document as it came, with our ids, amount and version."""
    row = documents.with_products(pb.Transaction.FromString(entry.document), entry.product_ids)
    row.id, row.version = entry.id, entry.version
    row.kind = pb.TransactionKind.Value(f"TRANSACTION_KIND_{entry.kind.upper()}")
    row.account_id, row.person_id, row.unit_id = entry.account_id or "", entry.person_id, entry.unit_id
    row.channel = entry.channel
    row.amount.CopyFrom(protos.money(entry.amount_minor, entry.currency))
    row.provenance.CopyFrom(
        Provenance(
            source=entry.source,
            source_id=entry.source_id,
            brought_by=entry.brought_by,
            observed_time=protos.timestamp(entry.observed_at),
        )
    )
    row.create_time.FromDatetime(entry.created_at)
    return row


def tell(work: Work, entry: store.Entry, row: pb.Transaction) -> None:
    """Orders and invoices are told, everything else is kept."""
    if entry.kind == "order":
        order = events.OrderRecorded(
            transaction_id=entry.id,
            number=entry.number,
            date=row.date,
            account_id=row.account_id,
            person_id=row.person_id,
            unit_id=row.unit_id,
            channel=row.channel,
            opportunity_id=row.opportunity_id,
            contract_id=row.contract_id,
            net_amount=row.amount,
            lines=documents.recorded(row),
            cancelled=row.order.cancelled or row.withdrawn,
            version=entry.told_version,
            provenance=row.provenance,
        )
        for name in ("promised_date", "delivered_date"):
            if row.order.HasField(name):
                getattr(order, name).CopyFrom(getattr(row.order, name))
        work.tell(order, f"{entry.source}/{entry.source_id}")
    elif entry.kind in ("invoice", "credit_note"):
        invoice = events.InvoiceRecorded(
            transaction_id=entry.id,
            number=entry.number,
            date=row.date,
            accounting_month=protos.date_proto(documents.month_of(row, entry.date)),
            account_id=row.account_id,
            person_id=row.person_id,
            unit_id=row.unit_id,
            channel=row.channel,
            opportunity_id=row.opportunity_id,
            contract_id=row.contract_id,
            order_number=row.order_number,
            net_amount=protos.money(0, entry.currency) if row.withdrawn else row.amount,
            lines=() if row.withdrawn else documents.recorded(row),
            withdrawn=row.withdrawn,
            credit_note=row.invoice.credit_note,
            original_number=row.invoice.original_number,
            reverses_source_id=row.reverses_source_id,
            version=entry.told_version,
            provenance=row.provenance,
        )
        if row.invoice.HasField("paid_date"):
            invoice.paid_date.CopyFrom(row.invoice.paid_date)
        work.tell(invoice, f"{entry.source}/{entry.source_id}")


async def _keep(work: Work, drafts: Sequence[tuple[store.Entry, Document]]) -> None:
    book = await _book(work, [_codes(entry) for entry, _ in drafts])
    entries = [_with(entry, erp_rules.read(_codes(entry), book)) for entry, _ in drafts]
    store.put(work.tx, entries)
    store.used(work.tx, _uses(entries, {key: name for _, document in drafts for key, name in document.names.items()}))
    rows = [transaction(entry) for entry in entries]
    await recording.record(work, rows)
    for entry, row in zip(entries, rows, strict=True):
        tell(work, entry, row)


def _draft(work: Work, document: Document) -> store.Entry:
    """Raises InvalidArgument for what no rule of the contract sees."""
    row, rules = document.row, work.rules(ErpRules)
    given = row.provenance
    if not given.source or not given.source_id:
        raise errors.InvalidArgument(
            "PROVENANCE_MISSING", "a row names its source and its id there", {"provenance": "required"}
        )
    day = protos.day(row.date)
    documents.check_numbers(row)
    sums = documents.sums(row)
    erp_rules.check(sums, documents.month_of(row, day), rules)
    kept = documents.as_it_came(row)
    codes = documents.codes(row, document.account_name_key)
    observed = (
        protos.instant(given.observed_time, "provenance.observed_time") if given.HasField("observed_time") else work.now
    )
    return store.Entry(
        id=new_id(),
        source=given.source,
        source_id=given.source_id,
        version=1,
        in_force=True,
        digest=documents.digest(kept),
        kind=documents.kind_of(row),
        number=row.number,
        date=day,
        document=kept.SerializeToString(),
        amount_minor=sums.total,
        currency=row.currency,
        order_number=row.order_number,
        channel_code=row.channel,
        channel=row.channel,
        account_code=row.account_code,
        account_name_key=document.account_name_key,
        person_code=row.person_code,
        unit_code=row.unit_code,
        product_codes=list(codes.product_codes),
        account_id=codes.account_id,
        person_id=codes.person_id,
        unit_id=codes.unit_id,
        product_ids=list(codes.product_ids),
        owner_id="",
        unmapped=False,
        opportunity_id=row.opportunity_id or None,
        contract_id=row.contract_id or None,
        told_version=1,
        # A caller is who it is; what our own poller brought says so itself.
        brought_by=work.actor if isinstance(work, Call) else given.brought_by,
        observed_at=observed,
        created_at=work.now,
    )


def _codes(entry: store.Entry) -> Codes:
    """As the document came: ids found earlier are not its own."""
    return documents.codes(pb.Transaction.FromString(entry.document), entry.account_name_key)


def _with(entry: store.Entry, meaning: Meaning) -> store.Entry:
    return replace(
        entry,
        account_id=meaning.account_id,
        person_id=meaning.person_id,
        unit_id=meaning.unit_id,
        channel=meaning.channel,
        product_ids=list(meaning.product_ids),
        owner_id=meaning.owner_id,
        unmapped=meaning.unmapped,
    )


async def _book(work: Work, codes: Sequence[Codes]) -> Book:
    book = await store.book(work.tx, codes, normalise)
    people = {person.id: person.unit_id for person in work.org.people.values()}
    handles = {person.handles["erp"]: person.id for person in work.org.people.values() if person.handles.get("erp")}
    return replace(book, people=people, handles=handles, units=work.org.units.keys())


def _uses(entries: Sequence[store.Entry], names: dict[tuple[str, str], str]) -> list[dict[str, object]]:
    counted: Counter[tuple[str, str, str]] = Counter()
    for entry in entries:
        counted.update(
            (entry.source, type_, code) for type_, column in TYPES.items() if (code := getattr(entry, column))
        )
        counted.update((entry.source, "product", code) for code in set(entry.product_codes) if code)
    return [
        {"source": source, "type": type_, "code": code, "name": names.get((type_, code), ""), "uses": uses}
        for (source, type_, code), uses in sorted(counted.items())
    ]
