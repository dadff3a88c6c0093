"""Where colleagues write of a person under their company's name instead of the person's: the name goes, the rest stays."""

from __future__ import annotations

from collections.abc import Collection

from closedloop_chassis.data import mentions
from closedloop_chassis.data.mentions import Text
from closedloop_chassis.traces import Traces
from closedloop_chassis.work import Work

_OF = "account_id = ANY(%(accounts)s::uuid[])"
_ON = "record_type = 'account' AND record_id = ANY(%(accounts)s::uuid[])"
_CHANGED = ", version = t.version + 1, updated_at = %(now)s"

# What a company, or somebody else, is called.
_NAMES = frozenset({"name", "legal_name", "aliases", "contact_name", "company_name"})

TEXTS: tuple[Text, ...] = (
    Text("account", ("profile",), "id = ANY(%(accounts)s::uuid[])", more=_CHANGED, keep=_NAMES),
    Text("contact", ("profile",), f"{_OF} AND state <> 'erased'", more=_CHANGED, keep=_NAMES),
    Text("lead", ("profile",), _OF, more=_CHANGED, keep=_NAMES),
    Text(
        "lead_submission", ("profile", "payload"), f"lead_id IN (SELECT id FROM lead WHERE {_OF})",
        "source || ' ' || source_id", "lead_id::text", keep=_NAMES,
    ),
    Text("interaction", ("summary",), _OF),
    Text("suggestion", ("changes", "summary", "quote"), f"({_OF} OR {_ON})"),
    Text("opportunity_point", ("need", "quote"), _OF),
    Text("ticket", ("title",), _OF, "id", "id"),
    Text("concern", ("text", "quote", "answer"), _OF),
    Text("reminder", ("title", "end_note"), _ON),
    Text("playbook_step", ("answers", "note"), _ON, "record_id::text || playbook || ' ' || step", "record_id::text"),
    Text("finding", ("note",), _OF),
    Text("assignment", ("reason",), _ON, subject="record_id::text"),
    Text("pool_entry", ("note",), _ON, "record_id::text", "record_id::text"),
    Text("account_opportunity", ("name",), _OF, "opportunity_id::text", "account_id::text"),
)  # fmt: skip


async def replace(work: Work, traces: Traces, accounts: Collection[str], instead: str) -> int:
    """Answers how many rows named the person."""
    if not accounts or not traces.names:
        return 0
    params = {"accounts": sorted(accounts), "subjects": sorted(accounts), "now": work.now}
    return len(await mentions.replace(work.tx, TEXTS, params, traces, instead))
