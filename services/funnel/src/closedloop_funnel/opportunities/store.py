"""Deals in SQL: locked with what a step needs, listed, written one or many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.opportunities.record import (
    DateChange,
    DealLine,
    Evidence,
    Held,
    Move,
    Opportunity,
    Seen,
    Standing,
)
from closedloop_funnel.pipelines import scope

SEEN = f"""
SELECT {rows.listed(Opportunity, "o")}, coalesce(a.name, '') AS account_name
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
"""

LINES = f"""
SELECT {", ".join(f"o.{name}" for name in rows.columns(DealLine)[:-1])}, coalesce(a.name, '') AS account_name
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
"""

LOCK = f"""
SELECT {rows.listed(Opportunity, "o")}, coalesce(a.name, '') AS account_name,
       (SELECT coalesce(jsonb_object_agg(requirement_key, given), '{{}}')
          FROM (SELECT requirement_key, count(*) AS given FROM stage_evidence
                 WHERE opportunity_id = o.id GROUP BY requirement_key) e) AS evidence,
       (SELECT count(*) FROM quote
         WHERE opportunity_id = o.id AND (state = 'accepted' OR state IN ('approved', 'issued')
               AND (valid_until IS NULL OR valid_until >= %(today)s))) AS approved_quotes,
       (SELECT jsonb_build_object('id', id, 'amount_minor', amount_minor, 'currency', currency) FROM contract
         WHERE opportunity_id = o.id AND state IN ('signed', 'archived')
         ORDER BY sign_date DESC, id DESC LIMIT 1) AS signed_contract,
       (SELECT count(*) FROM activity
         WHERE opportunity_id = o.id AND state = 'done' AND effective AND at >= o.stage_entered_at) AS activities,
       (SELECT coalesce(jsonb_object_agg(key, found), '{{}}')
          FROM (SELECT claim ->> 'actionUnitKey' AS key, count(DISTINCT v.id) AS found
                  FROM activity v, jsonb_array_elements(v.actions) AS claim
                 WHERE v.opportunity_id = o.id AND v.state = 'done' AND v.authenticity <> 'confirmed_false'
                   AND (claim -> 'verified')::boolean GROUP BY 1) u) AS verified,
       (SELECT coalesce(jsonb_agg(p), '[]')
          FROM (SELECT 'quote' AS kind, id, submitted_revision AS revision
                  FROM quote WHERE opportunity_id = o.id AND state = 'submitted'
                UNION ALL
                SELECT 'contract', id, submitted_revision
                  FROM contract WHERE opportunity_id = o.id AND state = 'submitted') p
       ) AS pending,
       (SELECT coalesce(array_agg(r.id), '{{}}')
          FROM (SELECT id FROM activity WHERE opportunity_id = o.id AND id = ANY(%(records)s::uuid[])
                UNION ALL SELECT id FROM quote WHERE opportunity_id = o.id AND id = ANY(%(records)s::uuid[])
                UNION ALL SELECT id FROM contract WHERE opportunity_id = o.id AND id = ANY(%(records)s::uuid[])
                UNION ALL SELECT id FROM proposal WHERE opportunity_id = o.id AND id = ANY(%(records)s::uuid[])) r
       ) AS known_records,
       EXISTS (SELECT FROM opportunity w WHERE w.account_id = o.account_id AND w.state = 'won' AND w.id <> o.id)
         AS bought_before
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
 WHERE o.id = %(id)s
"""

EVIDENCE = f"SELECT {rows.listed(Evidence, 'e')} FROM stage_evidence e WHERE opportunity_id = %(id)s ORDER BY at, id"
DATE_CHANGES = f"""
SELECT * FROM (SELECT {rows.listed(DateChange, "c")} FROM close_date_change c
                WHERE opportunity_id = %(id)s ORDER BY at DESC LIMIT 100) newest ORDER BY at
