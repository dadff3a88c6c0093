"""Whom customers has forgotten the funnel forgets too (PIPL)."""

from __future__ import annotations

from datetime import date

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id

from .conftest import NORTH, Company, remember
from .test_performance import visit

PERSON, OTHER, LEAD = (f"0190c000-0000-7000-8000-00000000000{n}" for n in range(1, 4))
SAID = "王女士说换线太慢"


async def test_no_word_of_an_erased_person_is_left_and_every_figure_stays(company: Company) -> None:
    live = company.live
    lead = customers.LeadConverted(
        lead_id=LEAD,
        account_id=NORTH,
        open_opportunity=True,
        ownership={"owner_id": "rep2", "unit_id": "north"},
        opportunity_name="产线改造",
        need=SAID,
        version=3,
    )
    await live.hear(lead, subject=LEAD, source="customers")
    talks = [visit("rep2", date(2026, 1, 5), n, done=True, feedback=SAID) for n in range(3)]
    for talk, whose in zip(talks, ([PERSON, OTHER], [OTHER], []), strict=True):
        talk |= {
            "contact_ids": whose,
            "content": SAID,
            "subject": SAID,
            "actions": [{"actionUnitKey": "demo", "note": SAID, "verified": True}],
        }
    await remember(company, "activity", talks)
    sample = {"id": new_id(), "begins": live.now, "ends": live.now, "unit_id": "", "seed": 1, "sample_ratio": 1.0}
    await remember(company, "survey_sample", [sample | {"population": 1, "drawn": 1, "created_at": live.now}])
    asked = {"id": new_id(), "sample_id": sample["id"], "activity_id": talks[0]["id"], "contact_id": PERSON}
    asked |= {"owner_id": "rep2", "unit_id": "north", "state": "answered", "satisfaction": 0.75, "contradictions": []}
    answers = [{"question_key": "remarks", "value": SAID}]
    moments = {"sent_at": live.now, "answered_at": live.now, "expires_at": live.now}
    await remember(company, "survey", [asked | {"answers": answers} | moments])

    erased = customers.PersonErased(erase_time=protos.timestamp(live.now), personal_data_request_id=new_id())
    for kind, id_ in ((accounts_pb2.RECORD_TYPE_CONTACT, PERSON), (accounts_pb2.RECORD_TYPE_LEAD, LEAD)):
        erased.records.add(type=kind, id=id_)
    for _ in range(2):
        await live.hear(erased, subject=PERSON, source="customers")

    rows = {row["id"]: row for row in await live.db.all("SELECT * FROM activity")}
    gone, kept, nobodys = (rows[talk["id"]] for talk in talks)
    assert (gone["content"], gone["subject"], gone["customer_feedback"]) == ("", "", "")
    assert gone["actions"] == [{"actionUnitKey": "demo", "verified": True}]
    assert (gone["state"], gone["contact_ids"], gone["at"]) == ("done", [PERSON, OTHER], talks[0]["at"])
    assert kept["content"] == nobodys["content"] == SAID
    (survey,) = await live.db.all("SELECT answers, satisfaction FROM survey")
    assert (survey["answers"], survey["satisfaction"]) == ([], 0.75)
    (deal,) = await live.db.all("SELECT name, need FROM opportunity WHERE lead_id = %(id)s", {"id": LEAD})
    assert (deal["name"], deal["need"]) == ("产线改造", "")
    left = await live.db.all("SELECT subject FROM audit_entry WHERE changes::text LIKE %(said)s", {"said": f"%{SAID}%"})
    assert left == []
    noted = await live.db.all("SELECT subject FROM audit_entry WHERE action = 'erase'")
    assert {row["subject"] for row in noted} == {erased.personal_data_request_id}
