"""Saved lists of notices: every row ends as notice, duplicate, header or quarantine, and the matcher is held against labels."""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.type.interval_pb2 import Interval
from statsmodels.stats.proportion import proportion_confint

from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop.integrations.v1 import sources_pb2
from closedloop.integrations.v1.notices_pb2_grpc import NoticeServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_devstack.testing.service import Live
from closedloop_integrations import spreadsheets
from closedloop_integrations.notices import ocds, opened, sheets
from closedloop_integrations.notices.rules import ProcurementRules, complete, judge, sector_matcher, wilson
from closedloop_integrations.procurement.matching import CustomerName, NoticeMatcher

Known = Any
RULES = ProcurementRules()
LABELS = Path(__file__).parent / "data"
FILES = ("intentions_summary_1", "intentions_summary_2", "intentions_detail_1", "intentions_detail_2")


def labels() -> Iterator[dict[str, str]]:
    with (LABELS / "ccgp_labels.csv").open(newline="") as file:
        yield from csv.DictReader(file)


def customers() -> Iterator[tuple[str, list[str]]]:
    with (LABELS / "ccgp_customers.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["customer"], [row["name"], *filter(None, [row["aliases"]])]


def table(data_folder: Path, name: str) -> list[list[str]]:
    content = (data_folder / "ccgp" / f"{name}.xlsx").read_bytes()
    return [[spreadsheets.text(cell) for cell in row] for row in spreadsheets.workbook(content, RULES.files)]


def request(content: bytes, name: str = "list.csv", **given: Any) -> pb.ImportNoticeFileRequest:
    usual = {"request_id": str(uuid4()), "file_name": name, "content": content, "source": "ccgp-shandong"}
    return pb.ImportNoticeFileRequest(**{**usual, **given})


def as_csv(*rows: list[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


HEADING = ["客户名称", "项目名称", "金额", "预计时间", "link"]


@pytest.mark.mission("S70")
def test_every_row_of_the_four_files_becomes_what_a_person_says_it_is(data_folder: Path) -> None:
    """The files one after the other, as one source brings them."""
    wanted: dict[str, dict[int, str]] = {}
    for label in labels():
        wanted.setdefault(label["file"], {})[int(label["row"])] = label["outcome"]
    assert tuple(wanted) == FILES
    seen: set[str] = set()
    for name in FILES:
        sheet = sheets.read(rows := table(data_folder, name), RULES.sheets, RULES.pages)
        became = dict.fromkeys(sheet.headers, "header") | dict.fromkeys(sheet.duplicates, "duplicate")
        for listed in sheet.notices:
            became |= dict.fromkeys(listed.rows, "duplicate" if listed.source_id in seen else "notice")
        seen |= {listed.source_id for listed in sheet.notices}
        assert sheet.refused == {}
        assert len(became) == sheet.read == len(rows)
        assert {at + 1: outcome for at, outcome in became.items()} == wanted[name], name
    assert len(seen) == 34


def test_shifted_rows_and_halves_are_put_together(data_folder: Path) -> None:
    sheet = sheets.read(table(data_folder, "intentions_summary_1"), RULES.sheets, RULES.pages)
    [platform] = [listed for listed in sheet.notices if listed.buyer == "济南大学"]
    [lot] = platform.lots
    assert lot.name.endswith("自助打印服务管理平台采购项目")
    assert lot.requirement.startswith("根据学校实际需求")
    assert (lot.amount_minor, lot.expected) == (21_000_000, "2026-03")
    assert platform.remarks == ["TITLE_FROM_BUYER", "PUBLISH_DATE_UNKNOWN", "REQUIREMENT_FROM_OTHER_ROW"]
    detail = sheets.read(table(data_folder, "intentions_detail_1"), RULES.sheets, RULES.pages)
    school = detail.notices[0]
    assert (school.buyer, len(school.lots), str(school.published)) == ("山东师范大学第二附属中学", 8, "2026-01-30")
    assert school.lots[0] == sheets.Lot("师大校区功能教室改造-录播教室", "建设精品录播教室。", 65_000_000, "2026-03")


def measured(data_folder: Path) -> tuple[Counter[str], Counter[str], list[str]]:
    """Hits, misses and false alarms of the matcher over all labelled notices: customers that are told, and sectors."""
    wanted: dict[str, tuple[set[str], set[str]]] = {}
    marked = {(label["file"], int(label["row"])): label for label in labels()}
    names = [CustomerName(customer, name) for customer, given in customers() for name in given]
    matcher, by_customer, by_sector, wrong = NoticeMatcher(names, RULES.matching), Counter[str](), Counter[str](), []
    for file in FILES:
        contents = opened.of_sheet(
            sheet := sheets.read(rows := table(data_folder, file), RULES.sheets, RULES.pages), rows, "s", "k", RULES
        )
        assert len(sheet.notices) == len(contents.candidates)
        for candidate in contents.candidates:
            rows_of = [label for at in candidate.rows if (label := marked[file, at + 1])["outcome"] == "notice"]
            if not rows_of:
                continue
            said = {**candidate.said, "publish_date": None, "url": "", "brought_by": "t", "observed_at": None}
            notice = complete(said, RULES, sector_matcher(RULES), id="n", now=None)  # type: ignore[arg-type]
            told = {found.account_id for found in judge(notice, matcher, RULES) if found.state == "found"}
            customer, sectors = wanted[notice.source_id] = (
                {label["customer"] for label in rows_of},
                {sector for label in rows_of for sector in label["sectors"].split()},
            )
            for counts, right, found in ((by_customer, customer, told), (by_sector, sectors, set(notice.sectors))):
                counts += Counter(hit=len(right & found), missed=len(right - found), wrong=len(found - right))
                if right != found:
                    wrong.append(f"{notice.buyer}: {sorted(right)} expected, {sorted(found)} found")
    assert len(wanted) == 34
    return by_customer, by_sector, wrong


@pytest.mark.mission("S70")
def test_precision_and_recall_on_the_labelled_rows(data_folder: Path) -> None:
    """The figures docs/integrations.md names."""
    by_customer, by_sector, wrong = measured(data_folder)
    assert by_customer == Counter(hit=34), wrong
    precision = by_sector["hit"] / (by_sector["hit"] + by_sector["wrong"])
    recall = by_sector["hit"] / (by_sector["hit"] + by_sector["missed"])
    assert precision >= 0.9, wrong
    assert recall >= 0.9, wrong


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["", "黑板", "12", "2026年3月", "http://x/1"], "BUYER_MISSING"),
        (["某学校", "一段需求", "是", "", "http://x/2"], "NAME_MISSING"),
        (["某学校", "名" * 1001, "12", "2026年3月", "http://x/3"], "FIELD_TOO_LONG"),
        (["校" * 201, "黑板", "12", "2026年3月", "http://x/4"], "FIELD_TOO_LONG"),
    ],
)
def test_a_row_nobody_can_read_says_why(row: list[str], reason: str) -> None:
    good = ["某学校", "黑板", "12.5", "2026年3月", "http://x/9"]
    sheet = sheets.read([HEADING, row, good], RULES.sheets, RULES.pages)
    assert {at: text.partition(":")[0] for at, text in sheet.refused.items()} == {1: reason}
    assert [listed.rows for listed in sheet.notices] == [[2]]


