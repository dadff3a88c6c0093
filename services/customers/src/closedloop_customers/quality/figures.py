"""Lights and filling of accounts as figures whose accounts can be asked for (S79, S34); and how whole accounts, contacts and
interactions are (S80)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop_chassis.figures.declared import Agreement, Field, Figure, Figures, Record, Rows, ScopeWord
from closedloop_chassis.work import Work
from closedloop_customers.freshness import QualityRules

REPORT, POOL = "QualityService.GetQualityReport", "AssignmentService.ListPool"
BY: tuple[ScopeWord, ...] = ("unit", "person", "account")

# Accounts as the report counts them, with what is found of each.
ACCOUNT = """
'account' AS record_type, a.id::text AS record_id, a.owner_id, a.unit_id, a.id::text AS account_id,
a.updated_at AS record_time, coalesce(a.provenances->0->>'source', 'crm') AS source,
coalesce(a.provenances->0->>'source_id', '') AS source_id,
jsonb_build_object('number', a.name, 'date', (a.last_verify_at AT TIME ZONE %(zone)s)::date, 'owner_id', a.owner_id,
                   'light', a.quality_light, 'grade', a.grade) AS fields
  FROM account a
  LEFT JOIN LATERAL (
      SELECT bool_or(f.kind = 'stale_record') AS stale, bool_or(f.kind = 'stale_key_fields') AS red,
             bool_or(f.kind = 'silent') AS silent,
             coalesce(sum(cardinality(f.fields)) FILTER (WHERE f.kind = 'missing_fields'), 0) AS missing
        FROM finding f
       WHERE f.account_id = a.id AND f.since_at < %(now)s AND (f.resolved_at IS NULL OR f.resolved_at >= %(now)s)) lit ON true
 WHERE a.status NOT IN ('merged', 'retired') AND a.created_at < %(now)s
"""
LIT = "SELECT '{light}' AS input, 1 AS amount, " + ACCOUNT + " AND {which}"
FILLED = f"SELECT 'account' AS input, 1 - lit.missing / %(required)s::float8 AS amount, {ACCOUNT}"
WAITING = """
SELECT 'pool_entry' AS record_type, e.record_type || ':' || e.record_id AS record_id, e.record_type AS input, 1 AS amount,
       '' AS owner_id, e.unit_id, CASE WHEN e.record_type = 'account' THEN e.record_id::text ELSE '' END AS account_id,
       e.record_type AS kind, e.entered_at AS record_time, 'crm' AS source, '' AS source_id,
       jsonb_build_object('number', e.reason, 'date', (e.entered_at AT TIME ZONE %(zone)s)::date,
                          'last_owner_id', e.last_owner_id) AS fields
  FROM pool_entry e
"""

ACCOUNTS = """
SELECT a.id, a.name || ' (' || a.id || ')' AS label, a.owner_id, a.unit_id, a.profile, a.grade, a.status,
       a.created_at AS recorded_at, NULL::timestamptz AS occurred_at
  FROM account a WHERE a.status NOT IN ('merged', 'retired') AND a.created_at < %(to)s
"""
# Names are personal: an example is its id.
CONTACTS = """
SELECT c.id, c.id::text AS label, a.owner_id, a.unit_id, c.profile, c.state, c.created_at AS recorded_at,
       NULL::timestamptz AS occurred_at
  FROM contact c JOIN account a ON a.id = c.account_id
 WHERE c.state NOT IN ('merged', 'erased', 'left') AND c.created_at < %(to)s
"""
INTERACTIONS = """
SELECT i.id, i.channel || ' (' || i.id || ')' AS label, coalesce(a.owner_id, l.owner_id, '') AS owner_id,
       coalesce(a.unit_id, l.unit_id, '') AS unit_id, i.summary, i.person_id, i.account_id, i.contact_id, i.lead_id, i.channel,
       NULL::timestamptz AS recorded_at, NULL::timestamptz AS occurred_at
  FROM interaction i LEFT JOIN account a ON a.id = i.account_id LEFT JOIN lead l ON l.id = i.lead_id
 WHERE i.occurred_at >= %(from)s AND i.occurred_at < %(to)s
"""
SPOKEN = "r.channel NOT IN ('web', 'form')"
# Whoever bought is a customer: what the funnel won, and what the account is called here.
BOUGHT = """
SELECT a.id, a.name || ' (' || a.id || ')' AS label, a.owner_id, a.unit_id, 1 AS ours,
       (a.status IN ('customer', 'former'))::int AS theirs
  FROM account a
 WHERE a.status NOT IN ('merged', 'retired')
   AND EXISTS (SELECT FROM account_deal d WHERE d.account_id = a.id AND d.state = 'won')
