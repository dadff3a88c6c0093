"""The scenarios a company starts with: what the customer says, and what a good answer has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# `risk`: graded by the talk reader, none of it may be heard; `says`: one of these words; neither: a person grades.
SCENARIOS: Mapping[str, Mapping[str, Any]] = {
    "price_objection": {
        "name": "价格异议",
        "ability": "price",
        "customer": "你们的报价太高了，我们吃不消。",
        "criteria": {
            "answers": {"name": "正面回应", "weight": 2, "risk": "avoids_price_objection"},
            "value": {"name": "讲总成本或回收期", "says": ["总成本", "折算", "回收", "三年", "停机", "roi", "payback"]},
            "no_discount": {"name": "不先让价", "avoids": ["打折", "便宜点", "再降", "给您优惠"]},
        },
    },
    "competitor": {
        "name": "竞品比较",
        "ability": "competitors",
        "customer": "另一家比你们便宜，功能也差不多。",
        "criteria": {
            "fair": {"name": "不贬低对手", "weight": 2, "risk": "disparages_competitor"},
            "difference": {"name": "说清不同", "says": ["不同", "差别", "响应", "接口", "备件", "案例", "试样"]},
        },
    },
    "stalling": {
        "name": "客户拖延",
        "ability": "objections",
        "customer": "这事不急，过段时间再说吧。",
        "criteria": {
            "why": {"name": "问清等什么", "says": ["等什么", "什么原因", "顾虑", "担心", "为什么", "谁来定"]},
            "cost": {"name": "说出拖延的代价", "says": ["每月", "每天", "损失", "停机", "错过"]},
            "date": {"name": "约定日期", "says": ["周一", "周二", "周三", "周四", "周五", "下周", "号"]},
            "pressure": {"name": "不逼单", "risk": "pressures"},
        },
    },
    "decision": {
        "name": "问清决策链",
        "ability": "decision_chain",
        "customer": "我觉得不错，不过还要内部讨论一下。",
        "criteria": {
            "who": {"name": "问谁参与", "weight": 2, "says": ["谁", "哪些部门", "哪位", "怎么定", "流程"]},
            "help": {"name": "主动提供材料", "says": ["材料", "测算", "方案", "一页", "演示"]},
        },
    },
    "closing": {
        "name": "促成签约",
        "ability": "closing",
        "customer": "方案我们都认可了，接下来怎么走？",
        "criteria": {
            "next": {"name": "说定下一步", "weight": 2, "says": ["合同", "签", "盖章", "预付", "排期", "启动会"]},
            "date": {"name": "说定日期", "says": ["周一", "周二", "周三", "周四", "周五", "下周", "本周", "号"]},
            "tone": {"name": "语气与分寸", "weight": 1},
        },
    },
}
