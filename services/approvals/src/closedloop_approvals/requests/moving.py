"""One request that moves on, as one statement: what changed of it, of its steps and signers, and the new links of its trail.

Most writes are this one, a decision. As documents (`store.MOVE`, `PUT_STEPS`, `PUT_SIGNERS`, `APPEND`) it costs PostgreSQL
1.6 times as much: all columns of four tables are unpacked to change a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from closedloop_approvals.requests.route import Signer, Step
from closedloop_approvals.requests.trail import Sealed
from closedloop_chassis.data.wire import Statement

if TYPE_CHECKING:
    from closedloop_approvals.requests.store import Request

# Each shape is a prepared statement of its own; what moves more than so many rows of a kind goes as documents.
MOST = 4

# Of a request, besides `participants`, which seldom change and stand in an index of many entries.
REQUEST = (
    "state",
    "due_at",
    "closed_at",
    "running_since",
    "elapsed",
    "escalation_level",
    "conditions",
    "decided_step",
    "decided_by",
    "decided_for",
    "version",
    "trail_length",
    "trail_hash",
)
STEP = ("started_at", "ended_at")
SIGNER = ("state", "waits_for", "signed_by", "asked_at", "answered_at", "comment")
LINK = ("sequence", "content", "previous_hash", "hash")


def statement(before: Request, after: Request, links: Sequence[Sealed]) -> Statement | None:
    """None where rows are new or many. Who read it before somebody else moved it is undone, and begins again."""
    old = {step.number: step for step in before.route.steps}
    steps: list[Step] = []
    signers: list[tuple[int, Signer]] = []
    for step in after.route.steps:
        was = old.get(step.number)
        if was is None:
            return None
        if was is step:
            continue
        if (was.started_at, was.ended_at) != (step.started_at, step.ended_at):
            steps.append(step)
        there = {signer.position: signer for signer in was.signers}
        for signer in step.signers:
            if signer.position not in there:
                return None
            if there[signer.position] != signer:
                signers.append((step.number, signer))
    if max(len(steps), len(signers), len(links)) > MOST:
        return None
    named = after.participants != before.participants
    params: dict[str, Any] = {name: getattr(after, name) for name in REQUEST if name not in ("state", "decided_step")}
    params |= {"id": after.id, "state": after.state, "decided_step": after.route.decided_step}
    params |= {"read_version": before.version, "read_length": before.trail_length}
    if named:
        params["participants"] = after.participants
    for n, step in enumerate(steps):
        params |= {f"step_number_{n}": step.number}
        params |= {f"step_{name}_{n}": getattr(step, name) for name in STEP}
    for n, (number, signer) in enumerate(signers):
        params |= {f"signer_step_{n}": number, f"signer_position_{n}": signer.position}
        params |= {f"signer_{name}_{n}": getattr(signer, name) for name in SIGNER}
    for n, link in enumerate(links):
        params |= {f"link_{name}_{n}": getattr(link, name) for name in LINK}
    return _sql(named, len(steps), len(signers), len(links)), params


@cache
def _sql(named: bool, steps: int, signers: int, links: int) -> str:
    """`moved` is asked for first, and so comes first: who is too late waits for its row, and touches nothing else."""
    columns = (*REQUEST, "participants") if named else REQUEST
    sets = ", ".join(f"{name} = %({name})s" for name in columns)
    parts = [
        f"moved AS (UPDATE approval_request SET {sets} WHERE id = %(id)s AND version = %(read_version)s"
        " AND trail_length = %(read_length)s RETURNING 1)"
    ]
    for n in range(steps):
        sets = ", ".join(f"{name} = %(step_{name}_{n})s" for name in STEP)
        key = f"request_id = %(id)s AND number = %(step_number_{n})s"
        parts.append(f"step_{n} AS (UPDATE approval_step SET {sets} WHERE {key})")
    for n in range(signers):
        sets = ", ".join(f"{name} = %(signer_{name}_{n})s" for name in SIGNER)
        key = f"request_id = %(id)s AND step = %(signer_step_{n})s AND position = %(signer_position_{n})s"
        parts.append(f"signer_{n} AS (UPDATE approval_signer SET {sets} WHERE {key})")
    if links:
        rows = ", ".join("(%(id)s, " + ", ".join(f"%(link_{name}_{n})s" for name in LINK) + ")" for n in range(links))
        parts.append(f"linked AS (INSERT INTO approval_trail (request_id, {', '.join(LINK)}) VALUES {rows})")
    return f"WITH {', '.join(parts)} SELECT presumed(EXISTS (SELECT FROM moved))"
