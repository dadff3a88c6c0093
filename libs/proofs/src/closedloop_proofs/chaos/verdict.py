"""The ledger against what is there: through the public contract, and in SQL with nobody in between."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import psycopg

from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc, tasks_pb2, tasks_pb2_grpc
from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc
from closedloop.integrations.v1 import deliveries_pb2, deliveries_pb2_grpc
from closedloop.targets.v1 import actuals_pb2, actuals_pb2_grpc
from closedloop_proofs import loop
from closedloop_proofs.chaos.ground import Ground
from closedloop_proofs.chaos.ledger import Acknowledged, Ledger
from closedloop_proofs.chaos.load import SOURCE, Expected
from closedloop_proofs.chaos.plan import SERVICES
from closedloop_proofs.loop import ADMIN, OPERATIONS

# Events on their way, clocks that are due and mails that are queued may take their time while they become fewer. What was
# lost is told again half a minute later.
STUCK_SECONDS = 90.0
AT_ONCE = 16
PAGE = 1000

ANSWERED = "SELECT caller, request_id FROM idempotency"
OVERDUE = "SELECT kind || ' ' || subject FROM clock WHERE state = 'open' AND next_at <= %(now)s"
FIRED = """
SELECT subject, count(*) FILTER (WHERE state = 'breached'), max(level) FROM clock
 WHERE kind = 'approvals.task' AND subject = ANY(%(ids)s) GROUP BY subject
"""
HEARD = """
SELECT source_id, count(*) FROM interaction
 WHERE source = 'funnel' AND source_id = ANY(%(ids)s) GROUP BY source_id
"""
LEFT = """
SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM inbox WHERE state = 0),
       (SELECT count(*) FROM inbox WHERE state = 2)
"""
ON_THE_WAY = "SELECT id FROM outbox UNION ALL SELECT id FROM inbox WHERE state = 0"
WAITING = "SELECT id FROM delivery WHERE state IN ('queued', 'sending')"


@dataclass
class Verdict:
    """What is not as it should be, in lines; all empty when chaos changed nothing."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    clocks_missed: list[str] = field(default_factory=list)
    # Neither: something parked, a broken trail, a client that could not finish.
    problems: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.clocks_missed or self.problems)

    def counted(self, what: str, wanted: Iterable[str], found: Counter[str]) -> None:
        """Each of the wanted exactly once."""
        for one in wanted:
            if not found[one]:
                self.lost.append(f"{what} {one}")
            elif found[one] > 1:
                self.doubled.append(f"{what} {one}: {found[one]} times")


