"""The catalogue of metrics (S17, S18, S79): rulebook data; what the documents leave open is named from the field."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Part, Rules

Track = Literal["finance", "process", "alignment"]
Kind = Literal["money", "count", "ratio", "duration", "score"]
Aggregation = Literal["sum", "mean", "last"]
Entry = Literal["event", "import", "hand"]


class Metric(Part):
    """One metric. `words` are names by which it is found in a target's sentence; `entry` is who may record it."""

    code: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    name: str
    description: str = ""
    track: Track
    kind: Kind
    unit: str = ""
    aggregation: Aggregation = "sum"
    lower_is_better: bool = False
    weight_ratio: float = Field(default=0, ge=0, le=1)
    benchmark: Decimal | None = None
    healthy: Decimal | None = None
    # The most there can be; of a ratio all of it, where nothing is said.
    most: Decimal | None = None
    # Digits after the point of the smallest amount a target can be split into; money goes to its smallest coin.
    decimals: int = Field(default=0, ge=0, le=6)
    words: tuple[str, ...] = ()
    source: str = "crm"
    system: str = "funnel"
    fed_by: tuple[str, ...] = ()
    refresh: str = "event"
    owner_id: str = ""
    entry: frozenset[Entry] = frozenset({"event", "import"})

    @property
    def adds_up(self) -> bool:
        """Whether what is below makes the whole; a mean or a last value is handed down as it is."""
        return self.aggregation == "sum"

    @property
    def bound(self) -> Decimal | None:
        """The most there can be, in the metric's unit; None: as much as you like."""
        if self.most is not None or self.kind != "ratio":
            return self.most
        return Decimal(100 if self.unit == "%" else 1)

    @property
    def fed(self) -> bool:
        """Whether a service measures it: where it is missing nobody did what is measured, and nobody has to import it."""
        return any(source.startswith("closedloop.") for source in self.fed_by)

    @property
    def step(self) -> int:
        """The smallest amount, in minor units or millionths."""
        return 1 if self.kind == "money" else int(10 ** (6 - self.decimals))


WON = "closedloop.funnel.opportunity.won.v1"
MEASURED = "closedloop.funnel.process_metrics.measured.v1"


def _process(code: str, name: str, description: str, kind: Kind = "ratio", **more: object) -> Metric:
    given: dict[str, object] = {"unit": "1", "aggregation": "mean", "decimals": 4, "weight_ratio": 1 / 12} | more
    return Metric.model_validate(
        {
            "code": code,
            "name": name,
            "description": description,
            "track": "process",
            "kind": kind,
            "fed_by": (MEASURED,),
        }
        | given
    )


