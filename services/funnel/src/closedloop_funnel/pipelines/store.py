"""Stages in which deals stand, whether the rulebook still has them or not."""

from __future__ import annotations

from closedloop_chassis.data.transaction import Reader

OCCUPIED = """
SELECT pipeline_id, array_agg(DISTINCT stage_key) AS stage_keys
  FROM opportunity WHERE pipeline_id = ANY(%(ids)s) AND state = 'open' GROUP BY pipeline_id
"""


async def occupied(db: Reader, pipeline_ids: list[str]) -> dict[str, set[str]]:
    rows = await db.all(OCCUPIED, {"ids": pipeline_ids})
    return {row["pipeline_id"]: set(row["stage_keys"]) for row in rows}
