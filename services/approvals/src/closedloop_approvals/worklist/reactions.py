"""Names of accounts, kept for lines of the work list."""

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
INSERT INTO account (id, name, version)
SELECT id, name, version FROM jsonb_populate_recordset(NULL::account, %(rows)s) ORDER BY id
ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version WHERE account.version < excluded.version
"""


@reactions.batch(AccountChanged)
async def copy_accounts(events: Sequence[Heard[AccountChanged]], work: Work) -> None:
    told = [event.message for event in newest(events, lambda account: account.account_id).values()]
    rows = [{"id": account.account_id, "name": account.name, "version": account.version} for account in told]
    work.tx.do(PUT_ACCOUNTS, {"rows": Jsonb(rows)})
