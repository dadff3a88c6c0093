"""What the funnel's deals, moves and activities must say, and whose its figures are (S79, S80)."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from closedloop_chassis.figures.rules import FigureRules, Name, Owner

ObligatoryField = Literal[
    "opportunity.account_id",
    "opportunity.amount",
    "opportunity.expected_close_date",
    "opportunity.overdue_close_date",
    "opportunity.engage_date",
    "opportunity.date_order",
    "opportunity.product_ids",
    "opportunity.reason_code",
    "stage_move.skip_reason",
    "stage_move.dwell_days",
    "activity.content",
    "activity.customer",
    "activity.attitude_after",
    "activity.next_step",
    "activity.next_step_date",
]


class FunnelFigureRules(FigureRules):
    rulebook: ClassVar[str] = "funnel.figures"

    # What is won is the head of sales's word; how it is kept is operations'.
    owners: dict[Name, Owner] = {
        "funnel.won_value": Owner(role="executive"),
        "funnel.win_rate": Owner(role="executive"),
        "funnel.expected_value": Owner(role="manager"),
        "funnel.open_pipeline": Owner(role="manager"),
    }
    obligatory: tuple[ObligatoryField, ...] = get_args(ObligatoryField)
