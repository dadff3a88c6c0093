"""A person is recognised by what was told of them, in any text, and by nobody who has no text in hand."""

from __future__ import annotations

import pytest

from closedloop_chassis.traces import Traces, digest, name_digests

TRACES = Traces(
    frozenset({"0190c000-0000-7000-8000-000000000001"}),
    frozenset({digest("+8613812345678"), digest("wang@example.cn")}),
    name_digests(["王芳芳", " Fang Wang ", "李"]),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("与0190c000-0000-7000-8000-000000000001谈", True),
        ("电话：138 1234 5678，请回", True),
        ("+86 138-1234-5678", True),
        ("１３８１２３４５６７８", True),
        ("mail Wang@Example.CN today", True),
        ("王芳芳说下周", True),
        ("met FANG WANG", True),
        ("王芳说下周", False),
        # A name of one character is in too many words.
        ("李总", False),
        ("13812345679", False),
        ("138123456780000000", False),
        ("", False),
    ],
)
def test_a_person_is_recognised(text: str, found: bool) -> None:
    assert TRACES.in_text(text) is found


def test_only_the_name_goes() -> None:
    assert TRACES.without_name("王芳芳的报价，王芳芳看过", "某人") == "某人的报价，某人看过"
    assert TRACES.without_name("Fang Wang / 王芳", "…") == "… / 王芳"
    assert TRACES.without_name("İ王芳芳", "…") == "İ…"
    assert TRACES.without_name("无人", "…") == "无人"
