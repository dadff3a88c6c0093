"""Targets of a version, and their cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope, Work
from closedloop_targets import aggregation
from closedloop_targets.book.model import Target
from closedloop_targets.periods.rules import Period

# With what its children have together, with the parameters of `aggregation.manners`.
SELECT = f"""
SELECT t.*, c.passed_minor
  FROM target t
  LEFT JOIN LATERAL (SELECT {aggregation.passed("minor")} AS passed_minor FROM target child
      WHERE child.parent_id = t.id) c ON true
"""
BY_ID = SELECT + " WHERE t.id = ANY(%(ids)s::uuid[])"
LOCK = "SELECT *, NULL::bigint AS passed_minor FROM target WHERE id = %(id)s FOR UPDATE"
OF_VERSION = "SELECT *, NULL::bigint AS passed_minor FROM target t WHERE plan_id = %(plan_id)s AND number = %(number)s"
# Targets of some holders: the line above a target, and those it could overlap with.
NEAR = (
    OF_VERSION
    + """ AND (holder_id = ANY(%(holders)s) OR id = ANY(%(ids)s::uuid[])
           OR (source_id <> '' AND source_id = ANY(%(source_ids)s)))"""
)
LIST = (
    SELECT
    + """
 WHERE plan_id = %(plan_id)s AND number = %(number)s AND (depth, id) > (%(depth)s, %(id)s::uuid)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)
       AND (holder_kind = 'unit' OR unit_id = ANY(%(people_of)s)))
   AND (%(person_id)s = '' OR holder_kind = 'person' AND holder_id = %(person_id)s)
   AND (%(parent_id)s = '' OR parent_id = nullif(%(parent_id)s, '')::uuid)
   AND (%(metric)s = '' OR metric = %(metric)s)
   AND (%(product_id)s = '' OR product_id = %(product_id)s)
       AND (%(product_line)s = '' OR product_line = %(product_line)s)
   AND (%(segment)s = '' OR segment = %(segment)s)
   AND start_date <= coalesce(%(until)s::date, 'infinity') AND end_date >= coalesce(%(since)s::date, '-infinity')
   AND """
    + Scope.SQL
    + """
 ORDER BY depth, id LIMIT %(limit)s
"""
)
# What the children of a node lack of it.
MISSING = f"""
SELECT t.id, {aggregation.missing("t.base_minor", "base_minor", "t.metric")} AS missing
  FROM target t JOIN target child ON child.parent_id = t.id
"""
MISSING_OF = MISSING + " WHERE t.id = %(id)s GROUP BY t.id"
# Every node whose children together are not what it has (of a mean: are looser), unless somebody signed exactly that.
NOT_SUMMING = f"""
WITH lacking AS ({MISSING} WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s GROUP BY t.id)
SELECT t.id, t.holder_kind, t.holder_id, t.metric, t.currency, lacking.missing
  FROM lacking JOIN target t ON t.id = lacking.id
 WHERE lacking.missing <> 0
   AND NOT EXISTS (SELECT FROM sum_exception e WHERE e.target_id = t.id AND e.state = 'signed'
                      AND e.difference_minor = lacking.missing)
 ORDER BY abs(lacking.missing) DESC
