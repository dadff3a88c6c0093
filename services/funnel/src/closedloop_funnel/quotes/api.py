"""QuoteService: no price leaves the house without its decision (S63-S66)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from closedloop.funnel.v1 import quotes_pb2 as pb
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import errors, etags, masks, pages, protos
from closedloop_chassis.data.rows import row
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call
from closedloop_funnel.attachments import references
from closedloop_funnel.clearance import margin, telling
from closedloop_funnel.clearance import rules as clearance
from closedloop_funnel.clearance.confirming import confirm
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.quotes import catalogue, proto, rules, store
from closedloop_funnel.quotes.record import Seen
from closedloop_funnel.quotes.rules import QuoteRules
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.QuoteService")

PATHS = {"lines", "valid_until_date", "terms", "justification", "attachment_ids", "custom_fields"}


@rpcs.method
async def create_quote(request: pb.CreateQuoteRequest, call: Call) -> pb.Quote:
    basis = await store.basis(call.tx, request.opportunity_id, request.revises_quote_id)
    deal = basis.deal
    if deal is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
    call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    if deal["state"] != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"the opportunity was {deal['state']}")
    if request.revises_quote_id and basis.revised is None:
        raise errors.NotFound("QUOTE_UNKNOWN", f"the opportunity has no quote {request.revises_quote_id}")
    await references.check(call, request.attachment_ids, "attachment_ids")
    revised = basis.revised or {}
    year = call.home.today(deal["unit_id"]).year
    made = call.rules(QuoteRules).number_format.format(year=year, sequence=basis.sequence)
    values = plain(request.custom_fields) or revised.get("custom_fields", {})
    call.rules(FunnelFieldRules).check("quote", values)
    valid_until = revised.get("valid_until")
    quote = Seen(
        id=new_id(),
        opportunity_id=request.opportunity_id,
        number=revised.get("number") or made,
        version=revised.get("newest", 0) + 1,
        valid_until=date.fromisoformat(valid_until) if valid_until else None,
        terms=request.terms or revised.get("terms", ""),
        justification=request.justification or revised.get("justification", ""),
        attachment_ids=list(request.attachment_ids),
        custom_fields=values,
        author_id=call.actor,
        created_at=call.now,
        updated_at=call.now,
        deal=deal,
    )
    if request.HasField("valid_until_date"):
        quote = replace(quote, valid_until=protos.day(request.valid_until_date, "valid_until_date"))
    if request.lines:
        quote = rules.priced(quote, *proto.lines(request.lines))
    elif revised:
        quote = rules.priced(quote, revised["lines"], [revised["currency"]])
    quote = await _held_to(quote, call)
    store.add(call.tx, quote)
    references.attach(call, request.attachment_ids, "quote", quote.id)
    call.audit(quote.id, "draft", after=_trail(quote))
    return _answer(quote, call)


@rpcs.method
async def update_quote(request: pb.UpdateQuoteRequest, call: Call) -> pb.Quote:
    before = await _held(request, call)
    if not clearance.may_change(before):
        raise errors.FailedPrecondition(
            "QUOTE_NOT_DRAFT", f"it is {before.state}; withdraw it, or draft its next version"
        )
    mask = masks.some(request.update_mask, PATHS)
    if "attachment_ids" in mask:
        await references.check(call, request.attachment_ids, "attachment_ids")
        references.attach(call, request.attachment_ids, "quote", before.id)
    after = replace(before, **_plain(request, mask, call), revision=before.revision + 1, updated_at=call.now)
    if "lines" in mask:
        after = await _held_to(rules.priced(after, *proto.lines(request.lines)), call)
    return _changed(before, after, "update", call)


@rpcs.method
async def submit_quote(request: pb.SubmitQuoteRequest, call: Call) -> pb.Quote:
    before = await _held(request, call)
    if not clearance.may_change(before):
        raise errors.FailedPrecondition("QUOTE_NOT_DRAFT", f"it is {before.state} already")
    if not before.lines:
        raise errors.FailedPrecondition("QUOTE_EMPTY", "a quote without lines offers nothing")
    if rules.expired(before, _today(before, call)):
        raise errors.FailedPrecondition("QUOTE_EXPIRED", f"it was valid until {before.valid_until}")
    _check_open(before)
    held = await _held_to(replace(before, account_id=before.deal["account_id"]), call)
    after = replace(held, **clearance.submitted(before, rules.content(held), call.now), updated_at=call.now)
    total = protos.money(after.total_minor, after.currency)
    facts = telling.facts(
        after.deal,
        # The mean says nothing of one line that is given away among many that are not.
        {**after.custom_fields, "deepest_line_discount": max(line["discount_ratio"] for line in after.lines)},
        amount=total,
        discount_ratio=after.discount_ratio,
        margin_ratio=after.margin_ratio,
        product_ids=sorted({line["product_id"] for line in after.lines}),
        major_project=rules.is_major(call.rules(QuoteRules), after, call.home.currency),
    )
    telling.ask(
        after,
        "quote",
        title=f"报价 {after.number} v{after.version} · {after.deal['name']}",
        summary=_summary(after),
        opportunity_id=after.opportunity_id,
        facts=facts,
        reason=request.comment or after.justification,
        work=call,
    )
    return _changed(before, after, "submit", call)


@rpcs.method
async def withdraw_quote(request: pb.WithdrawQuoteRequest, call: Call) -> pb.Quote:
    before = await _held(request, call)
    if before.state != "submitted":
        raise errors.FailedPrecondition("QUOTE_NOT_SUBMITTED", f"it is {before.state}; only a pending one is withdrawn")
    telling.take_back(before, "quote", request.reason, call)
    after = replace(before, **clearance.withdrawn(before), updated_at=call.now)
    return _changed(before, after, "withdraw", call)


@rpcs.method
async def issue_quote(request: pb.IssueQuoteRequest, call: Call) -> pb.Quote:
    before = await _held(request, call)
    same_customer = before.asked_for_id == before.deal["account_id"]
    if before.state != "approved" or not same_customer or not clearance.stands(before, rules.content(before)):
        raise errors.FailedPrecondition(
            "QUOTE_NOT_APPROVED",
            f"it is {before.state}; only what was approved, word for word and for him, goes to the customer",
        )
    _check_open(before)
    if rules.expired(before, _today(before, call)):
        raise errors.FailedPrecondition("QUOTE_EXPIRED", f"it was valid until {before.valid_until}")
    await confirm(before, "quote", call)
    after = replace(before, state="issued", issued_at=call.now, revision=before.revision + 1, updated_at=call.now)
    for contact_id in request.contact_ids:
        call.tell(_mail(after, contact_id, call), after.id)
    return _changed(before, after, "issue", call)


@rpcs.method
async def record_quote_answer(request: pb.RecordQuoteAnswerRequest, call: Call) -> pb.Quote:
    before = await _held(request, call)
    if before.state != "issued":
        raise errors.FailedPrecondition("QUOTE_NOT_ISSUED", f"it is {before.state}; the customer has not been given it")
    after = replace(
        before,
        state="accepted" if request.accepted else "declined",
        answered_at=call.now,
        answer_comment=request.comment,
        revision=before.revision + 1,
        updated_at=call.now,
    )
    return _changed(before, after, "record_answer", call)


@rpcs.method
async def get_quote(request: pb.GetQuoteRequest, call: Call) -> pb.Quote:
    quote = await store.get(call.db, request.quote_id)
    call.authorize(quote.deal["owner_id"], quote.deal["unit_id"], quote.deal["participant_ids"])
    return _answer(quote, call)


@rpcs.method
async def list_quotes(request: pb.ListQuotesRequest, call: Call) -> pb.ListQuotesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "opportunity_id": request.opportunity_id or None,
        "account_id": request.account_id or None,
        "in_owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "states": [word(pb.QuoteState, state) for state in request.states] or None,
        "today": call.home.today(),
        "from": begins,
        "to": ends,
        "custom_fields": call.rules(FunnelFieldRules).path(
            "quote", plain(request.custom_fields), request.custom_field_ranges
        ),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    page, token = pages.split(found, request, lambda quote: [quote.created_at.isoformat(), quote.id])
    return pb.ListQuotesResponse(quotes=[_answer(quote, call) for quote in page], next_page_token=token)


async def _held(request: Any, call: Call) -> Seen:
    quote = await store.lock(call.tx, request.quote_id)
    call.authorize(quote.deal["owner_id"], quote.deal["unit_id"], quote.deal["participant_ids"])
    etags.check(request.etag, quote.revision)
    return quote


def _check_open(quote: Seen) -> None:
    """Raises FailedPrecondition OPPORTUNITY_CLOSED, OPPORTUNITY_UNDER_REVIEW."""
    if quote.deal["state"] != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"the opportunity was {quote.deal['state']}")
    if quote.deal["review_id"]:
        raise errors.FailedPrecondition("OPPORTUNITY_UNDER_REVIEW", f"review {quote.deal['review_id']} holds it")


def _plain(request: pb.UpdateQuoteRequest, mask: set[str], call: Call) -> dict[str, Any]:
    values: dict[str, Any] = {path: getattr(request, path) for path in ("terms", "justification") if path in mask}
    if "valid_until_date" in mask:
        named = request.HasField("valid_until_date")
        values["valid_until"] = protos.day(request.valid_until_date, "valid_until_date") if named else None
    if "attachment_ids" in mask:
        values["attachment_ids"] = list(request.attachment_ids)
    if "custom_fields" in mask:
        values["custom_fields"] = plain(request.custom_fields)
        call.rules(FunnelFieldRules).check("quote", values["custom_fields"])
    return values


async def _held_to(quote: Seen, call: Call) -> Seen:
    """To the catalogue as it is now, with the margin it leaves: prices and costs may have gone up since the draft."""
    today = _today(quote, call)
    prices = await store.prices(call.tx, {line["product_id"] for line in quote.lines})
    await catalogue.hold(call.tx, quote.lines, quote.currency, prices, today)
    ratio = await margin.expected(call.tx, quote.lines, quote.total_minor, quote.currency, today)
    return replace(quote, margin_ratio=ratio)


def _today(quote: Seen, call: Call) -> date:
    return call.home.today(quote.deal["unit_id"])


def _changed(before: Seen, after: Seen, action: str, call: Call) -> pb.Quote:
    store.save(call.tx, after)
    call.audit(after.id, action, _trail(before), _trail(after))
    return _answer(after, call)


def _trail(quote: Seen) -> dict[str, Any]:
    return row(quote, "revision", "updated_at", "deal", "asked_for_id")


def _answer(quote: Seen, call: Call) -> pb.Quote:
    """Who only takes part in the deal does not see what is earned by it."""
    inside = call.scope.covers(quote.deal["owner_id"], quote.deal["unit_id"])
    return proto.write(quote, _today(quote, call), margin_shown=inside)


def _summary(quote: Seen) -> str:
    total = proto.in_words(quote.total_minor, quote.currency)
    head = f"合计 {total}, 折扣 {quote.discount_ratio:.1%}, 客户 {quote.deal['account_name']}"
    lines = [f"{line['product_id']} x {line['quantity']:g}, 折扣 {line['discount_ratio']:.1%}" for line in quote.lines]
    return "\n".join([head, *lines, quote.justification])


def _mail(quote: Seen, contact_id: str, call: Call) -> integrations.DeliveryRequested:
    template = deliveries_pb2.TemplateBody(template=call.rules(QuoteRules).issue_template)
    fields = {
        "number": quote.number,
        "version": quote.version,
        "opportunity": quote.deal["name"],
        "account": quote.deal["account_name"],
        "total": proto.in_words(quote.total_minor, quote.currency),
        "valid_until": str(quote.valid_until or ""),
        "terms": quote.terms,
    }
    template.fields.update(fields)
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=f"funnel.quote_issued:{quote.id}:{quote.revision}",
        origin="funnel",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_SERVICE,
        recipient=deliveries_pb2.Recipient(contact_id=contact_id),
        template=template,
        subject_type="quote",
        subject_id=quote.id,
        opportunity_id=quote.opportunity_id,
        sender_id=quote.deal["owner_id"],
    )
    return integrations.DeliveryRequested(content=content)
