"""The one way in which a concern is noted, whoever heard it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers.chain import store


async def raised(
    work: Work,
    *,
    account_id: str,
    contact_id: str,
    opportunity_id: str,
    kind: str,
    topic: str,
    text: str,
    quote: str,
    stage: str,
    severity: float,
    kept: Mapping[str, Any],
    at: datetime,
) -> dict[str, Any]:
    """Notes it, or that it was heard once more. One round trip."""
    row = {
        "id": new_id(),
        "account_id": account_id,
        "contact_id": contact_id or None,
        "opportunity_id": opportunity_id or None,
        "kind": kind,
        "topic": topic,
        "text": text,
        "quote": quote,
        "stage": stage,
        "severity": severity,
        "provenance": Jsonb(dict(kept)),
        "heard_in": f"{kept['source']}:{kept['source_id']}",
        "raised_at": at,
    }
    found = await work.tx.one(store.RAISE, row)
    assert found is not None
    work.audit(found["id"], "raise", {}, {"topic": topic, "occurrences": found["occurrences"]})
    return found
