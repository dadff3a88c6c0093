"""Accounts: their names, for lines of the work list, and what each became part of, for what counts together."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work

reactions = Reactions()

# An older version that arrives late changes nothing.
PUT_ACCOUNTS = """
INSERT INTO account (id, name, merged_into_id, version)
SELECT id, name, merged_into_id, version FROM jsonb_populate_recordset(NULL::account, %(rows)s) ORDER BY id
ON CONFLICT (id) DO UPDATE SET name = excluded.name, merged_into_id = excluded.merged_into_id, version = excluded.version
 WHERE account.version < excluded.version
"""


@reactions.batch(AccountChanged)
async def copy_accounts(events: Sequence[Heard[AccountChanged]], work: Work) -> None:
    told = [event.message for event in newest(events, lambda account: account.account_id).values()]
    rows = [
        {
            "id": account.account_id,
            "name": account.name,
            "merged_into_id": account.merged_into_id or None,
            "version": account.version,
        }
        for account in told
    ]
    work.tx.do(PUT_ACCOUNTS, {"rows": Jsonb(rows)})
