"""Products, their other names, and the stages of their lives with the weight that follows (S16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules

LifeCycle = Literal["introduction", "growth", "mature", "decline"]


class ProductRules(Rules):
    """What a product of each life-cycle stage weighs in targets."""

    rulebook: ClassVar[str] = "targets.products"

    stage_weights: Mapping[LifeCycle, Decimal] = {
        "introduction": Decimal("0.7"),
        "growth": Decimal("1.0"),
        "mature": Decimal("0.9"),
        # The documents are silent; below maturity, above nothing.
        "decline": Decimal("0.6"),
    }
    first_stage: LifeCycle = "growth"

    def weight(self, stage: LifeCycle) -> Decimal:
        """Raises FailedPrecondition STAGE_WEIGHT_MISSING."""
        if stage not in self.stage_weights:
            raise errors.FailedPrecondition("STAGE_WEIGHT_MISSING", f"targets.products gives no weight to {stage}")
        return self.stage_weights[stage]


@dataclass(frozen=True, slots=True)
class Stage:
    start_date: date
    stage: LifeCycle
    author_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Product:
    """`list_minor` is the price before discounts in minor units; None: none known. `stages` are by date."""

    id: str
    name: str
    line: str
    series: str
    list_minor: int | None
    list_currency: str
    launch_date: date | None
    retired: bool
    custom_fields: dict[str, Any]
    provenance: dict[str, Any]
    version: int
    updated_at: datetime
    aliases: tuple[str, ...]
    stages: tuple[Stage, ...]

    def stage_on(self, day: date) -> Stage:
        """The stage on the day; the first one for days before it."""
        return next((stage for stage in reversed(self.stages) if stage.start_date <= day), self.stages[0])


def alias_key(alias: str) -> str:
    """As aliases are compared: case and spaces do not count."""
    return "".join(alias.casefold().split())


def check_aliases(product_id: str, aliases: Sequence[str], taken: dict[str, str]) -> None:
    """`taken` maps keys to the products they mean. Raises AlreadyExists ALIAS_TAKEN."""
    for alias in aliases:
        owner = taken.get(alias_key(alias), product_id)
        if owner != product_id:
            raise errors.AlreadyExists(
                "ALIAS_TAKEN", f"{alias!r} means product {owner} already", alias=alias, product_id=owner
            )


def without_repeats(aliases: Iterable[str]) -> tuple[str, ...]:
    """The first spelling of each."""
    return tuple({alias_key(alias): alias for alias in reversed(list(aliases))}.values())[::-1]


def enter_stage(stages: Sequence[Stage], entered: Stage) -> tuple[Stage, ...]:
    """Raises FailedPrecondition STAGE_UNCHANGED or STAGE_DATE_TAKEN."""
    if any(stage.start_date == entered.start_date for stage in stages):
        raise errors.FailedPrecondition("STAGE_DATE_TAKEN", f"a stage is entered on {entered.start_date} already")
    before = [stage for stage in stages if stage.start_date < entered.start_date]
    if before and before[-1].stage == entered.stage:
        raise errors.FailedPrecondition(
            "STAGE_UNCHANGED", f"the product is in {entered.stage} on {entered.start_date} already"
        )
    return tuple(sorted((*stages, entered), key=lambda stage: stage.start_date))
