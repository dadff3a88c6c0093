"""What every service serves besides its own, through real gRPC."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import json_format

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop.platform.v1 import platform_pb2_grpc as rpc
from closedloop.targets.v1.events_pb2 import PersonChanged
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_devstack.testing.service import Live, work


def new_request() -> str:
    return str(uuid.uuid4())


@pytest.mark.mission("U19")
async def test_a_rulebook_is_changed_while_running_and_audited(live: Live) -> None:
    rules = live.stub(rpc.RulebookServiceStub, "ops1", "operations")
    names = {r.name for r in (await rules.ListRulebooks(pb.ListRulebooksRequest())).rulebooks}
    assert {"platform.calendars", "platform.home", "platform.reactor", "platform.retention"} <= names
    before = await rules.GetRulebook(pb.GetRulebookRequest(name="platform.reactor"))
    assert before.version == 0
    assert before.schema["properties"]["attempts"]["maximum"] == 50
    request = pb.PublishRulebookRequest(request_id=new_request(), name="platform.reactor", reason="fewer tries")
    json_format.ParseDict({"attempts": 3}, request.body)
    published = await rules.PublishRulebook(request)
    assert (published.version, published.author_id) == (1, "ops1")
    assert await rules.PublishRulebook(request) == published
    await live.process.look()
    after = await rules.GetRulebook(pb.GetRulebookRequest(name="platform.reactor"))
    assert json_format.MessageToDict(after.body)["attempts"] == 3
    assert [h.version for h in after.history] == [1]
    audit = live.stub(rpc.AuditServiceStub, "a1", "auditor")
    entries = (await audit.ListAuditEntries(pb.ListAuditEntriesRequest(subject="rulebook:platform.reactor"))).entries
    assert [(e.actor_id, e.action, e.business_action) for e in entries] == [("ops1", "publish", "fewer tries")]
    assert json_format.MessageToDict(entries[0].changes)["attempts"] == [8, 3]


async def test_rulebooks_refuse_what_does_not_fit(live: Live) -> None:
    rules = live.stub(rpc.RulebookServiceStub, "ops1", "operations")

    def request(body: dict[str, object], **fields: object) -> pb.PublishRulebookRequest:
        made = pb.PublishRulebookRequest(request_id=new_request(), name="platform.reactor", reason="r", **fields)  # type: ignore[arg-type]
        json_format.ParseDict(body, made.body)
        return made

    with live.refused("INVALID_ARGUMENT", "RULEBOOK_INVALID"):
        await rules.PublishRulebook(request({"attempts": 0}))
    with live.refused("ABORTED", "RULEBOOK_CHANGED"):
        await rules.PublishRulebook(request({"attempts": 3}, base_version=7))
    past = pb.PublishRulebookRequest(request_id=new_request(), name="platform.reactor", reason="r")
    json_format.ParseDict({"attempts": 3}, past.body)
    past.effective_time.FromDatetime((live.now - timedelta(days=1)).replace(tzinfo=None))
    with live.refused("INVALID_ARGUMENT", "EFFECTIVE_IN_THE_PAST"):
        await rules.PublishRulebook(past)
    with live.refused("NOT_FOUND", "RULEBOOK_UNKNOWN"):
        await rules.GetRulebook(pb.GetRulebookRequest(name="nothing.here"))
    rep = live.stub(rpc.RulebookServiceStub, "rep1", "rep")
    with live.refused("PERMISSION_DENIED"):
        await rep.PublishRulebook(request({"attempts": 3}))


@pytest.mark.parametrize(
    "key",
    [["\ud800"], ["\0"], ["no uuid"], [7], [None], [[]], {"a": 1}, "x", ["a", "b"], []],
    ids=repr,
)
async def test_a_page_token_nobody_gave_out_is_refused(live: Live, key: object) -> None:
    audit = live.stub(rpc.AuditServiceStub, "a1", "auditor")
    token = base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
    with live.refused("INVALID_ARGUMENT"):
        await audit.ListAuditEntries(pb.ListAuditEntriesRequest(page_token=token))


async def test_a_page_token_nested_without_end_is_refused(live: Live) -> None:
    audit = live.stub(rpc.AuditServiceStub, "a1", "auditor")
    for token in (b"[" * 370, b"[" * 180 + b"]" * 180):
        with live.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
            await audit.ListAuditEntries(
                pb.ListAuditEntriesRequest(page_token=base64.urlsafe_b64encode(token).decode())
            )


async def test_a_rulebook_that_is_no_json_is_refused(live: Live) -> None:
    rules = live.stub(rpc.RulebookServiceStub, "ops1", "operations")
    request = pb.PublishRulebookRequest(request_id=new_request(), name="platform.reactor", reason="r")
    request.body.update({"attempts": float("nan")})
    with live.refused("INVALID_ARGUMENT", "VALIDATION_FAILED"):
        await rules.PublishRulebook(request)


async def test_clocks_are_seen_within_reach_and_in_pages(live: Live) -> None:
    await live.organise(
        units=[
            ("co", "", "company", "总公司", ""),
            ("east", "co", "region", "华东", "m1"),
            ("west", "co", "region", "华西", ""),
        ],
        people=[("m1", "east", "李", ["manager"]), ("r1", "east", "张", ["rep"]), ("r2", "west", "王", ["rep"])],
    )
    doing = work(live.process)
    for n, (owner, unit) in enumerate([("r1", "east"), ("r1", "east"), ("r2", "west")]):
        doing.clocks.start("test.k", f"s{n}", ClockSetting(hours=n + 1), owner_id=owner, unit_id=unit)
    await doing.tx.commit()

    async def subjects(person: str, role: str) -> list[str]:
        stub = live.stub(rpc.ClockServiceStub, person, role)
        return [c.subject for c in (await stub.ListClocks(pb.ListClocksRequest(kind="test.k"))).clocks]

    assert await subjects("r1", "rep") == ["s0", "s1"]
    assert await subjects("r2", "rep") == ["s2"]
    assert await subjects("m1", "manager") == ["s0", "s1"]
    assert await subjects("ops", "operations") == ["s0", "s1", "s2"]
    stub = live.stub(rpc.ClockServiceStub, "ops", "operations")
    first = await stub.ListClocks(pb.ListClocksRequest(page_size=2))
    rest = await stub.ListClocks(pb.ListClocksRequest(page_size=2, page_token=first.next_page_token))
    assert [c.subject for c in [*first.clocks, *rest.clocks]] == ["s0", "s1", "s2"]
    assert rest.next_page_token == ""
    with live.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await stub.ListClocks(pb.ListClocksRequest(page_token="bm9uc2Vuc2U="))


async def test_the_organisation_follows_events_and_ignores_old_ones(live: Live) -> None:
    await live.hear(PersonChanged(person_id="p", name="新", unit_id="u", active=True, version=2), "p")
    await live.hear(PersonChanged(person_id="p", name="旧", unit_id="u", active=True, version=1), "p")
    person = live.process.org.current.person("p")
    assert person is not None
    assert person.name == "新"


async def test_development_time_moves_forward_and_is_seen(live: Live) -> None:
    admin = live.stub(rpc.DevelopmentServiceStub, "root", "admin")
    wanted = datetime(2031, 5, 1, tzinfo=UTC)
    request = pb.SetTimeRequest(request_id=new_request())
    request.time.FromDatetime(wanted.replace(tzinfo=None))
    answer = await admin.SetTime(request)
    assert answer.time.ToDatetime(tzinfo=UTC) == wanted
    assert live.process.time.offset > timedelta(days=365)


async def test_parked_events_are_listed_and_redriven(live: Live) -> None:
    tx = live.process.database.transaction()
    tx.do(
        """INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot, state, attempts, parked_at, error)
           VALUES
             (%(id)s, 'targets', 'closedloop.targets.person.changed.v1', 'p', 1, %(now)s, %(data)s, 0, 2, 8, %(now)s, 'E: x')""",
        {"id": (event_id := new_request()), "now": live.now, "data": b"\xff\xff"},
    )
    await tx.commit()
    admin = live.stub(rpc.EventServiceStub, "root", "admin")
    [parked] = (await admin.ListParkedEvents(pb.ListParkedEventsRequest())).events
    assert (parked.event_id, parked.attempts, parked.error) == (event_id, 8, "E: x")
    assert (await admin.GetEventBacklog(pb.GetEventBacklogRequest())).parked == 1
    redriven = await admin.RedriveParkedEvents(
        pb.RedriveParkedEventsRequest(request_id=new_request(), event_ids=[event_id])
    )
    assert redriven.redriven == 1
    backlog = await admin.GetEventBacklog(pb.GetEventBacklogRequest())
    assert (backlog.parked, backlog.inbox) == (0, 1)
    rep = live.stub(rpc.EventServiceStub, "rep1", "rep")
    with live.refused("PERMISSION_DENIED", "ROLE_NOT_GRANTED"):
        await rep.ListParkedEvents(pb.ListParkedEventsRequest())
