"""The decision on a quote or contract, as approvals told it; the trail itself stays there (S66)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """Columns that `quote` and `contract` share. `revision` counts changes; the one submitted is what is decided."""

    id: str
    revision: int = 1
    state: str = "draft"
    approval_id: str = ""
    # pending, approved, refused, sent_back, withdrawn; empty before the first submission
    approval_state: str = ""
    approval_due_at: datetime | None = None
    decided_at: datetime | None = None
    decider_ids: list[str] = field(default_factory=list)
    approval_comment: str = ""
    content_digest: str = ""
    submitted_revision: int = 0
    # Whom it was submitted for; none is None.
    account_id: str | None = None
    submitted_at: datetime | None = None
