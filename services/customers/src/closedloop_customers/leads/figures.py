"""How soon inquiries are answered and what becomes of them, as figures whose leads can be asked for (S79, S24); and how whole
leads are (S80)."""

from __future__ import annotations

from closedloop_chassis.figures.declared import Agreement, Field, Figure, Figures, Record, Rows, ScopeWord
from closedloop_customers.leads.rules import ResponseRules

REPORT = "LeadService.GetResponseReport"
BY: tuple[ScopeWord, ...] = ("unit", "person", "account", "channel")

# Leads as the report counts them; the channel is the source they came by.
LEAD = """
'lead' AS record_type, l.id::text AS record_id, l.owner_id, l.unit_id, l.account_id::text AS account_id,
l.source AS channel, l.received_at AS record_time, l.source, coalesce(l.provenance->>'source_id', '') AS source_id,
jsonb_build_object('number', coalesce(l.profile->>'company_name', ''), 'stage', l.stage, 'outcome', l.outcome,
                   'date', (l.received_at AT TIME ZONE %(zone)s)::date, 'owner_id', l.owner_id) AS fields
  FROM lead l
 WHERE l.received_at >= %(from)s AND l.received_at < least(%(to)s, %(now)s) AND l.merged_into_id IS NULL
   AND l.outcome NOT IN ('invalid', 'duplicate')
"""
TOOK = f"""
SELECT 'answered' AS input, extract(epoch FROM l.responded_at - l.received_at)::float8 / 3600 AS amount, {LEAD}
   AND l.responded_at IS NOT NULL
"""
IN_TIME = f"""
SELECT CASE WHEN l.responded_in_time THEN 'in_time' ELSE 'late' END AS input,
       coalesce(l.responded_in_time, false)::int::float8 AS amount, {LEAD}
"""
CONVERTED = f"""
SELECT CASE WHEN l.converted_at IS NOT NULL OR l.opportunity_id IS NOT NULL OR l.outcome = 'won' THEN 'converted'
            ELSE 'not_converted' END AS input,
       (l.converted_at IS NOT NULL OR l.opportunity_id IS NOT NULL OR l.outcome = 'won')::int::float8 AS amount, {LEAD}
"""
ALARMS = f"""
SELECT 'alarm' AS input, 1 AS amount, {LEAD}
   AND l.alarm_at <= least(%(to)s, %(now)s, coalesce(l.responded_at, l.closed_at, %(to)s))
"""

# Who asks may be a person: an example is its id.
# Inquiries that came or were closed in the span, and those that wait; old business that is imported is not late.
INQUIRIES = """
SELECT l.id, l.id::text AS label, l.owner_id, l.unit_id, l.profile,
       l.stage, l.close_reason, l.created_at AS recorded_at, CASE WHEN NOT l.historical THEN l.received_at END AS occurred_at
  FROM lead l
 WHERE l.merged_into_id IS NULL AND l.created_at < %(to)s
   AND (l.stage <> 'closed' OR l.created_at >= %(from)s OR l.closed_at >= %(from)s)
"""
# A lead that became an opportunity, and whether the funnel told of one.
HANDED_OVER = """
SELECT l.id, l.id::text AS label, l.owner_id, l.unit_id, 1 AS ours,
       EXISTS (SELECT FROM account_opportunity o WHERE o.opportunity_id = l.opportunity_id)::int AS theirs
  FROM lead l
 WHERE l.converted_at >= %(from)s AND l.converted_at < %(to)s AND NOT l.historical AND l.opportunity_id IS NOT NULL
"""

FIGURES = Figures(
    figures=(
        Figure(
            name="customers.first_response",
            title="首次响应用时中位数",
            definition="plain hours from inquiry to first answer, of inquiries received in the period and answered",
            formula="quantile 0.5 (hours)",
            unit="h",
            sources=("crm", "external"),
            scopes=BY,
            shown_in=(REPORT,),
            records=("lead",),
            step="median of answered leads",
            rule=(ResponseRules, "first_response"),
            trace=Rows(sql=TOOK, how=0.5),
        ),
        Figure(
            name="customers.answered_in_time",
            title="及时响应率",
            definition="inquiries answered within the first-response budget, of all received",
            formula="in time / received",
            unit="1",
            sources=("crm", "external"),
            scopes=BY,
            shown_in=(REPORT,),
            records=("lead",),
            step="share of leads received",
            rule=(ResponseRules, "first_response"),
            trace=Rows(sql=IN_TIME, how="mean"),
        ),
        Figure(
            name="customers.response_alarms",
            title="未响应报警数",
            definition="inquiries of the period that waited so long for an answer that an alarm was raised",
            formula="count(alarms)",
            unit="1",
            sources=("crm", "external"),
            scopes=BY,
            shown_in=(REPORT,),
            records=("lead",),
            step="leads unanswered for too long",
            rule=(ResponseRules, "unanswered"),
            trace=Rows(sql=ALARMS),
        ),
        Figure(
            name="customers.lead_conversion",
            title="线索转化率",
            definition="inquiries that became an opportunity or a deal, of all received in the period",
            formula="converted / received",
            unit="1",
            sources=("crm", "external"),
            scopes=BY,
            shown_in=(REPORT,),
            records=("lead",),
            step="share of leads received",
            rule=(ResponseRules, "report_hours"),
            trace=Rows(sql=CONVERTED, how="mean"),
        ),
    ),
    records=(
        Record(
            name="lead",
            title="leads",
            source="external",
            arrival="taken in from web forms, WeChat, phone, spreadsheets and the API, or typed in",
            sql=INQUIRIES,
            fields=(
                Field(
                    name="reachable",
                    filled="coalesce(r.profile->>'phone', '') || coalesce(r.profile->>'email_address', '')"
                    " || coalesce(r.profile->>'wechat_id', '') <> ''",
                    suggestion="ask for a number or an address on every form; who cannot be reached cannot be answered",
                ),
                Field(
                    name="industry",
                    filled="coalesce(r.profile->>'industry', '') <> ''",
                    suggestion="ask for the industry; assignment and lessons go by it",
                ),
                Field(
                    name="region_code",
                    filled="coalesce(r.profile->>'region_code', '') <> ''",
                    suggestion="ask for the region; who is assigned goes by it",
                ),
                Field(
                    name="close_reason",
                    expected="r.stage = 'closed'",
                    filled="r.close_reason <> ''",
                    suggestion="say why a lead was closed",
                ),
            ),
            late_suggestion="take inquiries in by the API or the webhook, not by a list at the end of the week",
        ),
    ),
    agreements=(
        Agreement(
            name="handed_over",
            record="lead",
            figures=("customers.lead_conversion",),
            ours="converted leads",
            theirs="opportunities of the funnel",
            sql=HANDED_OVER,
            suggestion="look for the opportunity in the funnel: what was converted is not there, or its events are parked",
        ),
    ),
)
