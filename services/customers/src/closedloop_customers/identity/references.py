"""Where records are referred to: the one list that a merge follows, and an un-merge follows back (U11).

A test walks the schema and fails on a column of ids, or of ends of a relation, that stands neither here nor in
`LEFT_ALONE`. What a merge changes of the records themselves is in keeping.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from closedloop_chassis.data.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows of `table` whose `column` names a record; `key` finds a row again, `only` says which rows follow.

    `prefix`: the column is text that names it behind that. `by_desk`: only noted here; the desk that keeps the rows moves
    them, and tells of it."""

    kind: str
    table: str
    column: str
    key: str = "id::text"
    only: str = "true"
    prefix: str = ""
    by_desk: bool = False


# A tender that names both stays with each.
_NOT_TWICE = """NOT EXISTS (SELECT FROM tender_match other WHERE other.notice_id = tender_match.notice_id
                 AND (other.account_id = %(survivor_id)s OR other.account_id = ANY(%(absorbed_ids)s::uuid[])
                      AND other.account_id < tender_match.account_id))"""

# What both know, each keeps as it has it; the survivor's sheet is the one that is read.
_NOT_SAID_TWICE = """NOT EXISTS (SELECT FROM parameter_value other WHERE other.key = parameter_value.key
                 AND (other.account_id = %(survivor_id)s OR other.account_id = ANY(%(absorbed_ids)s::uuid[])
                      AND other.account_id < parameter_value.account_id))"""

# Where both have the same concern open, each keeps its own.
_NOT_OPEN_TWICE = """(state <> 'open' OR NOT EXISTS (
    SELECT FROM concern other WHERE other.state = 'open' AND other.topic = concern.topic AND other.kind = concern.kind
       AND other.contact_id IS NOT DISTINCT FROM concern.contact_id AND other.id <> concern.id
       AND (other.account_id = %(survivor_id)s OR other.account_id = ANY(%(absorbed_ids)s::uuid[])
            AND other.id < concern.id)))"""

# The same of a person's concerns: the survivor has raised it then, and the brief has it from them.
_NOT_SAID_BY_BOTH = """(state <> 'open' OR NOT EXISTS (
    SELECT FROM concern other WHERE other.state = 'open' AND other.topic = concern.topic AND other.kind = concern.kind
       AND other.account_id = concern.account_id AND other.id <> concern.id
       AND (other.contact_id = %(survivor_id)s OR other.contact_id = ANY(%(absorbed_ids)s::uuid[])
            AND other.id < concern.id)))"""

# Where both have a part in one buying group that a person has confirmed, the survivor's stands.
_NOT_CAST_TWICE = """NOT EXISTS (SELECT FROM chain_member other
                 WHERE other.opportunity_id = chain_member.opportunity_id AND other.{same} = chain_member.{same}
                   AND (other.{column} = %(survivor_id)s OR other.{column} = ANY(%(absorbed_ids)s::uuid[])
                        AND other.{column} < chain_member.{column}))"""

# Nobody is related to themselves, twice in one way to one person, or reports to two, or to who reports to them.
_MANY = "(%(survivor_end)s::text || %(absorbed_ends)s::text[])"
_NOT_DRAWN_TWICE = f"""{{other}} <> ALL({_MANY}) AND NOT EXISTS (
    SELECT FROM relation twin WHERE twin.kind = relation.kind AND twin.{{other}} = relation.{{other}}
       AND twin.{{column}} = ANY({_MANY}) AND (twin.{{column}} = %(survivor_end)s OR twin.id < relation.id)
       AND twin.id <> relation.id)"""
