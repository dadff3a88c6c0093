"""What a notice is, which project it belongs to, and how sure we are of a customer in it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from closedloop_integrations.notices.rules import (
    Notice,
    ProcurementRules,
    best,
    complete,
    expected_month,
    judge,
    kind_of,
    project_key,
    sector_matcher,
)
from closedloop_integrations.procurement.matching import CustomerName, NoticeMatcher, normalise

RULES = ProcurementRules()
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def notice(**given: Any) -> Notice:
    said: dict[str, Any] = {
        "source": "procurement",
        "source_id": "t1",
        "kind": "",
        "title": "济南市第三中学智慧黑板采购公开招标公告",
        "buyer": "济南市第三中学",
        "agency": "",
        "region": "山东省",
        "items": [],
        "amount_minor": None,
        "currency": "",
        "publish_date": date(2026, 1, 4),
        "expected_date": "",
        "deadline_at": None,
        "url": "",
        "body": "供货至青岛实验小学。",
        "suppliers": [],
        "sectors": [],
        "mended": [],
        "brought_by": "test",
        "observed_at": NOW,
    }
    return complete({**said, **given}, RULES, sector_matcher(RULES), id="n", now=NOW)


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("printed", "title", "kind"),
    [
        ("公开招标公告", "x", "tender"),
        ("竞争性磋商公告", "x", "tender"),
        ("中标公告", "x", "award"),
        ("政府采购意向", "x", "intention"),
        ("", "某校2026年05月政府采购意向", "intention"),
        ("更正公告", "公开招标", "amendment"),
        ("招标结果公告", "x", "award"),
        ("", "采购合同公告", "contract"),
        ("终止公告", "x", "cancellation"),
        ("", "什么也没说", "tender"),
    ],
)
def test_kinds(printed: str, title: str, kind: str) -> None:
    assert kind_of(printed, title, RULES) == kind
    # As it comes back from where it was published: its keys in another order.
    published = ProcurementRules(kinds=dict(sorted(RULES.kinds.items(), key=lambda each: (len(each[0]), each[0]))))
    assert kind_of(printed, title, published) == kind
    backwards = ProcurementRules(kinds=dict(reversed(RULES.kinds.items())))
    assert kind_of(printed, title, backwards) == kind


def test_one_project_has_one_key_from_intention_to_award() -> None:
    buyer = normalise("济南市第三中学")
    titles = (
        "济南市第三中学智慧黑板采购公开招标公告",
        "济南市第三中学智慧黑板采购项目中标公告",
        "关于智慧黑板采购的更正公告",
    )
    assert len({project_key(buyer, title, RULES) for title in titles}) == 1
    assert project_key(buyer, titles[0], RULES) != project_key(buyer, "济南市第三中学食堂改造招标公告", RULES)


@pytest.mark.parametrize(
    ("title", "month"), [("某校2026年5月政府采购意向", "2026-05"), ("2026年13月意向", ""), ("意向", "")]
)
def test_months_of_intentions(title: str, month: str) -> None:
    assert expected_month(title) == month


@pytest.mark.mission("S70", "S39")
def test_a_customer_in_an_education_tender_is_found_with_its_reason() -> None:
    names = [CustomerName("a1", "济南市第三中学"), CustomerName("a2", "青岛实验小学")]
    found = best(judge(notice(), NoticeMatcher(names), RULES))
    assert {id: (f.place, f.confidence, f.state) for id, f in found.items()} == {
        "a1": ("buyer", 0.98, "found"),
        "a2": ("body", 0.6, "doubtful"),
    }
    assert notice().sectors == ["education"]
    assert "education" in found["a1"].explanation
    assert found["a2"].text == "供货至青岛实验小学。"


def test_the_digest_follows_what_the_source_says_and_nothing_else() -> None:
    assert notice().digest == notice(brought_by="other", mended=["x"], observed_at=NOW.replace(year=2025)).digest
    assert notice().digest != notice(body="另一个").digest
