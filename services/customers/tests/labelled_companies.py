"""A labelled set of company records: each company written several ways, among others that look like it.

Made by a seed, so that precision and recall can be measured again on the same set.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

BRANDS = (
    "华东", "天成", "鼎盛", "瑞丰", "博远", "中科", "联创", "恒达", "宏图", "正大", "安泰", "永兴", "金桥", "长城",
    "新源", "海德", "汇通", "明德", "启航", "卓越", "万象", "东升", "国瑞", "隆基", "银河", "九州", "泰和", "康达",
    "远景", "蓝天", "晨光", "飞跃", "富源", "同辉", "昌盛", "佳美", "百川", "利民", "光明", "立信",
)  # fmt: skip
TRADES = (
    "精密", "智能", "生物", "环保", "电子", "医疗", "教育", "物流", "新材料", "软件", "机械", "汽车零部件", "食品",
    "建筑", "能源", "光电", "网络", "纺织", "化工", "装备",
)  # fmt: skip
PROVINCES = {
    "上海": "31",
    "北京": "11",
    "深圳": "44",
    "杭州": "33",
    "苏州": "32",
    "青岛": "37",
    "成都": "51",
    "武汉": "42",
}
PROVINCES |= {
    "西安": "61",
    "南京": "32",
    "济南": "37",
    "宁波": "33",
    "哈尔滨": "23",
    "厦门": "35",
    "郑州": "41",
    "长沙": "43",
}
PLACES = list(PROVINCES)
# Two parts each of one whole, which have a phone and a domain in common and are two customers.
PARTS = (
    ("（东院）", "（西院）"), ("（王府井店）", "（西单店）"), ("（小学部）", "（初中部）"), ("（A座）", "（B座）"),
    ("有限公司第二工程公司", "有限公司第三工程公司"), ("有限公司南京客户部", "有限公司苏州客户部"),
)  # fmt: skip
FORMS = ("有限公司", "股份有限公司", "有限责任公司")
TRADITIONAL = str.maketrans(
    "华东达图兴长远医疗学习网络软电机车环龙术业师", "華東達圖興長遠醫療學習網絡軟電機車環龍術業師"
)
FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()"}
CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@dataclass(frozen=True, slots=True)
class Written:
    """One record. Two records of one `company` are the same customer."""

    company: int
    profile: dict[str, Any] = field(hash=False)


def companies(count: int, seed: int = 1) -> list[Written]:
    """Up to five records of each of `count` companies; every fourth has a neighbour with almost the same name, every
    eighth is made of two parts."""
    dice = random.Random(seed)
    found: list[Written] = []
    taken: set[tuple[str, str]] = set()
    number = 0
    while number < count:
        place, brand = dice.choice(PLACES), dice.choice(BRANDS) + dice.choice(("", "", dice.choice("宇创力信和隆")))
        core = brand + dice.choice(TRADES)
        if (place, core) in taken:
            continue
        taken.add((place, core))
        found += _records(number, place, core, dice)
        number += 1
        if dice.random() < 0.25 and number < count:
            other_place = dice.choice([p for p in PLACES if p != place])
            neighbour = dice.choice(
                ((place, core + "集团"), (other_place, core), (place, core + other_place + "分公司"))
            )
            if neighbour not in taken:
                taken.add(neighbour)
                found += _records(number, *neighbour, dice)
                number += 1
        if dice.random() < 0.125 and number + 1 < count:
            shared = _reached(number, dice)
            for part in dice.choice(PARTS):
                found += _records(number, place, core + part, dice, shared)
                number += 1
    dice.shuffle(found)
    return found


def credit_code(dice: random.Random) -> str:
    stem = "91" + "".join(dice.choice("0123456789") for _ in range(6)) + "".join(dice.choice(CREDIT) for _ in range(9))
    total = sum(CREDIT.index(c) * pow(3, place, 31) for place, c in enumerate(stem))
    return stem + CREDIT[-total % 31]


def _reached(number: int, dice: random.Random) -> dict[str, Any]:
    return {
        "domains": [f"c{number}.example.cn"],
        "phones": [f"0{dice.randint(21, 29)}-{dice.randint(10_000_000, 99_999_999)}"],
    }


def _records(
    number: int, place: str, core: str, dice: random.Random, shared: dict[str, Any] | None = None
) -> list[Written]:
    whole: dict[str, Any] = {
        "credit_code": credit_code(dice),
        **(shared or _reached(number, dice)),
        "address": f"{place}市{dice.choice('东西南北')}{dice.choice('山湖江海')}路{dice.randint(1, 999)}号",
    }
    form = "" if core.endswith(("分公司", "工程公司", "客户部")) else dice.choice(FORMS)
    records = []
    for _ in range(dice.randint(1, 5)):
        known = {name: value for name, value in whole.items() if dice.random() < 0.35}
        if "address" in known or dice.random() < 0.3:
            known["region_code"] = PROVINCES[place] + "0000"
        records.append(Written(number, {"name": _spelling(place, core, form, dice), **known}))
    return records


def _spelling(place: str, core: str, form: str, dice: random.Random) -> str:
    """Place before, in brackets or left out; legal form or none; scripts, width, a slip of the pen."""
    legal = dice.choice((form, form, dice.choice(FORMS) if form else "", ""))
    name = dice.choice(
        (
            f"{place}{core}{legal}",
            f"{place}市{core}{legal}",
            f"{core}（{place}）{legal}",
            f"{core}({place}){legal}",
            f"{place}{core}",
            f"{core}{legal}",
        )
    )
    kind = dice.random()
    if kind < 0.15:
        name = name.translate(TRADITIONAL)
    elif kind < 0.25:
        name = name.translate(FULL_WIDTH)
    elif kind < 0.33 and len(core) >= 5:
        at = name.index(core) + dice.randrange(1, len(core) - 1)
        name = (
            name[:at] + name[at + 1 :] if dice.random() < 0.5 else name[:at] + name[at + 1] + name[at] + name[at + 2 :]
        )
    return dice.choice((name, f" {name} ", name))
