"""What the figures of this slice mean, whose they are, and the way they come (S79); the documents behind them, and how well
they are kept (S80)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.figures.declared import Agreement, Field, Figure, Figures, Record, ScopeWord
from closedloop_chassis.work import Work
from closedloop_integrations.economics import store, trace, wire
from closedloop_integrations.economics.rules import COST, GOODS, LEDGER, MOVED, REVENUE, UNPLACED, EconomicsRules

EVERYWHERE: tuple[ScopeWord, ...] = ("unit", "person", "account", "product", "channel")
MARGINS, WORTH = "EconomicsService.ListMargins", "EconomicsService.ListLifetimeValues"
HEAT, STOCK = "EconomicsService.ListProductivity", "EconomicsService.ListStockDays"
BRIDGE = "EconomicsService.GetMarginBridge"
ARRIVAL = "polled, brought as a file or imported; a correction is a new version"


@dataclass(frozen=True, slots=True)
class Described:
    """A figure in words; `unit` "" is the company's money, `by` the scopes it can be asked for.

    `upstream` are the figures it is made of; `step` says how transactions make it where they do so directly."""

    name: str
    title: str
    definition: str
    formula: str
    rule: str = "items"
    unit: str = ""
    by: tuple[ScopeWord, ...] = EVERYWHERE
    shown_in: tuple[str, ...] = (MARGINS,)
    upstream: tuple[str, ...] = ()
    step: str = ""


def described(rules: EconomicsRules) -> list[Described]:
    """Every figure TraceMetric knows, in the order they are made of each other."""
    goods = "lines of invoices" if rules.goods == "invoices" else "goods that left the warehouse"
    items = [*rules.items, *([] if any(item.name == UNPLACED.name for item in rules.items) else [UNPLACED])]
    base = ("integrations.revenue", "integrations.cost_of_goods")

    def costs(*, controllable: bool = False, statutory: bool = False) -> tuple[str, ...]:
        return base + tuple(
            wire.METRIC + item.name
            for item in items
            if (item.controllable or not controllable) and (item.statutory or not statutory)
        )

    return [
        Described(
            "integrations.revenue",
            "收入",
            "what was invoiced, net of tax, less credit notes",
            "sum(net amount)",
            shown_in=(MARGINS, BRIDGE),
            step="sum of invoice lines",
        ),
        Described(
            "integrations.cost_of_goods",
            "货物成本",
            f"cost of what was sold, from {goods}",
            "sum(cost)",
            shown_in=(MARGINS, BRIDGE),
            step=f"sum over {goods}",
        ),
        *(
            Described(
                wire.METRIC + item.name,
                item.title,
                f"cost entries booked under {', '.join(item.codes)}"
                if item is not UNPLACED
                else "cost entries whose code no item of the rulebook claims",
                "sum(amount)",
                shown_in=(MARGINS, BRIDGE),
                step="sum of cost entries",
            )
            for item in items
        ),
        Described(
            "integrations.statutory_margin",
            "法定毛利",
            "margin by the month of the books, after items that accounting standards put into the cost of sales",
            "revenue - cost_of_goods - statutory items",
            shown_in=(MARGINS, BRIDGE),
            upstream=costs(statutory=True),
        ),
        Described(
            "integrations.operational_margin",
            "经营毛利",
            "margin by the day of the document, after every cost item",
            "revenue - cost_of_goods - all items",
            shown_in=(MARGINS, BRIDGE),
            upstream=costs(),
        ),
        Described(
            "integrations.contribution_margin",
            "区域贡献毛利",
            "margin by the day of the document, after the items a unit can act on",
            "revenue - cost_of_goods - controllable items",
            shown_in=(MARGINS, BRIDGE),
            upstream=costs(controllable=True),
        ),
        Described(
            "integrations.lifetime_value",
            "客户终身价值",
            "realised margin of a customer from the first transaction on",
            "revenue - cost_of_goods - all items",
            rule="lifetime",
            by=("account",),
            shown_in=(WORTH,),
            upstream=costs(),
        ),
        Described(
            "integrations.productivity",
            "人效",
            "operational margin of a seller on a working day",
            "operational_margin / working days",
            unit="/d",
            shown_in=(HEAT,),
            upstream=("integrations.operational_margin",),
        ),
        Described(
            "integrations.stock_days",
            "库存周转天数",
            f"how long stock lasts at the cost of sales of the last {rules.stock.window_days} days",
            "stock value / (cost of sales / days of the window)",
            rule="stock",
            unit="d",
            by=("product",),
            shown_in=(STOCK,),
            upstream=("integrations.cost_of_goods",),
            step="last balance of each product and warehouse",
        ),
    ]


def figures(rules_of: Callable[[type[Any]], Any]) -> list[Figure]:
    rules: EconomicsRules = rules_of(EconomicsRules)
    owners = {each.metric: each.owner_id for each in rules.metric_owners}
    return [
        Figure(
            name=each.name,
            title=each.title,
            definition=each.definition,
            formula=each.formula,
            unit=each.unit,
            sources=("erp", "derived") if each.upstream else ("erp",),
            scopes=each.by,
            shown_in=each.shown_in,
            records=("transaction",) if each.step else (),
            step=each.step,
            upstream=each.upstream,
            refresh_rule="with each transaction",
            owner_id=owners.get(each.name, ""),
            rule=(EconomicsRules, each.rule),
            trace=trace.traced,
        )
        for each in described(rules)
    ]


async def as_of(work: Work) -> datetime | None:
    return await store.as_of(work.db, None)


# Documents in force that came in the span. What an ERP books for a later day is not late.
DOCUMENTS = """
SELECT t.id, t.kind || ' ' || t.number || ' (' || t.source_id || ')' AS label, t.owner_id, t.unit_id, t.kind, t.account_id,
       t.account_code, t.account_name_key, t.person_id, t.person_code, t.unit_code, t.product_codes, t.product_ids, t.channel,
       t.channel_code, t.created_at AS recorded_at, t.date::timestamp AT TIME ZONE %(zone)s AS occurred_at
  FROM erp_transaction t WHERE t.in_force AND t.created_at >= %(from)s AND t.created_at < %(to)s
