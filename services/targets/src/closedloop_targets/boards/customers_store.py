"""Key customers beside their most advanced open deal and their last movement."""

from __future__ import annotations

from closedloop_chassis.work import Scope

PUT_ACCOUNT = """
INSERT INTO account_copy (id, name, grade, owner_id, unit_id, merged_into, known_since, version)
VALUES (%(id)s, %(name)s, %(grade)s, %(owner_id)s, %(unit_id)s, %(merged_into)s, %(now)s, %(version)s)
ON CONFLICT (id) DO UPDATE
   SET name = excluded.name, grade = excluded.grade, owner_id = excluded.owner_id, unit_id = excluded.unit_id,
       merged_into = excluded.merged_into, version = excluded.version
 WHERE account_copy.version < excluded.version
"""
PUT_DEAL = """
INSERT INTO account_deal (id, account_id, pipeline, stage, stage_at, probability, minor, currency, open, version)
VALUES (%(id)s, %(account_id)s, %(pipeline)s, %(stage)s, %(stage_at)s, %(probability)s, %(minor)s, %(currency)s, %(open)s,
        %(version)s)
ON CONFLICT (id) DO UPDATE
   SET account_id = excluded.account_id, pipeline = excluded.pipeline, stage = excluded.stage,
       stage_at = excluded.stage_at, probability = excluded.probability, minor = excluded.minor,
       currency = excluded.currency, open = excluded.open, version = excluded.version
 WHERE account_deal.version < excluded.version
"""
# Whatever older is heard of it later finds it closed.
CLOSE_DEAL = """
INSERT INTO account_deal (id, account_id, pipeline, stage, stage_at, probability, minor, currency, open, version)
VALUES (%(id)s, '', '', '', NULL, 0, 0, %(currency)s, false, %(version)s)
ON CONFLICT (id) DO UPDATE SET open = false, version = excluded.version WHERE account_deal.version <= excluded.version
"""
MET = """
INSERT INTO account_meeting (activity_id, account_id, at, effective, version)
VALUES (%(id)s, %(account_id)s, %(at)s, %(effective)s, %(version)s)
ON CONFLICT (activity_id) DO UPDATE
   SET account_id = excluded.account_id, at = excluded.at, effective = excluded.effective, version = excluded.version
 WHERE account_meeting.version < excluded.version
"""
# Movement is an activity or a new stage.
KEY = """
SELECT a.id, a.name, a.grade, a.owner_id, a.unit_id, a.reminded_at, deal.id AS opportunity_id, deal.pipeline, deal.stage,
       deal.stage_at, coalesce(deal.open_minor, 0)::bigint AS open_minor, deal.currency, met.last_at,
       greatest(floor(extract(epoch FROM %(now)s
           - greatest(met.last_at, deal.stage_at, CASE WHEN met.last_at IS NULL AND deal.stage_at IS NULL
                                                       THEN a.known_since END)) / 86400), 0)::int AS days
  FROM account_copy a
  LEFT JOIN LATERAL (
    SELECT d.*, sum(d.minor) OVER () AS open_minor FROM account_deal d
     WHERE d.account_id = a.id AND d.open ORDER BY d.probability DESC, d.stage_at DESC NULLS LAST, d.id LIMIT 1) AS deal ON true
  CROSS JOIN LATERAL (
    SELECT greatest((SELECT max(m.at) FROM account_meeting m WHERE m.account_id = a.id AND m.effective),
                    (SELECT last_at FROM account_activity WHERE account_id = a.id)) AS last_at) AS met
 WHERE a.merged_into = '' AND a.grade = ANY(%(grades)s)
"""
LIST = (
    "SELECT * FROM ("
    + KEY
    + """) AS customer
 WHERE (-days, id) > (%(key)s, %(key_id)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND %(person_id)s IN ('', owner_id) AND %(stage)s IN ('', stage) AND (NOT %(stale_only)s OR days > %(days)s) AND """
    + Scope.SQL
    + " ORDER BY -days, id LIMIT %(limit)s"
)
TO_REMIND = (
    "WITH customer AS ("
    + KEY
    + """)
UPDATE account_copy SET reminded_at = %(now)s
  FROM customer
 WHERE account_copy.id = customer.id AND customer.days > %(days)s AND customer.owner_id <> ''
   AND (customer.reminded_at IS NULL OR customer.reminded_at <= %(now)s - %(again)s * interval '1 day')
RETURNING customer.id, customer.name, customer.grade, customer.owner_id, customer.unit_id, customer.stage, customer.days
"""
)
MOVED_AGAIN = (
    "WITH customer AS ("
    + KEY
    + """)
UPDATE account_copy SET reminded_at = NULL
  FROM customer WHERE account_copy.id = customer.id AND customer.days <= %(days)s AND customer.reminded_at IS NOT NULL
RETURNING customer.id
"""
)
