"""A deal begins: by a seller, out of a lead, out of an opportunity point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data.rows import columns, row
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.copies import rates as rates_told
from closedloop_funnel.opportunities import store, telling, worth
from closedloop_funnel.opportunities.record import Line, Move, Opportunity, Seen
from closedloop_funnel.opportunities.rules import check_dates
from closedloop_funnel.opportunities.store import References
from closedloop_funnel.pipelines.rules import PipelineRules

DWELL = "funnel.stage_dwell"
# What the trail compares of a deal.
COMPARED = tuple(name for name in columns(Opportunity) if name not in ("version", "updated_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is said of a deal when it begins."""

    name: str
    owner_id: str
    unit_id: str
    source: str
    source_id: str = ""
    pipeline_id: str = ""
    need: str = ""
    account_id: str = ""
    lines: list[Line] = field(default_factory=list)
    amount_minor: int | None = None
    currency: str = ""
    engage_date: date | None = None
    expected_close_date: date | None = None
    competitors: list[str] = field(default_factory=list)
    participants: dict[str, str] = field(default_factory=dict)
    lead_id: str | None = None
    opportunity_point_id: str | None = None
    customer_type: str = ""
    custom_fields: dict[str, Any] = field(default_factory=dict)


async def open_deal(begun: Beginning, found: References, work: Work) -> Seen:
    """Queues the new deal with its first move, clock, trail and event.

    Raises PIPELINE_UNKNOWN, PIPELINE_RETIRED, PRODUCT_UNKNOWN, CURRENCY_MIXED, DATES_REVERSED.
    """
    rules = work.rules(PipelineRules)
    pipeline_id = rules.for_new_deal(begun.pipeline_id, work.org.ancestry(begun.unit_id))
    stage = rules.pipeline(pipeline_id).first
    version = work.process.rulebooks.version(PipelineRules, work.now)
    check_dates(begun.engage_date, begun.expected_close_date)
    account = found.account or {}
    id_, due = new_id(), None
    if stage.dwell_clock is not None:
        due = work.clocks.start(DWELL, id_, stage.dwell_clock, owner_id=begun.owner_id, unit_id=begun.unit_id)
    deal = Seen(
        id=id_,
        name=begun.name,
        need=begun.need,
        owner_id=begun.owner_id,
        unit_id=begun.unit_id,
        source=begun.source,
        source_id=begun.source_id,
        brought_by=work.actor,
        observed_at=work.now,
        pipeline_id=pipeline_id,
        pipeline_version=version,
        stage_key=stage.key,
        account_id=begun.account_id or None,
        probability=stage.probability,
        category=stage.category,
        engage_date=begun.engage_date,
        expected_close_date=begun.expected_close_date,
        competitors=begun.competitors,
        participants=begun.participants,
        participant_ids=list(begun.participants),
        stage_entered_at=work.now,
        dwell_due_at=due,
        repurchase=found.bought_before or account.get("status") in ("customer", "former"),
        lead_id=begun.lead_id,
        opportunity_point_id=begun.opportunity_point_id,
        customer_type=begun.customer_type or account.get("customer_type", ""),
        custom_fields=begun.custom_fields,
        created_at=work.now,
        updated_at=work.now,
        account_name=account.get("name", ""),
    )
    deal = await valued(deal, priced(begun.lines, found), begun.amount_minor, begun.currency, work)
    opened = Move(
        opportunity_id=deal.id,
        sequence=1,
        from_stage_key="",
        to_stage_key=stage.key,
        at=work.now,
        author_id=work.actor,
        direction="opened",
        pipeline_id=pipeline_id,
        pipeline_version=version,
    )
    store.add(work.tx, [deal])
    store.add_moves(work.tx, [opened])
    work.audit(deal.id, "open", after=row(deal, "version", "updated_at"))
    telling.tell(work, deal, stage, deal.account_name)
    return deal


def priced(lines: list[Line], found: References) -> list[Line]:
    """Lines with the list price where they name none. Raises InvalidArgument PRODUCT_UNKNOWN."""
    unknown = {
        f"lines.{i}.product_id": "unknown" for i, line in enumerate(lines) if line["product_id"] not in found.products
    }
    if unknown:
        wanted = ", ".join(sorted({line["product_id"] for line in lines} - set(found.products)))
        raise errors.InvalidArgument("PRODUCT_UNKNOWN", f"no product {wanted}", unknown)
    return [_with_list_price(line, found.products[line["product_id"]]) for line in lines]


def _with_list_price(line: Line, product: dict[str, Any]) -> Line:
    said = line["unit_price_minor"] is not None or line["amount_minor"] is not None
    if said or product["minor"] is None:
        return line
    return {**line, "unit_price_minor": product["minor"], "currency": product["currency"]}


async def valued(deal: Seen, lines: list[Line], amount: int | None, currency: str, work: Work) -> Seen:
    """The deal with these lines and this amount (their sum when None), and its worth in the company's currency."""
    currency = worth.one_currency(lines, currency)
    if amount is None:
        amount, _ = worth.total(lines)
    return replace(
        deal,
        lines=[{**line, "amount_minor": worth.line_amount(line)} for line in lines],
        product_ids=sorted({line["product_id"] for line in lines}),
        amount_minor=amount,
        currency=currency,
        **await _reported(deal, amount, currency, work),
    )


async def restated(deal: Seen, work: Work) -> Seen:
    """The deal with its amount in the company's currency, at the rate of the close date or of the expected one."""
    return replace(deal, **await _reported(deal, deal.amount_minor, deal.currency, work))


async def _reported(deal: Seen, amount: int | None, currency: str, work: Work) -> dict[str, Any]:
    into = work.home.currency
    rates = await rates_told.spot(work.tx, into, [currency])
    day = deal.close_date or deal.expected_close_date or work.home.today(deal.unit_id)
    return {"reporting_minor": rates.convert(amount, currency, day), "reporting_currency": into}


def unit_of(owner_id: str, work: Work) -> str:
    """Raises InvalidArgument OWNER_UNKNOWN for somebody who is not, or no longer, of the company."""
    person = work.org.person(owner_id)
    if person is None or not person.active:
        raise errors.InvalidArgument("OWNER_UNKNOWN", f"nobody here is {owner_id}", {"owner_id": "unknown"})
    return person.unit_id


def plain_opportunity(deal: Opportunity) -> dict[str, Any]:
    return row(deal, only=COMPARED)
