"""Potentials, and what they are computed from, in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records
from closedloop_customers.potential.rules import Inputs, PotentialRules, Tender, without_tenders

COLUMNS = "account_id, score, high, dimensions, rule, cause, evaluated_at, previous_score, considered_version"

# Holds the accounts, so that two evaluations of one do not cross. A sweep of timers leaves out what somebody else holds:
# who holds an account may wait for its timer.
MEASURE = """
SELECT a.id, (a.profile->>'employee_count')::int AS employees, p.score, coalesce(p.high, false) AS high,
       i.interactions, i.interests, i.oldest_touch, d.deals_won, d.oldest_win
  FROM account a LEFT JOIN potential p ON p.account_id = a.id
  CROSS JOIN LATERAL (
       SELECT count(*) AS interactions, count(*) FILTER (WHERE channel = 'web') AS interests,
              min(occurred_at) AS oldest_touch
         FROM interaction WHERE account_id = a.id AND effective AND occurred_at >= %(interactions_since)s) AS i
  CROSS JOIN LATERAL (
       SELECT count(*) AS deals_won, min(closed_on) AS oldest_win
         FROM account_deal WHERE account_id = a.id AND state = 'won' AND closed_on >= %(deals_since)s) AS d
 WHERE a.id = ANY(ARRAY(SELECT coalesce(merged_into_id, id) FROM account WHERE id = ANY(%(ids)s::uuid[])))
   AND a.status NOT IN ('merged', 'retired')
 ORDER BY a.id FOR UPDATE OF a
"""
MEASURE_FREE = f"{MEASURE.rstrip()} SKIP LOCKED"
# Never looked at, or by another version of the rules.
NOT_CONSIDERED = """
SELECT a.id FROM account a LEFT JOIN potential p ON p.account_id = a.id
 WHERE a.status NOT IN ('merged', 'retired') AND p.considered_version IS DISTINCT FROM %(version)s
"""
CONSIDERED = """
UPDATE potential SET considered_version = %(version)s
 WHERE account_id = ANY(%(ids)s::uuid[]) AND considered_version <> %(version)s
"""
LIVING = """
SELECT DISTINCT s.id FROM account a JOIN account s ON s.id = coalesce(a.merged_into_id, a.id)
 WHERE a.id = ANY(%(ids)s::uuid[]) AND s.status NOT IN ('merged', 'retired')
"""
TENDERS = """
SELECT account_id, confidence, state = 'confirmed' AS confirmed, published_on AS published, title FROM tender_match
 WHERE account_id = ANY(%(ids)s::uuid[]) AND state IN ('found', 'confirmed')
"""
IN_REACH = f"SELECT id, owner_id, unit_id FROM account WHERE {Scope.SQL} AND status NOT IN ('merged', 'retired')"
PUT = f"""
INSERT INTO potential ({COLUMNS}) SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::potential, %(rows)s)
ON CONFLICT (account_id) DO UPDATE
   SET score = excluded.score, high = excluded.high, dimensions = excluded.dimensions, rule = excluded.rule,
       cause = excluded.cause, evaluated_at = excluded.evaluated_at, previous_score = excluded.previous_score,
       considered_version = excluded.considered_version
"""
PUT_MATCH = """
INSERT INTO tender_match (notice_id, account_id, title, buyer_name, keywords, sectors, amount_minor, currency,
       published_on, url,
                          confidence, state, heard_at, version)
SELECT %(notice_id)s, id, %(title)s, %(buyer_name)s, %(keywords)s, %(sectors)s, %(amount_minor)s, %(currency)s,
       %(published_on)s, %(url)s,
       %(confidence)s, %(state)s, %(heard_at)s, %(version)s
  FROM (SELECT coalesce(merged_into_id, id) AS id FROM account WHERE id = %(account_id)s::uuid) AS whose
ON CONFLICT (account_id, notice_id) DO UPDATE
   SET title = excluded.title, buyer_name = excluded.buyer_name, keywords = excluded.keywords,
          sectors = excluded.sectors,
       amount_minor = excluded.amount_minor, currency = excluded.currency, published_on = excluded.published_on,
       url = excluded.url,
       confidence = excluded.confidence, state = excluded.state, version = excluded.version
 WHERE tender_match.version < excluded.version
