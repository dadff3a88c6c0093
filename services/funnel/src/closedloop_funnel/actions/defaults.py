"""The action units a company starts with, by industry pack (S53)."""

from __future__ import annotations

from typing import Any

from closedloop_funnel.actions.units import CheckRule, UnitRule

# Two characters that are not blanks.
WORDS = {"type": "string", "minLength": 2, "pattern": r"\S\s*\S"}

# Customer's pains against our capabilities: without it no discovery counts.
PAIN_MATRIX: dict[str, Any] = {
    "type": "object",
    "required": ["rows"],
    "properties": {
        "rows": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["pain", "capability"],
                "properties": {
                    "pain": WORDS,
                    "capability": WORDS,
                },
            },
        }
    },
}

COMPARISON: dict[str, Any] = {
    "type": "object",
    "required": ["competitor", "rows"],
    "properties": {
        "competitor": {"type": "string", "minLength": 1},
        "rows": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["aspect", "ours", "theirs"]},
        },
    },
}

TALKED = CheckRule(key="talked", name="有实质内容的沟通", kind="activity")

B2B = {
    "pain_matrix": UnitRule(
        name="痛点与能力矩阵",
        pack="industrial_b2b",
        checks=(CheckRule(key="matrix", name="客户痛点×我方能力", kind="matrix", form=PAIN_MATRIX), TALKED),
        points=3,
        result_metric="need_conversion",
    ),
    # S56: a full needs report is worth five points.
    "needs_report": UnitRule(
        name="客户需求分析报告",
        pack="industrial_b2b",
        checks=(CheckRule(key="report", name="报告全文", kind="note", least=100), TALKED),
        points=5,
        result_metric="need_conversion",
    ),
    "competitor_comparison": UnitRule(
        name="竞品对比",
        pack="industrial_b2b",
        checks=(CheckRule(key="comparison", name="逐项对比", kind="matrix", form=COMPARISON),),
        points=2,
        result_metric="proposal_conversion",
    ),
    "custom_demo": UnitRule(
        name="定制演示",
        pack="industrial_b2b",
        checks=(
            CheckRule(key="demo", name="演示或会议", kind="activity", activity_kinds=("demo", "meeting", "visit")),
            CheckRule(key="reaction", name="客户反应", kind="note", least=20),
        ),
        points=3,
        result_metric="proposal_conversion",
    ),
}

RETAIL = {
    "store_visit": UnitRule(
        name="门店拜访",
        pack="retail_chain",
        checks=(
            CheckRule(key="photos", name="门头, 陈列, 洽谈三张照片", kind="photo", least=3),
            CheckRule(key="visit", name="到店", kind="activity", activity_kinds=("visit",)),
        ),
        points=2,
        result_metric="need_conversion",
    ),
    "shelf_count": UnitRule(
        name="陈列盘点",
        pack="retail_chain",
        checks=(
            CheckRule(
                key="count",
                name="单品与排面",
                kind="matrix",
                form={
                    "type": "object",
                    "required": ["rows"],
                    "properties": {
                        "rows": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "object",
                                "required": ["product", "facings"],
                                "properties": {"facings": {"type": "number", "minimum": 0}},
                            },
                        }
                    },
                },
            ),
        ),
        points=1,
        result_metric="need_conversion",
    ),
}

UNITS = {**B2B, **RETAIL}
