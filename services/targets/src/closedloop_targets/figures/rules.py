"""What the ledger and the targets must say, and whose the figures of targets are (S79, S80)."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field

from closedloop_chassis.figures.rules import FigureRules, Name, Owner

ObligatoryField = Literal[
    "actual.holder",
    "actual.product_id",
    "actual.account_id",
    "actual.source_id",
    "target.owner_id",
    "target.actions",
]


class TargetFigureRules(FigureRules):
    """`agreement_days`: over how many days what was won and what was invoiced should come to the same."""

    rulebook: ClassVar[str] = "targets.figures"

    # What is asked and reached is the head of sales's word; how work is done is operations'.
    owners: dict[Name, Owner] = {
        name: Owner(role="executive")
        for name in (
            "targets.won_value",
            "targets.invoiced_value",
            "targets.attainment",
            "targets.gap",
            "targets.forecast",
            "targets.target",
        )
    }
    obligatory: tuple[ObligatoryField, ...] = get_args(ObligatoryField)
    agreement_days: int = Field(default=90, ge=1, le=730)