RETURNING account_id
"""
PUT_POINTS = """
INSERT INTO potential_point (account_id, evaluated_at, score, without_tenders)
SELECT account_id, evaluated_at, score, without_tenders FROM jsonb_populate_recordset(NULL::potential_point, %(rows)s)
ON CONFLICT (account_id, evaluated_at) DO UPDATE
   SET score = excluded.score, without_tenders = excluded.without_tenders
"""
PUT_LABELS = """
INSERT INTO potential_label AS l (account_id, labelled_by, labelled_at, high, reason)
SELECT DISTINCT ON (account_id, labelled_by, labelled_at) account_id, labelled_by, labelled_at, high, reason
  FROM jsonb_populate_recordset(NULL::potential_label, %(rows)s)
ON CONFLICT (account_id, labelled_by, labelled_at) DO UPDATE SET high = excluded.high, reason = excluded.reason
 WHERE (l.high, l.reason) IS DISTINCT FROM (excluded.high, excluded.reason)
RETURNING xmax = 0 AS fresh
"""
PUT_OUTCOMES = """
INSERT INTO account_outcome AS o (source, source_id, account_id, kind, amount_minor, currency, happened_at, provenance)
SELECT source, source_id, account_id, kind, amount_minor, currency, happened_at, provenance
  FROM jsonb_populate_recordset(NULL::account_outcome, %(rows)s)
ON CONFLICT (source, source_id) DO UPDATE
   SET account_id = excluded.account_id, kind = excluded.kind, amount_minor = excluded.amount_minor,
       currency = excluded.currency, happened_at = excluded.happened_at
 WHERE (o.account_id, o.kind, o.amount_minor, o.currency, o.happened_at) IS DISTINCT FROM
       (excluded.account_id, excluded.kind, excluded.amount_minor, excluded.currency, excluded.happened_at)
RETURNING xmax = 0 AS fresh
"""
LABELS = """
SELECT account_id, labelled_by, labelled_at, high, reason FROM potential_label WHERE account_id = %(account_id)s
 ORDER BY labelled_at DESC, labelled_by LIMIT 100
"""
# Verdicts that stood at the start, against what became of the account until the end.
FORETOLD = f"""
SELECT a.id, l.high, p.score, p.without_tenders,
       %(won)s AND EXISTS (SELECT FROM account_deal d WHERE d.account_id = a.id AND d.state = 'won'
                              AND d.closed_on >= %(start)s::date AND d.closed_on < %(end)s::date)
       OR EXISTS (SELECT FROM account_outcome o WHERE o.account_id = a.id AND o.kind = ANY(%(good)s)
                     AND o.happened_at >= %(start)s AND o.happened_at < %(end)s) AS good
  FROM account a
  LEFT JOIN LATERAL (SELECT high FROM potential_label l WHERE l.account_id = a.id AND l.labelled_at <= %(start)s
                      ORDER BY labelled_at DESC LIMIT 1) AS l ON true
  LEFT JOIN LATERAL (SELECT score, without_tenders FROM potential_point p
                      WHERE p.account_id = a.id AND p.evaluated_at <= %(start)s
                      ORDER BY evaluated_at DESC LIMIT 1) AS p ON true
 WHERE a.status <> 'merged' AND {Scope.SQL} AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (l.high IS NOT NULL OR p.score IS NOT NULL)
"""
GET = f"""
SELECT {", ".join("p." + column for column in COLUMNS.split(", "))}, a.owner_id, a.unit_id, a.participant_ids
  FROM potential p JOIN account a ON a.id = p.account_id
 WHERE p.account_id = %(account_id)s
"""
MATCHES = """
SELECT notice_id, account_id, title, buyer_name, keywords, amount_minor, currency, published_on, url,
       confidence FROM tender_match
 WHERE account_id = ANY(%(ids)s::uuid[]) AND state IN ('found', 'confirmed')
 ORDER BY account_id, published_on DESC NULLS LAST, notice_id
