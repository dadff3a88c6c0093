"""Whom customers has forgotten the funnel forgets too (PIPL)."""

from __future__ import annotations

from datetime import date

from psycopg.types.json import Jsonb

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc, attachments_pb2, attachments_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.traces import digest, name_digests
from closedloop_funnel.personal.mentions import EMPTIED, TEXTS

from .conftest import ACME, NORTH, Company, remember, rid
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


NAME, PHONE = "王芳芳", "+8613812345678"


async def test_a_name_goes_out_of_every_text_about_the_persons_company(company: Company) -> None:
    """What is of the person by id is emptied; where colleagues only name them, the name goes and the rest stays."""
    live = company.live
    deal = await company.open(account_id=ACME, name=f"{NAME}的产线", need=f"{NAME}要换线快")
    elsewhere = await company.open("rep2", account_id=NORTH, name=f"{NAME}同名者的单子")
    files = live.stub(attachments_pb2_grpc.AttachmentServiceStub, "rep1", "rep")
    paper = attachments_pb2.UploadAttachmentRequest(file_name=f"{NAME}.txt", content_type="text/plain", content=b"seen")
    paper.request_id = rid()
    photo = await files.UploadAttachment(paper)
    paper.request_id, paper.content, paper.file_name = rid(), b"brochure", "b.txt"
    brochure = await files.UploadAttachment(paper)
    theirs, named = visit("rep1", date(2026, 1, 5), 1, done=True), visit("rep1", date(2026, 1, 6), 2, done=True)
    theirs |= {"account_id": ACME, "contact_ids": [PERSON], "content": "只与她谈", "opportunity_id": deal.id}
    named |= {"account_id": ACME, "contact_ids": [], "content": f"听说{NAME}要走", "opportunity_id": deal.id}
    await remember(company, "activity", [theirs, named])
    uses = [
        {"attachment_id": photo.id, "record_kind": "activity", "record_id": theirs["id"]},
        {"attachment_id": brochure.id, "record_kind": "activity", "record_id": theirs["id"]},
        {"attachment_id": brochure.id, "record_kind": "activity", "record_id": named["id"]},
    ]
    await remember(company, "attachment_use", uses)
    logs = live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
    await logs.SubmitDailyLog(
        activities_pb2.SubmitDailyLogRequest(
            request_id=rid(), date={"year": 2026, "month": 1, "day": 5}, summary=f"见了{NAME}，谈得好", plan="写方案"
        )
    )
    signed = {"id": new_id(), "revision": 1, "opportunity_id": deal.id, "owner_id": "rep1", "unit_id": "team1"}
    signed |= {"number": "HT-1", "title": "合同", "state": "signed", "amount_minor": 1, "currency": "CNY"}
    signed |= {"signer_name": NAME, "author_id": "rep1", "created_at": live.now, "updated_at": live.now}
    await remember(company, "contract", [signed])
    talk = {"id": new_id(), "owner_id": "rep1", "unit_id": "team1", "source": "wecom", "brought_by": "rep1"}
    talk |= {"channel": "call", "account_id": ACME, "started_at": live.now, "length_ms": 1, "language": "zh"}
    talk |= {"intent": 0.5, "intent_change": 0, "churn": 0, "churn_light": "none", "seller_share": 0.5}
    talk |= {"rule_version": 0, "created_at": live.now, "contact_ids": []}
    words = [{"side": "seller", "speaker": "rep1", "start_ms": 0, "end_ms": 1, "text": f"{NAME}您好"}]
    other = talk | {"id": new_id(), "contact_ids": [PERSON]}
    await remember(company, "transcript", [one | {"utterances": Jsonb(words).obj} for one in (talk, other)])
    words_of = f"请{NAME}回电 138 1234 5678"
    stuck, kept = await _parked(company, words_of, f"ValueError: {words_of}"), await _parked(company, f"{NAME}同名者")
    await live.told(events.OpportunityChanged)

    erased = customers.PersonErased(
        erase_time=protos.timestamp(live.now),
        personal_data_request_id=new_id(),
        account_ids=[ACME],
        address_digests=[digest(PHONE)],
        name_digests=[customers.NameDigest(sha256=key, length=size) for key, size in name_digests([NAME]).items()],
    )
    erased.records.add(type=accounts_pb2.RECORD_TYPE_CONTACT, id=PERSON)
    await live.hear(erased, subject=PERSON, source="customers")

    tables = sorted({text.table for text in TEXTS} | {"audit_entry"})
    left = [
        (table, row["t"])
        for table in tables
        for row in await live.db.all(
            f"SELECT t::text FROM {table} t WHERE t::text LIKE %(name)s", {"name": f"%{NAME}%"}
        )
        if elsewhere.id not in row["t"]
    ]
    assert left == []
    now = await company.read(deal.id)
    assert (now.name, now.need, now.amount) == ("（已删除）的产线", "（已删除）要换线快", deal.amount)
    assert [told.name for told in await live.told(events.OpportunityChanged) if told.opportunity_id == deal.id][
        -1
    ] == now.name
    assert (await company.read(elsewhere.id)).name == f"{NAME}同名者的单子"
    rows = {row["id"]: row["content"] for row in await live.db.all("SELECT id, content FROM activity")}
    assert (rows[theirs["id"]], rows[named["id"]]) == ("", "听说（已删除）要走")
    (log,) = await live.db.all("SELECT summary, plan FROM daily_log")
    assert (log["summary"], log["plan"]) == ("见了（已删除），谈得好", "写方案")
    (contract,) = await live.db.all("SELECT signer_name, title FROM contract")
    assert (contract["signer_name"], contract["title"]) == ("（已删除）", "合同")
    said = {row["id"]: row["utterances"] for row in await live.db.all("SELECT id, utterances FROM transcript")}
    assert (said[talk["id"]][0]["text"], said[other["id"]]) == ("（已删除）您好", [])
    asked = attachments_pb2.GetAttachmentRequest(attachment_id=photo.id, include_content=True)
    with live.refused("FAILED_PRECONDITION", "ATTACHMENT_ERASED"):
        await files.GetAttachment(asked)
    asked.attachment_id = brochure.id
    assert (await files.GetAttachment(asked)).content == b"brochure"
    paper.request_id, paper.content = rid(), b"seen"
    asked.attachment_id = (await files.UploadAttachment(paper)).id
    assert (await files.GetAttachment(asked)).content == b"seen", "who brings it again has it again"
    events_left = {
        row["id"]: (row["state"], row["data"]) for row in await live.db.all("SELECT id, state, data, error FROM inbox")
    }
    assert events_left[stuck] == (1, b"")
    assert events_left[kept][0] == 2
    assert NAME.encode() in events_left[kept][1], "a name alone may be somebody else's"