"""
PUT = """
INSERT INTO target SELECT * FROM jsonb_populate_recordset(NULL::target, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET parent_id = excluded.parent_id, holder_kind = excluded.holder_kind, holder_id = excluded.holder_id,
       depth = excluded.depth,
       metric = excluded.metric, product_id = excluded.product_id, product_line = excluded.product_line,
       segment = excluded.segment, period = excluded.period, start_date = excluded.start_date,
           end_date = excluded.end_date,
       minor = excluded.minor, base_minor = excluded.base_minor, currency = excluded.currency,
           padding = excluded.padding,
       owner_id = excluded.owner_id, unit_id = excluded.unit_id, statement = excluded.statement,
           strategy = excluded.strategy,
       cascade_id = excluded.cascade_id, counts = excluded.counts, custom_fields = excluded.custom_fields,
       source = excluded.source, source_id = excluded.source_id, provenance = excluded.provenance,
       version = excluded.version, updated_at = excluded.updated_at, weight = excluded.weight
"""
BELOW = """
WITH RECURSIVE below AS (
    SELECT id FROM target WHERE parent_id = %(id)s
    UNION ALL SELECT child.id FROM target child JOIN below ON child.parent_id = below.id
)
"""
REMOVE_BELOW = BELOW + "DELETE FROM target WHERE id IN (SELECT id FROM below)"
REMOVE = "DELETE FROM target WHERE id = %(id)s"
# A target moved in the tree takes what is below it along.
SINK = BELOW + "UPDATE target SET depth = depth + %(levels)s WHERE id IN (SELECT id FROM below)"
# Of the targets and of all above them, whose cells are made of theirs.
FORGET_CELLS = """
WITH RECURSIVE line AS (
    SELECT id, parent_id FROM target WHERE id = ANY(%(ids)s::uuid[])
    UNION SELECT above.id, above.parent_id FROM target above JOIN line ON above.id = line.parent_id
)
DELETE FROM spread WHERE target_id IN (SELECT id FROM line)
"""
ADD_TIMELINES = """
INSERT INTO timeline SELECT * FROM jsonb_populate_recordset(NULL::timeline, %(rows)s) ON CONFLICT (id) DO NOTHING
"""
# Amounts travel as array literals: unnest would take arrays of arrays apart.
ADD_SPREADS = """
INSERT INTO spread (target_id, grain, timeline_id, minors)
SELECT target_id, grain, timeline_id, minors::bigint[]
  FROM unnest(%(target_ids)s::uuid[], %(grains)s::text[], %(timeline_ids)s::text[], %(minors)s::text[])
       AS given (target_id, grain, timeline_id, minors)
"""
WITHOUT_CELLS = OF_VERSION + " AND NOT EXISTS (SELECT FROM spread WHERE target_id = t.id)"
# Cells of the children, where there are any, of targets that have none.
CHILDREN_CELLS = """
SELECT child.parent_id, child.end_date, s.grain, line.start_dates, s.minors
  FROM target t
  JOIN target child ON child.parent_id = t.id
  JOIN spread s ON s.target_id = child.id
  JOIN timeline line ON line.id = s.timeline_id
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s AND NOT EXISTS (SELECT FROM spread WHERE target_id = t.id)
"""
# What hangs below one of its own holder is in that one.
COUNT = """
UPDATE target t SET counts = counted.counts
  FROM (SELECT part.id, above.id IS NULL OR (above.holder_kind, above.holder_id) <> (part.holder_kind, part.holder_id)
               AS counts
          FROM target part LEFT JOIN target above ON above.id = part.parent_id
         WHERE part.plan_id = %(plan_id)s AND part.number = %(number)s) AS counted
 WHERE t.id = counted.id AND t.counts <> counted.counts
"""
# And so is a part by product, line or segment beside a whole of its holder.
COUNT_ONCE = """
UPDATE target part SET counts = false
 WHERE part.plan_id = %(plan_id)s AND part.number = %(number)s AND part.counts
   AND (part.product_id, part.product_line, part.segment) <> ('', '', '')
   AND EXISTS (SELECT FROM target whole
                WHERE whole.holder_id = part.holder_id AND whole.metric = part.metric
                  AND whole.holder_kind = part.holder_kind AND whole.counts
                  AND whole.plan_id = part.plan_id AND whole.number = part.number
                  AND whole.start_date <= part.start_date AND whole.end_date >= part.end_date
                  AND whole.product_id IN ('', part.product_id) AND whole.product_line IN ('', part.product_line)
                  AND whole.segment IN ('', part.segment)
                  AND (whole.product_id, whole.product_line, whole.segment)
                      <> (part.product_id, part.product_line, part.segment))
"""
# A new version with the targets and cells of another, under new ids.
COPY = """
WITH old AS MATERIALIZED (SELECT id, gen_random_uuid() AS new_id FROM target WHERE plan_id = %(plan_id)s
    AND number = %(base)s),
copied AS (
    INSERT INTO target
    SELECT r.* FROM old JOIN target t ON t.id = old.id LEFT JOIN old above ON above.id = t.parent_id
     CROSS JOIN LATERAL jsonb_populate_record(t, jsonb_build_object(
         'id', old.new_id, 'parent_id', above.new_id, 'number', %(number)s::int, 'version', 1, 'updated_at',
             %(now)s::timestamptz)) r
    RETURNING id
)
INSERT INTO spread (target_id, grain, timeline_id, minors)
SELECT old.new_id, grain, timeline_id, minors FROM spread JOIN old ON old.id = spread.target_id
 WHERE EXISTS (SELECT FROM copied)
"""
# Before and after by what makes a target the same: holder, metric, scope and period. Whoever took another's over has two
# of them: what was changed last is the second.
NTH = """row_number() OVER (PARTITION BY holder_kind, holder_id, metric, product_id, product_line, segment, period
                            ORDER BY version, minor DESC, id) AS nth"""
COMPARE = (
    """
WITH one AS (SELECT *, """
    + NTH
    + """ FROM target WHERE plan_id = %(plan_id)s AND number = %(before)s
                AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(metric)s = '' OR metric = %(metric)s)
                AND """
    + Scope.SQL
    + """),