"""
SOLD = "r.kind IN ('order', 'invoice')"
# A month of which vouchers speak: the margin that invoices and costs make by the month they are booked to, and theirs.
# Of a cost code the longest prefix says whether accounting standards charge it; one nobody has placed they charge.
BOOKS = f"""
SELECT month AS id, to_char(month, 'YYYY-MM') AS label, '' AS owner_id, '' AS unit_id,
       coalesce(sum(CASE WHEN code = '{REVENUE}' THEN amount_minor WHEN code = %(goods)s THEN -amount_minor
                         WHEN charged THEN -amount_minor END), 0) AS ours,
       sum(amount_minor) FILTER (WHERE booked) AS theirs
  FROM (SELECT s.booked_month AS month, s.code, s.amount_minor,
               s.code LIKE ANY(%(accounts)s) AS booked,
               starts_with(s.code, '{COST}') AND coalesce((
                   SELECT i.statutory FROM unnest(%(codes)s::text[], %(statutory)s::boolean[]) AS i (code, statutory)
                    WHERE starts_with(s.code, i.code) ORDER BY length(i.code) DESC LIMIT 1), %(unplaced)s) AS charged
          FROM margin_sum s
         WHERE s.currency = %(currency)s AND s.booked_month < %(to)s AT TIME ZONE %(zone)s
           AND s.booked_month >= date_trunc('month', %(from)s AT TIME ZONE %(zone)s)) m
 GROUP BY month HAVING count(*) FILTER (WHERE booked) > 0
"""


def charged(work: Work) -> Mapping[str, Any]:
    rules = work.rules(EconomicsRules)
    codes = [(COST + code, item.statutory) for item in rules.items for code in item.codes]
    return {
        "goods": GOODS if rules.goods == "invoices" else MOVED,
        "accounts": [f"{LEDGER}{account}%" for account in rules.ledger_accounts],
        "codes": [code for code, _ in codes],
        "statutory": [statutory for _, statutory in codes],
        "unplaced": UNPLACED.statutory,
        "currency": work.home.currency,
    }


FIGURES = Figures(
    figures=figures,
    as_of=as_of,
    records=(
        Record(
            name="transaction",
            title="ERP documents",
            source="erp",
            arrival=ARRIVAL,
            sql=DOCUMENTS,
            fields=(
                Field(
                    name="account_id",
                    kind="missing_reference",
                    expected=f"{SOLD} AND (r.account_code <> '' OR r.account_name_key <> '')",
                    filled="r.account_id IS NOT NULL",
                    suggestion="map the ERP's customer code, or add it to the customer's codes",
                ),
                Field(
                    name="customer",
                    expected=SOLD,
                    filled="r.account_code <> '' OR r.account_name_key <> ''",
                    suggestion="name the customer on orders and invoices",
                ),
                Field(
                    name="person_id",
                    kind="missing_reference",
                    expected="r.person_code <> ''",
                    filled="r.person_id <> ''",
                    suggestion="map the ERP's code of the seller; what nobody sold is in nobody's productivity",
                ),
                Field(
                    name="unit_id",
                    kind="missing_reference",
                    expected="r.unit_code <> ''",
                    filled="r.unit_id <> ''",
                    suggestion="map the ERP's department to a unit",
                ),
                Field(
                    name="product_ids",
                    kind="missing_reference",
                    expected="r.product_codes <> '{}'",
                    filled="NOT '' = ANY(r.product_ids)",
                    suggestion="map the ERP's product codes; margins by product miss them",
                ),
                Field(
                    name="channel",
                    kind="missing_reference",
                    expected="r.channel_code <> ''",
                    filled="r.channel <> ''",
                    suggestion="map the ERP's code of the channel",
                ),
            ),
            late_suggestion="let the ERP be read every day, and book documents on their day",
        ),
    ),
    agreements=(
        Agreement(
            name="ledger_margin",
            record="transaction",
            figures=("integrations.statutory_margin",),
            ours="margin of invoices and costs",
            theirs="vouchers of the ledger",
            sql=BOOKS,
            params=charged,
            suggestion="reconcile the month with the ledger: a document is missing on one side, or booked to another month",
        ),
    ),
)