"""

# What a new deal refers to: its account, or the one that was merged into, and its products, as far as they are known here.
REFERENCES = """
WITH named AS (
    SELECT coalesce(merged_into_id, id) AS id FROM account WHERE id = %(account_id)s::uuid
)
SELECT (SELECT to_jsonb(a) - 'words' FROM account a WHERE id = (SELECT id FROM named)) AS account,
       (SELECT coalesce(jsonb_object_agg(id, jsonb_build_object('minor', list_minor, 'currency', list_currency)), '{}')
          FROM product WHERE id = ANY(%(product_ids)s)) AS products,
       EXISTS (SELECT FROM opportunity WHERE account_id = (SELECT id FROM named) AND state = 'won') AS bought_before
"""

DUPLICATE = {
    "opportunity_provenance_key": errors.AlreadyExists(
        "OPPORTUNITY_DUPLICATE", "an opportunity with this source and source_id is there already"
    )
}

TRANSFER_CONTRACTS = """
UPDATE contract SET owner_id = %(owner_id)s, unit_id = %(unit_id)s, revision = revision + 1, updated_at = %(now)s
 WHERE opportunity_id = ANY(%(ids)s::uuid[]) AND state NOT IN ('signed', 'archived', 'refused')
"""
TAKE_BACK = {
    "quote": """UPDATE quote SET state = 'draft', approval_state = 'withdrawn', revision = revision + 1,
                       updated_at = %(now)s
                 WHERE opportunity_id = %(id)s AND state = 'submitted'""",
    "contract": """UPDATE contract SET state = 'draft', approval_state = 'withdrawn', revision = revision + 1,
                          updated_at = %(now)s
                    WHERE opportunity_id = %(id)s AND state = 'submitted'""",
}


@dataclass(frozen=True, slots=True)
class References:
    account: dict[str, Any] | None
    products: dict[str, dict[str, Any]]
    bought_before: bool


async def get(db: Reader, opportunity_id: str, today: date) -> Held | None:
    return await db.one(LOCK, {"id": opportunity_id, "today": today, "records": []}, into=Held)


async def lock(tx: Transaction, opportunity_id: str, today: date, records: Sequence[str] = ()) -> Held:
    """Its quotes as they hold `today`. Raises NotFound OPPORTUNITY_UNKNOWN."""
    params = {"id": opportunity_id, "today": today, "records": list(records)}
    held = await tx.one(LOCK + " FOR UPDATE OF o", params, into=Held)
    if held is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {opportunity_id}")
    return held


async def lock_many(tx: Transaction, ids: Sequence[str]) -> list[Seen]:
    """Those that are there, locked in the order of their ids."""
    sql = f"{SEEN} WHERE o.id = ANY(%(ids)s::uuid[]) ORDER BY o.id FOR UPDATE OF o"
    return await tx.all(sql, {"ids": list(ids)}, into=Seen)


async def lock_reviewed(tx: Transaction, review_id: str, today: date) -> list[Held]:
    """All deals that the review holds."""
    sql = LOCK.replace("o.id = %(id)s", "o.review_id = %(review)s") + " ORDER BY o.id FOR UPDATE OF o"
    return await tx.all(sql, {"review": review_id, "today": today, "records": []}, into=Held)


HOLD = f"""
UPDATE opportunity o SET review_id = %(review)s, version = o.version + 1, updated_at = %(now)s
 WHERE o.id = ANY(%(ids)s::uuid[]) AND o.state = 'open' AND o.review_id IS NULL
RETURNING {rows.listed(Opportunity, "o")},
          coalesce((SELECT name FROM account WHERE id = o.account_id), '') AS account_name
