"""The signed webhook for inquiries: taken in once, whoever repeats, forges or delays it (S21, U15)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import Light
from closedloop.customers.v1 import leads_pb2
from closedloop_chassis import errors
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_customers import courier, settings
from closedloop_devstack.testing.service import Live

from .conftest import House

SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzaXRl"


class StillDesk(Desk):
    """A desk whose time is the test's."""

    live: Live

    def now(self) -> Any:
        return self.live.now


@pytest.fixture
async def desk(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StillDesk]:
    monkeypatch.setenv("CLOSEDLOOP_CUSTOMERS_WEBHOOK_SECRETS", json.dumps({"site": SECRET, "partner": "another"}))
    settings.outside.cache_clear()
    connections = pool(house.live.process.settings, "customers")
    made = StillDesk("customers", house.live.process.settings, connections)
    made.live = house.live
    yield made
    connections.close(timeout=1)
    settings.outside.cache_clear()


def row(n: int, **profile: Any) -> dict[str, Any]:
    known = {"companyName": f"客户{n}", "contactName": "王芳", "phone": f"1380013{n:04}", "regionCode": "310000"}
    return {"provenance": {"sourceId": f"form-{n}"}, "profile": {**known, **profile}}


async def post(
    desk: StillDesk, *rows: Any, id: str = "msg-1", source: str = "site", age: float = 0, **made: Any
) -> Response:
    """`made`: what a forger puts in the place of the secret, the signed body or the signature."""
    body = json.dumps({"leads": list(rows)}).encode()
    stamp = str(int(desk.live.now.timestamp() - age))
    signature = signatures.sign(made.get("secret", SECRET), made.get("signed_id", id), stamp, made.get("signed", body))
    headers = {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": made.get("signature", signature)}
    request = Request("POST", f"/hooks/leads/{source}", headers, {}, made.get("body", body), {"source": source})
    (hook,) = courier.PARTS
    answer: Response = await asyncio.to_thread(hook.run, desk, request)  # type: ignore[arg-type]
    await desk.live.settle()
    return answer


async def leads(house: House) -> list[leads_pb2.Lead]:
    return list((await house.ops.leads.ListLeads(leads_pb2.ListLeadsRequest())).leads)


@pytest.mark.mission("S21", "S67", "U15")
async def test_a_signed_post_is_taken_in_once_and_a_replay_changes_nothing(house: House, desk: StillDesk) -> None:
    first = await post(desk, row(1), row(2))
    assert (first.status, json.loads(first.body)) == (201, {"new": 2, "known": 0})
    for lead in await leads(house):
        assert (lead.provenance.source, lead.provenance.brought_by) == ("site", "webhook")
        assert lead.ownership.owner_id in {"rep1", "rep2"}
    again = await post(desk, row(1), row(2))
    assert (again.status, json.loads(again.body)) == (200, {"new": 0, "known": 2})
    # Signed anew under another id, as a sender does that never got our answer; one row has news and joins its lead.
    await post(desk, row(1), row(3, phone="13800130001"), id="msg-2")
    found = await leads(house)
    assert len(found) == 2
    assert {lead.provenance.source_id for lead in found} == {"form-1", "form-2"}


@pytest.mark.mission("S21", "U15")
async def test_an_inquiry_is_known_by_its_own_id_and_not_by_that_of_its_post(house: House, desk: StillDesk) -> None:
    await post(desk, row(1))
    another = await post(desk, row(2))
    assert (another.status, json.loads(another.body)) == (201, {"new": 1, "known": 0})
    known = await post(desk, row(2), row(1), id="msg-2")
    assert (known.status, json.loads(known.body)) == (200, {"new": 0, "known": 2})
    # Said otherwise it goes to the door once more, which knows it: what was taken in stays as it came.
    await post(desk, row(2, need="又及"))
    found = await leads(house)
    assert {lead.provenance.source_id for lead in found} == {"form-1", "form-2"}
    assert not any(lead.profile.need for lead in found)


@pytest.mark.mission("S21", "U15")
async def test_forged_and_belated_posts_are_refused(house: House, desk: StillDesk) -> None:
    week = timedelta(days=7).total_seconds()
    for reason, forged in (
        ("SIGNATURE_WRONG", {"secret": "guessed"}),
        ("SIGNATURE_WRONG", {"signed": b'{"leads": []}'}),
        ("SIGNATURE_WRONG", {"signed_id": "msg-0"}),
        ("SIGNATURE_WRONG", {"signature": ""}),
        ("SIGNATURE_WRONG", {"source": "partner"}),
        ("SIGNATURE_EXPIRED", {"age": week}),
        ("SIGNATURE_EXPIRED", {"age": -week}),
        ("SIGNATURE_EXPIRED", {"id": ""}),
    ):
        with pytest.raises(errors.Unauthenticated) as refused:
            await post(desk, row(1), **forged)
        assert refused.value.reason == reason
    with pytest.raises(errors.NotFound):
        await post(desk, row(1), source="nobody")
    assert await leads(house) == []


@pytest.mark.mission("S21", "S24")
async def test_an_inquiry_a_week_old_that_is_signed_today_is_late_at_once(house: House, desk: StillDesk) -> None:
    asked = house.live.now - timedelta(days=7)
    old = row(1)
    old["provenance"]["observedTime"] = asked.isoformat()
    await post(desk, old)
    await house.live.advance(seconds=1)
    (lead,) = await leads(house)
    assert lead.receive_time.ToDatetime() == asked.replace(tzinfo=None)
    assert lead.response_light == Light.LIGHT_RED, "48 hours have long passed"


@pytest.mark.mission("S21", "U14")
async def test_what_cannot_be_read_is_refused_with_its_row(house: House, desk: StillDesk) -> None:
    for reason, where, rows in (
        ("BODY_UNREADABLE", "leads", ()),
        ("ROW_UNREADABLE", "leads[1]", (row(1), "x")),
        ("ROW_UNREADABLE", "leads[0]", (row(1) | {"nonsense": 1},)),
        ("ROW_UNREADABLE", "leads[0]", (row(1) | {"provenance": {}},)),
        ("ROW_UNREADABLE", "leads[0]", (row(1) | {"ownerId": "rep1"},)),
        ("ROW_UNREADABLE", "leads[0]", ({**row(1), "provenance": {"source": "partner", "sourceId": "1"}},)),
        ("ROW_INVALID", "leads[1]", (row(1), row(2, companyName="a\x00b"))),
        ("ROW_INVALID", "leads[1]: '1.38E+10' is no phone number", (row(1), row(2, phone="1.38E+10"))),
        ("ROW_INVALID", "leads[0]", ({"provenance": {"sourceId": "1"}, "profile": {"need": "报价"}},)),
        ("PAYLOAD_TOO_LARGE", "64 KiB", (row(1), row(2) | {"payload": {"page": "x" * 70_000}})),
        ("TOO_MANY_ROWS", "500", tuple(row(n) for n in range(501))),
    ):
        with pytest.raises(errors.InvalidArgument) as refused:
            await post(desk, *rows)
        assert (refused.value.reason, where in refused.value.message) == (reason, True), refused.value.message
    for body in (b"", b"\xff", b"[]", b"null", b"[" * 100_000, b'{"leads": {"a": 1}}'):
        with pytest.raises(errors.InvalidArgument):
            await post(desk, body=body, signed=body)
    assert await leads(house) == []
