"""Won deals with their features, cards, cases, and adoption against results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.pipelines import scope
from closedloop_funnel.practices.rules import FeatureKind, Practised


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
    published_at: datetime | None = None


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
SELECT o.id, o.owner_id, greatest((o.close_date - coalesce(o.engage_date, o.created_at::date))::float8, 1) AS cycle_days,
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
 WHERE (%(id)s::uuid IS NULL AND state = 'published') OR id = %(id)s
"""
# How much of a feature a deal has; `{n}` tells one card's parameters from another's.
DONE = "v.opportunity_id = o.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false'"
FEATURE: Mapping[FeatureKind, str] = {
    "early_role": f"""(EXISTS (
        SELECT FROM activity v CROSS JOIN unnest(v.participant_ids || v.owner_id) AS p
         WHERE {DONE} AND o.participants ->> p = %(role{{n}})s
           AND v.at::date - coalesce(o.engage_date, o.created_at::date)
            <= %(early{{n}})s * greatest((o.close_date - coalesce(o.engage_date, o.created_at::date))::float8, 1)))::int""",
    "activities": f"(SELECT count(*) FROM activity v WHERE {DONE} AND v.kind = ANY(%(kinds{{n}})s))",
    "unit": f"(EXISTS (SELECT FROM activity v WHERE {DONE} AND v.action_unit_keys @> ARRAY[%(unit{{n}})s::text]))::int",
    "custom_proposal": "(EXISTS (SELECT FROM proposal p WHERE p.opportunity_id = o.id AND p.custom))::int",
    "effective_contacts": "(SELECT count(*) FROM activity v WHERE v.opportunity_id = o.id AND v.effective)",
}
ADOPTION = """
WITH deals AS (
    SELECT o.id, {group} AS group_key, o.state, o.reporting_minor,
           (o.close_date - coalesce(o.engage_date, o.created_at::date))::float8 AS days, {adopted} AS adopted
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
# Closed before the card was published, or begun and closed since; a NULL side is what was under way.
SIDES = """
WITH deals AS (
    SELECT o.owner_id, o.state, o.reporting_minor,
           (o.close_date - coalesce(o.engage_date, o.created_at::date))::float8 AS days, {adopted} AS adopted,
           CASE WHEN o.closed_at < %(at)s THEN false
                WHEN coalesce(o.engage_date, o.created_at::date) >= %(day)s THEN true END AS after
      FROM opportunity o
     WHERE o.state <> 'open' AND o.closed_at >= %(from)s AND o.closed_at < %(to)s
       AND (%(scope_company)s OR o.owner_id = %(scope_owner)s OR o.unit_id = ANY(%(scope_units)s))
       AND (%(units)s::text[] IS NULL OR o.unit_id = ANY(%(units)s))
)
SELECT owner_id AS person_id, after, count(*) AS ended, count(*) FILTER (WHERE state = 'won') AS won,
       coalesce(sum(reporting_minor) FILTER (WHERE state = 'won'), 0)::bigint AS won_minor,
       avg(days) FILTER (WHERE state = 'won') AS cycle_days, count(*) FILTER (WHERE adopted >= 1) AS hits
  FROM deals GROUP BY owner_id, after ORDER BY owner_id, after
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


async def adopted(
    db: Reader, cards: Sequence[Sequence[Practised]], params: dict[str, Any], *, by_unit: bool
) -> list[Adopted]:
    """Over the cards' mean; of each card one of what counts is enough."""
    expression, more = _followed(cards)
    statement = ADOPTION.replace("{group}", "o.unit_id" if by_unit else "o.owner_id").replace("{adopted}", expression)
    return await db.all(statement, {**params, **more}, into=Adopted)


async def sides(db: Reader, card: Sequence[Practised], params: dict[str, Any]) -> list[dict[str, Any]]:
    """Sellers' closed deals before and after; `after` is None for what was under way."""
    expression, more = _followed([card])
    return await db.all(SIDES.replace("{adopted}", expression), {**params, **more})


def _followed(cards: Sequence[Sequence[Practised]]) -> tuple[str, dict[str, Any]]:
    """The share of the cards that a deal follows, in SQL, with its parameters."""
    params: dict[str, Any] = {}
    each = []
    for card in cards:
        ways = []
        for one in card:
            n = len(params)
            params |= {
                f"role{n}": one.rule.role,
                f"early{n}": one.rule.early,
                f"kinds{n}": list(one.rule.activity_kinds),
                f"unit{n}": one.rule.unit,
                f"least{n}": one.least,
            }
            ways.append(f"{FEATURE[one.rule.kind].format(n=n)} >= %(least{n})s")
        each.append(f"({' OR '.join(ways)})::int")
    return f"(({' + '.join(each)})::float8 / {len(each)})", params
