"""Articles in SQL, and the search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.knowledge import rules
from closedloop_funnel.knowledge.record import Article, Listed

LISTED = rows.listed(Listed, "a")
NAMES = (*rows.columns(Article), "words")
PUT = f"""
INSERT INTO article ({", ".join(NAMES)})
SELECT {", ".join(NAMES)} FROM jsonb_populate_recordset(NULL::article, %(rows)s)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in NAMES if name != "id")}
"""
GET = f"SELECT {rows.listed(Article, 'a')} FROM article a WHERE id = %(id)s"
KNOWN = f"""
SELECT {rows.listed(Article, "a")} FROM article a
       JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS g (source, source_id)
         ON a.provenance ->> 'source' = g.source AND a.provenance ->> 'source_id' = g.source_id
 WHERE a.provenance <> '{{}}'
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('import articles'))"
LIST = f"""
SELECT {LISTED} FROM article a
 WHERE state = %(state)s AND (%(kind)s = '' OR kind = %(kind)s)
   AND (%(customer_type)s = '' OR customer_types = '{{}}' OR %(customer_type)s = ANY(customer_types))
   AND (%(industry)s = '' OR industries = '{{}}' OR %(industry)s = ANY(industries))
   AND (%(stage)s = '' OR stage_keys = '{{}}' OR %(stage)s = ANY(stage_keys))
   AND (%(ability)s = '' OR %(ability)s = ANY(ability_keys))
   AND (updated_at < %(after)s::timestamptz OR (updated_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY updated_at DESC, id LIMIT %(limit)s
"""
FITS = """
CASE WHEN %({asked})s = '' OR {column} = '{{}}' THEN 1.0
     WHEN %({asked})s = ANY({column}) THEN 1.0 + %({asked}_fits)s ELSE %(misfit)s END
"""
THERE = """a.state = 'published' AND (a.valid_until IS NULL OR a.valid_until >= %(today)s)
   AND (%(kinds)s::text[] IS NULL OR a.kind = ANY(%(kinds)s))"""
# A word is worth its rarity (Robertson and Spärck Jones 1976, as BM25 has it) times how often and where it stands in the
# article, saturated and by its length (ts_rank, normalisation 1). Then the article's fit.
SEARCH = f"""
WITH term AS (
    SELECT t.term, ln(1 + (n.articles - d.articles + 0.5) / (d.articles + 0.5)) AS rarity
      FROM unnest(%(terms)s::text[]) AS t (term)
           CROSS JOIN (SELECT count(*)::float8 AS articles FROM article WHERE state = 'published') n
           CROSS JOIN LATERAL (SELECT count(*)::float8 AS articles FROM article a
                                WHERE a.state = 'published' AND a.words @@ t.term::tsquery) d
     WHERE d.articles > 0 AND (d.articles <= %(common)s * n.articles OR n.articles < 10)
     ORDER BY d.articles, t.term LIMIT %(most_terms)s
), said AS (
    SELECT a.id, sum(term.rarity * ts_rank(%(weights)s::float4[], a.words, term.term::tsquery, 1)) AS words
      FROM term JOIN article a ON a.words @@ term.term::tsquery AND {THERE}
     GROUP BY a.id
    UNION ALL SELECT a.id, 1.0 FROM article a WHERE {THERE} AND %(terms)s::text[] = '{{}}'
), fitting AS (
    SELECT a.id, s.words, {FITS.format(asked="customer_type", column="a.customer_types")} AS customer_type_fit,
           {FITS.format(asked="industry", column="a.industries")} AS industry_fit,
           {FITS.format(asked="stage", column="a.stage_keys")} AS stage_fit
      FROM said s JOIN article a ON a.id = s.id
), ranked AS (
    SELECT *, round((words * customer_type_fit * industry_fit * stage_fit)::numeric, 9)::float8 AS score FROM fitting
     WHERE %(terms)s::text[] <> '{{}}' OR least(customer_type_fit, industry_fit, stage_fit) >= 1
)
SELECT {LISTED}, a.body, r.score, r.words::float8 AS words, r.customer_type_fit::float8 AS customer_type_fit,
       r.industry_fit::float8 AS industry_fit, r.stage_fit::float8 AS stage_fit
  FROM ranked r JOIN article a ON a.id = r.id
 WHERE r.score < %(after)s OR (r.score = %(after)s AND a.id > %(after_id)s::uuid)
 ORDER BY r.score DESC, a.id LIMIT %(limit)s
"""
DEAL = """
SELECT o.owner_id, o.unit_id, o.participant_ids, o.pipeline_id || '/' || o.stage_key AS stage,
       coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS customer_type, coalesce(a.industry, '') AS industry
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE o.id = %(id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(Article):
    """An article found: its words' worth, and what each dimension made of it."""

    score: float
    words: float
    customer_type_fit: float
    industry_fit: float
    stage_fit: float


def put(tx: Transaction, articles: Iterable[Article]) -> None:
    given = [
        {**rows.row(one), "words": rules.document(one.title, one.summary, rules.without_answers(one.body))}
        for one in articles
    ]
    tx.do(PUT, {"rows": rows.pack(given)})


async def get(db: Reader, article_id: str) -> Article:
    """Raises NotFound ARTICLE_UNKNOWN."""
    return _there(await db.one(GET, {"id": article_id}, into=Article), article_id)


async def lock(tx: Transaction, article_id: str) -> Article:
    """Raises NotFound ARTICLE_UNKNOWN."""
    return _there(await tx.one(f"{GET} FOR UPDATE", {"id": article_id}, into=Article), article_id)


def _there(found: Article | None, article_id: str) -> Article:
    if found is None:
        raise errors.NotFound("ARTICLE_UNKNOWN", f"no article {article_id}")
    return found


async def search(db: Reader | Transaction, params: dict[str, Any]) -> list[Hit]:
    return await db.all(SEARCH, params, into=Hit)