async def test_every_table_of_deals_and_talks_is_looked_through_or_says_nothing(company: Company) -> None:
    rows = await company.live.db.all(
        """SELECT DISTINCT of.table_name AS name FROM information_schema.columns of
             JOIN information_schema.columns said USING (table_schema, table_name)
            WHERE of.table_schema = 'public' AND of.column_name ~ '^(opportunity|activity|account|transcript|question)_id$'
              AND said.data_type IN ('text', 'jsonb') AND said.column_name !~ '(_id|_key|_keys|currency|state|kind|direction)$'"""
    )
    assert {row["name"] for row in rows} - {text.table for text in TEXTS} == EMPTIED


async def _parked(company: Company, words: str, error: str | None = None) -> str:
    """An event that failed for good."""
    event = {"id": new_id(), "words": approvals.RequestReturned(comment=words).SerializeToString()}
    tx = company.live.process.database.transaction()
    tx.do(
        """INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot, state, attempts, parked_at, error)
           VALUES (%(id)s, 'approvals', %(type)s, 'a', 9999, clock_timestamp(), %(words)s, 0, 2, 8,
                   clock_timestamp(), %(error)s)""",
        {**event, "type": "closedloop.approvals.request.returned.v1", "error": error},
    )
    await tx.commit()
    return str(event["id"])
