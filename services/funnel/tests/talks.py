"""Conversations as rows, as months of them would have left them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from closedloop_chassis.ids import new_id

UNITS = {"rep1": "team1", "rep2": "north"}


def transcript(owner: str, at: datetime, number: int, **more: Any) -> dict[str, Any]:
    begins = at + timedelta(minutes=number)
    return {
        "id": new_id(),
        "owner_id": owner,
        "unit_id": UNITS.get(owner, "team1"),
        "source": "phone",
        "source_id": "",
        "brought_by": "",
        "source_version": 0,
        "channel": "call",
        "account_id": None,
        "opportunity_id": None,
        "contact_ids": [],
        "started_at": begins,
        "length_ms": 60_000,
        "language": "zh",
        "utterances": [],
        "intent": 0.0,
        "intent_change": 0.0,
        "churn": 0.0,
        "churn_light": "none",
        "seller_share": 0.5,
        "rule_version": 0,
        "late": [],
        "created_at": begins,
        **more,
    }


def hearing(transcript_id: str, kind: str, key: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "transcript_id": transcript_id,
        "kind": kind,
        "key": key,
        "name": key,
        "sentence": "",
        "utterance_index": 0,
        "offset_ms": 0,
        "confidence": 0.8,
        "suggested_reply": "",
        "review": "open",
        "reviewer_id": "",
        "corrected_key": "",
    }
