"""MetricService.ListMetrics and GetMetric: what the figures of this slice mean, whose they are, and the way they come (S79)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.economics import store, wire
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import UNPLACED, EconomicsRules

rpcs = Rpcs("closedloop.platform.v1.MetricService")

EVERYWHERE = ("unit", "person", "account", "product", "channel")
MARGINS, WORTH = "EconomicsService.ListMargins", "EconomicsService.ListLifetimeValues"
HEAT, STOCK = "EconomicsService.ListProductivity", "EconomicsService.ListStockDays"
BRIDGE = "EconomicsService.GetMarginBridge"
ERP, TRANSACTION = "erp", "integrations.transaction"
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
    by: tuple[str, ...] = EVERYWHERE
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


@rpcs.method
async def list_metrics(request: pb.ListMetricsRequest, call: Call) -> pb.ListMetricsResponse:
    (after,) = pages.after(request, -1)
    shown = await _shown(call)
    wanted = request.query.casefold()
    found = [
        (place, metric)
        for place, metric in enumerate(shown)
        if place > after
        and (wanted in metric.name.casefold() or wanted in metric.title.casefold())
        and (not request.source or request.source in metric.sources)
        and request.owner_id in ("", metric.owner_id)
        and (not request.shown_in or request.shown_in in metric.shown_in)
    ]
    page, token = pages.split(found[: pages.size(request) + 1], request, lambda row: (row[0],))
    return pb.ListMetricsResponse(metrics=[metric for _, metric in page], next_page_token=token)


@rpcs.method
async def get_metric(request: pb.GetMetricRequest, call: Call) -> pb.Metric:
    known = {each.name: each for each in described(call.rules(EconomicsRules))}
    if request.name not in known:
        raise errors.NotFound("METRIC_UNKNOWN", f"no metric {request.name}")
    metric = next(each for each in await _shown(call) if each.name == request.name)
    metric.lineage.CopyFrom(lineage_of(request.name, known, metric.last_refresh_time))
    return metric


async def _shown(call: Call) -> list[pb.Metric]:
    rules = call.rules(EconomicsRules)
    owners = {each.metric: each.owner_id for each in rules.metric_owners}
    leader = call.home.root.manager_id if call.home.root else ""
    as_of = protos.timestamp(await store.as_of(call.db, None))
    return [
        pb.Metric(
            name=each.name,
            title=each.title,
            definition=each.definition,
            formula=each.formula,
            unit=each.unit if each.unit == "d" else call.home.currency + each.unit,
            sources=[pb.METRIC_SOURCE_ERP, *([pb.METRIC_SOURCE_DERIVED] if each.upstream else [])],
            refresh=Duration(),
            refresh_rule="with each transaction",
            owner_id=owners.get(each.name, leader),
            service="integrations",
            scopes=each.by,
            shown_in=each.shown_in,
            upstream=each.upstream,
            rule=reference(call, each.rule, each.formula),
            last_refresh_time=as_of,
        )
        for each in described(rules)
    ]


def lineage_of(name: str, known: Mapping[str, Described], as_of: Timestamp) -> pb.Lineage:
    """From the ERP to the lists that show the figure, with everything it is made of."""

    def node(id: str, type: pb.LineageNodeType.ValueType, title: str) -> pb.LineageNode:
        return pb.LineageNode(id=id, type=type, title=title, service="integrations", last_refresh_time=as_of)

    made = [each for each in known.values() if each.name in {*_below(name, known)}]
    asked = known[name]
    nodes = [
        node(ERP, pb.LINEAGE_NODE_TYPE_SOURCE, "ERP"),
        node(TRANSACTION, pb.LINEAGE_NODE_TYPE_RECORD, "transaction"),
        *(node(each.name, pb.LINEAGE_NODE_TYPE_METRIC, each.title) for each in made),
        *(node(board, pb.LINEAGE_NODE_TYPE_BOARD, board) for board in asked.shown_in),
    ]
    edges = [pb.LineageEdge(from_id=ERP, to_id=TRANSACTION, transformation=ARRIVAL)]
    for each in made:
        if each.step:
            edges.append(pb.LineageEdge(from_id=TRANSACTION, to_id=each.name, transformation=each.step))
        edges += [pb.LineageEdge(from_id=part, to_id=each.name, transformation=each.formula) for part in each.upstream]
    edges += [pb.LineageEdge(from_id=name, to_id=board, transformation="shown") for board in asked.shown_in]
    return pb.Lineage(nodes=nodes, edges=edges)


def _below(name: str, known: Mapping[str, Described]) -> Iterator[str]:
    """The figure and those it is made of."""
    yield name
    for part in known[name].upstream:
        yield from _below(part, known)
