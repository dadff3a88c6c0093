"""Integrations live on a fresh database; a small company; the outside world is nowhere unless a test puts it there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import Ownership, Provenance
from closedloop.customers.v1 import contacts_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.service import Service
from closedloop_devstack.testing.service import Live
from closedloop_integrations import settings
from closedloop_integrations.erp import waking
from closedloop_integrations.service import SERVICE

UNITS = [
    ("co", "", "company", "总公司", "boss"),
    ("east", "co", "region", "华东大区", "m1"),
    ("north", "co", "region", "华北大区", "m2"),
]
PEOPLE = [
    ("boss", "co", "王总", ["executive"]),
    ("ops", "co", "运营", ["operations"]),
    ("m1", "east", "李经理", ["manager"]),
    ("rep1", "east", "张三", ["rep"]),
    ("m2", "north", "赵经理", ["manager"]),
    ("rep2", "north", "李四", ["rep"]),
]


@pytest.fixture
def service() -> Service:
    return SERVICE


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`outside(smtp_url="…")` puts outside systems where the service looks for them."""

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"CLOSEDLOOP_INTEGRATIONS_{name.upper()}", value)
        settings.outside.cache_clear()

    settings.outside.cache_clear()
    yield put
    monkeypatch.undo()
    settings.outside.cache_clear()


@pytest.fixture
async def company(live: Live) -> Live:
    await live.organise(UNITS, PEOPLE)
    return live


async def upgraded(company: Live, migration: str) -> None:
    """The migration's one table made anew over what is here, and the courier's wake-up applied."""
    tx = company.process.database.transaction()
    tx.do(f"DROP TABLE {migration.partition('_')[2]}", {})
    for statement in (SERVICE.migrations / f"{migration}.sql").read_text().split(";")[:2]:
        tx.do(statement, {})
    await tx.commit()
    connections = pool(company.process.settings, "integrations")
    await asyncio.to_thread(waking.wake, Desk("integrations", company.process.settings, connections))
    connections.close(timeout=1)
    # The courier's clock is the machine's, ahead of the test's.
    company.process.time.stop_at(company.now + timedelta(days=3650))
    await company.settle()


class Customers:
    """Accounts and contacts as the customers service tells them."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._versions: dict[str, int] = {}

    async def account(
        self,
        name: str,
        owner: str = "rep1",
        unit: str = "east",
        *,
        id: str = "",
        codes: tuple[str, ...] = (),
        **more: Any,
    ) -> str:
        account_id = id or str(uuid.uuid4())
        message = customers.AccountChanged(
            account_id=account_id,
            name=name,
            ownership=Ownership(owner_id=owner, unit_id=unit),
            provenances=[Provenance(source="erp", source_id=code) for code in codes],
            version=self._next(account_id),
            **more,
        )
        await self._live.hear(message, account_id, source="customers")
        return account_id

    async def contact(self, name: str, account_id: str, *addresses: str, id: str = "", **more: Any) -> str:
        contact_id = id or str(uuid.uuid4())
        message = customers.ContactChanged(
            contact_id=contact_id,
            account_id=account_id,
            name=name,
            email_addresses=addresses,
            state=contacts_pb2.CONTACT_STATE_CURRENT,
            version=self._next(contact_id),
            **more,
        )
        await self._live.hear(message, contact_id, source="customers")
        return contact_id

    def _next(self, id: str) -> int:
        self._versions[id] = self._versions.get(id, 0) + 1
        return self._versions[id]


@pytest.fixture
def known(company: Live) -> Customers:
    return Customers(company)
