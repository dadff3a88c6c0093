"""Parameter sheets in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction

SHEET = """
SELECT a.id AS account_id, a.profile, a.owner_id, a.unit_id, a.participant_ids, coalesce(s.version, 0) AS version,
       coalesce((SELECT jsonb_agg(to_jsonb(v) - 'account_id') FROM parameter_value v WHERE v.account_id = a.id), '[]')
           AS values
  FROM account a LEFT JOIN parameter_sheet s ON s.account_id = a.id
 WHERE a.id = (SELECT coalesce(merged_into_id, id) FROM account WHERE id = %(id)s)
"""
# The row that two who write at once wait for.
HOLD = """
INSERT INTO parameter_sheet (account_id, version)
SELECT coalesce(merged_into_id, id), 0 FROM account WHERE id = %(id)s
ON CONFLICT (account_id) DO UPDATE SET version = parameter_sheet.version
"""
COUNT_UP = "UPDATE parameter_sheet SET version = version + 1 WHERE account_id = %(id)s"
PUT = """
INSERT INTO parameter_value (account_id, key, value, owner_id, updated_by, updated_at, business_action)
SELECT account_id, key, value, owner_id, updated_by, updated_at, business_action
  FROM jsonb_populate_recordset(NULL::parameter_value, %(rows)s)
ON CONFLICT (account_id, key) DO UPDATE
   SET value = excluded.value, owner_id = excluded.owner_id, updated_by = excluded.updated_by,
       updated_at = excluded.updated_at, business_action = excluded.business_action
"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """`values`: rows of parameter_value as JSON."""

    account_id: str
    profile: dict[str, Any]
    owner_id: str
    unit_id: str
    participant_ids: list[str]
    version: int
    values: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Value:
    account_id: str
    key: str
    value: Any
    owner_id: str
    updated_by: str
    updated_at: datetime | None
    business_action: str


async def read(reader: Reader | Transaction, account_id: str) -> Sheet | None:
    return await reader.one(SHEET, {"id": account_id}, into=Sheet)


async def hold(tx: Transaction, account_id: str) -> Sheet | None:
    """The sheet, held until the transaction ends."""
    tx.do(HOLD, {"id": account_id})
    return await read(tx, account_id)


def put(tx: Transaction, account_id: str, values: Sequence[Value]) -> None:
    tx.do(PUT, {"rows": rows.pack(values)})
    tx.do(COUNT_UP, {"id": account_id})
