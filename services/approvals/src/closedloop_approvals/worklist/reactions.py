"""Names of accounts, kept for lines of the work list."""

from __future__ import annotations

from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work

reactions = Reactions()

# An older version that arrives late changes nothing.
PUT_ACCOUNT = """
INSERT INTO account (id, name, version) VALUES (%(id)s, %(name)s, %(version)s)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version WHERE account.version < excluded.version
"""


@reactions.on(AccountChanged)
async def copy_account(event: Heard[AccountChanged], work: Work) -> None:
    account = event.message
    work.tx.do(PUT_ACCOUNT, {"id": account.account_id, "name": account.name, "version": account.version})
