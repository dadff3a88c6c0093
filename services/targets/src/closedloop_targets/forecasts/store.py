"""Series by month, statements, runs and market trends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.work import Scope

# Monthly sums of many series at once; a unit's with everything below it.
MONTHS = """
WITH asked AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(metrics)s::text[], %(products)s::text[])
         WITH ORDINALITY AS a (kind, holder_id, metric, product_id, position)
), month AS (
    SELECT * FROM unnest(%(firsts)s::date[], %(lasts)s::date[]) WITH ORDINALITY AS m (first, last, number)
), fact AS (
    SELECT asked.position, actual.date, actual.base_minor
      FROM asked JOIN actual ON asked.kind = 'person' AND actual.owner_id = asked.holder_id
       AND actual.metric = asked.metric AND asked.product_id IN ('', actual.product_id)
       AND actual.date BETWEEN %(since)s AND %(until)s
    UNION ALL
    SELECT asked.position, actual.date, actual.base_minor
      FROM asked
      JOIN unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
        ON asked.kind = 'unit' AND tree.above = asked.holder_id
      JOIN actual ON actual.unit_id = tree.below AND actual.metric = asked.metric
       AND asked.product_id IN ('', actual.product_id) AND actual.date BETWEEN %(since)s AND %(until)s
)
SELECT fact.position, month.number, sum(fact.base_minor)::bigint AS minor
  FROM fact JOIN month ON fact.date BETWEEN month.first AND month.last
 GROUP BY 1, 2
"""
# Open deals by the month they close in, weighed by their odds; of the main metric and everything together alone.
PIPELINE = """
SELECT asked.position, month.number, round(sum(d.minor * d.probability))::bigint AS minor
  FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(metrics)s::text[], %(products)s::text[])
       WITH ORDINALITY AS asked (kind, holder_id, metric, product_id, position)
  JOIN pipeline_deal d ON d.open AND asked.metric = %(main)s AND asked.product_id = ''
   AND CASE asked.kind WHEN 'person' THEN d.owner_id = asked.holder_id
            ELSE d.unit_id IN (SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
                                WHERE above = asked.holder_id) END
  JOIN unnest(%(ahead_firsts)s::date[], %(ahead_lasts)s::date[]) WITH ORDINALITY AS month (first, last, number)
    ON d.close_date BETWEEN month.first AND month.last
 GROUP BY 1, 2
"""
# Series are not told apart by segments: what the market does to one moves none.
TRENDS = """
SELECT unit_id, product_id, product_line, start_date, end_date, growth_ratio FROM market_trend
 WHERE superseded_by = '' AND segment = '' AND start_date <= %(until)s AND end_date >= %(since)s
 ORDER BY recorded_at
"""
ADD = "INSERT INTO forecast SELECT (jsonb_populate_record(NULL::forecast, given)).* FROM jsonb_array_elements(%(rows)s) AS given"
ADD_RUN = """
INSERT INTO forecast_run (id, state, unit_id, series, series_total, requested_by, reason, started_at)
VALUES (%(id)s, 'queued', %(unit_id)s, %(series)s, %(total)s, %(requested_by)s, %(reason)s, %(now)s)
"""
LOCK_RUN = "SELECT * FROM forecast_run WHERE id = ANY(%(ids)s::uuid[]) FOR UPDATE"
RUN = "SELECT * FROM forecast_run WHERE id = %(id)s"
PUT_RUN = """
UPDATE forecast_run
   SET state = %(state)s, series_done = %(done)s, series_naive = %(naive)s, series_failed = %(failed)s,
       ended_at = %(ended_at)s, error = %(error)s
 WHERE id = %(id)s
"""
RUNNING = "SELECT id FROM forecast_run WHERE state IN ('queued', 'running') AND unit_id = ANY(%(units)s) LIMIT 1"
PRODUCTS = "SELECT id FROM product WHERE NOT retired ORDER BY id"
LINES = "SELECT id, line FROM product WHERE id = ANY(%(ids)s)"
LATEST = (
    """
SELECT f.*, before.points AS previous
  FROM (SELECT DISTINCT ON (holder_kind, holder_id, metric, product_id) *
          FROM forecast WHERE stated_at <= %(as_of)s
           AND (holder_kind, holder_id, product_id) > (%(key_kind)s, %(key_id)s, %(key_product)s)
           AND metric = %(metric)s
           AND (%(product_id)s = '' OR product_id = %(product_id)s)
           AND CASE WHEN %(person_id)s <> '' THEN holder_kind = 'person' AND holder_id = %(person_id)s
                    WHEN %(unit_id)s = '' THEN true
                    WHEN %(below)s THEN unit_id = ANY(%(units)s)
                    ELSE holder_kind = 'unit' AND holder_id = %(unit_id)s END
           AND """
    + Scope.SQL
    + """
         ORDER BY holder_kind, holder_id, metric, product_id, stated_at DESC) AS f
  LEFT JOIN LATERAL (
    SELECT points FROM forecast b
     WHERE (b.holder_kind, b.holder_id, b.metric, b.product_id) = (f.holder_kind, f.holder_id, f.metric, f.product_id)
       AND b.stated_at < f.stated_at ORDER BY b.stated_at DESC LIMIT 1) AS before ON true
 ORDER BY holder_kind, holder_id, product_id LIMIT %(limit)s
"""
)
# The worst first; who cannot say comes last.
ACCURACY = (
    """
