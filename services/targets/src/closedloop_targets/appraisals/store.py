"""Targets beside actuals of many holders and metrics at once; and records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope, Work
from closedloop_targets import aggregation, company
from closedloop_targets.book import in_force
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods.rules import Period
from closedloop_targets.products.rules import ProductRules

# What a target asks for in the period; of what does not add up all of it.
PART = f"CASE WHEN metric = ANY(%(apart)s::text[]) THEN minor ELSE {in_force.asked('reached', 'id', '%(since)s', '%(until)s')} END"
ASKED = aggregation.asked("r.metric", "r.part", "r.days", "r.end_date")
GOALS = f"""
WITH reached AS ({in_force.REACHED}),
r AS (
    SELECT reached.*, {PART} AS part,
           least(end_date, %(until)s) - greatest(start_date, %(since)s) + 1 AS days FROM reached
)
SELECT r.holder_id, r.metric, max(r.currency) AS currency, {ASKED} AS minor,
       array(SELECT DISTINCT v.number FROM plan_version v
              WHERE v.plan_id = ANY(array_agg(r.plan_id)) AND v.state IN ('in_force', 'superseded')
                AND v.effective_date <= %(until)s
                AND (v.state = 'in_force' OR v.effective_date >= %(since)s) ORDER BY v.number) AS versions
  FROM r GROUP BY 1, 2
"""
DONE = """
WITH credited AS (
    {credited}
)
SELECT holder_id, a.metric, max(a.base_currency) FILTER (WHERE a.currency <> '') AS currency,
       {value} AS minor,
       round(sum(a.base_minor * coalesce(stages.weight_of, 1)))::bigint AS weighed
  FROM credited
  JOIN actual a ON a.id = credited.id
  LEFT JOIN unnest(%(stages)s::text[], %(stage_weights)s::numeric[]) AS stages (name, weight_of) ON stages.name = a.stage
 GROUP BY 1, 2
"""
STANDING = "reverses_id IS NULL AND reversed_by_id IS NULL AND date BETWEEN %(since)s AND %(until)s"
OF_PEOPLE = f"SELECT owner_id AS holder_id, id FROM actual WHERE owner_id = ANY(%(holders)s) AND {STANDING}"
OF_UNITS = f"""
SELECT tree.above AS holder_id, id
  FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
  JOIN actual ON actual.unit_id = tree.below AND {STANDING}
"""
UNITS_OF = """
SELECT person_id, array_agg(unit_id ORDER BY start_date) AS unit_ids
  FROM (SELECT person_id, unit_id, start_date,
               coalesce(lead(start_date) OVER (PARTITION BY person_id ORDER BY start_date), 'infinity') AS next_date
          FROM person_state WHERE person_id = ANY(%(holders)s)) AS s
 WHERE start_date <= %(until)s AND next_date > %(since)s
 GROUP BY person_id
"""
LATEST = """
SELECT id, revision, person_id, digest FROM appraisal
 WHERE person_id = ANY(%(holders)s) AND period = %(period)s AND latest FOR UPDATE
"""
RETIRE = """
UPDATE appraisal SET latest = false
 WHERE latest AND period = %(period)s AND person_id = ANY(%(people)s)
"""
ADD = """
INSERT INTO appraisal (id, revision, person_id, unit_id, period, start_date, end_date, issued_at, digest, latest, data)
SELECT id, revision, person_id, unit_id, %(period)s, %(since)s, %(until)s, %(now)s, digest, true, data
  FROM unnest(%(ids)s::uuid[], %(revisions)s::int[], %(people)s::text[], %(units)s::text[], %(digests)s::text[],
              %(data)s::bytea[]) AS given (id, revision, person_id, unit_id, digest, data)
"""
BY_ID = """
SELECT person_id AS owner_id, unit_id, data FROM appraisal
 WHERE id = %(id)s AND CASE WHEN %(revision)s = 0 THEN latest ELSE revision = %(revision)s END
"""
LIST = (
    """
SELECT * FROM (SELECT person_id AS owner_id, unit_id, start_date, end_date, data, id FROM appraisal WHERE latest) AS a
 WHERE (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND %(person_id)s IN ('', owner_id)
   AND start_date <= coalesce(%(until)s::date, 'infinity') AND end_date >= coalesce(%(since)s::date, '-infinity')
   AND (-(start_date - '2000-01-01'::date), owner_id, id) > (%(key)s::int, %(key_owner)s, %(key_id)s::uuid)
   AND """
    + Scope.SQL
    + " ORDER BY start_date DESC, owner_id, id LIMIT %(limit)s"
)


@dataclass(frozen=True, slots=True)
class Goal:
    holder_id: str
    metric: str
    currency: str
    minor: int
    versions: list[int]


@dataclass(frozen=True, slots=True)
class Done:
    holder_id: str
    metric: str
    currency: str | None
    # None where nothing was measured of what does not add up.
    minor: int | None
    weighed: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A record's row; `data` is the contract's Appraisal."""

    owner_id: str
    unit_id: str
    start_date: date
    end_date: date
    data: bytes
    id: str


async def figures(
    work: Work, reader: Reader | Transaction, kind: str, holders: list[str], period: Period
) -> tuple[dict[tuple[str, str], Goal], dict[tuple[str, str], Done]]:
    """Goals and actuals by holder and metric; two queries, whatever their number."""
    weights = work.rules(ProductRules).stage_weights
    grain, cut = in_force.adds_up(period)
    params: dict[str, Any] = {
        "holders": holders,
        "kind": kind,
        "metrics": [metric.code for metric in work.rules(MetricRules).metrics],
        "since": period.start,
        "until": period.end,
        "grain": grain,
        "cut": cut,
        "stages": list(weights),
        "stage_weights": list(weights.values()),
        **in_force.places(work),
        **aggregation.manners(work),
        **(company.closure(work.org, holders) if kind == "unit" else {}),
    }
    goals = await reader.all(GOALS, params, into=Goal)
    credited = OF_UNITS if kind == "unit" else OF_PEOPLE
    done = await reader.all(
        DONE.format(credited=credited, value=aggregation.values("a.metric", "a")), params, into=Done
    )
    return {(one.holder_id, one.metric): one for one in goals}, {(one.holder_id, one.metric): one for one in done}


def add(tx: Transaction, period: Period, now: datetime, rows: list[tuple[str, int, str, str, str, bytes]]) -> None:
    """(id, revision, person, unit, digest, record)"""
    if rows:
        ids, revisions, people, units, digests, data = (list(column) for column in zip(*rows, strict=True))
        tx.do(RETIRE, {"period": period.code, "people": people})
        params = {"ids": ids, "revisions": revisions, "people": people, "units": units, "digests": digests}
        where = {"period": period.code, "since": period.start, "until": period.end, "now": now}
        tx.do(ADD, {**params, **where, "data": data})