FINANCE = (
    Metric(
        code="won_value",
        name="Won value",
        description="Amount of opportunities won, on the day they closed",
        track="finance",
        kind="money",
        weight_ratio=0.7,
        words=("won", "sales", "revenue", "signings", "业绩", "销售额", "签约额", "赢单"),
        fed_by=(WON, "closedloop.funnel.opportunity.reopened.v1", "ImportActuals"),
    ),
    Metric(
        code="invoiced_value",
        name="Invoiced value",
        description="Net amount of invoices less credit notes, on the day they were booked",
        track="finance",
        kind="money",
        weight_ratio=0.3,
        words=("invoiced", "invoicing", "开票", "回款"),
        source="erp",
        system="integrations",
        fed_by=("closedloop.integrations.invoice.recorded.v1", "ImportActuals"),
    ),
)
PROCESS = (
    _process(
        "visit_completion",
        "Visit completion",
        "Visits done / planned",
        benchmark="0.82",
        healthy="0.95",
        words=("拜访完成率",),
    ),
    _process(
        "stage_pace",
        "Stage pace",
        "Working days an opportunity spends in a stage",
        "duration",
        unit="d",
        lower_is_better=True,
        benchmark="7.2",
        healthy="5.5",
        decimals=2,
    ),
    _process("proposals_made", "Custom proposals", "Custom proposals made / due", benchmark="0.61", healthy="0.88"),
    _process("feedback_collected", "Feedback collected", "Feedback collected / due", benchmark="0.43", healthy="0.90"),
    _process(
        "visit_quality",
        "Visit quality",
        "Mean score of visits, 0..100",
        "score",
        unit="{score}",
        decimals=2,
        most="100",
    ),
    _process(
        "first_response",
        "First response",
        "Working hours from lead to first answer",
        "duration",
        unit="h",
        lower_is_better=True,
        decimals=2,
        system="customers",
        fed_by=("closedloop.customers.lead.responded.v1",),
    ),
    _process("follow_up_on_time", "Follow-up on time", "Agreed follow-ups done by the end of their day / agreed"),
    _process(
        "needs_diagnosed", "Needs diagnosed", "Opportunities that left their diagnosis with needs proven / left it"
    ),
    _process("log_completeness", "Daily log completeness", "Working days with a complete log / working days"),
    _process("authentic_contacts", "Authentic contacts", "Contacts not found false / contacts"),
    _process(
        "new_opportunities",
        "New valid opportunities",
        "Opportunities opened and not held for review",
        "count",
        aggregation="sum",
        decimals=0,
    ),
    # Ownership counts in appraisal (S82).
    _process(
        "customer_care",
        "Care of customers",
        "Mean of accounts not stale, fields filled and findings worked off in time, of the accounts a person owns",
        healthy="1",
        system="customers",
        refresh="monthly",
        fed_by=("closedloop.customers.stewardship.measured.v1",),
    ),
)
ALIGNMENT = (
    Metric(
        code="lead_conversion", name="Lead conversion", description="Opportunities / leads (marketing)",
        track="alignment", kind="ratio", unit="1", aggregation="mean", decimals=4, system="customers",
        fed_by=("closedloop.customers.lead.received.v1", "closedloop.customers.lead.converted.v1", "ImportActuals"),
        entry=frozenset({"event", "import", "hand"}),
    ),
    Metric(
        code="on_time_delivery", name="On-time delivery", description="Delivered in time / delivered (supply chain)",
        track="alignment", kind="ratio", unit="1", aggregation="mean", decimals=4, source="erp", system="integrations",
        fed_by=("closedloop.integrations.order.recorded.v1", "ImportActuals"),
        entry=frozenset({"event", "import", "hand"}),
    ),
    Metric(
        code="resolution_time", name="Resolution time", description="Hours from ticket to resolution (support)",
        track="alignment", kind="duration", unit="h", aggregation="mean", decimals=2, lower_is_better=True,
        source="tickets", system="integrations",
        fed_by=("closedloop.integrations.ticket.received.v1", "ImportActuals"), entry=frozenset({"event", "import", "hand"}),
    ),
)  # fmt: skip


class MetricRules(Rules):
    """The metrics by code, the one that is meant when a sentence or a board names none, and what words mean which money."""

    rulebook: ClassVar[str] = "targets.metrics"

    metrics: tuple[Metric, ...] = (*FINANCE, *PROCESS, *ALIGNMENT)
    main: str = "won_value"
    # A code of three letters means itself.
    currency_words: dict[str, str] = Field(
        default={"¥": "CNY", "￥": "CNY", "元": "CNY", "块": "CNY", "RMB": "CNY", "$": "USD", "€": "EUR"}
    )

    def model_post_init(self, context: object, /) -> None:
        codes = [metric.code for metric in self.metrics]
        if len(set(codes)) != len(codes):
            raise ValueError("a metric stands in the catalogue once")
        if self.main not in codes:
            raise ValueError("the main metric must be in the catalogue")

    def find(self, code: str) -> Metric | None:
        return next((metric for metric in self.metrics if metric.code == code), None)

    def metric(self, code: str) -> Metric:
        """Raises InvalidArgument UNKNOWN_METRIC."""
        found = self.find(code)
        if found is None:
            raise errors.InvalidArgument("UNKNOWN_METRIC", f"targets.metrics knows no {code!r}", {"metric": "unknown"})
        return found
