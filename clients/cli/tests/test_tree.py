"""The tree of targets as it is drawn."""

from __future__ import annotations

import io

from google.type.money_pb2 import Money
from rich.console import Console

from closedloop.common.v1 import common_pb2
from closedloop.targets.v1 import boards_pb2, metrics_pb2, org_pb2
from closedloop_cli.commands.rules import differences
from closedloop_cli.commands.targets import _drawn


def progress(done: int, target: int, light: common_pb2.Light.ValueType) -> boards_pb2.Progress:
    return boards_pb2.Progress(
        done=metrics_pb2.Amount(money=Money(currency_code="CNY", units=done)),
        target=metrics_pb2.Amount(money=Money(currency_code="CNY", units=target)),
        completion_ratio=done / target,
        light=light,
    )


def test_units_and_people_hang_where_they_belong_with_their_bars() -> None:
    tree = org_pb2.OrgTree(
        nodes=[
            org_pb2.OrgNode(unit_id="co", name="华东机械", depth=0, total_heads=2),
            org_pb2.OrgNode(unit_id="east", name="华东", depth=1, total_heads=1),
            org_pb2.OrgNode(person_id="ann", name="安娜", depth=2),
            org_pb2.OrgNode(unit_id="west", name="华西", depth=1, total_heads=1),
        ]
    )
    found = {
        ("unit", "co"): progress(30, 120, common_pb2.LIGHT_RED),
        ("person", "ann"): progress(180, 120, common_pb2.LIGHT_NONE),
    }
    out = Console(file=io.StringIO(), width=100)
    out.print(_drawn(tree, found))
    assert isinstance(out.file, io.StringIO)
    assert [line.rstrip() for line in out.file.getvalue().splitlines()] == [
        f"华东机械 co (2)  {'━' * 20} 25.0%  30 CNY / 120 CNY",
        "├── 华东 east (1)",
        f"│   └── 安娜 ann  {'━' * 20} 150.0%  180 CNY / 120 CNY",
        "└── 华西 west (1)",
    ]


def test_what_a_new_version_of_a_rulebook_changes() -> None:
    before = {"a": {"hours": 2.0, "calendar": "business"}, "b": [1.0], "gone": True}
    after = {"a": {"hours": 3.0, "calendar": "business"}, "b": [1.0, 2.0]}
    assert differences(before, after) == [
        ("a.hours", "2", "3"),
        ("b", "[1]", "[1, 2]"),
        ("gone", "true", "–"),
    ]
    assert differences(after, after) == []
