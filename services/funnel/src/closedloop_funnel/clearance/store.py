"""What approvals told, written to the quote or contract it is about."""

from __future__ import annotations

from datetime import datetime

from closedloop_chassis.data.transaction import Transaction

# The two tables that wait for decisions; the kind of the subject names them.
KINDS = ("quote", "contract")

OPENED = """
UPDATE {table} SET approval_id = %(approval_id)s, approval_due_at = %(due_at)s, updated_at = %(now)s
 WHERE id = %(id)s::uuid AND state = 'submitted' AND submitted_revision = %(version)s
"""

# Of another version, or of content that changed since, nothing is decided.
SETTLED = """
UPDATE {table}
   SET state = %(state)s, approval_id = %(approval_id)s, approval_state = %(approval_state)s, decided_at = %(at)s,
       decider_ids = %(deciders)s, approval_comment = %(comment)s, revision = revision + 1, updated_at = %(now)s
 WHERE id = %(id)s::uuid AND state = 'submitted' AND submitted_revision = %(version)s
   AND content_digest = %(digest)s
RETURNING id
"""


def opened(
    tx: Transaction, kind: str, *, id: str, version: int, approval_id: str, due_at: datetime | None, now: datetime
) -> None:
    params = {"id": id, "version": version, "approval_id": approval_id, "due_at": due_at, "now": now}
    tx.do(OPENED.format(table=kind), params)


async def settled(
    tx: Transaction,
    kind: str,
    *,
    id: str,
    version: int,
    digest: str,
    state: str,
    approval_state: str,
    approval_id: str,
    deciders: list[str],
    comment: str,
    at: datetime | None,
    now: datetime,
) -> bool:
    """Whether the decision was on what stands here."""
    params = {
        "id": id,
        "version": version,
        "digest": digest,
        "state": state,
        "approval_state": approval_state,
        "approval_id": approval_id,
        "deciders": deciders,
        "comment": comment,
        "at": at,
        "now": now,
    }
    return await tx.one(SETTLED.format(table=kind), params) is not None
