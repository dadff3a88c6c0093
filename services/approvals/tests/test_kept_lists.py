"""The work list is kept as it was answered; nobody ever sees an old one, with two replicas and without Redis."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from closedloop.approvals.v1 import worklist_pb2, worklist_pb2_grpc
from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop_chassis.cache import Cache
from closedloop_devstack.servers import RedisServer
from closedloop_devstack.testing.service import Live

from .conftest import ACCOUNT, Company, approval, facts, quote
from .test_delegations import delegate


class Answered:
    """Where answers came from since the last look."""

    def __init__(self) -> None:
        self._before = self._now()

    def since(self) -> dict[str, float]:
        before, self._before = self._before, self._now()
        return {source: n - before[source] for source, n in self._before.items() if n != before[source]}

    def _now(self) -> dict[str, float]:
        sources = ("memory", "redis", "made")
        return {one: REGISTRY.get_sample_value("closedloop_answers_total", {"source": one}) or 0 for one in sources}


async def titles(at: Live, person: str = "lead") -> list[str]:
    stub: Any = at.stub(worklist_pb2_grpc.WorklistServiceStub, person, "manager")
    answer = await stub.ListWork(worklist_pb2.ListWorkRequest())
    return [item.title for item in answer.items]


@pytest.mark.mission("U-A")
async def test_no_replica_answers_what_is_no_longer_so_and_redis_may_stop(company: Company, tmp_path: Path) -> None:
    ours = company.live
    with RedisServer(tmp_path / "redis") as redis:
        async with ours.beside(redis.url) as theirs:
            for one in (ours, theirs):
                # Patient, because the machine may be busy: here Redis is only away when it is.
                vars(one.process)["cache"] = Cache(redis.url, prefix="closedloop:approvals", patience=10)
            held = await company.ask(approval(quote(title="报价"), facts(0.15)))
            answered = Answered()
            assert await titles(ours) == ["报价"]
            assert await titles(ours) == ["报价"]
            assert answered.since() == {"made": 1, "memory": 1}
            assert await titles(theirs) == ["报价"], "what one replica made the other has from Redis"
            assert await titles(theirs) == ["报价"]
            assert answered.since() == {"redis": 1, "memory": 1}
            assert await titles(ours, "director") == [], "the same question by somebody else is another one"
            await company.decide("lead", held)
            assert await titles(theirs) == [], "at once, though the other replica wrote it"
            assert await titles(ours) == []
            answered.since()
            await company.raise_task("director", title="回访", assignee_id="lead")
            redis.kill()
            assert await titles(theirs) == ["回访"], "slower, and right"
            assert await titles(ours) == ["回访"]
            assert answered.since() == {"made": 2}
            assert await titles(theirs) == ["回访"]
            assert answered.since() == {"memory": 1}


async def test_a_kept_list_changes_when_its_time_has_come(company: Company) -> None:
    live, now = company.live, company.live.now
    await company.raise_task("director", title="回访", assignee_id="lead", due_time=now + timedelta(hours=1))
    stub = company.worklist("lead")

    async def overdue() -> list[bool]:
        return [item.overdue for item in (await stub.ListWork(worklist_pb2.ListWorkRequest())).items]

    answered = Answered()
    assert await overdue() == [False]
    live.process.time.stop_at(now + timedelta(minutes=59))
    assert await overdue() == [False]
    assert answered.since() == {"made": 1, "memory": 1}
    live.process.time.stop_at(now + timedelta(minutes=61))
    assert await overdue() == [True], "nobody wrote anything, it is late by itself"
    assert answered.since() == {"made": 1}


async def test_a_kept_list_has_todays_names_and_absences(company: Company) -> None:
    live, now = company.live, company.live.now
    await company.ask(approval(quote(title="报价"), facts(0.15, account_id=ACCOUNT)))
    stub = company.worklist("lead")
    assert [i.account_name for i in (await stub.ListWork(worklist_pb2.ListWorkRequest())).items] == [""]
    await live.hear(AccountChanged(account_id=ACCOUNT, name="阿克姆", version=2), ACCOUNT, source="customers")
    assert [i.account_name for i in (await stub.ListWork(worklist_pb2.ListWorkRequest())).items] == ["阿克姆"]
    assert await titles(live, "north_director") == []
    await delegate(company, "lead", "north_director", end=2)
    assert await titles(live, "north_director") == ["报价"]
    await company.raise_task("director", title="回访", assignee_id="lead")
    assert await titles(live, "north_director") == ["报价", "回访"], "what comes onto the absent one's desk"
    live.process.time.stop_at(now + timedelta(days=3))
    assert await titles(live, "north_director") == []
