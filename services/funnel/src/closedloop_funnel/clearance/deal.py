"""What quotes and contracts are judged by of their deal, in SQL over `opportunity o` and its customer."""

from __future__ import annotations

# The customer as it is now: a deal keeps the account it began with, and that may have become part of another.
ACCOUNT = "coalesce(began.merged_into_id, o.account_id)"
CUSTOMER = f"LEFT JOIN account began ON began.id = o.account_id LEFT JOIN account a ON a.id = {ACCOUNT}"
DEAL = f"""
jsonb_build_object('name', o.name, 'state', o.state, 'owner_id', o.owner_id, 'unit_id', o.unit_id,
                   'participant_ids', o.participant_ids, 'review_id', o.review_id, 'pipeline_id', o.pipeline_id,
                   'account_id', {ACCOUNT}, 'account_name', coalesce(a.name, ''), 'account_grade', a.grade,
                   'account_industry', a.industry, 'account_region', a.region_code, 'amount_minor', o.amount_minor,
                   'reporting_minor', o.reporting_minor)
"""
# Whom a quote or a contract was submitted for, likewise; put its alias in.
ASKED_FOR = "coalesce((SELECT merged_into_id FROM account WHERE id = {0}.account_id), {0}.account_id)"
