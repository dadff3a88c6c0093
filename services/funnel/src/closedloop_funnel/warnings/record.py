"""A warning as it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:
    """One row of `warning`."""

    id: str
    version: int = 1
    kind: str
    state: str = "open"
    light: str
    subject_type: str
    subject_id: str
    subject_name: str = ""
    owner_id: str
    unit_id: str
    evidence: list[dict[str, Any]] = field(default_factory=list)
    outcome: list[dict[str, Any]] = field(default_factory=list)
    rulebook: str
    rule: str
    rule_version: int
    explanation: str = ""
    automatic_action: str = ""
    task_cause_key: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    action: str = ""
    acted_by: str = ""
    raised_at: datetime
    acted_at: datetime | None = None
    check_at: datetime | None = None

    @property
    def since(self) -> datetime:
        """From when on things may have changed."""
        return self.acted_at or self.raised_at
