"""What the rulebook says of opportunities, and the small rules that need nothing else."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.opportunities.record import Opportunity

ValidityWord = Literal["account_id", "amount_minor", "expected_close_date", "engage_date", "product_ids", "need"]


class OpportunityRules(Rules):
    """`valid_needs`: what a new opportunity must say to count (S55). `watch_imported`: open imported deals start their
    stage clock at import; else with their first move here. Tasks name a kind of the rulebook "approvals.tasks"."""

    rulebook: ClassVar[str] = "funnel.opportunities"

    valid_needs: tuple[ValidityWord, ...] = ("account_id", "amount_minor")
    watch_imported: bool = False
    lead_source: str = Field(default="lead", min_length=1, max_length=64)
    point_source: str = Field(default="opportunity_point", min_length=1, max_length=64)
    dwell_task_kind: str = Field(default="intervention", min_length=1, max_length=64)
    dwell_assignee: str = Field(default="manager_of_owner", min_length=1, max_length=100)
    pace_assignee: str = Field(default="director_of_owner", min_length=1, max_length=100)


def validity(rules: OpportunityRules, deal: Opportunity) -> tuple[bool, str]:
    """Whether it counts as a valid new opportunity, and why (S55)."""
    lacking = [name for name in rules.valid_needs if not getattr(deal, name)]
    if lacking:
        return False, f"not valid: {', '.join(lacking)} is missing"
    return True, f"valid: {', '.join(rules.valid_needs)} is there"


def pushed_days(before: date | None, after: date | None) -> int:
    """Days by which an expected close date was moved later; 0 if it was not (U4)."""
    return max((after - before).days, 0) if before and after else 0


def check_dates(engaged: date | None, closed: date | None) -> None:
    """Raises InvalidArgument DATES_REVERSED when a deal would close before anybody engaged."""
    if engaged and closed and closed < engaged:
        raise errors.InvalidArgument(
            "DATES_REVERSED",
            f"closing on {closed} before engaging on {engaged}",
            {"close_date": "before the engage date"},
        )


def check_past(day: date | None, today: date, field: str) -> None:
    """Raises InvalidArgument DATE_IN_FUTURE."""
    if day and day > today:
        raise errors.InvalidArgument("DATE_IN_FUTURE", f"{day} has not come yet", {field: "in the future"})


def check_happened(at: datetime | None, now: datetime, field: str) -> None:
    """Raises InvalidArgument TIME_IN_FUTURE."""
    if at and at > now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", f"{at} has not come yet", {field: "in the future"})
