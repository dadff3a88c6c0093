"""What is found in procurement notices, as figures whose matches can be asked for (S79), and how well notices are kept (S80)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop_chassis.figures.declared import Field, Figure, Figures, Record, Rows
from closedloop_chassis.work import Work
from closedloop_integrations.notices.rules import ProcurementRules

MATCHES, ACCURACY = "NoticeService.ListMatches", "NoticeService.GetMatchAccuracy"

MATCH = """
'notice_match' AS record_type, m.id::text AS record_id, coalesce(a.owner_id, '') AS owner_id,
coalesce(a.unit_id, '') AS unit_id, m.account_id::text AS account_id, coalesce(a.participant_ids, '{}') AS participant_ids,
m.matched_at AS record_time, n.source, n.source_id,
jsonb_build_object('number', n.title, 'date', n.publish_date, 'buyer', n.buyer, 'matched', m.matched_name,
                   'state', m.state, 'confidence', m.confidence) AS fields
  FROM notice_match m JOIN notice n ON n.id = m.notice_id LEFT JOIN account a ON a.id = m.account_id
 WHERE m.matched_at >= %(from)s AND m.matched_at < %(to)s
"""
MATCHED = f"SELECT m.state AS input, 1 AS amount, {MATCH} AND NOT m.superseded AND m.state IN ('found', 'confirmed')"
# As GetMatchAccuracy counts: of what was told, what people confirmed.
JUDGED = f"""
SELECT m.state AS input, (m.state = 'confirmed')::int::float8 AS amount, {MATCH}
   AND m.reviewed_by <> '' AND m.state IN ('confirmed', 'rejected')
   AND m.confidence >= %(tell_from)s AND m.rule <> 'review'
"""

NOTICES = """
SELECT n.id, n.title || ' (' || n.source_id || ')' AS label, '' AS owner_id, '' AS unit_id, n.buyer, n.amount_minor, n.region,
       n.created_at AS recorded_at, n.publish_date::timestamp AT TIME ZONE %(zone)s AS occurred_at
  FROM notice n WHERE n.created_at >= %(from)s AND n.created_at < %(to)s
"""
FOUND = """
SELECT m.id, m.matched_name || ' (' || m.id || ')' AS label, coalesce(a.owner_id, '') AS owner_id,
       coalesce(a.unit_id, '') AS unit_id, a.id AS known_id, m.matched_at AS recorded_at, NULL::timestamptz AS occurred_at
  FROM notice_match m LEFT JOIN account a ON a.id = m.account_id AND a.merged_into_id IS NULL
 WHERE m.matched_at >= %(from)s AND m.matched_at < %(to)s AND NOT m.superseded
"""


def told_from(work: Work) -> Mapping[str, Any]:
    return {"tell_from": work.rules(ProcurementRules).tell_from}


FIGURES = Figures(
    figures=(
        Figure(
            name="integrations.notices_matched",
            title="招标匹配数",
            definition="customers found in notices in the period, by the matcher or a person, and not rejected since",
            formula="count(matches)",
            unit="1",
            sources=("external",),
            scopes=("unit", "account"),
            shown_in=(MATCHES,),
            records=("notice", "notice_match"),
            step="matches that stand",
            refresh_rule="with each notice and each customer",
            rule=(ProcurementRules, "tell_from"),
            trace=Rows(sql=MATCHED, shared=True),
        ),
        Figure(
            name="integrations.match_precision",
            title="招标匹配准确率",
            definition="matches that people confirmed, of those told and judged by people",
            formula="confirmed / (confirmed + rejected)",
            unit="1",
            sources=("external", "manual"),
            scopes=(),
            shown_in=(ACCURACY,),
            records=("notice", "notice_match"),
            step="reviews of matches",
            refresh_rule="with each review",
            rule=(ProcurementRules, "accuracy_from"),
            trace=Rows(sql=JUDGED, how="mean", params=told_from, company_only=True),
        ),
    ),
    records=(
        Record(
            name="notice",
            title="procurement notices",
            source="external",
            arrival="polled from procurement sites, or imported",
            sql=NOTICES,
            fields=(
                Field(
                    name="buyer",
                    filled="r.buyer <> ''",
                    suggestion="mend the page: a notice without a buyer finds nobody",
                ),
                Field(name="amount", filled="r.amount_minor > 0", suggestion="read the budget where the page tells it"),
                Field(name="region", filled="r.region <> ''", suggestion="name the region the buyer is in"),
            ),
            late_suggestion="poll the site more often",
        ),
        Record(
            name="notice_match",
            title="matches of notices",
            source="external",
            arrival="found by the customer's names",
            sql=FOUND,
            fields=(
                Field(
                    name="account",
                    kind="missing_reference",
                    filled="r.known_id IS NOT NULL",
                    suggestion="review matches of customers that were merged or are gone",
                ),
            ),
        ),
    ),
)