"""


async def hold(tx: Transaction, ids: Sequence[str], review_id: str, now: datetime) -> list[Seen]:
    """Open deals of these that nothing held before are held; answers them."""
    return await tx.all(HOLD, {"ids": list(ids), "review": review_id, "now": now}, into=Seen)


async def references(tx: Transaction, account_id: str, product_ids: Iterable[str]) -> References:
    found = await tx.one(
        REFERENCES, {"account_id": account_id or None, "product_ids": list(product_ids)}, into=References
    )
    assert found is not None
    return found


def add(tx: Transaction, deals: Sequence[Opportunity]) -> None:
    if deals:
        tx.do(*rows.added("opportunity", deals, Opportunity), refuse=DUPLICATE)


def save(tx: Transaction, deals: Sequence[Opportunity]) -> None:
    if deals:
        tx.do(*rows.saved("opportunity", deals, Opportunity))


def add_moves(tx: Transaction, moves: Sequence[Move]) -> None:
    if moves:
        tx.do(*rows.added("stage_move", moves, Move))


def add_evidence(tx: Transaction, evidence: Sequence[Evidence]) -> None:
    if evidence:
        tx.do(*rows.added("stage_evidence", evidence, Evidence))


def add_date_changes(tx: Transaction, changes: Sequence[DateChange]) -> None:
    if changes:
        tx.do(*rows.added("close_date_change", changes, DateChange))


def take_back(tx: Transaction, kind: str, opportunity_id: str, now: datetime) -> None:
    """Submitted quotes or contracts of the deal become drafts again."""
    tx.do(TAKE_BACK[kind], {"id": opportunity_id, "now": now})


def transfer_contracts(tx: Transaction, ids: Sequence[str], owner_id: str, unit_id: str, now: datetime) -> None:
    """Contracts of the deals that are not signed yet go with them."""
    if ids:
        tx.do(TRANSFER_CONTRACTS, {"ids": list(ids), "owner_id": owner_id, "unit_id": unit_id, "now": now})


async def evidence_of(db: Reader, opportunity_id: str) -> list[Evidence]:
    return await db.all(EVIDENCE, {"id": opportunity_id}, into=Evidence)


async def date_changes_of(db: Reader, opportunity_id: str) -> list[DateChange]:
    return await db.all(DATE_CHANGES, {"id": opportunity_id}, into=DateChange)


# By parameter: what it asks of a deal where it is given. A list is made of those that are, so that PostgreSQL plans each
# choice of them once; one statement with all of them is planned at every call.
FILTERS = {
    **{name: asked for name, (_, asked) in scope.NARROWING.items()},
    "states": "o.state = ANY(%(states)s)",
    "stage_keys": "o.stage_key = ANY(%(stage_keys)s)",
    "categories": "o.category = ANY(%(categories)s)",
    "close_from": "coalesce(o.close_date, o.expected_close_date) >= %(close_from)s",
    "close_to": "coalesce(o.close_date, o.expected_close_date) <= %(close_to)s",
    "created_from": "o.created_at >= %(created_from)s",
    "created_to": "o.created_at < %(created_to)s",
    "lights": "o.dwell_light = ANY(%(lights)s)",
    "least_pushes": "o.push_count >= %(least_pushes)s",
    "query": "(o.name ILIKE %(query)s OR a.name ILIKE %(query)s)",
    "without_account": "o.account_id IS NULL",
    "under_review": "o.review_id IS NOT NULL",
    "reason_code": "o.reason_code = %(reason_code)s",
    "source": "o.source = %(source)s",
    "source_id": "o.source_id = %(source_id)s",
    "custom_fields": "o.custom_fields <> '{}' AND o.custom_fields @@ %(custom_fields)s::jsonpath",
}

# By order_by of the contract: what is ordered by, its type, its direction, and a value before every row.
ORDERS: dict[str, tuple[str, str, str, str | int]] = {
    "update_time desc": ("o.updated_at", "timestamptz", "DESC", "infinity"),
    "amount desc": ("coalesce(o.amount_minor, -1)", "bigint", "DESC", 2**62),
    "expected_close_date": ("coalesce(o.expected_close_date, 'infinity')", "date", "ASC", "-infinity"),
    "dwell_days desc": ("o.stage_entered_at", "timestamptz", "ASC", "-infinity"),
}


@cache
def listing(select: str, order_by: str, filters: tuple[str, ...]) -> str:
    """The query of a list in that order; its key is (what is ordered by, id)."""
    column, kind, direction, _ = ORDERS[order_by]
    beyond = "<" if direction == "DESC" else ">"
    asked = [FILTERS.get(name, name) for name in filters]
    asked.append(
        f"({column} {beyond} %(after)s::{kind} OR ({column} = %(after)s::{kind} AND o.id > %(after_id)s::uuid))"
    )
    return f"{select} WHERE {' AND '.join(asked)} ORDER BY {column} {direction}, o.id LIMIT %(limit)s"


async def page(db: Reader, order_by: str, params: dict[str, Any]) -> list[Seen]:
    return await db.all(listing(SEEN, order_by, _asked(params)), params, into=Seen)


async def lines(db: Reader, order_by: str, params: dict[str, Any]) -> list[DealLine]:
    return await db.all(listing(LINES, order_by, _asked(params)), params, into=DealLine)


def _asked(params: dict[str, Any]) -> tuple[str, ...]:
    given = (name for name in FILTERS if params[name] not in (None, "", False, 0))
    return (*given,) if params["scope_company"] else (scope.REACH, *given)


MOVES = f"""
SELECT {rows.listed(Move, "m")}
  FROM stage_move m JOIN opportunity o ON o.id = m.opportunity_id LEFT JOIN account a ON a.id = o.account_id
 WHERE {scope.SQL}
   AND (%(id)s::uuid IS NULL OR m.opportunity_id = %(id)s)
   AND (%(from)s::timestamptz IS NULL OR m.at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR m.at < %(to)s)
   AND (NOT %(skips_only)s OR m.skipped_stage_keys <> '{{}}' OR m.skipped_requirement_keys <> '{{}}')
   AND (m.at, m.opportunity_id, m.sequence) > (%(after)s::timestamptz, %(after_id)s::uuid, %(after_sequence)s)
 ORDER BY m.at, m.opportunity_id, m.sequence
 LIMIT %(limit)s
