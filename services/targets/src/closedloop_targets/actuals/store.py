"""The ledger's writing side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from closedloop_chassis.data import rows as records
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_targets.actuals.rules import Fact, Row

# Two imports of one source follow each other.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('targets.actuals'), hashtext(%(source)s))"

# All that is needed to write facts, in one round trip: live rows of the records or sources, where people were on the
# days, what is known of the products, and the newest versions heard of the records.
KNOWN = """
SELECT (SELECT coalesce(jsonb_agg(to_jsonb(live)), '[]') FROM (
          SELECT a.* FROM actual a
           WHERE a.subject = ANY(%(subjects)s) AND a.source = %(source)s AND reverses_id IS NULL
               AND reversed_by_id IS NULL
          UNION ALL
          SELECT a.* FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS asked (source, source_id)
            JOIN actual a ON a.source = asked.source AND a.source_id = asked.source_id
           WHERE reverses_id IS NULL AND reversed_by_id IS NULL) AS live) AS live,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(asked.person_id, asked.day, s.unit_id)), '[]')
          FROM (SELECT DISTINCT * FROM unnest(%(people)s::text[], %(days)s::date[]) AS t (person_id, day)) AS asked
          JOIN LATERAL (SELECT unit_id FROM person_state s WHERE s.person_id = asked.person_id
                         ORDER BY start_date <= asked.day DESC, abs(start_date - asked.day) LIMIT 1) AS s
                             ON true) AS units,
       (SELECT coalesce(jsonb_object_agg(p.id, jsonb_build_array(p.line, (
                 SELECT jsonb_agg(jsonb_build_array(start_date, stage) ORDER BY start_date)
                   FROM product_stage s WHERE s.product_id = p.id))), '{}')
          FROM product p WHERE p.id = ANY(%(products)s)) AS products,
       (SELECT coalesce(jsonb_object_agg(asked.subject, s.revision), '{}') FROM unnest(%(subjects)s::text[]) AS asked (subject)
          JOIN actual_source s ON s.subject = %(source)s || ':' || asked.subject) AS revisions
"""
ADD = "INSERT INTO actual SELECT * FROM jsonb_populate_recordset(NULL::actual, %(rows)s)"
TAKE_BACK = """
UPDATE actual SET reversed_by_id = taken.by_id, reversed_at = %(now)s
  FROM unnest(%(ids)s::uuid[], %(by_ids)s::uuid[]) AS taken (id, by_id) WHERE actual.id = taken.id
"""
HEARD = """
INSERT INTO actual_source (subject, revision)
SELECT %(source)s || ':' || key, value::bigint FROM jsonb_each_text(%(revisions)s)
ON CONFLICT (subject) DO UPDATE SET revision = excluded.revision
"""
LOCK_ROW = "SELECT * FROM actual WHERE id = %(id)s FOR UPDATE"

FACT = tuple(field.name for field in fields(Fact))


@dataclass(frozen=True, slots=True)
class Known:
    """`units` by person and day, `products` by id with line and stages by day, `revisions` by record."""

    live: list[Row]
    units: dict[tuple[str, date], str]
    products: dict[str, tuple[str, list[tuple[date, str]]]]
    revisions: dict[str, int]

    def news(self, subject: str, revision: int) -> bool:
        """Whether nothing as new was heard of the record before."""
        return self.revisions.get(subject, -1) < revision

    def line(self, product_id: str) -> str:
        return self.products[product_id][0] if product_id in self.products else ""

    def stage(self, product_id: str, day: date) -> str:
        """The stage on the day; the first one for days before it; empty for an unknown product."""
        stages = self.products[product_id][1] if product_id in self.products else []
        return next((stage for start, stage in reversed(stages) if start <= day), stages[0][1] if stages else "")


async def known(
    tx: Transaction,
    *,
    source: str = "",
    subjects: Sequence[str] = (),
    sources: Sequence[tuple[str, str]] = (),
    holders: Sequence[tuple[str, date]] = (),
    products: Sequence[str] = (),
) -> Known:
    row = await tx.one(
        KNOWN,
        {
            "source": source,
            "subjects": list(subjects),
            "sources": [one for one, _ in sources],
            "source_ids": [one for _, one in sources],
            "people": [person for person, _ in holders],
            "days": [day for _, day in holders],
            "products": list(products),
        },
    )
    assert row is not None
    return Known(
        live=[_row(one) for one in row["live"]],
        units={(person, date.fromisoformat(day)): unit for person, day, unit in row["units"]},
        products={
            product: (line, [(date.fromisoformat(day), stage) for day, stage in stages or ()])
            for product, (line, stages) in row["products"].items()
        },
        revisions=row["revisions"],
    )


def write(work: Work, taken_back: Sequence[tuple[Row, str]], facts: Sequence[Fact]) -> list[Row]:
    """Queues reversals, each with its reason, and new rows; answers the rows written, reversals first."""
    reversals = [
        Row(
            new_id(),
            replace(
                row.fact, minor=-row.fact.minor, base_minor=-row.fact.base_minor, reason=reason, brought_by=work.actor
            ),
            reverses_id=row.id,
            recorded_at=work.now,
        )
        for row, reason in taken_back
    ]
    if taken_back:
        ids = {"ids": [row.id for row, _ in taken_back], "by_ids": [row.id for row in reversals]}
        work.tx.do(TAKE_BACK, {**ids, "now": work.now})
    rows = [*reversals, *(Row(new_id(), fact, recorded_at=work.now) for fact in facts)]
    if rows:
        work.tx.do(ADD, {"rows": records.pack(records.row(row.fact) | records.row(row, "fact") for row in rows)})
    return rows


def row(read: dict[str, Any]) -> Row:
    """A row as it was read."""
    fact = Fact(**{name: read[name] for name in FACT})
    rest = ("reverses_id", "reversed_by_id", "reversed_at", "recorded_at")
    return Row(read["id"], fact, **{name: read[name] for name in rest})


def _row(read: dict[str, Any]) -> Row:
    """A live row out of jsonb."""
    observed = read["observed_at"]
    typed = {
        "date": date.fromisoformat(read["date"]),
        "weight": Decimal(str(read["weight"])),
        "observed_at": datetime.fromisoformat(observed) if observed else None,
        "reversed_at": None,
        "recorded_at": datetime.fromisoformat(read["recorded_at"]),
    }
    return row(read | typed)