_ONE_SUPERIOR = f"""{_NOT_DRAWN_TWICE.format(column="from_end", other="to_end")}
   AND (kind <> 'reports_to' OR NOT EXISTS (
            SELECT FROM relation mine WHERE mine.kind = 'reports_to' AND mine.from_end = ANY({_MANY})
               AND (mine.from_end = %(survivor_end)s OR mine.id < relation.id) AND mine.id <> relation.id)
        AND to_end NOT IN (
            WITH RECURSIVE down AS (
                SELECT from_end FROM relation WHERE kind = 'reports_to' AND to_end = ANY({_MANY})
                UNION
                SELECT r.from_end FROM relation r JOIN down ON r.to_end = down.from_end WHERE r.kind = 'reports_to')
            SELECT from_end FROM down))"""
_NO_CIRCLE = f"""{_NOT_DRAWN_TWICE.format(column="to_end", other="from_end")}
   AND (kind <> 'reports_to' OR from_end NOT IN (
            WITH RECURSIVE up AS (
                SELECT to_end FROM relation WHERE kind = 'reports_to' AND from_end = %(survivor_end)s
                UNION
                SELECT r.to_end FROM relation r JOIN up ON r.from_end = up.to_end WHERE r.kind = 'reports_to')
            SELECT to_end FROM up))"""

# A step that was done at the survivor, or is open there, stays at the absorbed record as it was.
_STEP = "playbook || ' ' || step"
_STEP_OF = """record_type = '{type}' AND state <> 'open' AND NOT EXISTS (
    SELECT FROM playbook_step other WHERE other.playbook = playbook_step.playbook AND other.step = playbook_step.step
       AND (other.record_id = %(survivor_id)s OR other.record_id = ANY(%(absorbed_ids)s::uuid[])
            AND other.record_id < playbook_step.record_id))"""

