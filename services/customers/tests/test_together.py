"""Inquiries that come at once are looked up and written together; each is as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import leads_pb2 as pb
from closedloop_chassis.data import gathering, lane
from closedloop_customers.leads import store
from closedloop_devstack.testing.service import reason_of

from .conftest import Desk, House

MET, WRITTEN = store._met, gathering.Gathering._written


def inquiry(rid: Any, source_id: str, **fields: Any) -> pb.IntakeLeadRequest:
    known = {"company_name": f"新源精密 {source_id}", "contact_name": "赵敏", "need": "想了解视觉检测"}
    return pb.IntakeLeadRequest(
        request_id=rid(),
        profile=pb.LeadProfile(**{**known, "phone": f"1380000{int(source_id):04d}", **fields}),
        provenance=Provenance(source="web_form", source_id=source_id),
    )


@pytest.mark.mission("S21", "U15")
async def test_each_of_the_inquiries_that_come_together_has_its_own_end(
    house: House, rid: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody known, a customer twice, a caller who leaves and a row that the table refuses, among five like any other."""
    old = await house.web.leads.IntakeLead(inquiry(rid, "1"))
    all_here, together, committed = asyncio.Event(), list[int](), list[int]()

    async def looking(db: Any, looks: Sequence[Any]) -> Any:
        together.append(len(looks))
        await all_here.wait()
        return await MET(db, looks)

    async def writing(self: Any, group: Sequence[Any]) -> Any:
        committed.append(len(group))
        return await WRITTEN(self, group)

    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(store, "_met", looking)
    monkeypatch.setattr(gathering.Gathering, "_written", writing)
    reader = house.live.process.database.reader

    async def until(waiting: int) -> None:
        async with asyncio.timeout(60):
            while looking not in reader._looks or len(reader._looks[looking]._lane._waiting) != waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def sends(desk: Desk, request: pb.IntakeLeadRequest) -> asyncio.Future[pb.Lead]:
        return asyncio.ensure_future(asyncio.wait_for(desk.leads.IntakeLead(request), 60))

    first = sends(house.web, inquiry(rid, "2"))
    async with asyncio.timeout(60):
        while not together:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    repeated = inquiry(rid, "6")
    plain = [sends(desk, inquiry(rid, str(n))) for n, desk in ((3, house.web), (4, house.ops), (5, house.web))]
    same_call = [sends(house.web, repeated), sends(house.web, repeated)]
    joins = sends(house.ops, inquiry(rid, "7", phone="13800000001"))
    namesakes = [sends(house.web, inquiry(rid, str(n), phone="13900000000")) for n in (8, 9)]
    refused = sends(house.web, inquiry(rid, "10", region_code="999999"))
    await until(8)
    leaves = house.web.leads.IntakeLead(inquiry(rid, "11"))
    await until(9)
    leaves.cancel()
    await until(8)
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.02)
    all_here.set()
    made = await asyncio.gather(first, *plain)
    assert together[:2] == [1, 8], "all who came while another looked, looked together"
    assert max(committed) > 3, "and those who met nobody were written together"

    same = await asyncio.gather(*same_call)
    assert same[0] == same[1], "the second gets the answer of the first"
    assert (await joins).id == old.id
    one, other = await asyncio.gather(*namesakes)
    assert one.id == other.id
    (error,) = await asyncio.gather(refused, return_exceptions=True)
    assert isinstance(error, Exception)
    assert reason_of(error) == "UNKNOWN_CODE"

    ids = {old.id, same[0].id, one.id, *(lead.id for lead in made)}
    assert await house.live.db.value("SELECT count(*) FROM lead") == len(ids) == 7
    rows = await house.live.db.all("SELECT source_id, lead_id, provenance ->> 'brought_by' AS by FROM lead_submission")
    brought = {row["source_id"]: (row["lead_id"], row["by"]) for row in rows}
    assert brought.keys() == {str(n) for n in range(1, 10)}, "who had left brought nothing"
    assert brought["4"] == (made[2].id, "ops")
    assert brought["7"] == (old.id, "ops")
    who = await house.live.db.all("SELECT subject, actor_id FROM audit_entry WHERE action = 'intake'")
    assert {row["subject"]: row["actor_id"] for row in who} == {
        id_: "ops" if id_ == made[2].id else "web-forms" for id_ in ids
    }
    assert await house.live.db.value("SELECT count(*) FROM clock WHERE state = 'open'") == 2 * len(ids)
    assert {told.lead_id for told in await house.live.told(events.LeadReceived)} == ids
    # Each was chosen for in the sight of the others: nobody has two while somebody has none.
    loads = await house.live.db.all("SELECT person_id, open_leads FROM seller WHERE open_leads > 0")
    held = await house.live.db.all("SELECT owner_id, count(*) AS n FROM lead WHERE owner_id <> '' GROUP BY owner_id")
    assert {row["person_id"]: row["open_leads"] for row in loads} == {row["owner_id"]: row["n"] for row in held}