class Reading:
    """Reads everything back."""

    def __init__(self, ground: Ground, stage: Ledger, expected: Expected) -> None:
        self._ground = ground
        self._stage = stage
        self._expected = expected
        self._verdict = Verdict()

    async def verdict(self) -> Verdict:
        began = time.monotonic()
        await self._quiet()
        self._verdict.figures["settled_after_ms"] = round((time.monotonic() - began) * 1000)
        for step in (self._answers, self._turns, self._tasks, self._withdrawn, self._activities, self._actuals, self._messages,
                     self._trails, self._left):  # fmt: skip
            await step()
        return self._verdict

    async def _quiet(self) -> None:
        """Until nothing moves any more."""
        # The last clocks that were started run out after the load has ended.
        due = max([datetime.now(UTC), *self._expected.timed.values()])
        await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
        try:
            await self._none("events to arrive", SERVICES, ON_THE_WAY)
            await self._none("clocks to fire", SERVICES, OVERDUE, now=due)
            await self._none("messages to leave", ("integrations",), WAITING)
            await self._none("events to arrive", SERVICES, ON_THE_WAY)
        except AssertionError as error:
            self._verdict.problems.append(str(error))

    async def _none(self, what: str, services: Sequence[str], sql: str, **params: Any) -> None:
        """Patient for as long as they become fewer; a slow machine is no loss."""
        fewest, give_up = sys.maxsize, 0.0
        while left := {name: len(rows) for name in services if (rows := await self._rows(name, sql, **params))}:
            if sum(left.values()) < fewest:
                fewest, give_up = sum(left.values()), time.monotonic() + STUCK_SECONDS
            assert time.monotonic() < give_up, f"waited in vain for {what}: {left}"
            await asyncio.sleep(0.5)

    async def _answers(self) -> None:
        """Every acknowledged call, made again, gets the answer it got; the database knows it, too."""
        kept = {service: {(c, r) for c, r in await self._rows(service, ANSWERED)} for service in SERVICES}

        async def same(one: Acknowledged) -> None:
            request_id = one.request.request_id  # type: ignore[attr-defined]
            if (one.caller, request_id) not in kept[one.service]:
                self._verdict.lost.append(f"{one.rpc} {request_id}: not in the database")
                return
            try:
                answer = await self._stage.again(one)
            except grpc.aio.AioRpcError as error:
                self._verdict.lost.append(f"{one.rpc} {request_id}: {error.code().name} {error.details()}")
                return
            if answer != one.answer:
                self._verdict.lost.append(f"{one.rpc} {request_id}: another answer than the first")

        await _all(same, self._stage.acknowledged)

    async def _turns(self) -> None:
        for turn in self._expected.turns:
            for difference in await loop.differences(self._stage, turn):
                wrong = self._verdict.doubled if difference.counted > difference.expected else self._verdict.lost
                wrong.append(str(difference))
        self._verdict.figures["turns"] = sum(turn.complete for turn in self._expected.turns)

    async def _tasks(self) -> None:
        verdict, stub = self._verdict, tasks_pb2_grpc.TaskServiceStub
        timed, settled = self._expected.timed, self._expected.settled

        async def check(id_: str) -> None:
            task = await self._stage.ask(stub, "GetTask", tasks_pb2.GetTaskRequest(id=id_), OPERATIONS)
            happened = Counter(entry.action for entry in task.history)
            wanted = Counter({"raised": 1, "escalated": 1} if id_ in timed else {"raised": 1, "completed": 1})
            if happened == wanted and task.escalation_level == wanted["escalated"]:
                return
            line = f"task {id_}: {dict(happened)}, level {task.escalation_level}"
            if id_ in timed and not happened["escalated"]:
                verdict.clocks_missed.append(line)
            elif happened > wanted:
                verdict.doubled.append(line)
            else:
                verdict.lost.append(line)

        await _all(check, [*timed, *settled])
        rows = await self._rows("approvals", FIRED, ids=list(timed))
        verdict.counted("clock of task", timed, Counter({subject: count for subject, count, _ in rows}))
        verdict.clocks_missed += [f"clock of task {subject}: level {level}" for subject, _, level in rows if level < 1]
        verdict.doubled += [f"clock of task {subject}: level {level}" for subject, _, level in rows if level > 1]
        verdict.figures["clocks"] = len(timed)

    async def _withdrawn(self) -> None:
        """What was asked and taken back is asked of nobody."""
        stub = requests_pb2_grpc.RequestServiceStub
        for quote_id in self._expected.withdrawn:
            request = requests_pb2.ListRequestsRequest(origin="funnel", subject_id=quote_id)
            states = [one.state for one in (await self._stage.ask(stub, "ListRequests", request, OPERATIONS)).requests]
            if states != [requests_pb2.REQUEST_STATE_WITHDRAWN]:
                named = ", ".join(requests_pb2.RequestState.Name(state) for state in states)
                self._verdict.lost.append(f"withdrawal of quote {quote_id}: its approval is {named or 'not there'}")
        self._verdict.figures["withdrawals"] = len(self._expected.withdrawn)

    async def _activities(self) -> None:
        for deal_id, logged in self._expected.activities.items():
            request = activities_pb2.ListActivitiesRequest(opportunity_id=deal_id, page_size=PAGE)
            stub = activities_pb2_grpc.ActivityServiceStub
            found = await self._pages(stub, "ListActivities", request, lambda page: page.activities)
            self._verdict.counted("activity", logged, Counter(one.id for one in found))
            self._none_besides("activity", logged, [one.id for one in found])
            heard = await self._rows("customers", HEARD, ids=logged)
            self._verdict.counted("interaction of activity", logged, Counter(dict(heard)))

    async def _actuals(self) -> None:
        request = actuals_pb2.ListActualsRequest(filter=actuals_pb2.ActualFilter(source=SOURCE), page_size=PAGE)
        found = await self._pages(actuals_pb2_grpc.ActualServiceStub, "ListActuals", request, lambda page: page.actuals)
        ids = [one.provenance.source_id for one in found]
        self._verdict.counted("actual", self._expected.actuals, Counter(ids))
        self._none_besides("actual", self._expected.actuals, ids)

    async def _messages(self) -> None:
        """One delivery per key, and outside no message twice."""
        request = deliveries_pb2.ListDeliveriesRequest(origin=SOURCE, page_size=PAGE)
        stub = deliveries_pb2_grpc.DeliveryServiceStub
        found = await self._pages(stub, "ListDeliveries", request, lambda page: page.deliveries)
        keys = Counter(one.content.dedupe_key for one in found)
        self._verdict.counted("delivery", self._expected.messages, keys)
        boxes = list(self._ground.mail.boxes.values())
        outside = Counter(str(mail.message["message-id"]) for box in boxes for mail in box.messages)
        self._verdict.doubled += [f"mail {id_}: {n} times" for id_, n in outside.items() if n > 1]
        states = Counter(deliveries_pb2.DeliveryState.Name(one.state) for one in found)
        arrived = {str(mail.message["subject"]) for box in boxes for mail in box.messages}
        sent = [one for one in found if one.state == deliveries_pb2.DELIVERY_STATE_SENT]
        self._verdict.problems += [
            f"delivery {one.content.dedupe_key}: {deliveries_pb2.DeliveryState.Name(one.state)}"
            for one in found
            if one.state not in (deliveries_pb2.DELIVERY_STATE_SENT, deliveries_pb2.DELIVERY_STATE_UNCERTAIN)
        ]
        for one in sent:
            if not any(one.content.dedupe_key in subject for subject in arrived):
                self._verdict.lost.append(f"mail of {one.content.dedupe_key}: sent, and not outside")
        self._verdict.figures |= {"mails": sum(outside.values()), **states}

    async def _trails(self) -> None:
        stub, token, checked = requests_pb2_grpc.RequestServiceStub, "", 0
        while True:
            request = requests_pb2.VerifyTrailRequest(page_token=token)
            request.opened.start_time.FromDatetime(datetime(2000, 1, 1, tzinfo=UTC))
            page = await self._stage.ask(stub, "VerifyTrail", request, ADMIN)
            checked += page.requests_checked
            self._verdict.problems += [
                f"trail of {gap.request_id}: {gap.kind} at {gap.sequence}" for gap in page.breaks
            ]
            token = page.next_page_token
            if not token:
                break
        self._verdict.figures["trails"] = checked
        wanted = sum(len(turn.approval_ids) for turn in self._expected.turns)
        if checked < wanted:
            self._verdict.lost.append(f"trails: {checked} of {wanted}")

    async def _left(self) -> None:
        for service in SERVICES:
            [(outbox, inbox, parked)] = await self._rows(service, LEFT)
            if outbox or inbox or parked:
                left = f"{outbox} in the outbox, {inbox} in the inbox, {parked} parked"
                self._verdict.problems.append(f"{service}: {left}")

    def _none_besides(self, what: str, wanted: Sequence[str], found: Sequence[str]) -> None:
        known = set(wanted)
        self._verdict.doubled += [f"{what} {one}: nobody was told of it" for one in found if one not in known]

    async def _pages(self, stub: Any, rpc: str, request: Any, rows: Callable[[Any], Iterable[Any]]) -> list[Any]:
        found: list[Any] = []
        while True:
            page = await self._stage.ask(stub, rpc, request, OPERATIONS)
            found += rows(page)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def _rows(self, service: str, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self._ground.database(service)) as connection:
            return await (await connection.execute(sql, params)).fetchall()


async def _all(check: Callable[[Any], Awaitable[None]], rows: Sequence[Any]) -> None:
    """Several at once."""
    queue = iter(rows)

    async def worker() -> None:
        for row in queue:
            await check(row)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
