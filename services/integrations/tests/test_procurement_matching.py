"""Which customers and sectors a notice speaks of."""

from __future__ import annotations

import time

import pytest

from closedloop_integrations.procurement.matching import (
    CustomerName,
    MatchingRules,
    NoticeMatcher,
    SectorKeywords,
    normalise,
)

NAMES = (
    CustomerName("sdu", "山东大学"),
    CustomerName("sdnu", "山东师范大学"),
    CustomerName("sdnu-2", "山东师范大学第二附属中学"),
    CustomerName("jn3", "济南市第三中学"),
    CustomerName("no3", "第三中学"),
    CustomerName("edu", "济南市教育局"),
    CustomerName("plan", "山东省国土空间规划院"),
    CustomerName("qfs", "山东第一医科大学第一附属医院"),
    CustomerName("qfs", "山东省千佛山医院"),
    CustomerName("med", "山东第一医科大学"),
    CustomerName("edu-dup", "济南市 教育局"),
    CustomerName("acme", "ACME (中国) 有限公司"),
    CustomerName("lib", "图书馆"),
)
MATCHER = NoticeMatcher(NAMES)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ＡＣＭＥ（中国）有限公司", "acme(中国)有限公司"),
        ("山东 大学【威海】", "山东大学(威海)"),
        ("济南　市\n教育局", "济南市教育局"),
        ("让·雅克—卢梭学校", "让雅克卢梭学校"),
    ],
)
def test_names_are_compared_without_their_typography(left: str, right: str) -> None:
    assert normalise(left) == normalise(right)


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("buyer", "expected"),
    [
        ("山东大学", {"sdu"}),
        ("山东大学（本级）", {"sdu"}),
        ("山东大学校本部", {"sdu"}),
        ("山东大学附属中学", set()),
        ("山东大学齐鲁医院", set()),
        ("山东大学（威海）", set()),
        ("山东大学(附属中学)", set()),
        ("山东师范大学第二附属中学", {"sdnu-2"}),
        ("第三中学", {"no3"}),
        ("济南市第三中学", {"jn3"}),
        ("青岛市第三中学", set()),
        ("济南市教育局", {"edu", "edu-dup"}),
        ("山东省国土空间规划院（山东省自然资源和不动产登记中心）", {"plan"}),
        ("山东第一医科大学第一附属医院（山东省千佛山医院）", {"qfs"}),
        ("山东第一医科大学(山东省千佛山医院)", {"qfs"}),
        ("ＡＣＭＥ（中国）有限公司", {"acme"}),
        ("图书馆", {"lib"}),
        ("", set()),
    ],
)
def test_a_buyer_is_a_customer_by_its_full_name(buyer: str, expected: set[str]) -> None:
    found = MATCHER.match(buyer, "")
    assert {match.customer_id for match in found.customers} == expected
    assert all(match.place == "buyer" for match in found.customers)


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("山东大学智慧黑板采购项目", {"sdu"}),
        ("山东大学医学院实验楼设备采购", {"sdu"}),
        ("山东大学附属中学智慧黑板采购", set()),
        ("山东大学齐鲁医院采购项目", set()),
        ("山东大学（威海）采购项目", set()),
        ("山东大学（采购人）采购项目", {"sdu"}),
        ("山东师范大学第二附属中学2026年政府采购意向", {"sdnu-2"}),
        ("山东师范大学第一附属小学采购", set()),
        ("关于济南市教育局中小学黑板的公告", {"edu", "edu-dup"}),
        ("山东省济南市第三中学黑板采购", {"jn3"}),
        ("济南市第三中学黑板采购", {"jn3"}),
        ("青岛市第三中学黑板采购", set()),
        ("受第三中学委托", {"no3"}),
        ("新山东大学城建设", set()),
        ("山东大学、山东师范大学联合采购", {"sdu", "sdnu"}),
        ("市图书馆书架采购", set()),
    ],
)
def test_a_name_in_a_title_counts_where_it_stands_by_itself(title: str, expected: set[str]) -> None:
    found = MATCHER.match("某某中心", title)
    assert {match.customer_id for match in found.customers} == expected
    assert all(match.place == "title" for match in found.customers)


@pytest.mark.mission("S70")
def test_a_customer_is_told_once_with_its_strongest_place() -> None:
    found = MATCHER.match("济南市第三中学", "济南市第三中学黑板采购", "供货至山东大学。\n采购人：济 南 市 第三中学\n")
    assert [(match.customer_id, match.place) for match in found.customers] == [("jn3", "buyer"), ("sdu", "body")]


def test_no_name_goes_over_the_end_of_a_line() -> None:
    assert MATCHER.match("", "", "地点：山东\n大学路一号").customers == ()
    assert [match.customer_id for match in MATCHER.match("", "", "联系人\n山东大学\n附属中学另行采购").customers] == [
        "sdu"
    ]


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("title", "body", "expected"),
    [
        ("济南市第三中学智慧黑板采购", "", {"education": (("中学", "智慧黑板"), True)}),
        ("济南市第三中学食堂食材采购", "", {}),
        ("某单位设备采购", "用于校园网络。", {"education": (("校园",), False)}),
        ("市人民医院信息化升级", "", {"healthcare": (("医院",), True), "digital_government": (("信息化",), True)}),
        ("道路养护", "沥青", {}),
    ],
)
def test_sectors_are_named_by_their_keywords(
    title: str, body: str, expected: dict[str, tuple[tuple[str, ...], bool]]
) -> None:
    found = MATCHER.match("", title, body)
    assert {match.sector: (match.keywords, match.in_title) for match in found.sectors} == expected


def test_the_rules_decide() -> None:
    rules = MatchingRules(
        other_units=("研究院",),
        sectors={"roads": SectorKeywords(words=("沥青",), without=("试验",))},
        minimum_name_length=3,
    )
    matcher = NoticeMatcher(NAMES, rules)
    assert [match.customer_id for match in matcher.match("", "山东大学附属中学沥青采购").customers] == ["sdu"]
    assert matcher.match("", "山东大学研究院采购").customers == ()
    assert [match.customer_id for match in matcher.match("", "为图书馆").customers] == ["lib"]
    assert [match.sector for match in matcher.match("", "沥青采购").sectors] == ["roads"]
    assert matcher.match("", "沥青试验采购").sectors == ()


def test_without_names_and_sectors_nothing_is_found() -> None:
    found = NoticeMatcher((), MatchingRules(sectors={})).match("山东大学", "山东大学采购", "校园")
    assert (found.customers, found.sectors) == ((), ())


def test_fifty_thousand_names_are_one_pass() -> None:
    matcher = NoticeMatcher(CustomerName(str(number), f"测试市第{number}中学") for number in range(50_000))
    body = "供应商应当具备资格。" * 2000 + "采购人：测试市第41234中学，地址不详。"
    begun = time.perf_counter()
    found = matcher.match("测试市第7中学", "设备采购", body)
    assert [match.customer_id for match in found.customers] == ["7", "41234"]
    assert time.perf_counter() - begun < 1
