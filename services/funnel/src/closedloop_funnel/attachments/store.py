"""Files and their uses in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.attachments.record import Attachment

# What was emptied with a person is kept again when somebody brings it again.
KEEP = """
INSERT INTO attachment_content AS c (sha256, content) VALUES (%(sha256)s, %(content)s)
ON CONFLICT (sha256) DO UPDATE SET content = excluded.content WHERE c.content = ''
"""
INSERT = rows.insert("attachment", Attachment)
GET = f"SELECT {rows.listed(Attachment, 'f')} FROM attachment f WHERE id = %(id)s"
CONTENT = "SELECT content FROM attachment_content WHERE sha256 = %(sha256)s"
SIMILAR = """
SELECT id FROM attachment f
 WHERE picture IS NOT NULL AND id <> %(id)s AND uploaded_at <= %(at)s
   AND ((picture & 65535) = (%(picture)s::bigint & 65535)
     OR ((picture >> 16) & 65535) = ((%(picture)s::bigint >> 16) & 65535)
     OR ((picture >> 32) & 65535) = ((%(picture)s::bigint >> 32) & 65535)
     OR ((picture >> 48) & 65535) = ((%(picture)s::bigint >> 48) & 65535))
   AND bit_count((picture # %(picture)s::bigint)::bit(64)) <= %(bits)s
 ORDER BY uploaded_at, id LIMIT 100
"""
# Whose records it is attached to; an article is everybody's.
READERS = """
SELECT owner_id, unit_id, participant_ids FROM activity
 WHERE id IN (SELECT record_id FROM attachment_use WHERE attachment_id = %(id)s AND record_kind = 'activity')
UNION ALL
SELECT o.owner_id, o.unit_id, o.participant_ids FROM opportunity o
 WHERE o.id IN (SELECT CASE u.record_kind WHEN 'opportunity' THEN u.record_id
                            WHEN 'quote' THEN (SELECT opportunity_id FROM quote WHERE id = u.record_id)
                            WHEN 'proposal' THEN (SELECT opportunity_id FROM proposal WHERE id = u.record_id)
                            WHEN 'contract' THEN (SELECT opportunity_id FROM contract WHERE id = u.record_id) END
                  FROM attachment_use u WHERE u.attachment_id = %(id)s)
UNION ALL
SELECT %(reader)s::text, '', '{}' WHERE EXISTS (
    SELECT FROM attachment_use u WHERE u.attachment_id = %(id)s AND u.record_kind = 'article')
"""
KNOWN = f"SELECT {rows.listed(Attachment, 'f')} FROM attachment f WHERE id = ANY(%(ids)s::uuid[])"
USE = """
INSERT INTO attachment_use (attachment_id, record_kind, record_id)
SELECT id, %(kind)s, %(record_id)s FROM unnest(%(ids)s::uuid[]) AS id ON CONFLICT DO NOTHING
"""


async def get(db: Reader, attachment_id: str) -> Attachment:
    """Raises NotFound ATTACHMENT_UNKNOWN."""
    found = await db.one(GET, {"id": attachment_id}, into=Attachment)
    if found is None:
        raise errors.NotFound("ATTACHMENT_UNKNOWN", f"no attachment {attachment_id}")
    return found


def add(tx: Transaction, attachment: Attachment, content: bytes) -> None:
    tx.do(KEEP, {"sha256": attachment.sha256, "content": content})
    tx.do(INSERT, {"rows": rows.pack([attachment])})


async def similar(db: Reader | Transaction, attachment: Attachment, bits: int) -> list[str]:
    """Earlier pictures that are the same or nearly."""
    if attachment.picture is None:
        return []
    params: dict[str, Any] = {
        "id": attachment.id,
        "at": attachment.uploaded_at,
        "picture": attachment.picture,
        "bits": bits,
    }
    return [row["id"] for row in await db.all(SIMILAR, params)]


async def known(tx: Transaction, ids: Sequence[str]) -> dict[str, Attachment]:
    return {one.id: one for one in await tx.all(KNOWN, {"ids": list(ids)}, into=Attachment)}