def test_halves_without_as_many_lots_are_set_aside_and_an_amount_in_words_is_no_reason_to() -> None:
    again = ["某学校", "采购需求概况", "拟面向中小企业预留", "备注", "http://x/1"]
    halves = [["某学校", f"需求{number}", "是", "", "http://x/1"] for number in range(2)]
    sheet = sheets.read(
        [HEADING, again, *halves, ["某学校", "黑板", "面议", "2026年3月", "http://x/1"]], RULES.sheets, RULES.pages
    )
    assert {at: text.partition(":")[0] for at, text in sheet.refused.items()} == {2: "LOT_UNKNOWN", 3: "LOT_UNKNOWN"}
    [listed] = sheet.notices
    assert (listed.lots[0].amount_minor, "AMOUNT_UNREADABLE" in listed.remarks) == (None, True)


def test_the_interval_of_a_share_is_wilsons() -> None:
    """As the library of statistics has it, which the image of this service does without."""
    for of in (1, 2, 9, 20, 1000):
        for hits in {0, 1, of // 2, of - 1, of}:
            expected = proportion_confint(hits, of, alpha=0.05, method="wilson")
            assert wilson(hits, of) == pytest.approx(expected, abs=1e-12)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@pytest.mark.mission("S70", "S67")
async def test_files_come_in_once_are_matched_and_leave_a_run(known: Known, company: Live, data_folder: Path) -> None:
    accounts = {
        customer: await known.account(given[0], aliases=given[1:])
        for customer, given in customers()
        if customer in ("c17", "c10", "n01")
    }
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    counted: list[tuple[int, ...]] = []
    for name in FILES:
        content = (data_folder / "ccgp" / f"{name}.xlsx").read_bytes()
        answer = await stub.ImportNoticeFile(request(content, f"{name}.xlsx"))
        assert answer.rows_read == answer.notices + answer.duplicates + answer.headers + answer.quarantined
        counted.append((answer.rows_read, answer.notices, answer.duplicates, answer.headers, answer.created))
    assert counted == [(80, 66, 0, 14, 20), (68, 38, 21, 9, 3), (45, 22, 22, 1, 10), (41, 1, 29, 11, 1)]
    again = await stub.ImportNoticeFile(request((data_folder / "ccgp" / f"{FILES[0]}.xlsx").read_bytes()))
    assert (again.notices, again.duplicates, again.created, again.updated) == (0, 66, 0, 0)

    told = {t.match.account_id: t.match for t in await company.told(events.NoticeMatched)}
    assert set(told) == {accounts["c17"], accounts["c10"]}, "an attached school is another unit"
    school = told[accounts["c17"]]
    assert (school.matched_field, len(school.notice.items), school.notice.amount.units) == ("buyer", 8, 7_200_000)
    assert list(school.sectors) == ["education"]
    notices = (await stub.ListNotices(pb.ListNoticesRequest(source="ccgp-shandong", page_size=100))).notices
    assert len(notices) == 34
    assert {notice.kind for notice in notices} == {pb.NOTICE_KIND_INTENTION}

    sources = company.stub(SourceServiceStub, "ops", "operations")
    runs = (await sources.ListRuns(sources_pb2.ListRunsRequest(source="ccgp-shandong"))).runs
    assert [(run.summary.read, run.summary.created, run.brought_by) for run in reversed(runs)][:4] == [
        (80, 20, "ops"),
        (68, 3, "ops"),
        (45, 10, "ops"),
        (41, 1, "ops"),
    ]
    assert runs[0].sha256 == again.sha256
    assert sum((s.read - s.created - s.updated - s.rejected - s.unchanged) for s in (run.summary for run in runs)) == 0


@pytest.mark.mission("S70")
async def test_what_cannot_be_read_waits_with_its_row_and_run_and_is_mended(company: Live) -> None:
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    content = as_csv(
        HEADING, ["", "智慧黑板", "12", "2026年3月", "http://x/1"], ["某学校", "桌椅", "3", "2026年4月", ""]
    )
    dry = await stub.ImportNoticeFile(request(content, validate_only=True))
    assert (dry.rows_read, dry.notices, dry.headers, dry.quarantined, dry.created) == (3, 1, 1, 1, 1)
    answer = await stub.ImportNoticeFile(request(content))
    assert [(error.row, error.reason) for error in answer.errors] == [(1, "BUYER_MISSING")]
    sources = company.stub(SourceServiceStub, "ops", "operations")
    [run] = (await sources.ListRuns(sources_pb2.ListRunsRequest())).runs
    [item] = (await sources.ListQuarantine(sources_pb2.ListQuarantineRequest(run_id=run.id))).items
    assert (item.run_id, item.row, item.source) == (run.id, 1, "ccgp-shandong")
    mended = sources_pb2.QuarantineResolution(
        id=item.id, mended=json.dumps({**json.loads(item.raw), "客户名称": "某小学"})
    )
    summary = await sources.ResolveQuarantine(
        sources_pb2.ResolveQuarantineRequest(request_id=str(uuid4()), rows=[mended])
    )
    assert summary.updated == 1, summary.errors
    buyers = {notice.buyer for notice in (await stub.ListNotices(pb.ListNoticesRequest())).notices}
    assert buyers == {"某学校", "某小学"}
    assert (await sources.ListRuns(sources_pb2.ListRunsRequest(failed_only=True))).runs == []


def release(ocid: str = "ocds-1", **given: Any) -> dict[str, Any]:
    usual = {
        "ocid": ocid,
        "id": "1",
        "date": "2026-01-04T08:00:00Z",
        "tag": ["tender"],
        "buyer": {"name": "济南市第三中学"},
        "tender": {
            "title": "智慧黑板采购",
            "value": {"amount": 128.65, "currency": "CNY"},
            "tenderPeriod": {"endDate": "2026-02-01T00:00:00+08:00"},
            "items": [{"description": "86 寸智慧黑板"}],
        },
    }
    return {**usual, **given}


AWARD: dict[str, Any] = {
    "tag": ["award"],
    "date": "2026-03-01T00:00:00Z",
    "awards": [
        {"title": "智慧黑板中标", "value": {"amount": 120, "currency": "CNY"}, "suppliers": [{"name": "甲公司"}]}
    ],
}


@pytest.mark.mission("S70")
async def test_open_contracting_packages_become_notices_of_one_project(known: Known, company: Live) -> None:
    await known.account("济南市第三中学")
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    linked = {"url": "https://other.example/r.json", "date": "2026-01-01T00:00:00Z"}
    package = {"releases": [release(), release(), release(**AWARD), release("ocds-2", buyer={}), linked]}
    answer = await stub.ImportNoticeFile(request(json.dumps(package).encode(), "releases.json"))
    assert (answer.rows_read, answer.notices, answer.duplicates, answer.quarantined, answer.created) == (5, 2, 1, 2, 2)
    assert [error.reason for error in answer.errors] == ["BUYER_MISSING", "RELEASE_LINKED"]
    award, tender = (await stub.ListNotices(pb.ListNoticesRequest())).notices
    assert (tender.kind, tender.amount.units, tender.amount.nanos) == (pb.NOTICE_KIND_TENDER, 128, 650_000_000)
    assert (award.kind, list(award.suppliers), award.project_key) == (
        pb.NOTICE_KIND_AWARD,
        ["甲公司"],
        tender.project_key,
    )
    assert len(await company.told(events.NoticeMatched)) == 2
    record = {"records": [{"ocid": "ocds-1", "compiledRelease": {**release(**AWARD), "tag": ["compiled"]}}]}
    answer = await stub.ImportNoticeFile(request(json.dumps(record).encode(), "records.json"))
    assert (answer.rows_read, answer.notices, answer.created, answer.updated) == (1, 1, 0, 1), (
        "its tender has a newer date"
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"date": "soon"}, "TIME_UNREADABLE"),
        ({"tender": {"status": "active"}}, "TITLE_MISSING"),
        ({"tender": {}, "tag": ["tender"]}, "STAGE_UNKNOWN"),
        ({"ocid": ""}, "NOT_A_RELEASE"),
        ({"buyer": {"name": "长" * 201}}, "FIELD_TOO_LONG"),
    ],
)
def test_a_release_nobody_can_read_says_why(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ocds.UnreadableError, match=reason):
        ocds.stages(release(**given), "ocds")


