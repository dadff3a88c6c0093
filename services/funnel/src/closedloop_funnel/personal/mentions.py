"""Where people of the company write as they speak: a person who is forgotten is taken out of these texts by name.

What both sides signed, and what was approved as it stood, keeps its words: its digest proves them, and the law wants
contracts kept. The rest says the same without the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from closedloop_chassis.data import mentions
from closedloop_chassis.data.mentions import Text
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.traces import Traces

_CHANGED = ", version = t.version + 1, updated_at = %(now)s"
_OF_DEALS = "opportunity_id = ANY(%(deals)s::uuid[])"
_TALKS = "(account_id = ANY(%(accounts)s::uuid[]) OR opportunity_id = ANY(%(deals)s::uuid[]))"
_OF_TALKS = f"activity_id IN (SELECT id FROM activity WHERE {_TALKS})"

# What `store.py` empties by id.
EMPTIED = frozenset({"survey"})

TEXTS: tuple[Text, ...] = (
    Text("opportunity", ("name", "need", "override"), "id = ANY(%(deals)s::uuid[])", more=_CHANGED),
    Text("snapshot_deal", ("name",), _OF_DEALS, "opportunity_id::text || ' ' || from_sequence", "opportunity_id::text"),
    Text("close_date_change", ("reason",), _OF_DEALS, "opportunity_id::text || ' ' || at", "opportunity_id::text"),
    Text("stage_move", ("reason",), _OF_DEALS, "opportunity_id::text || ' ' || sequence", "opportunity_id::text"),
    Text("forecast_override", ("reason",), _OF_DEALS, subject="opportunity_id::text"),
    Text("stage_evidence", ("note", "content"), _OF_DEALS, subject="opportunity_id::text"),
    Text("quote", ("justification", "answer_comment", "approval_comment"), _OF_DEALS),
    Text("contract", ("signer_name", "archive_location", "approval_comment"), _OF_DEALS),
    Text("proposal", ("title", "summary", "feedback", "clauses"), _OF_DEALS, more=", version = t.version + 1"),
    Text(
        "activity", ("subject", "content", "next_step", "customer_feedback", "cancel_reason", "actions", "visit"), _TALKS,
        more=_CHANGED,
    ),
    Text("activity_amendment", ("reason", "earlier"), _OF_TALKS, "activity_id::text || ' ' || version", "activity_id::text"),
    Text("finding", ("explanation", "answer", "comment"), _OF_TALKS),
    Text("transcript", ("utterances",), _TALKS),
    Text(
        "hearing", ("sentence", "suggested_reply"), f"transcript_id IN (SELECT id FROM transcript WHERE {_TALKS})",
        subject="transcript_id::text",
    ),
    Text(
        "attachment", ("file_name",),
        f"""id IN (SELECT attachment_id FROM attachment_use WHERE record_id = ANY(%(deals)s::uuid[])
             OR record_id IN (SELECT id FROM activity WHERE {_TALKS})
             OR record_id IN (SELECT id FROM quote WHERE {_OF_DEALS} UNION ALL SELECT id FROM contract WHERE {_OF_DEALS}
                              UNION ALL SELECT id FROM proposal WHERE {_OF_DEALS}))""",
    ),
    Text(
        "warning", ("subject_name", "explanation", "action", "evidence", "outcome"),
        "subject_id = ANY(%(deals)s::text[]) OR subject_id = ANY(%(accounts)s::text[])",
    ),
    Text("lesson_offer", ("explanation", "evidence_note", "evidence_sentence", "review_comment"), _OF_DEALS),
    Text("advice", ("items", "comment"), f"{_OF_DEALS} OR {_OF_TALKS}"),
    Text("question", ("title", "text"), _OF_DEALS),
    Text(
        "answer", ("text",), f"question_id IN (SELECT id FROM question WHERE {_OF_DEALS})", subject="question_id::text"
    ),
    Text("practice_case", ("title", "decision_point", "turn", "trick"), _OF_DEALS),
    # The feed of changes tells the deal's name; the deal itself comes first, and adds to it.
    Text("funnel_change", ("summary",), f"{_OF_DEALS} OR account_id = ANY(%(accounts)s::uuid[])", "seq::text", "record_id"),
    Text(
        "daily_log", ("summary", "plan", "help_needed"), "person_id = ANY(%(people)s)", "person_id || '/' || day",
        "person_id || '/' || day",
    ),
    Text("pilot_feedback", ("text",), "person_id = ANY(%(people)s)", subject="pilot_id::text"),
)  # fmt: skip
# Deals with the person's company, and who of ours wrote about them.
AROUND = """
WITH deal AS (
    SELECT id, owner_id, participant_ids FROM opportunity
     WHERE account_id = ANY(%(accounts)s::uuid[]) OR lead_id = ANY(%(ids)s::uuid[])
        OR id IN (SELECT opportunity_id FROM activity WHERE contact_ids && %(ids)s::uuid[])
), talk AS (
    SELECT owner_id, participant_ids FROM activity
     WHERE contact_ids && %(ids)s::uuid[] OR account_id = ANY(%(accounts)s::uuid[]) OR lead_id = ANY(%(ids)s::uuid[])
)
SELECT (SELECT coalesce(array_agg(id), '{}') FROM deal) AS deals,
       (SELECT coalesce(array_agg(DISTINCT person), '{}') FROM (
            SELECT owner_id AS person FROM deal UNION SELECT unnest(participant_ids) FROM deal
            UNION SELECT owner_id FROM talk UNION SELECT unnest(participant_ids) FROM talk
            UNION SELECT account_owner_id FROM account WHERE id = ANY(%(accounts)s::uuid[])) AS said) AS people
"""


async def replace(
    tx: Transaction, traces: Traces, accounts: Sequence[str], now: datetime, instead: str
) -> tuple[int, list[str]]:
    """Takes the person's name out of every text about their company; answers how many rows named them, and the deals
    that bore their name."""
    around = await tx.one(AROUND, {"accounts": list(accounts), "ids": list(traces.ids)}) or {}
    params = {"accounts": list(accounts), "ids": list(traces.ids), "now": now, "subjects": around["deals"], **around}
    found = await mentions.replace(tx, TEXTS, params, traces, instead)
    return len(found), [mention.key for mention in found if mention.table == "opportunity"]
