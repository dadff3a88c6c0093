"""Won deals with their features, cards, cases, and adoption against results."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.pipelines import scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One row of `practice_card`."""

    id: str
    version: int = 1
    state: str = "proposed"
    title: str
    method: str = ""
    feature_key: str = ""
    features: list[dict[str, Any]] = field(default_factory=list)
    customer_types: list[str] = field(default_factory=list)
    industries: list[str] = field(default_factory=list)
    stage_keys: list[str] = field(default_factory=list)
    action_unit_keys: list[str] = field(default_factory=list)
    case_ids: list[str] = field(default_factory=list)
    author_id: str
    unit_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of `practice_case`."""

    id: str
    author_id: str
    unit_id: str
    opportunity_id: str
    title: str
    decision_point: str
    turn: str
    trick: str
    customer_type: str = ""
    industry: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Case):
    benchmark: bool


@dataclass(frozen=True, slots=True)
class Adopted:
    """One person or unit: closed deals, won ones, their worth and days; and in what share of the deals each card's units were
    done, on the mean over the cards."""

    group_key: str
    ended: int
    won: int
    won_minor: int
    cycle_days: float | None
    adoption: float


# Days of the cycle by whole days; who took part in a contact, by the role he has in the deal.
DEALS = f"""
SELECT o.id, greatest((o.close_date - coalesce(o.engage_date, o.created_at::date))::float8, 1) AS cycle_days,
       o.margin_ratio AS margin,
       coalesce((SELECT jsonb_object_agg(r.role, r.day)
                   FROM (SELECT o.participants ->> p AS role,
                                min(v.at::date - coalesce(o.engage_date, o.created_at::date)) AS day
                           FROM activity v CROSS JOIN unnest(v.participant_ids || v.owner_id) AS p
                          WHERE v.opportunity_id = o.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false'
                            AND o.participants ? p
                          GROUP BY 1) r), '{{}}') AS roles_at,
       coalesce((SELECT jsonb_object_agg(k.kind, k.logs)
                   FROM (SELECT kind, count(*) AS logs FROM activity v
                          WHERE v.opportunity_id = o.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false'
                          GROUP BY kind) k), '{{}}') AS activities,
       ARRAY(SELECT DISTINCT u FROM activity v, unnest(v.action_unit_keys) AS u
              WHERE v.opportunity_id = o.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false') AS units,
       EXISTS (SELECT FROM proposal p WHERE p.opportunity_id = o.id AND p.custom) AS custom_proposal,
       (SELECT count(*) FROM activity v WHERE v.opportunity_id = o.id AND v.effective) AS effective
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
 WHERE {scope.SQL} AND o.state = 'won' AND o.closed_at >= %(from)s AND o.closed_at < %(to)s
 ORDER BY o.id
"""
ADD = rows.insert("practice_card", Card)
SAVE = rows.update("practice_card", Card)
GET = f"SELECT {rows.listed(Card, 'c')} FROM practice_card c WHERE id = %(id)s"
KNOWN = "SELECT feature_key FROM practice_card WHERE state <> 'retired' AND unit_id = %(unit)s AND feature_key <> ''"
BENCHMARKS = """
INSERT INTO practice_benchmark (opportunity_id, mined_at) SELECT id, %(now)s FROM unnest(%(ids)s::uuid[]) AS id
ON CONFLICT DO NOTHING
"""
LIST = f"""
SELECT {rows.listed(Card, "c")} FROM practice_card c
 WHERE state = %(state)s
   AND (%(customer_type)s = '' OR customer_types = '{{}}' OR %(customer_type)s = ANY(customer_types))
   AND (%(industry)s = '' OR industries = '{{}}' OR %(industry)s = ANY(industries))
   AND (%(stage)s = '' OR stage_keys = '{{}}' OR %(stage)s = ANY(stage_keys))
   AND (updated_at < %(after)s::timestamptz OR (updated_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY updated_at DESC, id LIMIT %(limit)s
"""
CARDS = f"""
SELECT {rows.listed(Card, "c")} FROM practice_card c
 WHERE (%(id)s::uuid IS NULL AND state = 'published' AND action_unit_keys <> '{{}}') OR id = %(id)s
"""
# One row a card is in `keys`; a deal adopts it when one of its units was done.
ADOPTION = """
WITH cards AS (SELECT * FROM unnest(%(cards)s::uuid[], %(keys)s::text[]) AS c (id, keys)),
deals AS (
    SELECT o.id, {group} AS group_key, o.state, o.reporting_minor,
           (o.close_date - coalesce(o.engage_date, o.created_at::date))::float8 AS days,
           (SELECT avg(EXISTS (SELECT FROM activity v
                                WHERE v.opportunity_id = o.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false'
                                  AND v.action_unit_keys && string_to_array(c.keys, ','))::int)
              FROM cards c)::float8 AS adopted
      FROM opportunity o
     WHERE o.state <> 'open' AND o.closed_at >= %(from)s AND o.closed_at < %(to)s
       AND (%(scope_company)s OR o.owner_id = %(scope_owner)s OR o.unit_id = ANY(%(scope_units)s))
       AND (%(units)s::text[] IS NULL OR o.unit_id = ANY(%(units)s))
)
SELECT group_key, count(*) AS ended, count(*) FILTER (WHERE state = 'won') AS won,
       coalesce(sum(reporting_minor) FILTER (WHERE state = 'won'), 0)::bigint AS won_minor,
       avg(days) FILTER (WHERE state = 'won') AS cycle_days, avg(adopted) AS adoption
  FROM deals GROUP BY group_key ORDER BY group_key
"""
DEAL = """
SELECT o.owner_id, o.unit_id, o.participant_ids, o.state,
       coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS customer_type, coalesce(a.industry, '') AS industry
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE o.id = %(id)s
"""
TELL = rows.insert("practice_case", Case)
CASES = f"""
SELECT {rows.listed(Case, "t")}, b.opportunity_id IS NOT NULL AS benchmark
  FROM practice_case t LEFT JOIN practice_benchmark b ON b.opportunity_id = t.opportunity_id
 WHERE (%(author)s = '' OR author_id = %(author)s) AND (%(deal)s::uuid IS NULL OR t.opportunity_id = %(deal)s)
   AND (%(customer_type)s = '' OR customer_type = %(customer_type)s) AND (%(industry)s = '' OR industry = %(industry)s)
   AND (%(query)s = '' OR concat_ws(' ', title, decision_point, turn, trick) ILIKE %(pattern)s)
   AND (NOT %(benchmark)s OR b.opportunity_id IS NOT NULL)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND t.id > %(after_id)s::uuid))
 ORDER BY created_at DESC, t.id LIMIT %(limit)s
"""
KNOWN_CASES = "SELECT count(*) FROM practice_case WHERE id = ANY(%(ids)s::uuid[])"


async def get(db: Reader, card_id: str) -> Card:
    """Raises NotFound CARD_UNKNOWN."""
    return _there(await db.one(GET, {"id": card_id}, into=Card), card_id)


async def lock(tx: Transaction, card_id: str) -> Card:
    """Raises NotFound CARD_UNKNOWN."""
    return _there(await tx.one(f"{GET} FOR UPDATE", {"id": card_id}, into=Card), card_id)


def _there(found: Card | None, card_id: str) -> Card:
    if found is None:
        raise errors.NotFound("CARD_UNKNOWN", f"no card {card_id}")
    return found


async def adopted(db: Reader, params: dict[str, Any], *, by_unit: bool) -> list[Adopted]:
    return await db.all(ADOPTION.replace("{group}", "o.unit_id" if by_unit else "o.owner_id"), params, into=Adopted)