@pytest.mark.parametrize("amount", ["NaN", "1e999999", "true", '"12"', "-3", "0.001"])
def test_an_amount_that_is_none_is_no_reason_to_refuse_a_release(amount: str) -> None:
    text = json.dumps({"releases": [release()]}).replace("128.65", amount)
    [stage] = ocds.stages(ocds.releases(text)[0], "ocds")
    assert (stage.said["amount_minor"], stage.said["mended"]) == (None, ["AMOUNT_UNREADABLE"])


async def test_files_that_are_something_else_are_refused(company: Live) -> None:
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    for content in (
        b"a,b\n1,2\n",
        b'{"releases": 1}',
        b"[" * 100_000,
        b"\xd0\xcf\x11\xe0 old",
        b"PK\x03\x04 none",
        b"\xff\xfe\x00",
    ):
        with company.refused("INVALID_ARGUMENT", "FILE_NOT_RECOGNISED"):
            await stub.ImportNoticeFile(request(content))
    half = json.dumps({"releases": [release(buyer={"name": "x"})]}).replace('"x"', '"\\ud800\\u0000学校"').encode()
    answer = await stub.ImportNoticeFile(request(half, "half.json"))
    assert answer.created == 1
    with company.refused("PERMISSION_DENIED"):
        await company.stub(NoticeServiceStub, "rep1", "rep").ImportNoticeFile(request(b"a"))


