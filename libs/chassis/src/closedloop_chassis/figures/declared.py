"""What a slice declares of its figures; out of it the chassis serves the whole MetricService.

A `Figure` is what a board shows. A `Record` is a kind of row figures are made of; its fields and its time say how complete
and how timely they are. An `Agreement` is a pair of systems that should say the same.

Statements are SELECTs without a caller's reach: that, the scope and the page are put around them. Parameters they may use:
`first_day`, `last_day` (both included), `from`, `to` (the same as instants, `to` excluded), `now`, `zone`, and what the
declaration adds with `params`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from closedloop.platform.v1 import metrics_pb2 as pb

if TYPE_CHECKING:
    from closedloop_chassis.rulebook.rules import Rules
    from closedloop_chassis.work import Call, Work

RulesModel = TypeVar("RulesModel", bound="Rules")
SourceWord = Literal["crm", "erp", "manual", "derived", "external"]
ScopeWord = Literal["unit", "person", "account", "product", "channel", "pipeline", "stage", "kind"]
Tracer = Callable[[pb.TraceMetricRequest, "Call"], Awaitable[pb.TraceMetricResponse]]
Params = Callable[["Work"], Mapping[str, Any]]


def no_params(_: Work) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The raw rows of a figure and how they make it.

    `sql` has the columns record_type, record_id, input, amount, owner_id, unit_id, record_time, source, source_id, fields
    (jsonb), and of account_id, product_ids, channel, pipeline_id, stage_key, kind, participant_ids those that the scopes or
    `shared` ask for. record_id and input together are one row's. A row adds to the value:

    - `sum`: its amount;
    - `mean`: its amount over the number of rows; of shares the amount is 1 or 0;
    - `weighted`: its amount by its share of the column `weight`;
    - `last`: its amount, if it comes last by the column `place`;
    - `ratio`: its amount over the sum of `below`, if its input is `above`; nothing, if it is `below`;
    - a number between 0 and 1: the quantile (continuous, as percentile_cont has it): the one or two rows in its middle.

    `money`: amounts are minor units of the company's currency. `standing`: known as it is today only. `historic`: as it was
    known at the moment `at`, too. `shared`: those who
    take part in a record see it. `company_only`: rows are nobody's own. `known`: the words of a scope there are; another one
    is refused, where rows alone would answer nothing.
    """

    sql: str
    how: Literal["sum", "mean", "weighted", "last", "ratio"] | float = "sum"
    above: str = ""
    below: str = ""
    params: Params = no_params
    money: bool = False
    standing: bool = False
    historic: bool = False
    shared: bool = False
    company_only: bool = False
    known: Mapping[ScopeWord, Callable[[Call], Collection[str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure in words. `unit` "" is the company's money, "/d" that by the day. `records` are the kinds of rows that make
    it and `step` says how; `upstream` the figures it is made of. `shown_in` are RPCs of the service, "BoardService.GetBoard", or
    of another one, "targets.ActualService.SummarizeActuals".
    `owner_id` is for figures whose own rulebook names a person."""

    name: str
    title: str
    definition: str
    formula: str
    sources: tuple[SourceWord, ...]
    trace: Rows | Tracer
    rule: tuple[type[Rules], str]
    unit: str = ""
    scopes: tuple[ScopeWord, ...] = ("unit", "person")
    shown_in: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    step: str = ""
    upstream: tuple[str, ...] = ()
    refresh_rule: str = "live"
    owner_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Something a record must say: `filled` and `expected` are conditions over its columns (`r`)."""

    name: str
    filled: str
    suggestion: str
    expected: str = "true"
    kind: str = "missing_field"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A kind of raw row. `sql` has the columns id, label, owner_id, unit_id, recorded_at, occurred_at and those that the
    fields look at: the rows that stand at `to` or came in from `from` on. `occurred_at` is null where nothing tells.

    `source` is where they are entered ("crm"), `arrival` how they come from there."""

    name: str
    title: str
    source: str
    arrival: str
    sql: str
    fields: tuple[Field, ...] = ()
    late_suggestion: str = "enter what happened on the day on which it happened"
    params: Params = no_params


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two systems that should say the same of a record. `sql` has the columns id, label, owner_id, unit_id, ours, theirs
    (numbers; 1 and 0 where it is a word that is the same or is not)."""

    name: str
    record: str
    figures: tuple[str, ...]
    ours: str
    theirs: str
    sql: str
    suggestion: str
    kind: str = "deviation"
    params: Params = no_params


RulesOf = Callable[[type[RulesModel]], RulesModel]


@dataclass(frozen=True)
class Figures:
    """What one slice declares. `figures` is a function of the rulebooks in force where they say which figures there are;
    `as_of` tells when the newest row came, where they are not as new as the question."""

    figures: Sequence[Figure] | Callable[[Callable[[type[Any]], Any]], Sequence[Figure]] = ()
    records: tuple[Record, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    as_of: Callable[[Work], Awaitable[datetime | None]] | None = field(default=None)

    def all(self, rules: Callable[[type[Any]], Any]) -> Sequence[Figure]:
        return self.figures(rules) if callable(self.figures) else self.figures
