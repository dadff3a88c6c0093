"""Notices through the contract: taken in, matched, told, reviewed."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop.integrations.v1 import sources_pb2
from closedloop.integrations.v1.notices_pb2_grpc import NoticeServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_devstack.simulators.procurement import Notice as Published
from closedloop_devstack.simulators.procurement import ProcurementSite
from closedloop_devstack.testing.service import Live
from closedloop_integrations.notices import store

Known = Any
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def request_id() -> str:
    return str(uuid4())


def row(number: int = 1, buyer: str = "济南市第三中学", title: str = "", **given: object) -> pb.Notice:
    return pb.Notice(
        title=title or f"{buyer}智慧黑板采购公开招标公告",
        buyer=buyer,
        region="山东省",
        amount=Money(currency_code="CNY", units=1_286_500),
        publish_date=Date(year=2026, month=1, day=4),
        body="项目已具备采购条件。",
        provenance=Provenance(source="ccgp", source_id=f"t{number}"),
        **given,  # type: ignore[arg-type]
    )


async def bring(live: Live, *rows: pb.Notice, validate_only: bool = False, refused: int = 0) -> tuple[int, int, int]:
    """(created, updated, unchanged)"""
    stub = live.stub(NoticeServiceStub, "ops", "operations")
    request = pb.BulkImportNoticesRequest(request_id=request_id(), rows=rows, validate_only=validate_only)
    summary = await stub.BulkImportNotices(request)
    assert (summary.read, summary.rejected) == (len(rows), refused)
    return summary.created, summary.updated, summary.unchanged


@pytest.mark.mission("S70", "S39")
async def test_a_customer_found_in_a_notice_is_told_with_all_that_a_reader_needs(known: Known, company: Live) -> None:
    account = await known.account("济南市第三中学", aliases=["济南三中"])
    assert await bring(company, row()) == (1, 0, 0)
    [told] = await company.told(events.NoticeMatched)
    match = told.match
    assert (match.account_id, match.state, match.matched_field, told.version) == (
        account,
        pb.MATCH_STATE_FOUND,
        "buyer",
        1,
    )
    assert match.confidence == pytest.approx(0.98)
    assert (match.ownership.owner_id, match.ownership.unit_id) == ("rep1", "east")
    assert list(match.sectors) == ["education"]
    assert "智慧黑板" in match.keywords
    assert match.rule.rulebook == "integrations.procurement"
    assert "济南市第三中学" in match.rule.explanation
    assert (match.notice.title, match.notice.body, match.notice.amount.units) == (
        "济南市第三中学智慧黑板采购公开招标公告",
        "",
        1_286_500,
    )
    assert match.notice.provenance.source_id == "t1"


@pytest.mark.mission("S70", "U14", "U15")
async def test_a_second_import_changes_nothing_and_a_dry_run_neither(known: Known, company: Live) -> None:
    await known.account("济南市第三中学")
    rows = [row(number) for number in range(200)]
    assert await bring(company, *rows, validate_only=True) == (200, 0, 0)
    assert await company.told(events.NoticeMatched) == []
    assert await bring(company, *rows) == (200, 0, 0)
    assert await bring(company, *rows) == (0, 0, 200)
    assert await bring(company, *rows[:-1], row(199, title="济南市第三中学智慧黑板更正公告")) == (0, 1, 199)
    assert len(await company.told(events.NoticeMatched)) == 200


async def test_bad_rows_are_named_and_the_others_go_on(company: Live) -> None:
    nameless, moneyless, untitled = row(2), row(3), row(4)
    nameless.ClearField("provenance")
    moneyless.amount.nanos = 1
    untitled.title = ""
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    rows = [row(1), nameless, moneyless, untitled]
    summary = await stub.BulkImportNotices(pb.BulkImportNoticesRequest(request_id=request_id(), rows=rows))
    assert (summary.created, summary.rejected) == (1, 3)
    assert [(error.row, error.reason) for error in summary.errors] == [
        (1, "PROVENANCE_MISSING"),
        (2, "NOT_MONEY"),
        (3, "ROW_INVALID"),
    ]


@pytest.mark.mission("S70")
async def test_a_customer_that_comes_later_is_found_in_older_notices(known: Known, company: Live) -> None:
    await bring(company, row(1), row(2, buyer="青岛市第三中学"), row(3, buyer="济南市第三中学附属小学"))
    assert await company.told(events.NoticeMatched) == []
    account = await known.account("某学校")
    assert await company.told(events.NoticeMatched) == []
    await known.account("某学校", id=account, aliases=["济南市第三中学"])
    await known.account("某学校", id=account, aliases=["济南市第三中学"], grade="A")
    assert [told.match.notice.provenance.source_id for told in await company.told(events.NoticeMatched)] == ["t1"]


@pytest.mark.mission("S70", "S39")
async def test_a_customer_and_a_notice_that_come_at_one_moment_find_each_other(known: Known, company: Live) -> None:
    """Whichever begins first: who comes second waits until the first can be seen."""
    account, other = str(uuid4()), str(uuid4())
    arriving = company.process.database.transaction()
    arriving.do("INSERT INTO account (id, name, version) VALUES (%(id)s, '济南市第三中学', 1)", {"id": account})
    arriving.do(
        "INSERT INTO account_name (account_id, key, name) VALUES (%(id)s, %(n)s, %(n)s)",
        {"id": account, "n": "济南市第三中学"},
    )
    await store.speaking_of(arriving, account, ["济南市第三中学"], NOW)
    bringing = asyncio.create_task(bring(company, row(1)))
    await asyncio.wait({bringing}, timeout=0.3)
    assert not bringing.done()
    await arriving.commit()
    assert await bringing == (1, 0, 0)
    assert [told.match.account_id for told in await company.told(events.NoticeMatched)] == [account]

    holding = company.process.database.transaction()
    store.await_accounts(holding)
    await holding.value("SELECT 1")
    coming = asyncio.create_task(known.account("青岛市实验小学", id=other))
    await asyncio.wait({coming}, timeout=0.3)
    assert not coming.done()
    await holding.commit()
    await coming


@pytest.mark.mission("S70")
async def test_a_page_of_the_site_becomes_a_notice_and_a_broken_one_waits_for_a_person(
    known: Known, company: Live
) -> None:
    await known.account("济南市第三中学")
    with ProcurementSite(limit=0) as site:
        published = site.publish(
            Published(
                title="济南市第三中学智慧黑板采购",
                buyer="济南市第三中学",
                published=datetime(2026, 1, 4, 2, tzinfo=UTC),
                amount="128.65万元",
                region="山东省",
                body="采购智慧黑板 120 块。",
            )
        )

        url = site.notice_url(published)
        async with httpx.AsyncClient() as client:
            html = (await client.get(url)).text
    await company.hear(
        events.NoticeFetched(source="procurement", url=url, html=html), url, source="integrations.courier"
    )
    await company.hear(
        events.NoticeFetched(source="procurement", url=url, html=html), url, source="integrations.courier"
    )
    broken = events.NoticeFetched(source="procurement", url=url + "x", html="<html><h2 class='tc'>无时间</h2></html>")
    await company.hear(broken, url, source="integrations.courier")
    assert len(await company.told(events.NoticeMatched)) == 1
    stub = company.stub(NoticeServiceStub, "rep1", "rep")
    [listed] = (await stub.ListNotices(pb.ListNoticesRequest())).notices
    notice = await stub.GetNotice(pb.GetNoticeRequest(id=listed.id))
    assert (notice.amount.units, notice.body, notice.region) == (1_286_500, "采购智慧黑板 120 块。", "山东省")
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="procurement"))).items
    assert (item.reason, "无时间" in item.raw) == ("TIME_UNREADABLE", True)
    mended = html.replace("济南市第三中学智慧黑板采购", "济南市第三中学录播教室采购")
    resolution = sources_pb2.QuarantineResolution(id=item.id, mended=mended)
    request = sources_pb2.ResolveQuarantineRequest(request_id=request_id(), rows=[resolution])
    assert (await operations.ResolveQuarantine(request)).updated == 1
    assert len((await stub.ListNotices(pb.ListNoticesRequest(query="录播"))).notices) == 1
    assert (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest())).items == []


async def test_notices_are_found_by_buyer_words_kind_sector_and_day(company: Live) -> None:
    await bring(
        company,
        row(1),
        row(2, buyer="市人民医院", title="市人民医院信息化升级中标公告"),
        row(3, buyer="青岛市公安局", title="青岛市公安局物业服务招标公告"),
    )
    stub = company.stub(NoticeServiceStub, "rep1", "rep")

    async def ids(**given: object) -> list[str]:
        answer = await stub.ListNotices(pb.ListNoticesRequest(**given))  # type: ignore[arg-type]
        return sorted(notice.provenance.source_id for notice in answer.notices)

    assert await ids() == ["t1", "t2", "t3"]
    assert await ids(query="智慧 黑板") == ["t1"]
    assert await ids(buyer="公安局") == ["t3"]
    assert await ids(kinds=[pb.NOTICE_KIND_AWARD]) == ["t2"]
    assert await ids(sector="healthcare") == ["t2"]
    assert await ids(unmatched=True) == ["t1", "t2", "t3"]
    assert await ids(source="other") == []
    first = await stub.ListNotices(pb.ListNoticesRequest(page_size=2))
    rest = await stub.ListNotices(pb.ListNoticesRequest(page_size=2, page_token=first.next_page_token))
    assert len(first.notices) == 2
    assert len({n.id for n in [*first.notices, *rest.notices]}) == 3
    assert rest.next_page_token == ""
    with company.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await stub.ListNotices(pb.ListNoticesRequest(page_token="x"))
    with company.refused("NOT_FOUND", "NOTICE_UNKNOWN"):
        await stub.GetNotice(pb.GetNoticeRequest(id=request_id()))


@pytest.mark.mission("S70")
async def test_a_match_is_seen_and_reviewed_by_its_owner_and_his_line_alone(known: Known, company: Live) -> None:
    account = await known.account("济南市第三中学", participant_ids=["eng"])
    await bring(company, row())
    mine = company.stub(NoticeServiceStub, "rep1", "rep")
    foreign = company.stub(NoticeServiceStub, "rep2", "rep")
    [match] = (await mine.ListMatches(pb.ListMatchesRequest(account_id=account))).matches
    assert match.notice.buyer == "济南市第三中学"
    assert (await foreign.ListMatches(pb.ListMatchesRequest())).matches == []
    assert (
        len((await company.stub(NoticeServiceStub, "m1", "manager").ListMatches(pb.ListMatchesRequest())).matches) == 1
    )
    assert (await company.stub(NoticeServiceStub, "m2", "manager").ListMatches(pb.ListMatchesRequest())).matches == []
    review = pb.ReviewMatchRequest(
        request_id=request_id(), id=match.id, etag=match.etag, state=pb.MATCH_STATE_REJECTED, comment="同名"
    )
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await foreign.ReviewMatch(review)
    review.request_id = request_id()
    rejected = await mine.ReviewMatch(review)
    assert (rejected.state, rejected.reviewed_by, rejected.review_comment) == (pb.MATCH_STATE_REJECTED, "rep1", "同名")
    assert [told.version for told in await company.told(events.NoticeMatched)] == [1, 2]
    review.request_id = request_id()
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await mine.ReviewMatch(review)
    with company.refused("INVALID_ARGUMENT", "NOT_A_VERDICT"):
        await mine.ReviewMatch(
            pb.ReviewMatchRequest(request_id=request_id(), id=match.id, etag="x", state=pb.MATCH_STATE_FOUND)
        )
    [entry] = await company.db.all(
        "SELECT action, actor_id, changes FROM audit_entry WHERE subject = %(id)s", {"id": match.id}
    )
    assert (entry["action"], entry["actor_id"], entry["changes"]["state"]) == ("review", "rep1", ["found", "rejected"])


async def test_another_customer_is_named(known: Known, company: Live) -> None:
    wrong = await known.account("济南市第三中学")
    right = await known.account("济南三中教育集团")
    await bring(company, row())
    stub = company.stub(NoticeServiceStub, "m1", "manager")
    [match] = (await stub.ListMatches(pb.ListMatchesRequest())).matches
    review = pb.ReviewMatchRequest(
        request_id=request_id(), id=match.id, etag=match.etag, state=pb.MATCH_STATE_CONFIRMED, account_id=right
    )
    confirmed = await stub.ReviewMatch(review)
    assert (confirmed.account_id, confirmed.state, confirmed.confidence) == (right, pb.MATCH_STATE_CONFIRMED, 1.0)
    told = [(t.match.account_id, t.match.state) for t in await company.told(events.NoticeMatched)]
    assert told[1:] == [(wrong, pb.MATCH_STATE_REJECTED), (right, pb.MATCH_STATE_CONFIRMED)]


async def test_a_doubtful_match_waits_and_a_changed_notice_supersedes(known: Known, company: Live) -> None:
    await known.account("青岛实验小学")
    notice = row()
    notice.body = "供货至青岛实验小学。"
    await bring(company, notice)
    assert await company.told(events.NoticeMatched) == []
    stub = company.stub(NoticeServiceStub, "rep1", "rep")
    [match] = (await stub.ListMatches(pb.ListMatchesRequest(states=[pb.MATCH_STATE_DOUBTFUL]))).matches
    assert match.matched_text == "供货至青岛实验小学。"
    await bring(company, row())
    assert (await stub.ListMatches(pb.ListMatchesRequest())).matches == []
    review = pb.ReviewMatchRequest(request_id=request_id(), id=match.id, etag='"2"', state=pb.MATCH_STATE_CONFIRMED)
    with company.refused("FAILED_PRECONDITION", "MATCH_SUPERSEDED"):
        await stub.ReviewMatch(review)


async def test_ten_thousand_notices_in_seconds(known: Known, company: Live) -> None:
    await known.account("测试市第77中学")
    rows = [row(number, buyer=f"测试市第{number}中学") for number in range(10_000)]
    begun = time.process_time()
    assert await bring(company, *rows) == (10_000, 0, 0)
    # Of our own work: the machine may be busy with other things.
    assert time.process_time() - begun < 8
    assert len(await company.told(events.NoticeMatched)) == 1


async def test_a_program_and_a_manager_may_do_what_the_contract_says(company: Live) -> None:
    request = pb.BulkImportNoticesRequest(request_id=request_id(), rows=[row()])
    with company.refused("PERMISSION_DENIED"):
        await company.stub(NoticeServiceStub, "rep1", "rep").BulkImportNotices(request)
    with company.refused("UNAUTHENTICATED"):
        await company.stub(NoticeServiceStub).BulkImportNotices(request)