SELECT * FROM (
    SELECT DISTINCT ON (holder_kind, holder_id, metric, product_id) *, coalesce(mase, -1) AS rank
      FROM forecast
     WHERE metric = %(metric)s AND (%(product_id)s = '' OR product_id = %(product_id)s)
       AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND """
    + Scope.SQL
    + """
     ORDER BY holder_kind, holder_id, metric, product_id, stated_at DESC) AS f
 WHERE (-rank, holder_kind, holder_id, product_id) > (%(key)s::float8, %(key_kind)s, %(key_id)s, %(key_product)s)
 ORDER BY -rank, holder_kind, holder_id, product_id LIMIT %(limit)s
"""
)
OF_SERIES = """
SELECT * FROM forecast
 WHERE holder_kind = %(kind)s AND holder_id = %(holder)s AND metric = %(metric)s AND product_id = %(product)s
 ORDER BY stated_at DESC LIMIT 2
"""
# What stood when a week began, of forecasts that are more than a guess: the month's share of the week by working days
# is worked out by who asks.
STOOD = """
SELECT DISTINCT ON (holder_kind, holder_id) holder_kind, holder_id, unit_id, points
  FROM forecast
 WHERE metric = %(metric)s AND product_id = '' AND stated_at <= %(moment)s AND NOT naive
 ORDER BY holder_kind, holder_id, stated_at DESC
"""
# The latest statement of everything together, a guess or not.
LATEST_OF = """
SELECT DISTINCT ON (holder_id) holder_id, unit_id, points
  FROM forecast
 WHERE holder_kind = %(kind)s AND holder_id = ANY(%(holders)s) AND metric = %(metric)s AND product_id = ''
   AND stated_at <= %(moment)s
 ORDER BY holder_id, stated_at DESC
"""
# Months of targets in force, of series of one metric: of everything together, or of one product. Of several plans that
# reach a holder, those of the highest unit.
TARGETS = """
WITH asked AS (
    SELECT * FROM unnest(%(kinds)s::text[], %(holders)s::text[], %(products)s::text[]) AS a (kind, holder_id, product_id)
), reached AS (
    SELECT asked.*, t.id, t.book_rate,
           rank() OVER (PARTITION BY asked.kind, asked.holder_id, asked.product_id
                        ORDER BY array_position(%(tops)s::text[], t.plan_unit_id)) AS place
      FROM asked JOIN target_in_force t ON t.holder_kind = asked.kind AND t.holder_id = asked.holder_id
       AND CASE asked.product_id WHEN '' THEN t.counts ELSE t.product_id = asked.product_id END
     WHERE t.metric = %(metric)s AND t.start_date <= %(until)s AND t.end_date >= %(since)s
)
SELECT r.kind, r.holder_id, r.product_id, c.start_date, sum(in_books(c.minor, r.book_rate))::bigint AS minor
  FROM reached r JOIN cell c ON c.target_id = r.id AND c.grain = 'month'
 WHERE r.place = 1 AND c.start_date BETWEEN %(since)s AND %(until)s
 GROUP BY 1, 2, 3, 4
"""
ADD_TREND = """
INSERT INTO market_trend (id, unit_id, product_id, product_line, segment, period, start_date, end_date, growth_ratio,
                          reason, author_id, provenance, recorded_at)
VALUES (%(id)s, %(unit_id)s, %(product_id)s, %(product_line)s, %(segment)s, %(period)s, %(start_date)s, %(end_date)s,
        %(growth_ratio)s, %(reason)s, %(author_id)s, %(provenance)s, %(recorded_at)s)
"""
LOCK_TRENDS = "SELECT pg_advisory_xact_lock(hashtext('targets.market_trend'))"
OVERLAPPING = """
SELECT id FROM market_trend
 WHERE superseded_by = '' AND id::text <> %(supersedes_id)s AND unit_id = %(unit_id)s
   AND (product_id, product_line, segment) = (%(product_id)s, %(product_line)s, %(segment)s)
   AND start_date <= %(end_date)s AND end_date >= %(start_date)s LIMIT 1
"""
SUPERSEDE = """
UPDATE market_trend SET superseded_by = %(id)s
 WHERE id = %(supersedes_id)s AND superseded_by = '' RETURNING id
"""
LIST_TRENDS = """
SELECT * FROM market_trend
 WHERE id < %(before)s::uuid AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(scope_company)s OR unit_id = ANY(%(scope_units)s))
   AND %(product_id)s IN ('', product_id) AND (%(everything)s OR superseded_by = '')
   AND start_date <= coalesce(%(until)s::date, 'infinity') AND end_date >= coalesce(%(since)s::date, '-infinity')
 ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Forecast:
    holder_kind: str
    holder_id: str
    owner_id: str
    unit_id: str
    metric: str
    product_id: str
    stated_at: datetime
    run_id: str
    currency: str
    method: str
    naive: bool
    explanation: str
    history_months: int
    interval_ratio: float
    points: list[dict[str, Any]]
    mase: float | None
    wape: float | None
    coverage: float | None
    folds: int
    fold_months: int
    verdict: str
    seasons: list[float] | None
    model_mase: float | None
    model_coverage: float | None
    plain_mase: float | None
    plain_coverage: float | None


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    state: str
    unit_id: str
    series: list[list[str]]
    series_total: int
    series_done: int
    series_naive: int
    series_failed: int
    requested_by: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    error: str


@dataclass(frozen=True, slots=True)
class Trend:
    id: str
    unit_id: str
    product_id: str
    product_line: str
    segment: str
    period: str
    start_date: date
    end_date: date
    growth_ratio: float
    reason: str
    author_id: str
    provenance: dict[str, Any]
    recorded_at: datetime
    superseded_by: str