REFERENCES: dict[str, tuple[Reference, ...]] = {
    "account": (
        Reference(
            "subsidiaries", "account", "parent_account_id", by_desk=True,
            only="status <> 'merged' AND id <> %(survivor_id)s AND id <> ALL(%(absorbed_ids)s::uuid[])",
        ),
        Reference("contacts", "contact", "account_id"),
        Reference("leads", "lead", "account_id"),
        Reference("interactions", "interaction", "account_id"),
        Reference("deals", "account_deal", "account_id", "opportunity_id::text"),
        Reference("wake_ups", "wake_up", "record_id", only="record_type = 'account' AND state <> 'running'"),
        Reference("suggestions", "suggestion", "record_id", only="record_type = 'account'"),
        Reference("suggestions_of_account", "suggestion", "account_id"),
        Reference("opportunity_points", "opportunity_point", "account_id"),
        Reference("tickets", "ticket", "account_id"),
        Reference("opportunities", "account_opportunity", "account_id", "opportunity_id::text"),
        Reference("parameters", "parameter_value", "account_id", "parameter_value.key", _NOT_SAID_TWICE),
        Reference("relations", "relation", "account_id"),
        Reference(
            "roles", "chain_member", "account_id", "opportunity_id || ' ' || contact_id",
            _NOT_CAST_TWICE.format(column="account_id", same="contact_id"),
        ),
        Reference("concerns", "concern", "account_id", only=_NOT_OPEN_TWICE),
        Reference("outcomes", "account_outcome", "account_id", "source || ' ' || source_id"),
        Reference("tender_matches", "tender_match", "account_id", "notice_id", _NOT_TWICE),
        Reference("reminders", "reminder", "record_id", only="record_type = 'account'"),
        Reference("playbook_steps", "playbook_step", "record_id", _STEP, _STEP_OF.format(type="account")),
        Reference("merged", "account", "merged_into_id"),
    ),
    "contact": (
        Reference("interactions", "interaction", "contact_id"),
        Reference("leads", "lead", "contact_id"),
        Reference("wake_ups", "wake_up", "contact_id"),
        Reference("suggestions", "suggestion", "record_id", only="record_type = 'contact'"),
        Reference("suggested", "suggestion", "created_contact_id"),
        Reference("opportunity_points", "opportunity_point", "contact_id"),
        Reference("tickets", "ticket", "contact_id"),
        Reference(
            "roles", "chain_member", "contact_id", "account_id || ' ' || opportunity_id",
            _NOT_CAST_TWICE.format(column="contact_id", same="account_id"),
        ),
        Reference("superiors", "relation", "from_end", only=_ONE_SUPERIOR, prefix="contact:"),
        Reference("relations", "relation", "to_end", only=_NO_CIRCLE, prefix="contact:"),
        Reference("concerns", "concern", "contact_id", only=_NOT_SAID_BY_BOTH),
        Reference("opt_outs", "opt_out", "contact_id", "address || ' ' || channel || ' ' || topic"),
        Reference("reminders", "reminder", "record_id", only="record_type = 'contact'"),
        Reference("consents", "consent", "record_id", only="record_type = 'contact'"),
        Reference("merged", "contact", "merged_into_id"),
    ),
    "lead": (
        Reference("interactions", "interaction", "lead_id"),
        Reference("submissions", "lead_submission", "lead_id", "source || ' ' || source_id"),
        Reference("ways_to_answer", "lead_key", "lead_id", "key"),
        Reference("wake_ups", "wake_up", "record_id", only="record_type = 'lead' AND state <> 'running'"),
        Reference("suggestions", "suggestion", "record_id", only="record_type = 'lead'"),
        Reference("reminders", "reminder", "record_id", only="record_type = 'lead'"),
        Reference("playbook_steps", "playbook_step", "record_id", _STEP, _STEP_OF.format(type="lead")),
        Reference("consents", "consent", "record_id", only="record_type = 'lead'"),
        Reference("merged", "lead", "merged_into_id"),
    ),
}  # fmt: skip
# What stays with the absorbed record: by what it is found, who held it, what was computed of it.
LEFT_ALONE = frozenset(
    {
        "account_key.account_id", "account_provenance.account_id", "assignment.record_id",
        "contact_key.contact_id", "contact_provenance.contact_id", "decision_chain.account_id",
        "duplicate_pair.left_id", "duplicate_pair.right_id", "finding.account_id", "merge.absorbed_ids",
        "merge.survivor_id", "merge_reference.from_id",
        "finding.record_id", "grade_change.account_id", "health.account_id", "health_point.account_id",
        "lead_transition.lead_id", "parameter_sheet.account_id", "personal_access.record_id",
        "personal_request_record.record_id", "pool_entry.record_id", "potential.account_id",
        "potential_label.account_id", "potential_point.account_id",
    }
)  # fmt: skip

NOTE = """
INSERT INTO merge_reference (merge_id, kind, row_key, from_id)
SELECT %(merge_id)s, '{kind}', {key}, {named} FROM {table} WHERE {column} = ANY({absorbed}) AND {only}
"""
MOVE = """
WITH moving AS (
    SELECT {key} AS row_key, {named} AS from_id FROM {table} WHERE {column} = ANY({absorbed}) AND {only}
), noted AS (
    INSERT INTO merge_reference (merge_id, kind, row_key, from_id)
    SELECT %(merge_id)s, '{kind}', row_key, from_id FROM moving
)
UPDATE {table} SET {column} = {survivor} WHERE {column} = ANY({absorbed}) AND {only}
"""
RETURN = """
UPDATE {table} SET {column} = {prefix}r.from_id FROM merge_reference r
 WHERE r.merge_id = %(merge_id)s AND r.kind = '{kind}' AND {table}.{column} = {survivor} AND {key} = r.row_key
"""
NOTED = "SELECT row_key, from_id FROM merge_reference WHERE merge_id = %(merge_id)s AND kind = %(kind)s"
MOVED = "SELECT kind, count(*) AS rows FROM merge_reference WHERE merge_id = %(merge_id)s GROUP BY kind"
LAST_TOUCH = """
UPDATE {table} r
   SET last_interaction_at = (SELECT max(i.occurred_at) FROM interaction i WHERE i.{column} = r.id AND i.effective)
 WHERE r.id = ANY(%(ids)s::uuid[])
"""
# A survivor that became a customer made its touches the customer's: those of a lead that is its own again are not.
RETURN_TOUCHES = """
UPDATE interaction i SET account_id = l.account_id, contact_id = l.contact_id FROM lead l, lead s
 WHERE s.id = %(survivor_id)s AND s.converted_at IS NOT NULL AND l.id = ANY(%(absorbed_ids)s::uuid[])
   AND i.lead_id = l.id AND i.account_id = s.account_id AND l.account_id IS DISTINCT FROM s.account_id
"""
TOUCH_CUSTOMER = """
UPDATE {table} r
   SET last_interaction_at = (SELECT max(i.occurred_at) FROM interaction i WHERE i.{table}_id = r.id AND i.effective)
  FROM lead s WHERE s.id = %(survivor_id)s AND s.converted_at IS NOT NULL AND r.id = s.{table}_id
"""