"""
LIST = f"""
SELECT {", ".join("p." + column for column in COLUMNS.split(", "))}, a.owner_id, a.unit_id, a.participant_ids
  FROM potential p JOIN account a ON a.id = p.account_id
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (%(account_ids)s::uuid[] IS NULL OR p.account_id = ANY(%(account_ids)s))
   AND (%(high)s::boolean IS NULL OR p.high = %(high)s)
   AND (NOT %(disagreeing)s OR p.high <> (SELECT l.high FROM potential_label l WHERE l.account_id = p.account_id
                                            ORDER BY l.labelled_at DESC LIMIT 1))
   AND (%(tender_since)s::date IS NULL OR EXISTS (
        SELECT FROM tender_match t WHERE t.account_id = p.account_id AND t.state IN ('found', 'confirmed')
           AND t.published_on >= %(tender_since)s::date))
   AND (-p.score, p.account_id) > (%(after_score)s, %(after_id)s::uuid)
 ORDER BY p.score DESC, p.account_id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Measured:
    id: str
    employees: int | None
    score: float | None
    high: bool
    interactions: int
    interests: int
    oldest_touch: datetime | None
    deals_won: int
    oldest_win: date | None


@dataclass(frozen=True, slots=True)
class Potential:
    account_id: str
    score: float
    high: bool
    dimensions: list[dict[str, Any]]
    rule: dict[str, Any]
    cause: str
    evaluated_at: datetime
    previous_score: float | None
    # Of the rulebook, when it was looked at last, changed or not.
    considered_version: int


@dataclass(frozen=True, slots=True)
class Standing(Potential):
    owner_id: str
    unit_id: str
    participant_ids: list[str]


@dataclass(frozen=True, slots=True)
class Match:
    notice_id: str
    account_id: str
    title: str
    buyer_name: str
    keywords: list[str]
    amount_minor: int | None
    currency: str
    published_on: date | None
    url: str
    confidence: float


async def measure(
    tx: Transaction, ids: Collection[str], now: datetime, rules: PotentialRules, *, waits: bool = True
) -> list[tuple[Measured, Inputs]]:
    """What the rules look at, for accounts that live or what those are part of now; without those that somebody else holds
    unless it `waits`. Two round trips, however many accounts."""
    params = {
        "ids": list(ids),
        "interactions_since": now - timedelta(days=rules.interaction_days),
        "deals_since": (now - timedelta(days=rules.deal_days)).date(),
    }
    measured = await tx.all(MEASURE if waits else MEASURE_FREE, params, into=Measured)
    tenders: dict[str, list[Tender]] = defaultdict(list)
    for row in await tx.all(TENDERS, {"ids": [one.id for one in measured]}):
        tenders[row.pop("account_id")].append(Tender(**row))
    return [
        (
            one,
            Inputs(
                tenders.get(one.id, ()),
                one.interactions,
                one.deals_won,
                one.employees,
                one.interests,
                one.oldest_touch,
                one.oldest_win,
            ),
        )
        for one in measured
    ]


def put(tx: Transaction, potentials: Sequence[Potential]) -> None:
    if potentials:
        tx.do(PUT, {"rows": rows.pack(potentials)})
        points = [
            {
                "account_id": one.account_id,
                "evaluated_at": one.evaluated_at,
                "score": one.score,
                "without_tenders": without_tenders(one.dimensions),
            }
            for one in potentials
        ]
        tx.do(PUT_POINTS, {"rows": rows.pack(points)})


def considered(tx: Transaction, ids: Sequence[str], version: int) -> None:
    if ids:
        tx.do(CONSIDERED, {"ids": ids, "version": version})


async def matches(reader: Reader, account_ids: Collection[str]) -> dict[str, list[Match]]:
    found: dict[str, list[Match]] = defaultdict(list)
    for row in await reader.all(MATCHES, {"ids": list(account_ids)}, into=Match):
        found[row.account_id].append(row)
    return found
