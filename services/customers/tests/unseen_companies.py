"""A labelled set that no weight was set by: other brands, places, trades and slips than `labelled_companies`.

Names are written as sales write them: district and province spelt out, letters spaced, a department or a remark behind,
a trade left out, one character mistaken for one that looks like it, another kind of bracket, all characters traditional.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import opencc

from .labelled_companies import Written, credit_code

BRANDS = (
    "三江源", "凯莱恩", "诺德", "奥普特", "铂睿", "沃尔森", "新松", "迈瑞科", "科瑞斯", "艾德", "欣旺", "森麒", "拓邦",
    "兆易", "中航", "太极", "双环", "振华", "西子", "四方", "南瑞", "北方", "盾安", "海天", "力劲", "伊之密", "大族",
    "先导", "赢合", "亿纬", "鹏辉", "德赛", "蓝思", "欧菲", "水晶", "舜宇", "丘钛", "汇顶", "圣邦", "卓胜微",
)  # fmt: skip
TRADES = (
    "注塑机", "激光", "轨道交通", "饲料", "包装", "仪器仪表", "数控", "储能", "水处理", "乳业", "陶瓷", "家具", "锻造",
    "半导体", "安防", "钢构", "酒业", "制药", "种业", "地产", "科技", "信息技术", "自动化", "工程",
)  # fmt: skip
# Province, town, district and the code of the province.
PLACES = (
    ("广东省", "佛山", "顺德", "44"), ("浙江省", "绍兴", "柯桥", "33"), ("江苏省", "无锡", "滨湖", "32"),
    ("山东省", "潍坊", "寒亭", "37"), ("福建省", "泉州", "晋江", "35"), ("河北省", "唐山", "丰润", "13"),
    ("辽宁省", "沈阳", "铁西", "21"), ("四川省", "绵阳", "涪城", "51"), ("安徽省", "芜湖", "弋江", "34"),
    ("湖南省", "株洲", "天元", "43"), ("江西省", "赣州", "章贡", "36"), ("广西壮族自治区", "柳州", "鱼峰", "45"),
)  # fmt: skip
FORMS = ("有限公司", "股份有限公司", "有限责任公司")
BEHIND = ("采购部", "（总部）", "-新客户", "（已签约）", "研发中心", "办公室")
ALIKE = str.maketrans("大天未土己人日末", "太夭末士已入曰未")

_traditional = opencc.OpenCC("s2t")


def written(place: tuple[str, str, str, str], core: str, form: str, dice: random.Random) -> str:
    """One spelling of a name."""
    province, town, district, _ = place
    legal = dice.choice((form, form, ""))
    name = dice.choice(
        (
            f"{town}{core}{legal}",
            f"{province}{town}市{core}{legal}",
            f"{town}市{district}区{core}{legal}",
            f"{core}〔{town}〕{legal}",
            f"{core}【{town}市】{legal}",
            f"{core}{legal}",
        )
    )
    return dice.choice(SLIPS)(name, dice)


SLIPS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda name, _: name,
    lambda name, _: name,
    lambda name, _: name,
    lambda name, _: _traditional.convert(name),
    lambda name, _: " ".join(name),
    lambda name, dice: name + dice.choice(BEHIND),
    lambda name, _: name.translate(ALIKE),
    lambda name, dice: (at := dice.randrange(len(name)), name[:at] + name[at] + name[at:])[1],
    lambda name, _: name.replace("公司", "公司。").replace("科技", "").replace("工程", ""),
)


def companies(count: int, seed: int) -> list[Written]:
    """One to five records of each company; every fifth shares its brand with one elsewhere or in another trade."""
    dice = random.Random(seed)
    found: list[Written] = []
    taken: set[tuple[str, str]] = set()
    number = 0
    while number < count:
        place, brand, trade = dice.choice(PLACES), dice.choice(BRANDS), dice.choice(TRADES)
        for at, core in [(place, brand + trade)] + [_neighbour(place, brand, trade, dice)] * (dice.random() < 0.2):
            if (at[1], core) in taken or number >= count:
                continue
            taken.add((at[1], core))
            found += _records(number, at, core, dice)
            number += 1
    dice.shuffle(found)
    return found


def _neighbour(
    place: tuple[str, str, str, str], brand: str, trade: str, dice: random.Random
) -> tuple[tuple[str, str, str, str], str]:
    if dice.random() < 0.5:
        return dice.choice([other for other in PLACES if other != place]), brand + trade
    return place, brand + dice.choice([other for other in TRADES if other != trade])


def _records(number: int, place: tuple[str, str, str, str], core: str, dice: random.Random) -> list[Written]:
    whole: dict[str, Any] = {
        "credit_code": credit_code(dice),
        "domains": [f"u{number}.example.com.cn"],
        "phones": [f"1{dice.randint(3_000_000_000, 9_999_999_999)}"],
        "address": f"{place[1]}市{place[2]}区工业园{dice.randint(1, 99)}栋",
    }
    form = dice.choice(FORMS)
    records = []
    for _ in range(dice.randint(1, 5)):
        known = {name: value for name, value in whole.items() if dice.random() < 0.35}
        if dice.random() < 0.5:
            known["region_code"] = place[3] + "0000"
        records.append(Written(number, {"name": written(place, core, form, dice), **known}))
    return records
