"""What a plan, its versions and its targets are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from closedloop_chassis import errors

HolderKind = Literal["unit", "person"]
State = Literal["draft", "scheduled", "in_force", "superseded", "recalled", "discarded"]


@dataclass(frozen=True, slots=True)
class Plan:
    id: str
    name: str
    unit_id: str
    owner_id: str
    period: str
    start_date: date
    end_date: date
    currency: str
    must_sum: bool
    strategy: str
    custom_fields: dict[str, Any]
    version_in_force: int
    latest_version: int
    version: int
    created_at: datetime
    updated_at: datetime
    # What one of its smallest coins is in the books', since a version was published; 1: it is in their money.
    book_rate: Decimal = Decimal(1)
    book_currency: str = ""
    must_sum_reason: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """`opened_under` is the version that was in force when the draft was opened; `version` counts its changes."""

    plan_id: str
    number: int
    state: State
    base_version: int
    opened_under: int
    cause: str
    reason: str
    evidence: list[dict[str, Any]]
    author_id: str
    created_at: datetime
    effective_date: date | None
    published_by: str
    published_at: datetime | None
    recalled_by: str
    recalled_at: datetime | None
    recall_reason: str
    version: int

    def must_be_draft(self) -> None:
        """Raises FailedPrecondition VERSION_NOT_DRAFT."""
        if self.state != "draft":
            raise errors.FailedPrecondition(
                "VERSION_NOT_DRAFT", f"version {self.number} is {self.state}; open a new draft"
            )


@dataclass(frozen=True, slots=True)
class Target:
    """`minor` is what counts: `base_minor` and padding. `passed_minor` is the children's together; None at leaves."""

    id: str
    plan_id: str
    number: int
    parent_id: str | None
    holder_kind: HolderKind
    holder_id: str
    depth: int
    metric: str
    product_id: str
    product_line: str
    segment: str
    period: str
    start_date: date
    end_date: date
    minor: int
    base_minor: int
    currency: str
    padding: list[dict[str, Any]]
    owner_id: str
    unit_id: str
    statement: str
    strategy: str
    cascade_id: str | None
    counts: bool
    custom_fields: dict[str, Any]
    source: str
    source_id: str
    provenance: dict[str, Any]
    version: int
    updated_at: datetime
    # What it counts in the mean of its siblings; None where nobody said.
    weight: Decimal | None = field(default=None, compare=False)
    passed_minor: int | None = field(default=None, compare=False)

    @property
    def key(self) -> TargetKey:
        return TargetKey(
            self.holder_kind, self.holder_id, self.metric, self.product_id, self.product_line, self.segment, self.period
        )


@dataclass(frozen=True, slots=True)
class TargetKey:
    """Two targets of one version never share it."""

    holder_kind: HolderKind
    holder_id: str
    metric: str
    product_id: str
    product_line: str
    segment: str
    period: str


def padded(base_minor: int, ratios: Iterable[float], step: int, *, lower_is_better: bool = False) -> int:
    """The base with every layer on top, each of the base, to the smallest amount the metric knows.

    Padding asks for more; of hours, where less is more, it takes away."""
    extra = sum((Decimal(str(ratio)) for ratio in ratios), Decimal(0)) * base_minor
    if lower_is_better:
        extra = -extra
    return base_minor + int((extra / step).quantize(Decimal(1), ROUND_HALF_UP)) * step


def grown(base_minor: int, ratio: float, step: int) -> int:
    return padded(base_minor, [ratio], step)
