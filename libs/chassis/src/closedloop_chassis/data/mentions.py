"""Free text in SQL that names a person who is forgotten: the same words without the name, columns found by a list."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.traces import Traces

# Rows between two looks at what else there is to do.
_BREATH = 20

READ = """
SELECT {key} AS row_key, {subject} AS row_subject, jsonb_build_object({pairs}) AS row_said
  FROM {table} WHERE {where} FOR UPDATE
"""
WRITE = """
UPDATE {table} t SET ({names}) = (SELECT {values} FROM jsonb_populate_record(NULL::{table}, r.row_said) AS n){more}
  FROM jsonb_to_recordset(%(rows)s) AS r (row_key text, row_said jsonb)
 WHERE {key} = r.row_key
"""


@dataclass(frozen=True, slots=True)
class Text:
    """Columns of `table` with words in them, text or jsonb; `where` says whose, by the caller's parameters; `key` finds
    a row again; `subject` is its name in the trail; `more` is set beside ("t" is the row); `keep` are keys of documents
    whose values are names of their own."""

    table: str
    columns: tuple[str, ...]
    where: str
    key: str = "id::text"
    subject: str = "id::text"
    more: str = ""
    keep: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mention:
    """A row that named the person."""

    table: str
    key: str
    subject: str


TRAIL = Text("audit_entry", ("changes",), "subject = ANY(%(subjects)s)")


async def replace(
    tx: Transaction, texts: Sequence[Text], params: dict[str, Any], traces: Traces, instead: str
) -> list[Mention]:
    """Puts `instead` where these texts name the person, and where the trail of what they belong to does. A round trip a
    text."""
    found: list[Mention] = []
    for text in texts:
        found += await _rewrite(tx, text, params, traces, instead)
    subjects = sorted({mention.subject for mention in found} | set(params.get("subjects", ())))
    trail = dataclasses.replace(TRAIL, keep=frozenset[str]().union(*(text.keep for text in texts)))
    await _rewrite(tx, trail, {**params, "subjects": subjects}, traces, instead)
    return found


async def _rewrite(tx: Transaction, text: Text, params: dict[str, Any], traces: Traces, instead: str) -> list[Mention]:
    rewritten = []
    for number, row in enumerate(await tx.all(_sql(READ, text), params)):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        said = _without(row["row_said"], traces, instead, text.keep)
        if said != row["row_said"]:
            rewritten.append({**row, "row_said": said})
    if rewritten:
        tx.do(_sql(WRITE, text), {**params, "rows": Jsonb(rewritten)})
    return [Mention(text.table, row["row_key"], row["row_subject"]) for row in rewritten]


def _without(value: Any, traces: Traces, instead: str, keep: frozenset[str]) -> Any:
    if isinstance(value, str):
        return traces.without_name(value, instead)
    if isinstance(value, list):
        return [_without(item, traces, instead, keep) for item in value]
    if isinstance(value, dict):
        return {
            key: item if key.rpartition(".")[2] in keep else _without(item, traces, instead, keep)
            for key, item in value.items()
        }
    return value


def _sql(statement: str, text: Text) -> str:
    return statement.format(
        table=text.table,
        key=text.key,
        subject=text.subject,
        where=text.where,
        more=text.more,
        pairs=", ".join(f"'{column}', {column}" for column in text.columns),
        names=", ".join(text.columns),
        values=", ".join(f"n.{column}" for column in text.columns),
    )