async def move(
    tx: Transaction, record_type: str, merge_id: str, survivor_id: str, absorbed_ids: Sequence[str]
) -> dict[str, int]:
    """Everything that named an absorbed record names the survivor; answers how many by kind. One round trip."""
    params = _params(record_type, merge_id, survivor_id, absorbed_ids)
    for reference in REFERENCES[record_type]:
        tx.do(_sql(NOTE if reference.by_desk else MOVE, reference), params)
    _touch(tx, record_type, [survivor_id, *absorbed_ids])
    return {row["kind"]: row["rows"] for row in await tx.all(MOVED, params)}


def give_back(tx: Transaction, record_type: str, merge_id: str, survivor_id: str, absorbed_ids: Sequence[str]) -> None:
    """Queues the way back; what was moved on since, or came after, stays where it is."""
    params = _params(record_type, merge_id, survivor_id, absorbed_ids)
    for reference in REFERENCES[record_type]:
        if not reference.by_desk:
            tx.do(_sql(RETURN, reference), params)
    if record_type == "lead":
        tx.do(RETURN_TOUCHES, params)
        for table in ("account", "contact"):
            tx.do(TOUCH_CUSTOMER.format(table=table), params)
    _touch(tx, record_type, [survivor_id, *absorbed_ids])


async def noted(tx: Transaction, merge_id: str, kind: str) -> dict[str, str]:
    """What a merge moved of a kind: row -> the absorbed record it named. One round trip."""
    return {row["row_key"]: row["from_id"] for row in await tx.all(NOTED, {"merge_id": merge_id, "kind": kind})}


def _touch(tx: Transaction, record_type: str, ids: Sequence[str]) -> None:
    tx.do(LAST_TOUCH.format(table=record_type, column=f"{record_type}_id"), {"ids": list(ids)})


def _params(record_type: str, merge_id: str, survivor_id: str, absorbed_ids: Sequence[str]) -> dict[str, object]:
    """Ids, and the ends of relations that name them."""
    return {
        "merge_id": merge_id,
        "survivor_id": survivor_id,
        "absorbed_ids": list(absorbed_ids),
        "survivor_end": f"{record_type}:{survivor_id}",
        "absorbed_ends": [f"{record_type}:{id_}" for id_ in absorbed_ids],
    }


def _sql(statement: str, reference: Reference) -> str:
    qualified = f"{reference.table}.id::text" if reference.key == "id::text" else reference.key
    text = bool(reference.prefix)
    return statement.format(
        kind=reference.kind,
        table=reference.table,
        column=reference.column,
        key=qualified,
        only=reference.only,
        named=f"substr({reference.column}, {len(reference.prefix) + 1})::uuid" if text else reference.column,
        absorbed="%(absorbed_ends)s::text[]" if text else "%(absorbed_ids)s::uuid[]",
        survivor="%(survivor_end)s" if text else "%(survivor_id)s",
        prefix=f"'{reference.prefix}' || " if text else "",
    )
