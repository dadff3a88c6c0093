"""A list as a Chinese sales person keeps it, read by the rulebook's titles and words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from closedloop.customers.v1 import accounts_pb2, contacts_pb2, leads_pb2
from closedloop_cli.loading import contract_rows
from closedloop_cli.loading.ledger import Ledger
from closedloop_cli.loading.sheet import Sheet, day, plain
from closedloop_customers.codes import CodeRules
from closedloop_customers.sheets import SheetRules

BODIES = {"customers.sheets": SheetRules(), "customers.codes": CodeRules()}
PEOPLE = [("rep1", "张三"), ("rep2", "李四"), ("rep3", "王五"), ("rep4", "王五")]


class Known(Sheet):
    """With the rulebooks as they are built in, and four colleagues."""

    def __init__(self, kind: str) -> None:
        super().__init__(None, kind)  # type: ignore[arg-type]

    def _body(self, name: str) -> Any:
        return BODIES[name].model_dump(mode="json")

    def _colleagues(self) -> Any:
        return PEOPLE


def read(tmp_path: Path, kind: str, make: Any, text: str) -> tuple[list[Any], Ledger]:
    path = tmp_path / f"{kind}.csv"
    path.write_text(text, encoding="gbk")
    ledger = Ledger()
    return list(contract_rows.items(path, kind, lambda _: make(), ledger, sheet=Known(kind))), ledger


@pytest.mark.mission("U14", "S21")
def test_a_list_of_leads_is_read_as_people_write_it(tmp_path: Path) -> None:
    (item,), ledger = read(
        tmp_path,
        "leads",
        leads_pb2.LeadRow,
        "公司名称*,联系人,手机/电话,行业（必填）,地区,来源,需求,预算,预计采购时间,负责人,备注,星座\n"
        "上海华东精密有限公司,王芳,13800138000、021-55551234,制造业,上海市浦东新区,展会,视觉检测两套,50万,2026年3月1日,张三,老板爱喝茶,狮子座\n",
    )
    lead = item.message
    profile = lead.profile
    assert (profile.company_name, profile.contact_name, profile.phone) == (
        "上海华东精密有限公司",
        "王芳",
        "13800138000",
    )
    assert (profile.industry, profile.region_code, profile.need) == ("manufacturing", "31", "视觉检测两套")
    assert (profile.budget.units, profile.budget.currency_code) == (500_000, "CNY")
    assert (profile.expected_date.year, profile.expected_date.month, profile.expected_date.day) == (2026, 3, 1)
    assert (lead.owner_id, lead.provenance.source) == ("rep1", "event")
    # What nobody declared, and what another column said already, is told and stays with the original.
    assert dict(ledger.ignored) == {"备注": 1, "星座": 1}
    assert lead.payload["星座"] == "狮子座"
    assert "021-55551234" in lead.payload["手机/电话"]
    assert ledger.columns["行业（必填）"] == "industry"
    # A service's complaint is told in the words of the list.
    assert item.columns["profile.phone"] == "手机/电话"
    assert item.columns["provenance.source"] == "来源"


@pytest.mark.mission("U14")
def test_a_word_nobody_declared_is_refused_with_the_lists_own_column(tmp_path: Path) -> None:
    items, ledger = read(
        tmp_path,
        "leads",
        leads_pb2.LeadRow,
        "公司,电话,行业,负责人,预计采购时间\n甲,13800138000,炼金,张三,\n乙,13800138001,教育,王五,\n"
        "丙,13800138002,教育,赵六,\n丁,13800138003,教育,李四,明年\n戊,13800138004,教育,rep2,2026/3/1\n",
    )
    refused = [(one.row, one.column, one.reason) for one in ledger.rejections]
    assert refused == [
        (2, "行业", "WORD_UNKNOWN"),
        (3, "负责人", "WORD_UNKNOWN"),
        (4, "负责人", "WORD_UNKNOWN"),
        (5, "预计采购时间", "VALUE_UNREADABLE"),
    ]
    assert "rep3, rep4" in ledger.rejections[1].message
    assert "教育" in ledger.rejections[0].message
    (item,) = items
    assert (item.message.owner_id, item.message.profile.industry) == ("rep2", "education")


@pytest.mark.mission("U14")
def test_customers_and_their_people_come_from_two_lists(tmp_path: Path) -> None:
    (item,), ledger = read(
        tmp_path,
        "accounts",
        accounts_pb2.AccountRow,
        "客户编号,客户名称,税号,电话,手机,城市,客户类型,年营业额,负责人,星级\n"
        "K-7,华东精密,91350100M000100Y43,021-55551234；021-55551235,13800138000,苏州,重点客户,1.2亿,李四,五\n",
    )
    row = item.message
    assert (row.provenance.source, row.provenance.source_id, row.owner_id) == ("spreadsheet", "K-7", "rep2")
    assert (row.profile.credit_code, row.profile.region_code) == ("91350100M000100Y43", "32")
    assert list(row.profile.phones) == ["021-55551234", "021-55551235", "13800138000"]
    assert set(ledger.mends) == {
        ("城市", "苏州", "32"),
        ("客户类型", "重点客户", "key_account"),
        ("负责人", "李四", "rep2"),
    }
    assert (row.profile.customer_type, row.profile.annual_revenue.units) == ("key_account", 120_000_000)
    assert dict(ledger.ignored) == {"星级": 1}

    items, _ = read(
        tmp_path,
        "contacts",
        contacts_pb2.ContactRow,
        "客户编号,姓名,部门,手机,关键联系人\nK-7,王芳,采购部,13800138000,是\nK-8,王芳,采购部,13800138001,否\n",
    )
    one, other = (item.message for item in items)
    assert (one.account_source_id, one.profile.name, one.profile.key_contact) == ("K-7", "王芳", True)
    assert not other.profile.key_contact
    assert one.provenance.source_id != other.provenance.source_id, "two people of one name"


@pytest.mark.mission("U14")
def test_the_contracts_own_columns_mean_what_they_always_did(tmp_path: Path) -> None:
    (item,), ledger = read(
        tmp_path, "leads", leads_pb2.LeadRow, "company_name,phone,region_code,公司\n甲,13800138000,310000,乙\n"
    )
    assert (item.message.profile.company_name, item.message.profile.region_code) == ("甲", "310000")
    assert dict(ledger.ignored) == {"公司": 1}


@pytest.mark.mission("U14")
def test_a_title_that_stands_twice_hides_nothing(tmp_path: Path) -> None:
    (item,), ledger = read(
        tmp_path, "accounts", accounts_pb2.AccountRow, "客户,电话,电话,name,name\n甲,021-1,021-2,乙,丙\n"
    )
    assert list(item.message.profile.phones) == ["021-1", "021-2"]
    assert item.message.profile.name == "乙"
    assert dict(ledger.ignored) == {"客户": 1, "name(2)": 1}


def test_titles_and_days() -> None:
    assert plain(" 公司 名称（必填）* ：") == "公司名称"
    assert plain("ＥＭＡＩＬ") == "email"
    assert day("2026/3/1") == day("2026年3月1日") == day("2026-03-01 00:00:00") == "2026-03-01"
    assert day("明年") == "明年"
