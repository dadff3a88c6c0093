"""A decision binds exactly the content that was submitted (S66)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from closedloop_funnel.clearance.record import Clearance


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the content; equal content gives equal digests whatever the order of its parts."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def stands(record: Clearance, content: Mapping[str, Any]) -> bool:
    """Whether this is, to the letter, what was decided."""
    # The customer has been part of it since there is a column for it.
    earlier = {name: value for name, value in content.items() if name != "account_id"}
    return record.content_digest in (digest(content), digest(earlier))


def check_number_format(text: str) -> None:
    """Raises ValueError for a format of quote or contract numbers that would not tell two of them apart."""
    try:
        first, second = (text.format(year=2026, sequence=sequence) for sequence in (1, 2))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"number_format knows {{year}} and {{sequence}}: {error}") from error
    if first == second:
        raise ValueError("number_format needs {sequence}")


def may_change(record: Clearance) -> bool:
    """Drafts, and what a signer sent back."""
    return record.state in ("draft", "sent_back")


def submitted(record: Clearance, content: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What changes when the record is submitted: its next revision waits for a decision on this content."""
    return {
        "revision": record.revision + 1,
        "state": "submitted",
        "approval_id": "",
        "approval_state": "pending",
        "approval_due_at": None,
        "decided_at": None,
        "decider_ids": [],
        "approval_comment": "",
        "content_digest": digest(content),
        "submitted_revision": record.revision + 1,
        "submitted_at": now,
    }


def withdrawn(record: Clearance) -> dict[str, Any]:
    """What changes when it is taken back before the decision (U10)."""
    return {
        "revision": record.revision + 1,
        "state": "draft",
        "approval_state": "withdrawn",
        "approval_due_at": None,
    }
