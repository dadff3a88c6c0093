"""Dates and amounts as procurement sites print them."""

from __future__ import annotations

from datetime import datetime

import pytest

from closedloop_integrations.procurement.mending import CHINA, read_amount, read_time


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02", datetime(2026, 3, 2)),
        ("2026.03.02 09:30:15", datetime(2026, 3, 2, 9, 30, 15)),
        ("2026/3/2 9:05", datetime(2026, 3, 2, 9, 5)),
        ("2026-03-02T09:30:00", datetime(2026, 3, 2, 9, 30)),
        ("2026年3月2日", datetime(2026, 3, 2)),
        ("2026年03月02日 09时30分", datetime(2026, 3, 2, 9, 30)),
        ("２０２６年０３月０２日　０９：３０", datetime(2026, 3, 2, 9, 30)),
        ("发布时间：2026 年 3 月 2 日", datetime(2026, 3, 2)),
        ("20260302", datetime(2026, 3, 2)),
        ("二〇二六年三月二十一日", datetime(2026, 3, 21)),
        ("二○二六年十二月三十日", datetime(2026, 12, 30)),
        ("2028-02-29", datetime(2028, 2, 29)),
    ],
)
def test_a_date_is_read_in_any_of_its_forms(text: str, expected: datetime) -> None:
    assert read_time(text) == expected.replace(tzinfo=CHINA)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "时间待定",
        "2026-13-01",
        "2026-02-30",
        "1026-03-02",
        "03-02",
        "26.03.02",
        "202603021",
        "2026年3月",
        "2026-03-02 25:00",
    ],
)
def test_a_date_that_cannot_be_read_is_none(text: str) -> None:
    assert read_time(text) is None


@pytest.mark.mission("S70")
@pytest.mark.parametrize(
    ("text", "label", "fen"),
    [
        ("128.65万元", "", 128_650_000),
        ("１２８．６５ 万元（人民币）", "", 128_650_000),
        ("￥1,286,500.00", "", 128_650_000),
        ("¥1286500.5元", "", 128_650_050),
        ("人民币1286500", "", 128_650_000),
        ("0.1元", "", 10),
        ("1.2亿元", "", 12_000_000_000),
        ("3百万元", "", 300_000_000),
        ("65.000000", "预算金额(万元)", 65_000_000),
        ("65", "预算金额（元）", 6_500),
        ("650元", "预算金额(万元)", 65_000),
        ("2026年预算为80万，含税", "", 80_000_000),
        ("壹佰贰拾捌万陆仟伍佰元整", "", 128_650_000),
        ("人民币叁亿零伍拾万元叁角壹分", "", 30_050_000_031),
        ("拾万元整", "", 10_000_000),
        ("0元", "", 0),
    ],
)
def test_an_amount_is_read_in_fen(text: str, label: str, fen: int) -> None:
    assert read_amount(text, label) == fen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "详见公告正文",
        "128.65",
        "-5万元",
        "10-20万元",
        "10～20万元",
        "100万美元",
        "USD 5000元",
        "12,86万元",
        "20万吨",
        "3千瓦",
        "9" * 16 + "亿元",
    ],
)
def test_an_amount_that_cannot_be_read_is_none(text: str) -> None:
    assert read_amount(text) is None
