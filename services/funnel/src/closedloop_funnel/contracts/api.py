"""ContractService: signed only on a decision about exactly this content, then archived (S40, S64, S66)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Literal

from closedloop.funnel.v1 import contracts_pb2 as pb
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
from closedloop_funnel.contracts import proto, rules, store
from closedloop_funnel.contracts.record import Seen
from closedloop_funnel.contracts.rules import ContractRules
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.ContractService")

PATHS = {"title", "amount", "clauses", "effective_date", "end_date", "attachment_ids", "custom_fields"}
APPROVED = ("approved", "issued", "accepted")


@rpcs.method
async def create_contract(request: pb.CreateContractRequest, call: Call) -> pb.Contract:
    basis = await store.basis(call.tx, request.opportunity_id, request.quote_id, numbered=bool(request.number))
    deal, quote = basis.deal, basis.quote
    if deal is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
    call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    if deal["state"] != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"the opportunity was {deal['state']}")
    today = call.home.today(deal["unit_id"])
    rules.check_quoted(request.quote_id, call.rules(PipelineRules).pipeline(deal["pipeline_id"]))
    if request.quote_id:
        _check_quote(request.quote_id, quote, today)
    await references.check(call, request.attachment_ids, "attachment_ids")
    values = plain(request.custom_fields)
    call.rules(FunnelFieldRules).check("contract", values)
    amount, currency = _amount(request, quote)
    made = call.rules(ContractRules).number_format.format(year=today.year, sequence=basis.sequence)
    contract = Seen(
        id=new_id(),
        opportunity_id=request.opportunity_id,
        quote_id=request.quote_id or None,
        owner_id=deal["owner_id"],
        unit_id=deal["unit_id"],
        number=request.number or made,
        title=request.title,
        amount_minor=amount,
        currency=currency,
        clauses=proto.clauses(request.clauses),
        effective_date=_day(request, "effective_date"),
        end_date=_day(request, "end_date"),
        attachment_ids=list(request.attachment_ids),
        custom_fields=values,
        author_id=call.actor,
        created_at=call.now,
        updated_at=call.now,
        deal=deal,
        quote=quote,
    )
    rules.check_dates(contract.effective_date, contract.end_date)
    store.add(call.tx, contract)
    references.attach(call, request.attachment_ids, "contract", contract.id)
    call.audit(contract.id, "draft", after=_trail(contract))
    return proto.write(contract)


@rpcs.method
async def update_contract(request: pb.UpdateContractRequest, call: Call) -> pb.Contract:
    before = await _held(request, call)
    if not clearance.may_change(before):
        raise errors.FailedPrecondition("CONTRACT_NOT_DRAFT", f"it is {before.state}; withdraw it first")
    mask = masks.some(request.update_mask, PATHS)
    if "attachment_ids" in mask:
        await references.check(call, request.attachment_ids, "attachment_ids")
        references.attach(call, request.attachment_ids, "contract", before.id)
    after = replace(before, **_plain(request, mask, call), revision=before.revision + 1, updated_at=call.now)
    rules.check_dates(after.effective_date, after.end_date)
    return _changed(before, after, "update", call)


@rpcs.method
async def submit_contract(request: pb.SubmitContractRequest, call: Call) -> pb.Contract:
    before = await _held(request, call)
    if not clearance.may_change(before):
        raise errors.FailedPrecondition("CONTRACT_NOT_DRAFT", f"it is {before.state} already")
    if before.deal["state"] != "open":
        raise errors.FailedPrecondition("OPPORTUNITY_CLOSED", f"the opportunity was {before.deal['state']}")
    rules.check_quoted(before.quote_id, call.rules(PipelineRules).pipeline(before.deal["pipeline_id"]))
    if before.quote_id:
        # It may have been put out of use since the draft.
        _check_quote(before.quote_id, before.quote, call.home.today(before.unit_id))
    judged_by = call.rules(ContractRules)
    rules.check_amount(judged_by, before)
    asked = replace(before, account_id=before.deal["account_id"])
    after = replace(asked, **clearance.submitted(asked, rules.content(asked), call.now), updated_at=call.now)
    known = after.quote or {}
    today = call.home.today(after.unit_id)
    deviating = [clause["title"] or clause["key"] for clause in after.clauses if clause["deviates"]]
    facts = telling.facts(
        # Its owner is who has the contract, whoever has the deal by now.
        {**after.deal, "owner_id": after.owner_id, "unit_id": after.unit_id},
        {**after.custom_fields, "deviating_clauses": len(deviating)},
        amount=protos.money(after.amount_minor, after.currency),
        discount_ratio=known.get("discount_ratio"),
        margin_ratio=await margin.expected(call.tx, known.get("lines", []), after.amount_minor, after.currency, today),
        product_ids=known.get("product_ids", []),
        major_project=rules.is_major(judged_by, after, call.home.currency),
    )
    telling.ask(
        after,
        "contract",
        title=f"合同 {after.number} · {after.title}",
        summary=f"客户 {after.deal['account_name']}, 非标条款: {'、'.join(deviating) or '无'}",
        opportunity_id=after.opportunity_id,
        facts=facts,
        reason=request.comment,
        work=call,
    )
    return _changed(before, after, "submit", call)


@rpcs.method
async def withdraw_contract(request: pb.WithdrawContractRequest, call: Call) -> pb.Contract:
    before = await _held(request, call)
    if before.state != "submitted":
        raise errors.FailedPrecondition(
            "CONTRACT_NOT_SUBMITTED", f"it is {before.state}; only a pending one is withdrawn"
        )
    telling.take_back(before, "contract", request.reason, call)
    after = replace(before, **clearance.withdrawn(before), updated_at=call.now)
    return _changed(before, after, "withdraw", call)


@rpcs.method
async def sign_contract(request: pb.SignContractRequest, call: Call) -> pb.Contract:
    before = await _held(request, call)
    signed = protos.day(request.sign_date, "sign_date")
    rules.check_signable(before, signed, call.home.today(before.unit_id))
    await references.check(call, request.attachment_ids, "attachment_ids")
    await confirm(before, "contract", call)
    after = replace(
        before,
        state="signed",
        sign_date=signed,
        signer_name=request.signer_name,
        attachment_ids=sorted({*before.attachment_ids, *request.attachment_ids}),
        revision=before.revision + 1,
        updated_at=call.now,
    )
    call.tell(proto.signed(after), subject=after.id)
    references.attach(call, request.attachment_ids, "contract", after.id)
    return _changed(before, after, "sign", call)


@rpcs.method
async def archive_contract(request: pb.ArchiveContractRequest, call: Call) -> pb.Contract:
    before = await _held(request, call)
    if before.state != "signed":
        raise errors.FailedPrecondition("CONTRACT_NOT_SIGNED", f"it is {before.state}; only signed papers are filed")
    await references.check(call, request.attachment_ids, "attachment_ids")
    if not request.location and not request.attachment_ids:
        raise errors.FailedPrecondition(
            "EVIDENCE_MISSING", "the signed papers, or where they lie, are part of the step"
        )
    after = replace(
        before,
        state="archived",
        archive_location=request.location,
        attachment_ids=sorted({*before.attachment_ids, *request.attachment_ids}),
        revision=before.revision + 1,
        updated_at=call.now,
    )
    references.attach(call, request.attachment_ids, "contract", after.id)
    return _changed(before, after, "archive", call)


@rpcs.method
async def get_contract(request: pb.GetContractRequest, call: Call) -> pb.Contract:
    contract = await store.get(call.db, request.contract_id)
    call.authorize(contract.owner_id, contract.unit_id, contract.deal["participant_ids"])
    return proto.write(contract)


@rpcs.method
async def list_contracts(request: pb.ListContractsRequest, call: Call) -> pb.ListContractsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "opportunity_id": request.opportunity_id or None,
        "account_id": request.account_id or None,
        "in_owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "states": [word(pb.ContractState, state) for state in request.states] or None,
        "from": protos.day(request.sign_date_from) if request.HasField("sign_date_from") else None,
        "to": protos.day(request.sign_date_to) if request.HasField("sign_date_to") else None,
        "custom_fields": call.rules(FunnelFieldRules).path(
            "contract", plain(request.custom_fields), request.custom_field_ranges
        ),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListContractsResponse(contracts=[proto.write(one) for one in page], next_page_token=token)


async def _held(request: Any, call: Call) -> Seen:
    contract = await store.lock(call.tx, request.contract_id)
    call.authorize(contract.owner_id, contract.unit_id, contract.deal["participant_ids"])
    etags.check(request.etag, contract.revision)
    return contract


def _check_quote(quote_id: str, quote: dict[str, Any] | None, today: date) -> None:
    if quote is None:
        raise errors.NotFound("QUOTE_UNKNOWN", f"the opportunity has no quote {quote_id}")
    late = quote["state"] != "accepted" and quote["valid_until"] and date.fromisoformat(quote["valid_until"]) < today
    if quote["state"] not in APPROVED or late:
        raise errors.FailedPrecondition(
            "QUOTE_NOT_APPROVED",
            f"the quote is {'expired' if late else quote['state']}; a contract stands on an approved one",
        )


def _amount(request: pb.CreateContractRequest, quote: dict[str, Any] | None) -> tuple[int, str]:
    if request.HasField("amount"):
        return protos.minor_units(request.amount), request.amount.currency_code
    if quote is None:
        raise errors.InvalidArgument("AMOUNT_REQUIRED", "without a quote, say the amount", {"amount": "is missing"})
    return quote["total_minor"], quote["currency"]


def _plain(request: pb.UpdateContractRequest, mask: set[str], call: Call) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "title" in mask:
        if not request.title:
            raise errors.InvalidArgument("TITLE_REQUIRED", "a contract has a title", {"title": "is empty"})
        values["title"] = request.title
    if "amount" in mask:
        values |= {"amount_minor": protos.minor_units(request.amount), "currency": request.amount.currency_code}
    if "clauses" in mask:
        values["clauses"] = proto.clauses(request.clauses)
    for path in ("effective_date", "end_date"):
        if path in mask:
            values[path] = _day(request, "effective_date" if path == "effective_date" else "end_date")
    if "attachment_ids" in mask:
        values["attachment_ids"] = list(request.attachment_ids)
    if "custom_fields" in mask:
        values["custom_fields"] = plain(request.custom_fields)
        call.rules(FunnelFieldRules).check("contract", values["custom_fields"])
    return values


def _day(
    request: pb.CreateContractRequest | pb.UpdateContractRequest, path: Literal["effective_date", "end_date"]
) -> date | None:
    return protos.day(getattr(request, path), path) if request.HasField(path) else None


def _changed(before: Seen, after: Seen, action: str, call: Call) -> pb.Contract:
    store.save(call.tx, after)
    call.audit(after.id, action, _trail(before), _trail(after))
    return proto.write(after)


def _trail(contract: Seen) -> dict[str, Any]:
    return row(contract, "revision", "updated_at", "deal", "quote", "signer_name", "asked_for_id", "offered")