"""


def required(work: Work) -> Mapping[str, Any]:
    return {"required": max(len(work.rules(QualityRules).required_fields), 1)}


def _lit(light: str, title: str, definition: str, which: str, rule: str) -> Figure:
    return Figure(
        name=f"customers.{light}_accounts",
        title=title,
        definition=definition,
        formula="count(accounts)",
        unit="1",
        sources=("crm",),
        scopes=BY,
        shown_in=(REPORT,),
        records=("account", "interaction"),
        step="accounts with such a finding",
        refresh_rule="with each look through all accounts",
        rule=(QualityRules, rule),
        trace=Rows(sql=LIT.format(light=light, which=which), standing=True),
    )


FIGURES = Figures(
    figures=(
        _lit(
            "red",
            "红灯客户数",
            "accounts whose key fields nobody has confirmed for too long",
            "coalesce(lit.red, false)",
            "key_field_days",
        ),
        _lit(
            "yellow",
            "黄灯客户数",
            "accounts without effective interaction for too long that are not red",
            "coalesce(lit.silent, false) AND NOT coalesce(lit.red, false)",
            "silent_days",
        ),
        _lit(
            "stale",
            "陈旧客户数",
            "accounts that nobody has updated or confirmed for so long that they are doubted",
            "coalesce(lit.stale, false)",
            "stale_days",
        ),
        Figure(
            name="customers.fill_ratio",
            title="客户资料完整率",
            definition="required fields of accounts that are filled",
            formula="filled / required",
            unit="1",
            sources=("crm",),
            scopes=BY,
            shown_in=(REPORT,),
            records=("account", "contact"),
            step="mean over accounts",
            refresh_rule="with each look through all accounts",
            rule=(QualityRules, "required_fields"),
            trace=Rows(sql=FILLED, how="mean", params=required, standing=True),
        ),
        Figure(
            name="customers.pool_size",
            title="公海记录数",
            definition="accounts and leads that nobody owns and anybody fit may claim",
            formula="count(entries)",
            unit="1",
            sources=("crm",),
            scopes=("unit", "account", "kind"),
            shown_in=(POOL,),
            records=("account",),
            step="records in the pool",
            rule=(QualityRules, "silent_days"),
            trace=Rows(sql=WAITING, standing=True),
        ),
    ),
    records=(
        Record(
            name="account",
            title="accounts",
            source="crm",
            arrival="made by sellers, converted from leads, or imported",
            sql=ACCOUNTS,
            fields=(
                Field(
                    name="industry",
                    filled="coalesce(r.profile->>'industry', '') <> ''",
                    suggestion="fill in the industry; grades, lessons and potential go by it",
                ),
                Field(
                    name="region_code",
                    filled="coalesce(r.profile->>'region_code', '') <> ''",
                    suggestion="fill in the region; territories go by it",
                ),
                Field(
                    name="owner_id",
                    filled="r.owner_id <> ''",
                    suggestion="give accounts of the pool to somebody; nobody looks after them",
                ),
                Field(
                    name="credit_code",
                    expected="r.status = 'customer'",
                    filled="coalesce(r.profile->>'credit_code', '') || coalesce(r.profile->>'foreign_registration', '') <> ''",
                    suggestion="enter the credit code; duplicates and ERP records are found by it",
                ),
                Field(
                    name="grade",
                    filled="r.grade <> ''",
                    suggestion="evaluate grades, so that key accounts are known",
                ),
            ),
        ),
        Record(
            name="contact",
            title="contacts",
            source="crm",
            arrival="made by sellers, converted from leads, or imported",
            sql=CONTACTS,
            fields=(
                Field(
                    name="reachable",
                    filled="coalesce(jsonb_array_length(r.profile->'phones'), 0)"
                    " + coalesce(jsonb_array_length(r.profile->'email_addresses'), 0) > 0"
                    " OR coalesce(r.profile->>'wechat_id', '') <> ''",
                    suggestion="enter a number or an address of the person",
                ),
                Field(
                    name="job_title",
                    filled="coalesce(r.profile->>'job_title', '') <> ''",
                    suggestion="enter what the person does; roles in the decision chain go by it",
                ),
                Field(
                    name="current",
                    kind="stale",
                    filled="r.state = 'current'",
                    suggestion="confirm where those work whose job has changed",
                ),
            ),
        ),
        Record(
            name="interaction",
            title="interactions",
            source="external",
            arrival="told by funnel and integrations, or recorded here",
            sql=INTERACTIONS,
            fields=(
                Field(
                    name="summary",
                    expected=SPOKEN,
                    filled="r.summary <> ''",
                    suggestion="write down what was said; depth of content counts in a customer's health",
                ),
                Field(
                    name="person_id",
                    expected=SPOKEN,
                    filled="r.person_id <> ''",
                    suggestion="say who spoke with the customer",
                ),
                Field(
                    name="customer",
                    kind="missing_reference",
                    filled="coalesce(r.account_id, r.lead_id) IS NOT NULL",
                    suggestion="link it to the customer or lead it was with",
                ),
            ),
        ),
    ),
    agreements=(
        Agreement(
            name="bought",
            record="account",
            figures=("customers.red_accounts", "customers.yellow_accounts", "customers.stale_accounts"),
            ours="deals won in the funnel",
            theirs="status of the customer",
            sql=BOUGHT,
            suggestion="set the status of those who bought to customer",
        ),
    ),
)