async def test_a_saved_page_is_read_like_a_polled_one(company: Live) -> None:
    page = (
        '<!-- saved from url=(0042)http://www.ccgp.example/detail?id=abc --><html><h2 class="tc">某中学智慧黑板招标公告</h2>'
        '<span id="pubTime">2026年01月04日 09:00</span><table class="table"><tr><td>采购单位</td><td>某中学</td></tr></table>'
        '<div class="vF_detail_content">采购黑板。</div></html>'
    )
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    answer = await stub.ImportNoticeFile(request(page.encode(), "page.html"))
    assert (answer.rows_read, answer.notices, answer.created) == (1, 1, 1)
    [notice] = (await stub.ListNotices(pb.ListNoticesRequest())).notices
    assert (notice.provenance.source_id, notice.buyer, notice.kind) == ("abc", "某中学", pb.NOTICE_KIND_TENDER)
    broken = await stub.ImportNoticeFile(request(b"<html><p>nothing</p></html>", "other.html"))
    assert (broken.quarantined, broken.errors[0].reason) == (1, "TITLE_MISSING")


def test_text_that_is_made_to_be_slow_is_not() -> None:
    began = time.process_time()
    sheet = sheets.read([HEADING, ["(" * 30_000, "(" * 30_000, "1", "2026年3月", ""]] * 3, RULES.sheets, RULES.pages)
    assert len(sheet.refused) == 3
    opened.opened(request(b"<html>" + b"<link " * 10_000, "x.html"), RULES)
    lots = [["某学校", f"黑板{number}", "1", "2026年3月", "http://x/1"] for number in range(20_000)]
    sheet = sheets.read([HEADING, *lots], RULES.sheets, RULES.pages)
    assert len(sheet.refused) == 20_000, "more lots than a notice may have"
    assert time.process_time() - began < 20


