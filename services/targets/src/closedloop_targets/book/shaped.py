"""How targets go over time: as the cascade did that they are part of, also after somebody changed their number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from closedloop_chassis.data.transaction import Reader, Transaction

# The cascade each target follows over time, where it went by something else than working days: the one it came from; of
# what was changed by hand, the one it was split by, the newest that its neighbours came from, or that of the nearest above.
SHAPED = """
WITH RECURSIVE asked AS (
    SELECT id, parent_id, cascade_id, product_id FROM target WHERE id = ANY(%(ids)s::uuid[])
), line AS (
    SELECT id, parent_id AS above, 1 AS step FROM asked WHERE cascade_id IS NULL
    UNION ALL SELECT line.id, t.parent_id, step + 1 FROM line JOIN target t ON t.id = line.above
), split AS (
    SELECT DISTINCT ON (c.target_id) c.target_id, c.id
      FROM cascade c
     WHERE c.target_id IN (SELECT id FROM asked UNION SELECT above FROM line)
     ORDER BY c.target_id, c.run_at DESC
), beside AS (
    SELECT DISTINCT ON (t.parent_id) t.parent_id, c.id
      FROM (SELECT DISTINCT parent_id FROM asked WHERE cascade_id IS NULL AND parent_id IS NOT NULL) AS parent
      JOIN target t ON t.parent_id = parent.parent_id
      JOIN cascade c ON c.id = t.cascade_id
     ORDER BY t.parent_id, c.run_at DESC
), above AS (
    SELECT DISTINCT ON (line.id) line.id AS target_id, coalesce(split.id, t.cascade_id) AS id
      FROM line JOIN target t ON t.id = line.above LEFT JOIN split ON split.target_id = t.id
     WHERE split.id IS NOT NULL OR t.cascade_id IS NOT NULL
     ORDER BY line.id, line.step
)
SELECT asked.id::text AS target_id, asked.product_id, c.id::text AS cascade_id
  FROM asked
  LEFT JOIN split ON split.target_id = asked.id
  LEFT JOIN beside ON beside.parent_id = asked.parent_id
  LEFT JOIN above ON above.target_id = asked.id
  JOIN cascade c ON c.id = coalesce(asked.cascade_id, split.id, beside.id, above.id)
   AND (c.shape IS NOT NULL OR c.product_shapes IS NOT NULL)
"""
SHAPES = "SELECT id::text AS id, shape, product_shapes FROM cascade WHERE id = ANY(%(ids)s::uuid[])"


async def shapes(
    reader: Reader | Transaction, target_ids: Sequence[str]
) -> tuple[dict[str, str], dict[str, dict[date, Fraction]]]:
    """The course that each target follows which went by something else than working days, its product's where that went by
    itself; and weights of days by course.

    Two round trips at most."""
    rows = await reader.all(SHAPED, {"ids": list(target_ids)}) if target_ids else []
    cascades = sorted({row["cascade_id"] for row in rows})
    found: dict[str, dict[date, Fraction]] = {}
    for row in await reader.all(SHAPES, {"ids": cascades}) if cascades else []:
        courses = {row["id"]: row["shape"] or {}} | {
            _course(row["id"], product): shape for product, shape in (row["product_shapes"] or {}).items()
        }
        for name, shape in courses.items():
            found[name] = {date.fromisoformat(day): Fraction(weight) for day, weight in shape.items()}
    followed = {}
    for row in rows:
        own = _course(row["cascade_id"], row["product_id"])
        followed[row["target_id"]] = own if own in found else row["cascade_id"]
    return followed, found


def _course(cascade_id: str, product_id: str) -> str:
    return f"{cascade_id}:{product_id}"
