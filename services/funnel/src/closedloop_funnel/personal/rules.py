"""What stands where the name of a forgotten person stood."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class FunnelPersonalRules(Rules):
    rulebook: ClassVar[str] = "funnel.personal_data"

    erased_name: str = Field(default="（已删除）", min_length=1, max_length=100)
