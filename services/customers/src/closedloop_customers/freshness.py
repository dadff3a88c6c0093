"""How long what we hold of a customer may go without business, and the light that says so (S31, S34)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules


class QualityRules(Rules):
    """Days run on the plain clock."""

    rulebook: ClassVar[str] = "customers.quality"

    # Without effective interaction: yellow.
    silent_days: int = Field(default=30, ge=1, le=3660)
    # Without update or verification of a key field: red, and a task for the supervisor.
    key_field_days: int = Field(default=60, ge=1, le=3660)
    # Without any: on the list of records to work off.
    stale_days: int = Field(default=180, ge=1, le=3660)
    required_fields: tuple[str, ...] = ("name", "industry", "region_code")
    # How often all accounts are looked through, and how many findings one look makes at most.
    look_every: ClockSetting = ClockSetting(hours=1)
    # Where one look found more than it makes, the next follows.
    look_again: ClockSetting = ClockSetting(hours=1 / 60)
    largest_look: int = Field(default=2000, ge=1, le=100_000)
    # The report counts findings worked off within so many days before.
    report_days: int = Field(default=30, ge=1, le=366)
    postpone_most_days: int = Field(default=90, ge=1, le=366)
    # A finding is worked off in time within so many days from its cause; counted in the owner's month (S82).
    work_off_days: int = Field(default=30, ge=1, le=366)
    # How long a supervisor has for a red account.
    task: ClockSetting = ClockSetting(days=5, calendar="business")


def light(last_touch: datetime, last_verify: datetime, now: datetime, rules: QualityRules) -> str:
    """`last_touch`: the last effective interaction, or the making of the record where there was none."""
    if now - last_verify >= timedelta(days=rules.key_field_days):
        return "red"
    return "yellow" if now - last_touch >= timedelta(days=rules.silent_days) else "none"
