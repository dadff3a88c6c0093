"""Search pages and notices of procurement sites, tidy and untidy."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closedloop_integrations.procurement.mending import CHINA, read_amount, read_time
from closedloop_integrations.procurement.site import (
    NoticeDetail,
    NoticeRow,
    Quarantined,
    buyer_in,
    decode,
    notice_id,
    parse_detail,
    parse_list,
)
from closedloop_integrations.procurement.words import PageLabels, PageWords

WORDS = PageWords()
BASE = "http://site.test/search?kw=%E9%BB%91%E6%9D%BF&page=1"
LINK = '<a href="/notices/t20260302_1001.htm">济南市第三中学智慧黑板采购</a>'


def page(*rows: str, more: str = "") -> str:
    items = "".join(f"<li>{row}</li>" for row in rows)
    return (
        f'<html><body><p class="total">共找到 <b>41</b> 条公告</p><ul class="results">{items}</ul>{more}</body></html>'
    )


def row(facts: str, link: str = LINK) -> str:
    return f"{link}<p>摘要</p><span>{facts}</span>"


@pytest.mark.mission("S70")
def test_a_tidy_list_is_read() -> None:
    facts = "2026.03.02 09:30:00 | 采购人：济南市第三中学 | 代理机构：诚信招标 | 公开招标公告 | 山东"
    listed = parse_list(page(row(facts), more='<a class="next" href="/search?kw=x&amp;page=2">下一页</a>'), BASE, WORDS)
    assert listed.rows == (
        NoticeRow(
            id="t20260302_1001",
            url="http://site.test/notices/t20260302_1001.htm",
            title="济南市第三中学智慧黑板采购",
            buyer="济南市第三中学",
            published=datetime(2026, 3, 2, 9, 30, tzinfo=CHINA),
            agency="诚信招标",
            kind="公开招标公告",
            region="山东",
        ),
    )
    assert (listed.quarantined, listed.total, listed.next_url) == ((), 41, "http://site.test/search?kw=x&page=2")


MENDED = [
    # (facts as printed, buyer, agency, kind, region, remarks)
    ("２０２６－０３－０２｜采购人：甲校｜代理机构：乙｜询价公告｜山东", "甲校", "乙", "询价公告", "山东", ()),
    ("| 2026年3月2日 | 采 购 人: 甲校 | 代理机构: | 中标公告 | 山东", "甲校", "", "中标公告", "山东", ()),
    ("采购单位：甲校 | 日期：2026/3/2 | 中标公告 | 山东", "甲校", "", "中标公告", "山东", ()),
    (
        "2026-03-02 | 采购人：甲校 | 代理机构：乙<br><strong>中标公告</strong> | 山东",
        "甲校",
        "乙",
        "中标公告",
        "山东",
        (),
    ),
    ("2026-03-02 | 采购人：<em>甲</em>校 | 代理机构：乙 | 中标公告 | 山东", "甲校", "乙", "中标公告", "山东", ()),
    ("2026-03-02 |  | 甲校 | 乙公司 | 中标公告 | 山东", "甲校", "乙公司", "中标公告", "山东", ("BUYER_UNLABELLED",)),
    ("2026-03-02 | 采购人：甲校", "甲校", "", "", "", ()),
]


@pytest.mark.mission("S70")
@pytest.mark.parametrize(("facts", "buyer", "agency", "kind", "region", "remarks"), MENDED)
def test_an_untidy_row_is_mended(
    facts: str, buyer: str, agency: str, kind: str, region: str, remarks: tuple[str, ...]
) -> None:
    listed = parse_list(page(row(facts)), BASE, WORDS)
    assert listed.quarantined == ()
    read = listed.rows[0]
    assert read.published == datetime(2026, 3, 2, tzinfo=CHINA)
    assert (read.buyer, read.agency, read.kind, read.region, read.remarks) == (buyer, agency, kind, region, remarks)


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (row("2026-03-02 | 采购人：甲校", link='<a href="/notices/t1.htm"> </a>'), "TITLE_MISSING"),
        (row("2026-03-02 | 采购人：甲校", link="无链接"), "TITLE_MISSING"),
        (row("2026-03-02 | 采购人：甲校", link='<a href="">公告</a>'), "LINK_MISSING"),
        (row("2026-03-02 | 采购人：甲校", link='<a href="javascript:open(1)">公告</a>'), "LINK_MISSING"),
        (row("时间待定 | 采购人：甲校"), "TIME_UNREADABLE"),
        (f"{LINK}", "TIME_UNREADABLE"),
        (row("2026-03-02 | 采购人 |  | "), "BUYER_MISSING"),
    ],
)
def test_a_broken_row_is_quarantined_and_the_others_are_read(broken: str, reason: str) -> None:
    good = row("2026-03-02 | 采购人：甲校 | 代理机构：乙 | 中标公告 | 山东")
    listed = parse_list(page(good, broken, good), BASE, WORDS)
    assert len(listed.rows) == 2
    assert [quarantined.reason for quarantined in listed.quarantined] == [reason]
    assert listed.quarantined[0].raw.startswith("<li>")


@pytest.mark.parametrize(
    ("title", "buyer"),
    [
        ("山东师范大学第二附属中学2026年01月(至)06月政府采购意向", "山东师范大学第二附属中学"),
        (
            "山东省国土空间规划院（山东省自然资源和不动产登记中心）2026年01月(至)04月政府采购意向",
            "山东省国土空间规划院(山东省自然资源和不动产登记中心)",
        ),
        ("康复大学关于2026年3月至5月政府采购意向", "康复大学"),
    ],
)
def test_a_buyer_hidden_in_the_title_is_found(title: str, buyer: str) -> None:
    link = f'<a href="/detail?id=BLhpql2ChK5z&amp;colCode=2500">{title}</a>'
    read = parse_list(page(row("2026-01-30 09:07:01 | 山东省本级", link=link)), BASE, WORDS).rows[0]
    assert (read.id, read.buyer, read.remarks) == ("BLhpql2ChK5z", buyer, ("BUYER_FROM_TITLE",))


def test_a_page_of_another_layout_says_so() -> None:
    listed = parse_list("<html><body>系统维护中</body></html>", BASE, WORDS)
    assert (listed.rows, listed.total) == ((), None)
    assert listed.quarantined == (Quarantined("LAYOUT_UNKNOWN", "<html><body>系统维护中</body></html>"),)
    assert parse_list(page(), BASE, WORDS).quarantined == ()


def detail(table: str = "", content: str = "", title: str = "甲校黑板采购", time: str = "2026年03月02日 09:30") -> str:
    return (
        f'<html><body><h2 class="tc">{title}</h2><span id="pubTime">{time}</span>'
        f'<table class="summary">{table}</table><div class="content">{content}</div></body></html>'
    )


def cells(**values: str) -> str:
    return "".join(f"<tr><td>{label}：</td><td>{value}</td></tr>" for label, value in values.items())


URL = "http://site.test/notices/t20260302_1001.htm"


@pytest.mark.mission("S70")
def test_a_tidy_notice_is_read() -> None:
    table = cells(采购人="甲校", 代理机构="乙公司", 预算金额="128.65万元", 行政区域="山东", 公告类型="公开招标公告")
    assert parse_detail(detail(table, "<p>第一段</p><p>第二段</p>"), URL, WORDS) == NoticeDetail(
        id="t20260302_1001",
        url=URL,
        title="甲校黑板采购",
        buyer="甲校",
        published=datetime(2026, 3, 2, 9, 30, tzinfo=CHINA),
        agency="乙公司",
        kind="公开招标公告",
        region="山东",
        amount_minor=128_650_000,
        body="第一段\n第二段",
    )


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("table", "content", "buyer", "fen", "remarks"),
    [
        (cells(采购人="甲校") + "<tr><td>预算金额（万元）</td><td>65.000000</td></tr>", "", "甲校", 65_000_000, ()),
        (
            cells(采购单位="甲校", 预算金额="详见公告正文"),
            "预算金额：３２万元。",
            "甲校",
            32_000_000,
            ("AMOUNT_FROM_BODY",),
        ),
        (cells(采购单位="甲校", 预算金额="面议"), "", "甲校", None, ("AMOUNT_UNREADABLE",)),
        (cells(采购单位="甲校"), "无金额", "甲校", None, ()),
        ("", "<p>一、采购人信息</p><p>名 称：济南市第三中学</p>", "济南市第三中学", None, ("BUYER_FROM_BODY",)),
        (
            "<tr><td>采购人</td><td>甲校</td><td>区域</td><td>山东</td></tr>",
            "采购金额(元):99",
            "甲校",
            9900,
            ("AMOUNT_FROM_BODY",),
        ),
    ],
)
def test_an_untidy_notice_is_mended(
    table: str, content: str, buyer: str, fen: int | None, remarks: tuple[str, ...]
) -> None:
    read = parse_detail(detail(table, content), URL, WORDS)
    assert isinstance(read, NoticeDetail)
    assert (read.buyer, read.amount_minor, read.remarks) == (buyer, fen, remarks)


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        (detail(cells(采购人="甲校"), title=""), "TITLE_MISSING"),
        (detail(cells(采购人="甲校"), time="待定"), "TIME_UNREADABLE"),
        (detail(), "BUYER_MISSING"),
        ("", "TITLE_MISSING"),
    ],
)
def test_a_notice_nobody_can_read_is_quarantined(html: str, reason: str) -> None:
    read = parse_detail(html, URL, WORDS)
    assert isinstance(read, Quarantined)
    assert read.reason == reason
    assert read.raw == html[:2000]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        ("采购".encode(), "text/html; charset=utf-8"),
        ("采购".encode(), ""),
        ("采购".encode("gb18030"), "text/html; charset=GB2312"),
        ("采购".encode("gb18030"), "text/html; charset=utf-8"),
        ('<meta charset="gb2312">采购'.encode("gb18030"), "text/html"),
        (
            '<meta http-equiv="Content-Type" content="text/html; charset=gbk">采购'.encode("gbk"),
            "text/html; charset=klingon",
        ),
        ("采购".encode("gb18030"), ""),
        ("采购".encode(), "text/html; charset=hex"),
    ],
)
def test_a_page_is_decoded_whatever_it_says_of_itself(content: bytes, content_type: str) -> None:
    assert decode(content, content_type).endswith("采购")


def test_broken_bytes_are_still_decoded() -> None:
    assert decode("采".encode() + b"\xff\xff\xff", "text/html; charset=utf-8").startswith("采")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test/cggg/t20260302_1.htm", "t20260302_1"),
        ("http://a.test/detail?id=B%3D9&colCode=2500", "B=9"),
        ("http://a.test/", ""),
    ],
)
def test_a_notice_is_known_by_its_address(url: str, expected: str) -> None:
    assert notice_id(url) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="0123456789.,:-年月日万亿元零壹拾佰仟二〇十()|采购人 ￥<>&a\n\x00", max_size=40),
    st.binary(max_size=40),
)
def test_nothing_printed_makes_the_reader_fail(text: str, content: bytes) -> None:
    read_time(text)
    amount = read_amount(text, text)
    assert amount is None or amount >= 0
    listed = parse_list(page(row(text), row(text, link=f'<a href="{text}">{text}</a>'), text), BASE, WORDS)
    # Text with a stray `<li>` of its own may make more items, never fewer.
    assert len(listed.rows) + len(listed.quarantined) >= 1
    read = parse_detail(detail(text, text, title=text, time=text), URL, WORDS)
    assert isinstance(read, (NoticeDetail, Quarantined))
    assert isinstance(decode(content, text), str)


def test_lists_within_lists_are_none_of_the_sites() -> None:
    inner = "<ul class='results'><li>x" * 900
    listed = parse_list(page(row("2026-03-02 | 采购人：A | 公开招标公告 | 山东"), inner), BASE, WORDS)
    assert (len(listed.rows), [one.reason for one in listed.quarantined]) == (1, ["TITLE_MISSING"])


@pytest.mark.parametrize("element", ["<div>", "<ul class=results><li>", "<table class=table><tr><td>"])
def test_a_page_nested_beyond_reading_is_set_aside(element: str) -> None:
    listed = parse_list(page(element * 20_000), BASE, WORDS)
    assert [one.reason for one in listed.quarantined] == ["NESTED_TOO_DEEP"]
    read = parse_detail(detail("x", "x") + element * 20_000, URL, WORDS)
    assert isinstance(read, Quarantined)
    assert read.reason == "NESTED_TOO_DEEP"


def test_addresses_that_are_none_are_no_links() -> None:
    facts = "2026-03-02 | 采购人：A | 公开招标公告 | 山东"
    for href in ("http://[x", "//[::1", "http://a.test:port/"):
        listed = parse_list(
            page(row(facts, link=f'<a href="{href}">x</a>'), more=f'<a class="next" href="{href}">'), BASE, WORDS
        )
        assert not listed.rows or "port" in href
        assert [one.reason for one in listed.quarantined] in (["LINK_MISSING"], [])


def test_a_total_of_five_thousand_digits_is_no_total() -> None:
    listed = parse_list(f'<p class="total">{"9" * 5000}</p><ul class="results"></ul>', BASE, WORDS)
    assert listed.total is None


@pytest.mark.mission("S70")
def test_a_site_that_prints_other_words_is_read_once_the_rulebook_has_them() -> None:
    facts = "2026-03-02 | 需求单位：济南市第三中学 | 某公司 | 竞价文告 | 山东"
    text = "需求单位名称：济南市第三中学。控制金额：12.5万元。"
    table = "<tr><td>需求单位</td><td>济南市第三中学</td></tr>"
    [row_] = parse_list(page(row(facts)), BASE, WORDS).quarantined
    assert row_.reason == "BUYER_MISSING"
    words = PageWords(
        labels=PageLabels(buyer=("采购人", "需求单位")),
        kind_endings=("公告", "文告"),
        body_buyers=("需求单位",),
        body_amounts=("控制",),
        intentions=("采购计划",),
        abouts=(),
    )
    [read] = parse_list(page(row(facts)), BASE, words).rows
    assert (read.buyer, read.kind, read.region) == ("济南市第三中学", "竞价文告", "山东")
    found = parse_detail(detail(table, f"<p>{text}</p>"), URL, words)
    assert isinstance(found, NoticeDetail)
    assert (found.buyer, found.amount_minor, found.remarks) == ("济南市第三中学", 12_500_000, ("AMOUNT_FROM_BODY",))
    found = parse_detail(detail("", f"<p>{text}</p>"), URL, words)
    assert isinstance(found, NoticeDetail)
    assert (found.buyer, "BUYER_FROM_BODY" in found.remarks) == ("济南市第三中学", True)
    assert buyer_in("某县教育局2026年5月采购计划", words) == "某县教育局"
    assert buyer_in("某县教育局2026年5月政府采购意向", words) == ""


def test_words_mean_what_they_say_and_one_thing_each() -> None:
    assert buyer_in("某县教育局关于2026年5月(a+)+意向", PageWords(intentions=("(a+)+意向",))) == "某县教育局"
    with pytest.raises(ValueError, match="招标人 cannot mean two things"):
        PageLabels(agency=("招标人",))
    for nothing in ({"kind_endings": ()}, {"intentions": ("",)}, {"body_buyers": ()}):
        with pytest.raises(ValueError, match="at least 1"):
            PageWords.model_validate(nothing)
