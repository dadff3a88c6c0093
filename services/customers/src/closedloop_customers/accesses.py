"""Who looked at a person's data, when and by which call (PIPL)."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_chassis.work import Call

NOTE = """
INSERT INTO personal_access (record_id, actor_id, on_behalf_of, method, minute)
SELECT DISTINCT id, %(actor)s, %(for)s, %(method)s, date_trunc('minute', %(now)s::timestamptz)
  FROM unnest(%(ids)s::uuid[]) AS id
ON CONFLICT DO NOTHING
"""


async def note(call: Call, ids: Iterable[str]) -> None:
    """Contacts and leads whose personal fields this answer shows. One round trip, before the answer leaves."""
    shown = [id_ for id_ in ids if id_]
    if shown:
        params = {"actor": call.actor, "for": call.on_behalf_of, "method": call.method.name, "now": call.now}
        await call.db.all(NOTE, {**params, "ids": shown})
