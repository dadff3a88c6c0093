"""A labelled set of chains: one legal person with many shops, each written several ways, all with its registered name, its
code or its hotline. Made by a seed."""

from __future__ import annotations

import random
from typing import Any

from .labelled_companies import FULL_WIDTH, TRADITIONAL, Written, credit_code

BRANDS = (
    "老张火锅", "晨光面包", "海德健身", "远景眼镜", "立信图书", "佳美口腔", "金桥咖啡", "同辉钟表", "百川超市", "启航少儿英语",
    "康达药房", "蓝天洗衣", "泰和堂", "永兴干果", "银河影城", "卓越健身",
)  # fmt: skip
SPOTS = (
    "王府井", "西单", "国贸", "望京", "中关村", "五道口", "南京西路", "淮海路", "徐家汇", "陆家嘴", "春熙路", "太古里", "解放碑",
    "观音桥", "天河城", "北京路", "万象城", "欢乐谷", "湖滨", "武林", "新街口", "夫子庙", "观前街", "光谷", "江汉路", "东塔",
)  # fmt: skip
ENDS = ("店", "店", "分店", "旗舰店", "门市部", "营业部")
TOWNS = {"北京": "11", "上海": "31", "成都": "51", "广州": "44", "杭州": "33", "南京": "32", "武汉": "42"}


def chains(count: int, seed: int = 1) -> list[Written]:
    """Up to four records of each shop of `count` chains, two to eight shops each, and of the head office."""
    dice = random.Random(seed)
    found: list[Written] = []
    number, taken = 0, set[str]()
    for chain in range(count):
        brand, town = dice.choice(BRANDS), dice.choice(list(TOWNS))
        brand = dice.choice(("", "", "新", "小", "好")) + brand
        legal = f"{town}{brand[:2]}{dice.choice('宇创力信和隆')}{chain}{dice.choice(('餐饮管理', '商贸', '企业管理'))}有限公司"
        shared: dict[str, Any] = {
            "legal_name": legal,
            "credit_code": credit_code(dice),
            "phones": [f"400-{dice.randint(1_000_000, 9_999_999)}"],
            "domains": [f"chain{chain}.example.cn"],
        }
        spots = dice.sample(SPOTS, dice.randint(2, 8))
        called = [f"{brand}{spot}{dice.choice(ENDS)}" for spot in spots]
        if dice.random() < 0.3:
            called += [f"{brand}{spots[0]}{number_}店" for number_ in ("一", "二")]
        for name, spot in zip(called, [*spots, *spots[:1] * 2], strict=False):
            # Two chains of one brand have no shop of the same name.
            if name in taken:
                continue
            taken.add(name)
            found += [
                Written(number, _record(name, brand, spot, town, shared, dice)) for _ in range(dice.randint(1, 4))
            ]
            number += 1
        for _ in range(dice.randint(0, 2)):
            known = {key: value for key, value in shared.items() if key != "legal_name" and dice.random() < 0.5}
            found.append(Written(number, {"name": dice.choice((legal, legal.removesuffix("有限公司"))), **known}))
        number += 1
    dice.shuffle(found)
    return found


def _record(name: str, brand: str, spot: str, town: str, shared: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    known = {key: value for key, value in shared.items() if dice.random() < 0.5}
    if dice.random() < 0.4:
        known["region_code"] = TOWNS[town] + "0000"
    kind = dice.random()
    end = name.removeprefix(brand)
    if kind < 0.35:
        name = f"{brand}（{end}）"
    elif kind < 0.45:
        name = name.translate(TRADITIONAL)
    elif kind < 0.55:
        name = f"{brand}({end})".translate(FULL_WIDTH)
    elif kind < 0.63:
        at = dice.randrange(1, len(name) - 2)
        name = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    return {"name": name, **known}