@pytest.mark.mission("S70")
async def test_accuracy_counts_what_people_said(known: Known, company: Live) -> None:
    """18 of 20 told matches are right; one was another customer's, whom a person named; one doubtful one was right."""
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    names = [f"第{number}实验中学校" for number in range(21)]
    accounts = [await known.account(name) for name in names]
    rows = [[name, f"项目{number}", "1", "2026年3月", f"http://x/{number}"] for number, name in enumerate(names[:20])]
    rows.append(["某局", f"受{names[20]}委托采购桌椅", "1", "2026年3月", "http://x/20"])
    await stub.ImportNoticeFile(request(as_csv(HEADING, *rows)))
    found = {m.account_id: m for m in (await stub.ListMatches(pb.ListMatchesRequest(page_size=100))).matches}
    assert found[accounts[20]].state == pb.MATCH_STATE_DOUBTFUL
    period = Interval()

    async def review(account: str, state: pb.MatchState.ValueType, **given: str) -> None:
        match = found[account]
        await stub.ReviewMatch(
            pb.ReviewMatchRequest(request_id=str(uuid4()), id=match.id, etag=match.etag, state=state, **given)
        )

    await review(accounts[0], pb.MATCH_STATE_CONFIRMED)
    few = await stub.GetMatchAccuracy(pb.GetMatchAccuracyRequest(period=period))
    assert (few.reviewed, few.true_positives, few.HasField("precision")) == (1, 1, False)
    for account in accounts[1:18]:
        await review(account, pb.MATCH_STATE_CONFIRMED)
    await review(accounts[18], pb.MATCH_STATE_REJECTED)
    await review(accounts[19], pb.MATCH_STATE_CONFIRMED, account_id=accounts[18])
    await review(accounts[20], pb.MATCH_STATE_CONFIRMED)
    told = await stub.GetMatchAccuracy(pb.GetMatchAccuracyRequest(period=period, source="ccgp-shandong"))
    assert (told.true_positives, told.false_positives, told.false_negatives, told.reviewed) == (18, 2, 2, 22)
    assert (told.precision, told.recall) == (pytest.approx(0.9), pytest.approx(0.9))
    assert (told.precision_low, told.precision_high) == wilson(18, 20)
    assert (told.method, told.confidence_ratio) == ("wilson", 0.95)
    assert (told.precision_sample_size, told.recall_sample_size) == (20, 20)
    nothing = await stub.GetMatchAccuracy(pb.GetMatchAccuracyRequest(period=period, source="elsewhere"))
    assert nothing.reviewed == 0