other AS (SELECT *, """
    + NTH
    + """ FROM target WHERE plan_id = %(plan_id)s AND number = %(after)s
             AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(metric)s = '' OR metric = %(metric)s)
             AND """
    + Scope.SQL
    + """),
change AS (
    SELECT one.id AS before_id, other.id AS after_id, coalesce(other.minor, 0) - coalesce(one.minor, 0) AS difference,
           coalesce(one.id, other.id) AS id, coalesce(one.minor, 0) AS was
      FROM one FULL JOIN other USING (holder_kind, holder_id, metric, product_id, product_line, segment, period, nth)
     WHERE (one.minor, one.base_minor, one.owner_id) IS DISTINCT FROM (other.minor, other.base_minor, other.owner_id)
)
SELECT * FROM change WHERE (-abs(difference), id) > (%(key)s, %(key_id)s::uuid) ORDER BY -abs(difference),
    id LIMIT %(limit)s
"""
)
PIPELINE = """
SELECT position, sum(minor)::bigint AS minor
  FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(starts)s::date[], %(ends)s::date[])
       WITH ORDINALITY AS asked (kind, holder_id, start_date, end_date, position)
  JOIN pipeline_deal d ON d.open AND d.close_date BETWEEN asked.start_date AND asked.end_date
   AND CASE asked.kind WHEN 'person' THEN d.owner_id = asked.holder_id
            ELSE d.unit_id IN (SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
                                WHERE above = asked.holder_id) END
 GROUP BY position
"""


async def by_id(work: Work, reader: Reader | Transaction, ids: Collection[str]) -> dict[str, Target]:
    params = {"ids": list(ids), **aggregation.manners(work)}
    return {target.id: target for target in await reader.all(BY_ID, params, into=Target)}


async def missing(work: Work, reader: Reader | Transaction, target_id: str) -> int | None:
    """What its children lack of it: see `aggregation.Manner.missing`; None without children."""
    row = await reader.one(MISSING_OF, {"id": target_id, **aggregation.manners(work)})
    return None if row is None else row["missing"]


async def lock(tx: Transaction, target_id: str) -> Target | None:
    return await tx.one(LOCK, {"id": target_id}, into=Target)


async def of_version(reader: Reader | Transaction, plan_id: str, number: int) -> list[Target]:
    return await reader.all(OF_VERSION, {"plan_id": plan_id, "number": number}, into=Target)


def save(tx: Transaction, targets: Sequence[Target]) -> None:
    """Parents before children: a row may refer to one before it."""
    if targets:
        tx.do(PUT, {"rows": rows.pack(targets, "passed_minor")})


def add_cells(tx: Transaction, spreads: Iterable[tuple[str, Sequence[Period], Sequence[int]]]) -> None:
    """(target id, the parts of one grain, their amounts)"""
    names: dict[int, str] = {}
    timelines: dict[str, dict[str, Any]] = {}
    cut = []
    for target_id, parts, minors in spreads:
        # Targets that are cut alike share the very list of parts.
        if id(parts) not in names:
            row = _timeline(parts)
            names[id(parts)], timelines[row["id"]] = row["id"], row
        cut.append((target_id, parts[0].grain, names[id(parts)], f"{{{','.join(map(str, minors))}}}"))
    if cut:
        tx.do(ADD_TIMELINES, {"rows": rows.pack(timelines.values())})
        columns = zip(*cut, strict=True)
        tx.do(
            ADD_SPREADS, dict(zip(("target_ids", "grains", "timeline_ids", "minors"), map(list, columns), strict=True))
        )


def _timeline(parts: Sequence[Period]) -> dict[str, Any]:
    row = {
        "grain": parts[0].grain,
        "periods": [part.code for part in parts],
        "start_dates": [part.start.isoformat() for part in parts],
        "end_dates": [part.end.isoformat() for part in parts],
    }
    return {"id": hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:32], **row}