"""


async def moves(db: Reader, params: dict[str, Any]) -> list[Move]:
    return await db.all(MOVES, params, into=Move)


# What the triggers of the table note of one change at a time is noted here of all at once: streams hear of every deal, the
# topics of kept answers count up by one.
OVERDUE = f"""
WITH darkened AS (
    UPDATE opportunity o SET dwell_light = due.light, version = o.version + 1
      FROM unnest(%(ids)s::uuid[], %(lights)s::text[]) AS due (id, light)
     WHERE o.id = due.id AND o.state = 'open'
    RETURNING {", ".join(f"o.{name}" for name in rows.columns(Standing))}, o.version, o.participant_ids, o.amount_minor, o.currency
), noted AS (
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    SELECT %(now)s, 'opportunity_updated', id, version, id, account_id, owner_id, unit_id, participant_ids, pipeline_id,
           stage_key, stage_key, amount_minor, currency, name FROM darkened
), counted AS (
    SELECT count_up(ARRAY(SELECT DISTINCT topic
                            FROM darkened, unnest(deal_topics(unit_id, owner_id, participant_ids)) AS topic))
)
SELECT {", ".join(f"d.{name}" for name in rows.columns(Standing))} FROM counted, darkened d
"""


async def darken(tx: Transaction, lights: dict[str, str], now: datetime) -> list[Standing]:
    """Sets the dwell lights of open deals and answers those deals."""
    params = {"ids": list(lights), "lights": list(lights.values()), "now": now}
    return await tx.all(OVERDUE, params, into=Standing)


MARGIN = """
UPDATE opportunity SET margin_ratio = %(ratio)s, margin_version = %(version)s
 WHERE id = %(id)s AND margin_version < %(version)s
"""


def restate_margin(tx: Transaction, opportunity_id: str, ratio: float | None, version: int) -> None:
    tx.do(MARGIN, {"id": opportunity_id, "ratio": ratio, "version": version})


FIND = "SELECT id FROM opportunity WHERE source = %(source)s AND source_id = %(source_id)s"


async def find(tx: Transaction, source: str, source_id: str) -> str | None:
    """The id of the deal with this provenance."""
    found: str | None = await tx.value(FIND, {"source": source, "source_id": source_id})
    return found
