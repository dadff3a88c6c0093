"""What stands in a request's rows beside its trail, as hashes that go onto the trail: nothing of it changes unseen.

The trail tells what happened; these tell what came of it. Both are made of values, not of rows: an instant is the same in
any time zone, a column that is added later is not in them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import orjson

from closedloop_approvals.requests import trail
from closedloop_approvals.requests.route import Signer, Step
from closedloop_approvals.requests.store import Request

# What a submission brings besides subject and facts, and what the policies made of it. Names are for good: a link that
# was sealed by them is verified by them.
TERMS = (
    "account_id",
    "amount_minor",
    "currency",
    "base_minor",
    "discount_ratio",
    "submitter_id",
    "opened_by",
    "owner_id",
    "unit_id",
    "reason",
    "attachments",
    "rules",
    "policies",
    "accumulated_ids",
    "not_required",
    "decision",
    "on_overdue",
    "silence",
    "opened_at",
    "submitted_at",
    "provenance",
    "imported",
)


def terms_hash(request: Request) -> str:
    """SHA-256 (hex) over what was submitted and the rules it goes by; the same until it is submitted anew."""
    terms: dict[str, Any] = {name: getattr(request, name) for name in TERMS}
    terms |= {name: _instant(terms[name]) for name in ("opened_at", "submitted_at")}
    rules = {str(number): request.step_rules.get(number, {}) for number in (s.number for s in request.route.steps)}
    return hashlib.sha256(trail.canonical({**terms, "step_rules": rules}).encode()).hexdigest()


def state_hash(request: Request) -> str:
    """SHA-256 (hex) over where it stands: its state, times, deciders, and every signature; another after every act."""
    state = [
        request.state,
        request.route.decided_step,
        request.decided_by,
        request.decided_for,
        request.conditions,
        request.escalation_level,
        request.version,
        request.participants,
        request.elapsed.total_seconds(),
        *map(_instant, (request.due_at, request.closed_at, request.running_since)),
        [_step(step) for step in request.route.steps],
    ]
    return hashlib.sha256(orjson.dumps(state)).hexdigest()


def _step(step: Step) -> list[Any]:
    return [
        step.number,
        step.name,
        step.mode,
        step.quorum,
        step.parallel_group,
        _instant(step.started_at),
        _instant(step.ended_at),
        [_signer(signer) for signer in step.signers],
    ]


def _signer(signer: Signer) -> list[Any]:
    return [
        signer.position,
        signer.person_id,
        signer.slot,
        signer.added_to,
        signer.waits_for,
        signer.state,
        signer.reason,
        signer.signed_by,
        signer.comment,
        signer.from_person_id,
        _instant(signer.asked_at),
        _instant(signer.answered_at),
    ]


def _instant(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
