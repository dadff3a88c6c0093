"""The mixed load: several clients, each writing down what it expects to follow from what was acknowledged."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc.aio
from google.type.decimal_pb2 import Decimal

from closedloop.approvals.v1 import tasks_pb2, tasks_pb2_grpc
from closedloop.common.v1.common_pb2 import Ownership, Provenance
from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc, quotes_pb2, quotes_pb2_grpc
from closedloop.integrations.v1 import deliveries_pb2, deliveries_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import actuals_pb2, actuals_pb2_grpc, metrics_pb2, plans_pb2
from closedloop_chassis import ids, protos
from closedloop_proofs import loop
from closedloop_proofs.chaos.ledger import Ledger
from closedloop_proofs.loop import ADMIN, OPERATIONS, Turn

SOURCE = "chaos"
REPS = tuple(f"E-{number}" for number in range(1, 9))
# A task with a due time of its own is due so many seconds after it was raised.
SOONEST_DUE, LATEST_DUE, LATEST_DUE_IN_SHORT = 2.0, 25.0, 10.0
# After which a hand-over without an answer is given up, in seconds.
LEASE, LEASE_IN_SHORT = 20, 10
# Between the beginnings of two steps of one client. Every task and every mail is a message to somebody, and one courier
# hands them over.
PACE_SECONDS = {
    "activity": 0.1,
    "actual": 0.1,
    "timed_task": 0.5,
    "settled_task": 0.5,
    "message": 1.0,
    "withdrawn_quote": 1.0,
}
SHORTEST_PAUSE_SECONDS = 0.05


@dataclass
class Expected:
    """What must be there in the end, and how often."""

    turns: list[Turn] = field(default_factory=list)
    # Tasks whose clock must fire once, by when; tasks settled before their time; titles that tell them apart.
    timed: dict[str, datetime] = field(default_factory=dict)
    settled: list[str] = field(default_factory=list)
    # Activities of a deal and its account, by deal.
    deals: dict[str, Turn] = field(default_factory=dict)
    activities: dict[str, list[str]] = field(default_factory=dict)
    actuals: list[str] = field(default_factory=list)
    # Quotes submitted and taken back at once: their approvals must end withdrawn.
    withdrawn: list[str] = field(default_factory=list)
    # Delivery by dedupe key.
    messages: dict[str, str] = field(default_factory=dict)


class Load:
    """Players side by side. `rest` lets those under way play to the end of what they have begun."""

    def __init__(self, stage: Ledger, expected: Expected, *, short: bool) -> None:
        self._stage = stage
        self._expected = expected
        self._draw = random.Random()
        self._latest_due, self._lease = (LATEST_DUE_IN_SHORT, LEASE_IN_SHORT) if short else (LATEST_DUE, LEASE)
        self._resting = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.played: dict[str, int] = {}
        self.failures: list[str] = []

    async def hurry(self) -> None:
        """Mails that were put off are tried again, and hand-overs without an answer given up, while we watch."""
        rules = {"first_delay_seconds": 2, "longest_delay_seconds": 4, "lease_seconds": self._lease, "attempts": 50}
        request = platform_pb2.PublishRulebookRequest(
            request_id=ids.new_id(), name="integrations.deliveries", reason="ten minutes are all we have"
        )
        request.body.update(rules)
        stub = platform_pb2_grpc.RulebookServiceStub
        await self._stage.ask(stub, "PublishRulebook", request, ADMIN, "integrations")

    async def plant(self) -> None:
        """Two deals that activities are logged on, and quotes made for."""
        for _ in range(2):
            turn = loop.new_turn()
            for step in (loop.lead_in, loop.converted, loop.opened, loop.climbed):
                await step(self._stage, turn)
            self._expected.deals[turn.deal_id] = turn
            self._expected.activities[turn.deal_id] = []

    def begin(self) -> None:
        players = [self._turn, self._turn, self._timed_task, self._settled_task]
        players += [self._activity, self._actual, self._message, self._withdrawn_quote]
        self._tasks = [asyncio.create_task(self._repeat(player)) for player in players]

    async def rest(self) -> None:
        self._resting.set()
        await asyncio.gather(*self._tasks)

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        name = step.__name__.strip("_")
        while not self._resting.is_set():
            began = time.monotonic()
            try:
                await step()
                self.played[name] = self.played.get(name, 0) + 1
            except (grpc.aio.AioRpcError, AssertionError) as error:
                shown = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else error
                self.failures.append(f"{name}: {shown}")
            left = PACE_SECONDS.get(name, 0.0) - (time.monotonic() - began)
            await asyncio.sleep(max(SHORTEST_PAUSE_SECONDS, left))

    async def _turn(self) -> None:
        turn = loop.new_turn()
        self._expected.turns.append(turn)
        await loop.play(self._stage, turn)

    def _task(self, due: datetime | None) -> tasks_pb2.RaiseTaskRequest:
        rep, mark = self._draw.choice(REPS), ids.new_id()
        content = tasks_pb2.TaskContent(
            kind="follow_up", title=f"Call back {mark}", assignee_id=rep, origin=SOURCE, cause_key=f"chaos:{mark}",
            ownership=Ownership(owner_id=rep, unit_id="TEAM"),
        )  # fmt: skip
        if due:
            content.due_time.CopyFrom(protos.timestamp(due))
        return tasks_pb2.RaiseTaskRequest(request_id=ids.new_id(), content=content)

    async def _timed_task(self) -> None:
        due = datetime.now(UTC) + timedelta(seconds=self._draw.uniform(SOONEST_DUE, self._latest_due))
        raised = await self._stage.ask(tasks_pb2_grpc.TaskServiceStub, "RaiseTask", self._task(due), OPERATIONS)
        self._expected.timed[raised.id] = due

    async def _settled_task(self) -> None:
        stub = tasks_pb2_grpc.TaskServiceStub
        raised = await self._stage.ask(stub, "RaiseTask", self._task(None), OPERATIONS)
        done = tasks_pb2.CompleteTaskRequest(request_id=ids.new_id(), id=raised.id, etag=raised.etag, comment="called")
        await self._stage.ask(stub, "CompleteTask", done, raised.assignee_id)
        self._expected.settled.append(raised.id)

    async def _activity(self) -> None:
        deal_id = self._draw.choice(list(self._expected.deals))
        start = datetime.now(UTC) - timedelta(minutes=self._draw.uniform(1, 500))
        request = activities_pb2.LogActivityRequest(
            request_id=ids.new_id(), kind=activities_pb2.ACTIVITY_KIND_CALL, opportunity_id=deal_id,
            start_time=protos.timestamp(start), content=f"Asked about the change-over times again; {ids.new_id()}",
        )  # fmt: skip
        owner = self._expected.deals[deal_id].owner
        logged = await self._stage.ask(activities_pb2_grpc.ActivityServiceStub, "LogActivity", request, owner)
        self._expected.activities[deal_id].append(logged.id)

    async def _actual(self) -> None:
        given = actuals_pb2.ActualInput(
            metric="lead_conversion", holder=plans_pb2.Holder(unit_id="EAST"), date=loop.day(),
            amount=metrics_pb2.Amount(number=Decimal(value="0.42")),
            provenance=Provenance(source=SOURCE, source_id=ids.new_id()),
        )  # fmt: skip
        request = actuals_pb2.RecordActualRequest(request_id=ids.new_id(), actual=given)
        await self._stage.ask(actuals_pb2_grpc.ActualServiceStub, "RecordActual", request, OPERATIONS)
        self._expected.actuals.append(given.provenance.source_id)

    async def _withdrawn_quote(self) -> None:
        """Asked and taken back in one breath: who hears of it in the other order asks people for nothing."""
        turn = self._draw.choice(list(self._expected.deals.values()))
        stub = quotes_pb2_grpc.QuoteServiceStub
        line = quotes_pb2.QuoteLine(
            product_id=loop.PRODUCT, quantity=1, list_price=loop.cny(loop.LIST_PRICE_FEN), discount_ratio=loop.DISCOUNT
        )
        create = quotes_pb2.CreateQuoteRequest(
            request_id=ids.new_id(), opportunity_id=turn.deal_id, lines=[line], valid_until_date=loop.day(60),
            justification="a first idea",
        )  # fmt: skip
        quote = await self._stage.ask(stub, "CreateQuote", create, turn.owner)
        submit = quotes_pb2.SubmitQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=quote.etag)
        asked = await self._stage.ask(stub, "SubmitQuote", submit, turn.owner)
        withdraw = quotes_pb2.WithdrawQuoteRequest(
            request_id=ids.new_id(), quote_id=quote.id, etag=asked.etag, reason="thought better of it"
        )
        await self._stage.ask(stub, "WithdrawQuote", withdraw, turn.owner)
        self._expected.withdrawn.append(quote.id)

    async def _message(self) -> None:
        key = f"chaos:{ids.new_id()}"
        content = deliveries_pb2.DeliveryContent(
            dedupe_key=key, origin=SOURCE, channel=deliveries_pb2.CHANNEL_MAIL, urgent=True,
            purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
            recipient=deliveries_pb2.Recipient(person_id=self._draw.choice(REPS)),
            template=deliveries_pb2.TemplateBody(template="task_assigned"),
        )  # fmt: skip
        content.template.fields.update({"title": key, "due_time": "2026-01-05T09:00:00+00:00"})
        request = deliveries_pb2.RequestDeliveryRequest(request_id=ids.new_id(), content=content)
        asked = await self._stage.ask(deliveries_pb2_grpc.DeliveryServiceStub, "RequestDelivery", request, OPERATIONS)
        self._expected.messages[key] = asked.id
