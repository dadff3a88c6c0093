"""What requests and tasks must say, and whose the figures of approvals are (S79, S80)."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from closedloop_chassis.figures.rules import FigureRules, Name, Owner

ObligatoryField = Literal[
    "request.account_id",
    "request.base_amount",
    "request.reason",
    "task.assignee_id",
    "task.outcome",
    "task.subject",
]


class ApprovalFigureRules(FigureRules):
    rulebook: ClassVar[str] = "approvals.figures"

    # How fast managers decide is the head's to answer for.
    owners: dict[Name, Owner] = {
        name: Owner(role="executive")
        for name in ("approvals.decision_hours", "approvals.decision_hours_p90", "approvals.decided_in_time")
    }
    obligatory: tuple[ObligatoryField, ...] = get_args(ObligatoryField)
